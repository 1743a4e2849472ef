"""The text that the agent reads: the task, what a tool answered, what went wrong.

Training shows a model these texts byte for byte as a live run does, so nothing else may word them. Numbers have a
limited number of digits, and specs are JSON with sorted keys.
"""

import json
from collections.abc import Sequence
from typing import Any, cast

from anomalyagent.graph.trace import ImageEntry, Task
from anomalyagent.knowledge.cards import Variant
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.contracts import (
    ImageResult,
    KnowledgeResult,
    MaskResult,
    PromptResult,
    QualityResult,
    ReferenceHit,
    ToolResult,
)

__all__ = ["describe_failure", "describe_illegal", "describe_rejection", "describe_result", "describe_task"]

MOST_CARDS = 3
MOST_BOXES = 3
_MEASURED = ("area_fraction", "elongation", "severity", "count", "lightness")


def describe_task(task: Task, max_rounds: int) -> str:
    """The message that opens a conversation."""
    return (
        f"Image 1 is a photo of a good part.\nitem: {task.item_name}\nanomaly type: {task.anomaly_type}\n"
        f"Make a realistic anomaly of this type on it, and its mask, in at most {max_rounds} rounds of image_gen."
    )


def describe_result(result: ToolResult, made: Sequence[ImageEntry], arguments: dict[str, Any]) -> str:
    """What a tool answered.

    Args:
        result: the tool's result.
        made: images that joined the conversation with it.
        arguments: what the agent called it with.
    """
    if isinstance(result, PromptResult):
        card = f"\nfrom knowledge card: {result.knowledge_card}" if result.knowledge_card else ""
        return f"prompt: {result.prompt}\nspec: {_spec(result.spec)}{card}"
    if isinstance(result, ImageResult):
        drawn = f"\nspec as drawn: {_spec(result.spec)}" if result.spec else ""
        notes = "".join(f"\nnote: {note}" for note in result.notes)
        return (
            f"Image {made[0].number} is the anomaly image. {_percent(result.changed_fraction)} of its pixels changed visibly, "
            f"the others are identical to image 1.{drawn}{notes}"
        )
    if isinstance(result, QualityResult):
        return _describe_quality(result, arguments)
    if isinstance(result, KnowledgeResult):
        return _describe_knowledge(result)
    if isinstance(result, MaskResult):
        boxes = ", ".join(str(list(box)) for box in result.boxes_xyxy[:MOST_BOXES])
        more = len(result.boxes_xyxy) - MOST_BOXES
        return (
            f"Image {made[0].number} is the mask of image {arguments['anomaly_image']}. It covers "
            f"{_percent(result.area_fraction)} of the pixels, confidence {result.confidence:.2f}.\n"
            f"boxes (x0, y0, x1, y1): {boxes or 'none'}{f' and {more} smaller ones' if more > 0 else ''}"
        )
    return json.dumps(result.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)


def describe_failure(tool: str, message: str) -> str:
    """A legal call that failed."""
    return f"The call of {tool} failed: {message}\nCall it again, changed if the message says so; nothing else was lost."


def describe_illegal(reason: str) -> str:
    """An action that was not carried out."""
    return f"Not carried out. {reason}"


def describe_rejection(tool: str, reason: str) -> str:
    """A legal call that a person did not let pass."""
    said = f": {reason.rstrip('.')}." if reason.strip() else "."
    return f"A person rejected this call of {tool}{said}\nIt was not made. Do something else; nothing was lost."


def _describe_quality(result: QualityResult, arguments: dict[str, Any]) -> str:
    verdict = "passed" if result.passed else "not passed"
    lines = [
        f"Image {arguments['anomaly_image']}: location {result.location_score:.2f} of 5, quality {result.quality_score:.2f} "
        f"of 5, score {result.score:.2f} of 10, {verdict} (more than {result.threshold:.2f} is needed).",
        f"review: {result.review}",
    ]
    for finding in result.findings:
        hint = f" Hint: {finding.hint}" if finding.hint else ""
        lines.append(f"finding {finding.name} ({finding.weight:.2f}): {finding.message.rstrip('.')}.{hint}")
    return "\n".join(lines)


def _describe_knowledge(result: KnowledgeResult) -> str:
    lines = [f"match: {result.match}"]
    if result.note:
        lines.append(f"note: {result.note}")
    for card in result.cards[:MOST_CARDS]:
        lines.append(f"card {card.id} ({card.item}, {card.anomaly_type}, relevance {card.relevance:.2f}): {card.text}")
        lines.extend(f"  drawn as {_variant(variant)}" for variant in card.variants)
    if not result.cards:
        lines.append("no card was found.")
    lines += [f"from the web, unverified: {text}" for text in result.web]
    lines += [_reference(one) for one in result.references]
    return "\n".join(lines)


def _reference(one: ReferenceHit) -> str:
    kind = f"{one.anomaly_type}, " if one.anomaly_type else ""
    numbers = {name: value for name in _MEASURED if (value := getattr(one, name)) is not None}
    measured = f": {json.dumps(_shortened(numbers), sort_keys=True)}" if numbers else ""
    return f"a real defect of this set that looks most like yours ({kind}likeness {one.similarity:.2f}){measured}"


def _variant(variant: Variant) -> str:
    numbers = variant.priors.model_dump(mode="json", exclude_none=True)
    return f"{variant.mechanism} ({variant.weight:.2f}): {json.dumps(numbers, sort_keys=True)}"


def _spec(spec: DefectSpec) -> str:
    """Without its seed: a spec that is copied and changed must not repeat the dice that were thrown for the last image."""
    return json.dumps(_shortened(spec.model_dump(mode="json", exclude_none=True, exclude={"seed"})), sort_keys=True)


def _shortened(value: Any) -> Any:
    """Every float with at most four significant digits: what follows them cannot be seen in an image."""
    if isinstance(value, dict):
        return {key: _shortened(part) for key, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_shortened(part) for part in cast("list[Any]", value)]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
