"""What a small model decides in its next turn: one line of thought, the plan, from which the call follows.

    I draw: scratch, as the judge says; size x1.4, strength x1, length x1, place open, direction kept, colour kept, tries 8.

Copying numbers is what a small model does worst, and absolute sizes learned on one part are wrong on the next. So it says
in steps what should change against a spec that is known (prompt_gen's, the best image's, or the one that the judge's
findings lead to) and how often image_gen may try, and `carry_out` writes the call. Every other turn is a fixed sentence.
`plans` lists what the rules allow, as a grammar; the turn that is recorded, thought and call, is the same text for graph, SFT
and GRPO.
"""

import re
from collections.abc import Mapping

from anomalyagent.errors import PolicyError
from anomalyagent.graph.policies.expert import drawn_spec, easier_spec, refined_spec
from anomalyagent.graph.policies.local_grammar import Grammar, Piece
from anomalyagent.graph.progress import View
from anomalyagent.graph.rules import check
from anomalyagent.graph.trace import Action, Answer, ToolCall
from anomalyagent.graph.wire import write_turn
from anomalyagent.knowledge.spec import DefectSpec

__all__ = [
    "BASES",
    "FREEDOM",
    "SCALED",
    "STEPS",
    "TRIES",
    "base_spec",
    "carry_out",
    "image_plan",
    "legal_calls",
    "plans",
    "sentence",
    "write_image_call",
    "write_planned",
]

STEPS = (0.5, 0.7, 1.0, 1.4, 2.0)
TRIES = (1, 8)
"""Draw once, or until the tool's own check is content."""
SCALED = {"size": "area_fraction", "strength": "severity", "length": "elongation"}
"""Word of the plan -> field of the spec."""
BASES = {"asked": "as asked", "judged": "as the judge says", "best": "like the best image"}
FREEDOM = {"place": "center", "direction": "orientation_deg", "colour": "color_shift"}
"""Word of the plan -> field that is kept or left open."""
_RANGES = {"area_fraction": (1e-4, 0.7), "elongation": (1.0, 200.0), "severity": (0.5, 60.0)}
_FIELDS = ("mechanism", "zone", "center", "area_fraction", "elongation", "orientation_deg", "severity", "color_shift", "count")
"""In the order in which they are written; the seed is the graph's."""
_OPEN, _CLOSE = "<thinking>", "</thinking>"
_IMAGE_PLAN = re.compile(
    rf"I draw: (?P<mechanism>\w+), (?P<base>{'|'.join(BASES.values())}); "
    + ", ".join([*(rf"{word} x(?P<{word}>[\d.]+)" for word in SCALED), *(rf"{word} (?P<{word}>kept|open)" for word in FREEDOM)])
    + rf", tries (?P<tries>{'|'.join(map(str, TRIES))})\."
)


def plans(view: View) -> Grammar:
    """The thoughts, in their tags, whose calls are legal at this point of a conversation."""
    fixed = [[Piece((f"{_OPEN}{thought}{_CLOSE}",))] for thought in _fixed(view)]
    return Grammar([*fixed, *_image_plans(view)])


def carry_out(view: View, thought: str) -> Action:
    """The action that a plan means.

    Raises:
        PolicyError: it is no plan for this point of the conversation.
    """
    fixed = _fixed(view)
    if thought in fixed:
        return fixed[thought]
    found = _IMAGE_PLAN.fullmatch(thought)
    base = {text: name for name, text in BASES.items()}.get(found["base"]) if found else None
    if found is None or base not in _bases(view) or found["mechanism"] not in _mechanisms(view):
        known = ", ".join([*fixed, *(["image plans"] if _bases(view) else [])])
        raise PolicyError(f"{thought!r} is no plan for turn {len(view.turns) + 1}. Known here: {known}.")
    spec = base_spec(view, base).model_copy(update={"mechanism": found["mechanism"]})
    changes: dict[str, object] = {}
    for word, name in SCALED.items():
        low, high = _RANGES[name]
        changes[name] = min(max(getattr(spec, name) * float(found[word]), low), high)
    changes |= {name: None for word, name in FREEDOM.items() if found[word] == "open"}
    drawn = spec.model_copy(update=changes)
    return write_image_call(view.task.item_name, view.task.anomaly_type, drawn, int(found["tries"]))


def image_plan(mechanism: str, base: str, steps: Mapping[str, float], opened: frozenset[str], tries: int) -> str:
    """The plan as text.

    Args:
        mechanism: of the defect.
        base: a key of `BASES`.
        steps: factor for each key of `SCALED`, of `STEPS`.
        opened: keys of `FREEDOM` that are left open.
        tries: one of `TRIES`.
    """
    parts = [f"{word} x{steps[word]:g}" for word in SCALED]
    parts += [f"{word} {'open' if word in opened else 'kept'}" for word in FREEDOM]
    return f"I draw: {mechanism}, {BASES[base]}; {', '.join(parts)}, tries {tries}."


def sentence(action: Action) -> str:
    """The fixed plan of a call or answer that is not image_gen."""
    if isinstance(action, Answer):
        number = action.final_image_index
        said = "Done" if action.status == "success" else "I give up"
        return f"{said}." if number is None else f"{said}, with image {number}."
    assert isinstance(action, ToolCall)
    return {
        "prompt_gen": "I start with a prompt.",
        "quality_eval": "I have image {anomaly_image} judged.",
        "knowledge_retrieval": "I look up how it should look.",
        "mask_gen": "I take the mask of image {anomaly_image}.",
    }[action.name].format(**action.arguments)


def write_planned(view: View, plan: bytes) -> str:
    """The whole turn of a plan that was written in its tags."""
    thought = plan.decode("utf-8").removeprefix(_OPEN).removesuffix(_CLOSE)
    return write_turn(thought, carry_out(view, thought))


def write_image_call(item: str, anomaly_type: str, spec: DefectSpec, tries: int = 1) -> ToolCall:
    """The image_gen call of a small policy: few words, since the spec says it all, in two significant digits."""
    prompt = f"Part: {item}. Defect: {anomaly_type}. Kind: {spec.mechanism}."
    asked = {"tries": tries} if tries > 1 else {}
    return ToolCall(name="image_gen", arguments={"image": 1, "prompt": prompt, "spec": _in_few_digits(spec), **asked})


def _plain_number(value: float) -> float | int:
    """Two significant digits, without a point where there is none to write."""
    short = float(f"{value:.2g}")
    return int(short) if short == int(short) else short


def legal_calls(view: View) -> list[Action]:
    """Every legal call and answer whose arguments leave no choice; what is kept in the end is the best image there is."""
    task, progress = view.task, view.progress
    names = {"item_name": task.item_name, "anomaly_type": task.anomaly_type}
    actions: list[Action] = [
        ToolCall(name="prompt_gen", arguments={"image": 1, **names}),
        ToolCall(name="knowledge_retrieval", arguments=dict(names)),
    ]
    rounds, best = len(progress.rounds), progress.best
    if progress.last is not None:
        pair = {"normal_image": 1, "anomaly_image": progress.last.number}
        actions.append(ToolCall(name="quality_eval", arguments={**pair, **names}))
    if best is None:
        actions.append(_answer(False, None, False, rounds))
    else:
        actions.append(ToolCall(name="mask_gen", arguments={"normal_image": 1, "anomaly_image": best.number}))
        actions.append(_answer(best.passed, best.number, progress.mask_of(best.number) is not None, rounds))
    return [action for action in actions if check(view, action) is None]


def _fixed(view: View) -> dict[str, Action]:
    """Sentence -> the call or answer that it means."""
    return {sentence(action): action for action in legal_calls(view)}


def _answer(passed: bool, number: int | None, masked: bool, rounds: int) -> Answer:
    logic = f"{'passed' if passed else 'not passed'} after {rounds} {'round' if rounds == 1 else 'rounds'}"
    status = "success" if passed else "failure"
    return Answer(status=status, final_image_index=number, mask_generated=masked, synthesis_logic=logic)


def _image_plans(view: View) -> list[list[Piece]]:
    bases = _bases(view)
    if not bases:
        return []
    kinds, told = tuple(_mechanisms(view)), tuple(BASES[base] for base in bases)
    pieces = [Piece((f"{_OPEN}I draw: ",)), Piece(kinds), Piece((", ",)), Piece(told)]
    mark = "; "
    for word in SCALED:
        pieces += [Piece((f"{mark}{word} x",)), Piece(tuple(f"{step:g}" for step in STEPS))]
        mark = ", "
    for word in FREEDOM:
        pieces += [Piece((f", {word} ",)), Piece(("kept", "open"))]
    pieces += [Piece((", tries ",)), Piece(tuple(map(str, TRIES)))]
    return [[*pieces, Piece((f".{_CLOSE}",))]]


def _bases(view: View) -> list[str]:
    """Where a spec may come from now; nothing when image_gen is not legal."""
    probe = ToolCall(name="image_gen", arguments={"image": 1, "prompt": "any"})
    if check(view, probe) is not None or view.progress.prompt is None:
        return []
    return list(BASES) if view.progress.rounds else ["asked"]


def base_spec(view: View, base: str | None) -> DefectSpec:
    """The spec that a key of `BASES` stands for; after a failed image_gen easier to draw, once."""
    progress = view.progress
    if base == "judged":
        return refined_spec(view)
    assert progress.prompt is not None  # _bases says so
    spec = drawn_spec(progress.best) if base == "best" and progress.best is not None else progress.prompt.spec
    return easier_spec(spec, progress)


def _mechanisms(view: View) -> list[str]:
    """What prompt_gen chose, what the retrieved cards allow, what the judge asked for."""
    progress = view.progress
    names: list[str] = [] if progress.prompt is None else [progress.prompt.spec.mechanism]
    names += [variant.mechanism for found in progress.knowledge for card in found.cards[:1] for variant in card.variants]
    for one in progress.rounds:
        for finding in one.evaluation.findings if one.evaluation else []:
            if finding.adjust is not None and finding.adjust.field == "mechanism":
                names.append(str(finding.adjust.value))
    return list(dict.fromkeys(names))


def _in_few_digits(spec: DefectSpec) -> dict[str, object]:
    """Two significant digits, whole degrees and colours, nothing that is unset."""
    given = spec.model_dump(mode="json", exclude_none=True)
    written: dict[str, object] = {}
    for name in _FIELDS:
        value = given.get(name)
        if value is None or (name == "count" and value == 1):
            continue
        if name in _RANGES:
            value = _plain_number(value)
        elif name == "center":
            value = [_plain_number(round(part, 2)) for part in value]
        elif name == "color_shift":
            value = [round(part) for part in value]
        elif name == "orientation_deg":
            value = round(value) % 180
        written[name] = value
    return written
