"""Conversations for tests of rules and policies, written down turn by turn without running any tool."""

from typing import Any, Literal

from anomalyagent.graph.observations import describe_failure, describe_result
from anomalyagent.graph.progress import View
from anomalyagent.graph.trace import Action, Answer, ImageEntry, Observation, Task, ToolCall, Trajectory, Turn
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.contracts import (
    CardHit,
    Finding,
    ImageResult,
    KnowledgeResult,
    MaskResult,
    PromptResult,
    QualityResult,
    ToolResult,
)

SPEC = DefectSpec(mechanism="scratch", area_fraction=0.01, elongation=12, severity=6)
TASK = Task(
    id="scratch-00000",
    index=0,
    normal_image="normal.png",
    normal_sha256="0" * 64,
    item_name="metal nut",
    anomaly_type="scratch",
    seed=7,
)


class Conversation:
    """A conversation that grows: `talk.prompt().image().judge(3.0)`; `talk.view` is what a policy sees."""

    def __init__(self, max_rounds: int = 3) -> None:
        self.max_rounds = max_rounds
        self.turns: list[Turn] = []
        self.images = [ImageEntry(number=1, role="normal", ref="normal.png", sha256="0" * 64)]
        self.last_image = 1

    @property
    def view(self) -> View:
        return View(TASK, list(self.turns), list(self.images), self.max_rounds)

    def act(self, action: Action, observation: Observation | None = None, legal: bool = True) -> "Conversation":
        turn = Turn(
            index=len(self.turns),
            thought="t",
            action=action,
            legal=legal,
            observation=observation,
            started_at="2026-01-01T00:00:00.000+00:00",
            seconds=0.1,
        )
        self.turns.append(turn)
        return self

    def prompt(self, card: str | None = "nut/scratch") -> "Conversation":
        return self._done(call_prompt(), PromptResult(backend="b", prompt="a scratch", spec=SPEC, knowledge_card=card))

    def image(self, spec: DefectSpec | None = SPEC, drawings: int = 1) -> "Conversation":
        number = len(self.images) + 1
        entry = ImageEntry(number=number, role="anomaly", ref=f"images/{number}.png", sha256=f"{number:064d}")
        self.last_image = number
        result = ImageResult(backend="b", image=entry.ref, changed_fraction=0.01, spec=spec, seed=1, drawings=drawings)
        return self._done(call_image(), result, entry)

    def judge(self, score: float, findings: list[Finding] | None = None, location: float | None = None) -> "Conversation":
        place = score / 2 if location is None else location
        result = QualityResult(
            backend="b",
            location_score=place,
            quality_score=score - place,
            score=score,
            threshold=5.0,
            passed=score > 5.0,
            findings=findings or [],
            review="r",
        )
        return self._done(call_judge(self.last_image), result)

    def knowledge(
        self, cards: list[CardHit] | None = None, match: Literal["exact", "near", "general"] = "exact"
    ) -> "Conversation":
        return self._done(call_knowledge(), KnowledgeResult(backend="b", match=match, cards=cards or []))

    def mask(self, of: int | None = None) -> "Conversation":
        number = len(self.images) + 1
        entry = ImageEntry(number=number, role="mask", ref=f"images/{number}_mask.png", sha256=f"{number:064d}")
        result = MaskResult(backend="b", mask=entry.ref, boxes_xyxy=[(1, 2, 3, 4)], area_fraction=0.01, confidence=0.9)
        return self._done(call_mask(of or self.last_image), result, entry)

    def failing(self, call: ToolCall, message: str = "refused: no") -> "Conversation":
        return self.act(call, Observation(text=describe_failure(call.name, message), error=message))

    def _done(self, call: ToolCall, result: ToolResult, *made: ImageEntry) -> "Conversation":
        self.images += made
        text = describe_result(result, made, call.arguments)
        return self.act(call, Observation(text=text, structured=result.model_dump(mode="json"), images=list(made)))


def trajectory_of(talk: Conversation, **changes: Any) -> Trajectory:
    """A conversation as a stored trajectory; `changes` are fields of it."""
    values: dict[str, Any] = {
        "id": TASK.id,
        "run_id": "r",
        "task": TASK,
        "policy": "expert",
        "turns": talk.turns,
        "images": talk.images,
        "outcome": "accepted",
        "reason": "it passed.",
        "score": 8.0,
        "rounds": 1,
        "seconds": 0.5,
        "cost_usd": 0.0,
        "config_sha256": "0" * 64,
        "versions": {"anomalyagent": "0.1.0"},
    }
    return Trajectory.model_validate(values | changes)


def call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(name=name, arguments=arguments)


def call_prompt(**changes: Any) -> ToolCall:
    return call("prompt_gen", **({"image": 1, "item_name": "metal nut", "anomaly_type": "scratch"} | changes))


def call_image(**changes: Any) -> ToolCall:
    return call("image_gen", **({"image": 1, "prompt": "a scratch", "spec": SPEC.model_dump(mode="json")} | changes))


def call_judge(image: int, **changes: Any) -> ToolCall:
    wanted = {"normal_image": 1, "anomaly_image": image, "item_name": "metal nut", "anomaly_type": "scratch"}
    return call("quality_eval", **(wanted | changes))


def call_knowledge(**changes: Any) -> ToolCall:
    return call("knowledge_retrieval", **({"item_name": "metal nut", "anomaly_type": "scratch"} | changes))


def call_mask(image: int, **changes: Any) -> ToolCall:
    return call("mask_gen", **({"normal_image": 1, "anomaly_image": image} | changes))


def answer(status: Literal["success", "failure"], image: int | None, mask: bool) -> Answer:
    return Answer(status=status, final_image_index=image, mask_generated=mask, synthesis_logic="l")
