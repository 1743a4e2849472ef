"""Changing one turn by hand: the prompt, spec or other arguments of its call, or what its tool answered.

    prompt_gen            prompt, spec.<field>, knowledge_card                                     the answer is changed
    image_gen             prompt, spec.<field>, seed                                               the call is changed
    quality_eval          score, location_score, quality_score, passed, review, findings,
                          finding.<name> (null removes it), finding.<name>.weight|message|hint     the answer is changed
    knowledge_retrieval   knowledge (a text of your own), cards.<n>.text, note, match              the answer is changed
    any call              arguments.<name>, action (a whole other one), thought                    the call is changed
    any answer            result.<field>                                                           the answer is changed

A changed call is made again; a changed answer stands in for the tool's own, which is not called again. What hangs together
is changed together: a prompt with its spec and a spec with its prompt (unless both are given), the score with its two halves
and with passed. The text that the agent reads is written anew from the changed answer.
"""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from pydantic import TypeAdapter, ValidationError
from rapidfuzz import process

from anomalyagent.configs.faults import first_fault
from anomalyagent.errors import ForkError
from anomalyagent.graph.changes import changes_between
from anomalyagent.graph.observations import describe_result
from anomalyagent.graph.trace import Action, Answer, Edit, Task, ToolCall, Turn
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words import parse_prompt, render_prompt
from anomalyagent.mcp_tools.contracts import RESULT_TYPES, Finding, ToolName

__all__ = ["Edited", "edit_call", "edit_turn", "editable_paths"]

_CALL_PATHS = ("arguments", "action", "thought")
_CARD = {"relevance": 1.0, "source": "written by hand"}

_ACTION: TypeAdapter[Action] = TypeAdapter(ToolCall | Answer)


class Edited(NamedTuple):
    """A changed turn. `again`: its call is to be made (anew); else its observation stands as it is."""

    turn: Turn
    again: bool
    edits: list[Edit]


def editable_paths(turn: Turn) -> dict[str, Any]:
    """What can be changed in a turn: path -> its value now, the useful ones first."""
    paths: dict[str, Any] = {}
    name = turn.action.name if isinstance(turn.action, ToolCall) else None
    arguments = turn.action.arguments if isinstance(turn.action, ToolCall) else {}
    result = _result(turn)
    source = arguments if name == "image_gen" else result
    if name in ("image_gen", "prompt_gen"):
        paths["prompt"] = source.get("prompt")
        spec = cast("dict[str, Any]", source.get("spec") or {})
        paths |= {f"spec.{field}": spec.get(field) for field in DefectSpec.model_fields if source}
    if name == "image_gen":
        paths["seed"] = arguments.get("seed")
    if name == "quality_eval" and result:
        paths |= {key: result.get(key) for key in ("score", "location_score", "quality_score", "passed", "review")}
        paths |= {f"finding.{one['name']}": one["weight"] for one in cast("list[dict[str, Any]]", result.get("findings", []))}
        paths["findings"] = result.get("findings")
    if name == "knowledge_retrieval" and result:
        cards = cast("list[dict[str, Any]]", result.get("cards", []))
        paths["knowledge"] = "\n".join(str(card["text"]) for card in cards)
        paths |= {f"cards.{number}.text": card["text"] for number, card in enumerate(cards)}
        paths |= {"note": result.get("note"), "match": result.get("match")}
    paths |= {f"arguments.{key}": value for key, value in arguments.items()}
    paths |= {f"result.{key}": value for key, value in result.items()}
    return paths | {"thought": turn.thought, "action": turn.action.model_dump(mode="json")}


def edit_turn(task: Task, turn: Turn, changes: Mapping[str, Any]) -> Edited:
    """Change the call or the answer of a turn.

    Args:
        changes: path -> new value, see the top of this module.
    Raises:
        ForkError: the turn has no such part, the value does not fit, or both call and answer are to be changed.
    """
    calls = {path: value for path, value in changes.items() if _changes_call(turn, path)}
    if not changes or len(calls) == len(changes):
        return edit_call(task, turn, changes)
    if set(calls) - {"thought"}:
        others = ", ".join(path for path in changes if path not in calls)
        raise ForkError(
            f"turn {turn.index}: {', '.join(calls)} belongs to the call and {others} to its answer. Change one of the two: "
            "a call that is made again brings its own answer."
        )
    return _edit_result(turn, changes)


def edit_call(task: Task, turn: Turn, changes: Mapping[str, Any]) -> Edited:
    """Change the call of a turn; its observation is dropped.

    Raises:
        ForkError: as `edit_turn`.
    """
    action, thought = turn.action, turn.thought
    told: dict[str, Any] = {}
    for path, value in changes.items():
        first, _, rest = path.partition(".")
        if path == "action":
            action = _validated(_ACTION, value, turn, path)
        elif path == "thought":
            thought = str(value)
        elif not isinstance(action, ToolCall):
            raise _unknown(turn, path)
        elif first == "arguments" and rest:
            action = _with_arguments(action, {rest: value})
        elif action.name == "image_gen" and first in ("prompt", "spec", "seed"):
            told[path] = value
        else:
            raise _unknown(turn, path)
    if isinstance(action, ToolCall) and told:
        action = _with_arguments(action, _prompt_and_spec(task, turn, action.arguments, told))
    changed = turn.model_copy(update={"action": action, "thought": thought, "observation": None})
    before = _call_of(turn)
    edits = [_edit(turn, change) for change in changes_between(before, _call_of(changed))]
    return Edited(changed, True, edits)


def _edit_result(turn: Turn, changes: Mapping[str, Any]) -> Edited:
    observation, action = turn.observation, turn.action
    if not isinstance(action, ToolCall) or observation is None or not observation.structured:
        why = "the call failed" if observation and observation.error else "it is no call that was answered"
        raise ForkError(f"turn {turn.index} has no answer to change: {why}. Change its call, or fork at another turn.")
    result = copy.deepcopy(observation.structured)
    for path, value in changes.items():
        first, _, rest = path.partition(".")
        if path == "thought":
            continue
        if first == "finding" and rest and action.name == "quality_eval":
            _set_finding(turn, result, rest, value)
        elif path == "knowledge" and action.name == "knowledge_retrieval":
            _set_knowledge(result, action, str(value))
        else:
            _set(turn, result, rest if first == "result" else path, value, path)
    if action.name == "quality_eval":
        _balance(result, changes)
    if action.name == "prompt_gen":
        told = {path.removeprefix("result."): value for path, value in changes.items()}
        names = {name: action.arguments.get(name, "") for name in ("item_name", "anomaly_type")}
        _tie(result, observation.structured, told, names["item_name"], names["anomaly_type"])
    kind = RESULT_TYPES[cast("ToolName", action.name)]
    read = _validated(TypeAdapter(kind), result, turn, "the answer")
    structured = read.model_dump(mode="json")
    text = describe_result(read, observation.images, action.arguments)
    changed = turn.model_copy(
        update={
            "thought": str(changes.get("thought", turn.thought)),
            "observation": observation.model_copy(update={"structured": structured, "text": text}),
        }
    )
    before, after = {"thought": turn.thought, **observation.structured}, {"thought": changed.thought, **structured}
    return Edited(changed, False, [_edit(turn, change) for change in changes_between(before, after)])


def _changes_call(turn: Turn, path: str) -> bool:
    first = path.partition(".")[0]
    if first in _CALL_PATHS:
        return True
    return isinstance(turn.action, ToolCall) and turn.action.name == "image_gen" and first in ("prompt", "spec", "seed")


def _prompt_and_spec(task: Task, turn: Turn, old: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of image_gen that change: what is told, and what follows from it."""
    new: dict[str, Any] = copy.deepcopy({key: old.get(key) for key in ("prompt", "spec", "seed")})
    if new["spec"] is None and any(path.startswith("spec.") for path in told):
        new["spec"] = parse_prompt(str(new["prompt"])).model_dump(mode="json", exclude_none=True)
    for path, value in told.items():
        _set(turn, new, path, value, path)
    _tie(new, old, told, task.item_name, task.anomaly_type)
    if "seed" not in told and "spec.seed" in told and old.get("seed") is not None:
        new["seed"] = cast("dict[str, Any]", new["spec"])["seed"]
    return {key: value for key, value in new.items() if value is not None or key in told}


def _tie(new: dict[str, Any], old: Mapping[str, Any], told: Mapping[str, Any], item: str, anomaly_type: str) -> None:
    """A prompt and the spec beside it say the same: whichever of the two was not told follows from the other."""
    by_spec = any(path.partition(".")[0] == "spec" for path in told)
    if by_spec and "prompt" not in told and new.get("spec"):
        spec = _spec(new["spec"])
        new["spec"] = spec.model_dump(mode="json", exclude_none=True)
        new["prompt"] = render_prompt(spec, item, anomaly_type)
    elif "prompt" in told and not by_spec and old.get("spec"):
        spec = parse_prompt(str(new["prompt"]), _spec(old["spec"]))
        new["spec"] = spec.model_dump(mode="json", exclude_none=True)


def _spec(value: Any) -> DefectSpec:
    try:
        return DefectSpec.model_validate(value)
    except ValidationError as error:
        fault = first_fault(error)
        where = f"spec.{fault.where}" if fault.where else "spec"
        known = f" Its fields are {', '.join(DefectSpec.model_fields)}." if fault.kind == "extra_forbidden" else ""
        raise ForkError(f"{where} cannot be {fault.received!r}: {fault.problem}.{known}") from error


def _balance(result: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """The score is the sum of its halves, and more than the threshold means passed."""
    told = {path.removeprefix("result.") for path in changes}
    if not told & {"score", "location_score", "quality_score", "threshold"}:
        return
    halves = ("location_score", "quality_score")
    try:
        if not told & set(halves):
            score = float(result["score"])
            old = float(result["location_score"]) + float(result["quality_score"])
            location = score / 2 if old <= 0 else score * float(result["location_score"]) / old
            location = min(max(location, score - 5.0), 5.0)
            result["location_score"], result["quality_score"] = location, score - location
        elif "score" not in told:
            result["score"] = sum(float(result[half]) for half in halves)
        if "passed" not in told:
            result["passed"] = float(result["score"]) > float(result["threshold"])
    except (TypeError, ValueError) as error:
        raise ForkError(f"a score is a number; received {', '.join(f'{key}={changes[key]!r}' for key in changes)}.") from error


def _set_finding(turn: Turn, result: dict[str, Any], path: str, value: Any) -> None:
    name, _, field = path.partition(".")
    findings = cast("list[dict[str, Any]]", result.setdefault("findings", []))
    found = next((one for one in findings if one["name"] == name), None)
    if value is None and not field:
        if found is None:
            raise ForkError(f"turn {turn.index} has no finding {name!r}; it has {_names(findings)}.")
        findings.remove(found)
        return
    if found is None:
        found = dict[str, Any](name=name, weight=0.5, message=f"A person saw: {name}.", hint="")
        findings.append(found)
    if field:
        found[field] = value
    elif isinstance(value, Mapping):
        found.update(cast("Mapping[str, Any]", value))
    elif isinstance(value, str):
        found["message"] = value
    else:
        found["weight"] = value
    _validated(TypeAdapter(Finding), found, turn, f"finding.{name}")
    findings.sort(key=lambda one: -float(one["weight"]))


def _set_knowledge(result: dict[str, Any], call: ToolCall, text: str) -> None:
    cards = cast("list[dict[str, Any]]", result.get("cards") or [])
    variants = cards[0]["variants"] if cards else []
    names = {"item": call.arguments.get("item_name", ""), "anomaly_type": call.arguments.get("anomaly_type", "")}
    result["cards"] = [{"id": "by-hand", **names, "text": text, "variants": variants, **_CARD}]
    result["match"], result["note"] = "exact", ""


def _set(turn: Turn, tree: dict[str, Any], path: str, value: Any, told: str) -> None:
    """Set a dotted path of plain data; numbers are places in a list."""
    *parents, last = path.split(".")
    here: Any = tree
    try:
        for part in parents:
            if isinstance(here, dict) and here.get(part, 0) is None:
                here[part] = {}
            here = here[int(part)] if isinstance(here, list) else here[part]
        if isinstance(here, list):
            cast("list[Any]", here)[int(last)] = value
        elif here is tree and last not in here:
            raise KeyError(last)
        else:
            here[last] = value
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise _unknown(turn, told) from error


def _unknown(turn: Turn, path: str) -> ForkError:
    known = list(editable_paths(turn))
    nearest = process.extractOne(path, known, score_cutoff=60)
    what = turn.action.name if isinstance(turn.action, ToolCall) else turn.action.kind
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return ForkError(f"turn {turn.index} ({what}) has no {path!r}.{hint} What can be changed there: {', '.join(known[:14])}.")


def _validated(kind: TypeAdapter[Any], value: Any, turn: Turn, what: str) -> Any:
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        fault = first_fault(error, what)
        shown = repr(fault.received)[:80]
        raise ForkError(f"turn {turn.index}: {fault.where} cannot be {shown}: {fault.problem}.") from error


def _with_arguments(call: ToolCall, changed: Mapping[str, Any]) -> ToolCall:
    kept = {**call.arguments, **changed}
    return call.model_copy(update={"arguments": {key: value for key, value in kept.items() if value is not None}})


def _call_of(turn: Turn) -> dict[str, Any]:
    """A turn's half of the agent as paths that a person would write: `prompt`, `spec.severity`, `arguments.query`."""
    action = turn.action
    if not isinstance(action, ToolCall):
        return {"action": action.model_dump(mode="json"), "thought": turn.thought}
    short = ("prompt", "spec", "seed") if action.name == "image_gen" else ()
    own = {key: value for key, value in action.arguments.items() if key in short}
    rest = {key: value for key, value in action.arguments.items() if key not in short}
    return {"tool": action.name, **own, "arguments": rest, "thought": turn.thought}


def _edit(turn: Turn, change: Any) -> Edit:
    return Edit(turn=turn.index, path=change.path, before=change.before, after=change.after)


def _result(turn: Turn) -> dict[str, Any]:
    return dict((turn.observation.structured if turn.observation else None) or {})


def _names(findings: list[dict[str, Any]]) -> str:
    return ", ".join(str(one["name"]) for one in findings) or "none"
