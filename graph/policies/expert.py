"""`expert`: rules over scores and findings, no model. The loop of the paper's Algorithm 1 with refinement in numbers.

    prompt -> image -> judge -> (knowledge, once, when it may help) -> refine -> image -> ...  -> mask -> answer

Refining starts from the best image so far: its spec as drawn, changed as the judge's findings say, then brought inside
the ranges of the knowledge that was retrieved (what a finding asked for stays), with a new seed. When the rounds are
spent, the best image is kept, its mask is made, and the answer says failure.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anomalyagent.errors import PolicyError
from anomalyagent.graph.policies.base import Decision, wrong_option
from anomalyagent.graph.progress import Progress, Round, View
from anomalyagent.graph.tasks import derive_seed
from anomalyagent.graph.trace import Answer, ToolCall
from anomalyagent.knowledge.cards import Variant
from anomalyagent.knowledge.sampling import clamp_to_priors
from anomalyagent.knowledge.spec import RANGES, DefectSpec
from anomalyagent.knowledge.words import parse_prompt, render_prompt, tell_changes
from anomalyagent.mcp_tools.contracts import MOST_TRIES, Adjustment, Finding, QualityResult

__all__ = ["ExpertPolicy", "adjust_spec", "drawn_spec", "easier_spec", "refined_spec"]

MOST_FAILURES = 3
"""Failed calls in a row after which it gives up."""
FAR_BELOW = 2.0
"""A score this far below the pass mark calls for knowledge."""
GROWTH_AFTER_FAILURE = 1.6
"""A defect that could not be drawn is tried this much larger."""


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tries: int = Field(default=1, ge=1, le=MOST_TRIES, strict=True)


class ExpertPolicy:
    """See module docstring.

    Options:
        tries: how often each call of image_gen may draw, 1 to 8; default 1, so that each drawing is a turn that can be seen.
    """

    name = "expert"

    def __init__(self, options: dict[str, Any]) -> None:
        try:
            self._tries = _Options.model_validate(options).tries
        except ValidationError as error:
            raise wrong_option(error, _Options, "the expert policy") from error

    async def decide(self, view: View) -> Decision:
        """The next turn.

        Raises:
            PolicyError: the rules refused its last action, so repeating it would not help.
        """
        if view.turns and not view.turns[-1].legal:
            raise PolicyError(f"the rules refused an action of the expert policy: {view.turns[-1].action}")
        progress = view.progress
        if len(progress.failed) >= MOST_FAILURES:
            return _give_up(view)
        if progress.prompt is None:
            return _call(
                f"The task is a '{view.task.anomaly_type}' on a {view.task.item_name}. I start with an editing prompt.",
                "prompt_gen",
                image=1,
                item_name=view.task.item_name,
                anomaly_type=view.task.anomaly_type,
                seed=view.task.seed,
            )
        last = progress.last
        if last is None:
            return self._draw(view, *_first_image(view, progress))
        if last.evaluation is None:
            return _call(
                f"Image {last.number} changed {100 * last.result.changed_fraction:.2f} % of the pixels. I have it judged.",
                "quality_eval",
                normal_image=1,
                anomaly_image=last.number,
                item_name=view.task.item_name,
                anomaly_type=view.task.anomaly_type,
            )
        if last.passed or view.rounds_spent:
            return _close(view, progress)
        if _knowledge_may_help(progress, last.evaluation):
            return _call(
                f"Image {last.number} has {_scores(last.evaluation)}. {_worst(last.evaluation)} "
                f"I look up how a '{view.task.anomaly_type}' on a {view.task.item_name} should look.",
                "knowledge_retrieval",
                item_name=view.task.item_name,
                anomaly_type=view.task.anomaly_type,
            )
        return self._draw(view, *_refined_image(view, progress, last.evaluation))

    def _draw(self, view: View, thought: str, prompt: str, spec: DefectSpec) -> Decision:
        calls = sum(1 for turn in view.turns if isinstance(turn.action, ToolCall) and turn.action.name == "image_gen")
        seed = derive_seed(view.task.seed, "image", calls)
        numbers = spec.model_copy(update={"seed": seed}).model_dump(mode="json", exclude_none=True)
        asked = {"tries": self._tries} if self._tries > 1 else {}
        return _call(thought, "image_gen", image=1, prompt=prompt, spec=numbers, seed=seed, **asked)


def adjust_spec(spec: DefectSpec, findings: list[Finding]) -> tuple[DefectSpec, list[str]]:
    """Carry out what the findings ask for; the first one about a field wins.

    Returns:
        The changed spec and the names of the changed fields.
    """
    changes: dict[str, Any] = {}
    for finding in findings:
        adjust = finding.adjust
        if adjust is not None and adjust.field not in changes:
            changes[adjust.field] = _adjusted(getattr(spec, adjust.field), adjust)
    return DefectSpec.model_validate({**spec.model_dump(), **changes}), list(changes)


def _adjusted(value: Any, adjust: Adjustment) -> Any:
    if adjust.how == "resample":
        return None if adjust.field in ("center", "orientation_deg") else value
    if adjust.how == "set":
        if adjust.value is None:
            return None if adjust.field in ("center", "orientation_deg") else value
        result: Any = adjust.value
    elif not isinstance(adjust.value, (int, float)) or not isinstance(value, (int, float)):
        return value
    else:
        result = value * adjust.value if adjust.how == "multiply" else value + adjust.value
    if adjust.field in RANGES:
        low, high = RANGES[adjust.field]
        result = min(max(float(result), low), high)
    if adjust.field == "orientation_deg":
        result = float(result) % 180.0
    return round(result) if adjust.field == "count" else result


def _first_image(view: View, progress: Progress) -> tuple[str, str, DefectSpec]:
    """Thought, prompt and spec."""
    assert progress.prompt is not None
    spec, prompt = progress.prompt.spec, progress.prompt.prompt
    if "image_gen" in progress.failed:
        spec = easier_spec(spec, progress)
        prompt = render_prompt(spec, view.task.item_name, view.task.anomaly_type)
        thought = f"That could not be drawn. I try another place and {100 * spec.area_fraction:.2f} % of the object's area."
    else:
        thought = (
            f"The prompt asks for a {spec.mechanism} of {100 * spec.area_fraction:.2f} % of the object's area, "
            f"zone {spec.zone}, severity {spec.severity:.1f}. I draw it."
        )
    return thought, prompt, spec


def refined_spec(view: View) -> DefectSpec:
    """What the expert would draw after a judged round that did not pass: the best spec so far, changed as its findings say."""
    return _refine(view.progress)[2]


def easier_spec(spec: DefectSpec, progress: Progress) -> DefectSpec:
    """After image_gen failed: the spec larger by a factor for each failure, and its place open; else the spec as it is."""
    tries = progress.failed.count("image_gen")
    if not tries:
        return spec
    return spec.model_copy(update={"center": None, "area_fraction": min(0.7, spec.area_fraction * GROWTH_AFTER_FAILURE**tries)})


def _refine(progress: Progress) -> tuple[Round, DefectSpec, DefectSpec]:
    """The round to start from, its spec, and the spec to draw now."""
    best, last = progress.best or progress.rounds[-1], progress.rounds[-1]
    before = drawn_spec(best)
    spec, fields = adjust_spec(before, best.evaluation.findings if best.evaluation else [])
    if best is not last or not set(fields) - {"seed"}:  # the same change was tried in vain, or none is known: another place
        spec = _elsewhere(spec, best)
        fields.append("center")
    inside = clamp_to_priors(spec, _known_variants(progress, spec.mechanism))
    kept = {name: getattr(spec, name) for name in fields if name != "center" or spec.zone == inside.zone}
    spec = inside if "mechanism" in kept else inside.model_copy(update=kept)
    return best, before, easier_spec(spec, progress)


def _known_variants(progress: Progress, mechanism: str) -> list[Variant]:
    """What the newest knowledge says of the wanted defect; a near card describes another type, so only what is drawn alike."""
    for found in progress.knowledge[-1:]:
        if found.cards and found.match != "general":
            variants = found.cards[0].variants
            return variants if found.match == "exact" else [one for one in variants if one.mechanism == mechanism]
    return []


def _refined_image(view: View, progress: Progress, evaluation: QualityResult) -> tuple[str, str, DefectSpec]:
    """Thought, prompt and spec."""
    last = progress.rounds[-1]
    best, before, spec = _refine(progress)
    changed = tell_changes(before, spec)
    thought = (
        f"Image {last.number} has {_scores(evaluation)}; more than {evaluation.threshold:g} is needed. {_worst(evaluation)} "
        + (f"I go back to image {best.number}, which has {best.score:.2f}. " if best is not last else "")
        + f"I draw again with {', '.join(changed) or 'the same numbers'} and a new seed."
    )
    return thought, render_prompt(spec, view.task.item_name, view.task.anomaly_type), spec


def _elsewhere(spec: DefectSpec, one: Round) -> DefectSpec:
    """The spec with its place open again, and its direction too where it had followed the structure of that place."""
    given = one.arguments.get("spec") or {}
    free = {"center": None} if given.get("orientation_deg") is not None else {"center": None, "orientation_deg": None}
    return spec.model_copy(update=free)


def drawn_spec(one: Round) -> DefectSpec:
    """The spec of a round as it was drawn; a backend that works from words alone gives none, so its prompt is read."""
    if one.result.spec is not None:
        return one.result.spec
    given = one.arguments.get("spec")
    return parse_prompt(str(one.arguments["prompt"]), DefectSpec.model_validate(given) if given else None)


def _close(view: View, progress: Progress) -> Decision:
    best = progress.best
    if best is None or best.evaluation is None:  # cannot be: it is called after a judged round
        raise PolicyError("no image was judged.")
    mask = progress.mask_of(best.number)
    verdict = "passed" if best.passed else "is the best of all rounds, which are spent"
    if mask is None:
        return _call(
            f"Image {best.number} {verdict}, with {_scores(best.evaluation)}. I take its mask.",
            "mask_gen",
            normal_image=1,
            anomaly_image=best.number,
        )
    spec = drawn_spec(best)
    logic = (
        f"{spec.mechanism} on {view.task.item_name}, round {progress.rounds.index(best) + 1} of {len(progress.rounds)}: "
        f"{_scores(best.evaluation)}; the mask covers {100 * mask.result.area_fraction:.2f} % of the pixels."
    )
    answer = Answer(
        status="success" if best.passed else "failure",
        final_image_index=best.number,
        mask_generated=True,
        synthesis_logic=logic,
    )
    return Decision(f"Image {best.number} {verdict}, and its mask, image {mask.number}, is made. I am done.", answer)


def _give_up(view: View) -> Decision:
    error = next((turn.observation.error for turn in reversed(view.turns) if turn.observation and turn.observation.error), "")
    best = view.progress.best
    mask = view.progress.mask_of(best.number) if best else None
    answer = Answer(
        status="failure",
        final_image_index=best.number if best else None,
        mask_generated=mask is not None,
        synthesis_logic=f"{len(view.progress.failed)} tool calls in a row failed, the last one with {error}",
    )
    return Decision(f"{len(view.progress.failed)} calls in a row failed. I stop here.", answer)


def _knowledge_may_help(progress: Progress, evaluation: QualityResult) -> bool:
    """Once in a trajectory: the score is far off, the place wrong, no finding says what to change, or no card was used yet."""
    if progress.knowledge or progress.prompt is None or "knowledge_retrieval" in progress.failed:
        return False
    return (
        progress.prompt.knowledge_card is None
        or evaluation.score < evaluation.threshold - FAR_BELOW
        or evaluation.location_score < evaluation.threshold / 2
        or not any(finding.adjust for finding in evaluation.findings)
    )


def _call(thought: str, name: str, **arguments: Any) -> Decision:
    return Decision(thought, ToolCall(name=name, arguments=arguments))


def _scores(evaluation: QualityResult) -> str:
    return f"location {evaluation.location_score:.2f} and quality {evaluation.quality_score:.2f}, {evaluation.score:.2f} of 10"


def _worst(evaluation: QualityResult) -> str:
    if not evaluation.findings:
        return "No fault was named."
    message = evaluation.findings[0].message.rstrip(".")
    return f"{message[:1].upper()}{message[1:]}."
