"""What has happened so far in a trajectory, read from its turns: prompt, rounds, scores, knowledge, masks, failures.

Rules, policies, nodes and rewards all look at a conversation through this one reading of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from anomalyagent.graph.trace import Answer, ImageEntry, Task, ToolCall, Turn
from anomalyagent.mcp_tools.contracts import ImageResult, KnowledgeResult, MaskResult, PromptResult, QualityResult

__all__ = ["Mask", "Progress", "Round", "View", "read_progress"]


@dataclass
class Round:
    """One image_gen result and what was said about it.

    Attributes:
        number: image number in the conversation.
        arguments: what image_gen was called with.
        result: what it returned.
        evaluation: quality_eval's result; None while it was not judged.
        knowledge: knowledge_retrieval results asked for after this round's score.
    """

    number: int
    arguments: dict[str, Any]
    result: ImageResult
    evaluation: QualityResult | None = None
    knowledge: list[KnowledgeResult] = field(default_factory=list[KnowledgeResult])

    @property
    def passed(self) -> bool:
        """Judged, and good enough."""
        return self.evaluation is not None and self.evaluation.passed

    @property
    def score(self) -> float:
        """0..10; -1 while it was not judged."""
        return -1.0 if self.evaluation is None else self.evaluation.score


@dataclass
class Mask:
    """A mask_gen result: `number` of the mask image, and `of` the anomaly image."""

    number: int
    of: int
    result: MaskResult


@dataclass
class Progress:
    """See module docstring. `failed`: tools whose calls failed since the last one that succeeded, in order."""

    prompt: PromptResult | None = None
    rounds: list[Round] = field(default_factory=list[Round])
    masks: list[Mask] = field(default_factory=list[Mask])
    failed: list[str] = field(default_factory=list[str])
    answer: Answer | None = None

    @property
    def last(self) -> Round | None:
        """The newest round."""
        return self.rounds[-1] if self.rounds else None

    @property
    def best(self) -> Round | None:
        """The judged round of the highest score, the earliest of equals."""
        judged = [one for one in self.rounds if one.evaluation is not None]
        return max(judged, key=lambda one: (one.passed, one.score, -one.number)) if judged else None

    @property
    def knowledge(self) -> list[KnowledgeResult]:
        """All knowledge that was retrieved."""
        return [found for one in self.rounds for found in one.knowledge]

    def round_of(self, number: object) -> Round | None:
        """The round that made image `number`."""
        return next((one for one in self.rounds if one.number == number), None)

    def mask_of(self, number: object) -> Mask | None:
        """The mask of anomaly image `number`."""
        return next((one for one in self.masks if one.of == number), None)


def read_progress(turns: Sequence[Turn]) -> Progress:
    """Read the turns of a trajectory, legal ones that succeeded, in order."""
    progress = Progress()
    for turn in turns:
        if turn.legal and isinstance(turn.action, Answer):
            progress.answer = turn.action
        elif turn.legal and isinstance(turn.action, ToolCall) and turn.observation is not None:
            if turn.observation.error is not None:
                progress.failed.append(turn.action.name)
                continue
            progress.failed.clear()
            _add_result(progress, turn.action, turn.observation.structured or {}, turn.observation.images)
    return progress


def _add_result(progress: Progress, call: ToolCall, result: dict[str, Any], images: Sequence[ImageEntry]) -> None:
    if call.name == "prompt_gen":
        progress.prompt = PromptResult.model_validate(result)
    elif call.name == "image_gen":
        progress.rounds.append(Round(images[0].number, call.arguments, ImageResult.model_validate(result)))
    elif call.name == "quality_eval":
        judged = progress.round_of(call.arguments["anomaly_image"])
        if judged is not None:
            judged.evaluation = QualityResult.model_validate(result)
    elif call.name == "knowledge_retrieval":
        if progress.last is not None:
            progress.last.knowledge.append(KnowledgeResult.model_validate(result))
    elif call.name == "mask_gen":
        progress.masks.append(Mask(images[0].number, int(call.arguments["anomaly_image"]), MaskResult.model_validate(result)))


@dataclass(frozen=True)
class View:
    """What a policy sees, and what a rule judges: the task, the conversation so far, the bounds.

    `workspace` is the folder that image references are relative to, for policies that look at the images.
    """

    task: Task
    turns: Sequence[Turn]
    images: Sequence[ImageEntry]
    max_rounds: int
    turns_left: int = 1_000_000
    workspace: Path = Path()

    @cached_property
    def progress(self) -> Progress:
        """The turns, read."""
        return read_progress(self.turns)

    @property
    def rounds_spent(self) -> bool:
        """No further image_gen call is allowed."""
        return len(self.progress.rounds) >= self.max_rounds
