"""A trajectory that leads to a real defect: the live tools, but the real photo comes last, with its true mask.

    single   PG IG QE MG             the real defect at once
    dual     PG IG QE (KR) IG QE MG  one imperfect attempt before it
    triple   PG IG QE KR IG QE IG QE MG

Everything but the last image and the mask is what the tools really answer; thoughts are written from what was measured, so
the turns read like the expert's. Earlier attempts come from simple prompts and specs with one thing wrong, and each of
them is known to fail the judge before it is played.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anomalyagent.graph.nodes import Tools
from anomalyagent.graph.policies.base import Decision
from anomalyagent.graph.policies.expert import ExpertPolicy
from anomalyagent.graph.progress import View
from anomalyagent.graph.runfile import digest_of
from anomalyagent.graph.trace import ToolCall
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words import render_prompt, tell_changes
from anomalyagent.mcp_tools.contracts import ImageResult, MaskResult, QualityResult, ToolName, ToolResult
from anomalyagent.mcp_tools.judge.expectation import THIN
from anomalyagent.training.datasets.entries import FROM_REAL

__all__ = ["BACKEND", "Attempt", "RealDefect", "RealTools", "RetracePolicy", "imperfect_specs", "simple_prompt"]

BACKEND = "real"
"""What a trajectory names as backend of a photo and of a mask that nobody made."""


@dataclass(frozen=True)
class RealDefect:
    """What the trajectory ends with.

    Attributes:
        image, mask: results as the tools would give them.
        spec: measured.
    """

    image: ImageResult
    mask: MaskResult
    spec: DefectSpec


@dataclass(frozen=True)
class Attempt:
    """A call of image_gen that is known to fail the judge."""

    prompt: str
    spec: DefectSpec
    quality: QualityResult


class RealTools:
    """The live tools; image_gen with the real defect's own spec gives its photo, mask_gen of that photo its true mask.

    Answers are kept: what was tried beforehand is not made again when the trajectory plays it.
    """

    def __init__(self, tools: Tools, real: RealDefect) -> None:
        self._tools = tools
        self._real = real
        self._known: dict[str, ToolResult] = {}

    async def call(self, tool: ToolName, arguments: Mapping[str, object], timeout_s: float | None = None) -> ToolResult:
        """As `ToolClient.call`."""
        if tool == "image_gen" and arguments.get("spec") == _given(self._real.spec):
            return self._real.image
        if tool == "mask_gen" and arguments.get("anomaly_image") == self._real.image.image:
            return self._real.mask
        key = digest_of([tool, dict(arguments)])
        if key not in self._known:
            self._known[key] = await self._tools.call(tool, arguments, timeout_s)
        return self._known[key]


class RetracePolicy:
    """Plays the attempts, then the real defect; prompt, judgement, mask and answer are the expert's turns.

    Args:
        looks_up: ask for knowledge after the first low score.
    """

    name = FROM_REAL

    def __init__(self, real: RealDefect, attempts: list[Attempt], *, looks_up: bool) -> None:
        self._real, self._attempts, self._looks_up = real, attempts, looks_up
        self._expert = ExpertPolicy({})

    async def decide(self, view: View) -> Decision:
        """The next turn."""
        progress = view.progress
        last = progress.last
        if progress.prompt is None or (last is not None and (last.evaluation is None or last.passed)):
            return await self._expert.decide(view)
        if last is not None and self._looks_up and not progress.knowledge and last.evaluation is not None:
            thought = (
                f"{_verdict(last.number, last.evaluation)} I look up how a '{view.task.anomaly_type}' on a "
                f"{view.task.item_name} should look."
            )
            names = {"item_name": view.task.item_name, "anomaly_type": view.task.anomaly_type}
            return Decision(thought, ToolCall(name="knowledge_retrieval", arguments=names))
        number = len(progress.rounds)
        if number < len(self._attempts):
            attempt = self._attempts[number]
            prompt, spec = attempt.prompt, attempt.spec
        else:
            spec = self._real.spec
            prompt = render_prompt(spec, view.task.item_name, view.task.anomaly_type)
        return Decision(_thought(view, spec), ToolCall(name="image_gen", arguments=_arguments(prompt, spec)))


def _arguments(prompt: str, spec: DefectSpec) -> dict[str, Any]:
    return {"image": 1, "prompt": prompt, "spec": _given(spec), "seed": spec.seed}


def _given(spec: DefectSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude_none=True)


def _thought(view: View, spec: DefectSpec) -> str:
    last = view.progress.last
    if last is None or last.evaluation is None:
        place = f" at ({spec.center[0]:g}, {spec.center[1]:g})" if spec.center else ""
        return (
            f"I ask for a {spec.mechanism} of {100 * spec.area_fraction:.2f} % of the object's area{place}, "
            f"{spec.elongation:.1f} times as long as wide, severity {spec.severity:.1f}."
        )
    before = DefectSpec.model_validate(last.arguments["spec"])
    changed = tell_changes(before, spec)
    found = view.progress.knowledge[-1:]
    knowledge = f"The card {found[0].cards[0].id} says what is usual. " if found and found[0].cards and last.knowledge else ""
    verdict = "" if last.knowledge else _verdict(last.number, last.evaluation) + " "
    return f"{verdict}{knowledge}I draw again with {', '.join(changed)}."


def _verdict(number: int, judged: QualityResult) -> str:
    text = (
        f"Image {number} has location {judged.location_score:.2f} and quality {judged.quality_score:.2f}, "
        f"{judged.score:.2f} of 10; more than {judged.threshold:g} is needed."
    )
    if not judged.findings:
        return text
    worst = judged.findings[0]
    message = worst.message.rstrip(".")
    return f"{text} {message[:1].upper()}{message[1:]}. {worst.hint}".rstrip()


def simple_prompt(item_name: str, anomaly_type: str) -> str:
    """What somebody writes who does not think about it."""
    return f"Add a {anomaly_type.replace('_', ' ')} to the {item_name}."


def imperfect_specs(spec: DefectSpec, seed: int) -> list[DefectSpec]:
    """The wanted defect with one thing wrong each, in an order that follows from the seed."""
    other = "stain" if spec.mechanism in THIN else "scratch"
    wrong: list[dict[str, Any]] = [
        {"severity": 1.3},
        {"area_fraction": min(0.7, max(0.3, 8.0 * spec.area_fraction))},
        {"mechanism": other, "elongation": 1.3 if spec.mechanism in THIN else 18.0, "color_shift": None},
        {"area_fraction": max(1e-5, 0.02 * spec.area_fraction), "severity": 2.5},
        {"severity": 58.0, "color_shift": (-45.0, 40.0, -40.0)},
        {"count": 12, "area_fraction": min(0.7, 3.0 * spec.area_fraction)},
    ]
    turned = wrong[seed % len(wrong) :] + wrong[: seed % len(wrong)]
    free = {"center": None, "orientation_deg": None, "zone": "any"}
    return [spec.model_copy(update={**free, **change, "seed": (seed + 7919 * n) % 2**31}) for n, change in enumerate(turned)]
