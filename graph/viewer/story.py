"""One trajectory, prepared for its page: images, rounds, turns, the path through the graph, and why it ended so."""

import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from PIL import Image, UnidentifiedImageError

from anomalyagent.errors import TraceError, WorkspaceError
from anomalyagent.graph.compare import RoundFacts, RoundPair, round_history
from anomalyagent.graph.run_index import Entry, summarize_trajectory
from anomalyagent.graph.trace import Answer, ToolCall, Trajectory, Turn
from anomalyagent.graph.viewer.drawing import GraphDrawing, History, Segment, draw_graph, draw_history, draw_time, step_name
from anomalyagent.graph.viewer.runs import MOST_CHARACTERS, Opened
from anomalyagent.mcp_tools.contracts import Finding
from anomalyagent.mcp_tools.workspace import Workspace

__all__ = [
    "PARTS",
    "RewardTerm",
    "Rewards",
    "ShownImage",
    "Story",
    "TurnView",
    "pretty",
    "tell",
    "whole_text",
]

PARTS = ("thought", "action", "observation", "result")
"""Texts of a turn that can be had whole."""

_PRETTY_DEPTH = 12

Role = Literal["normal", "anomaly", "mask"]


class RewardTerm(NamedTuple):
    """One term of the training reward: of a turn, or of the whole trajectory where `turn` is None."""

    turn: int | None
    name: str
    value: float


Rewards = Callable[[Trajectory], Sequence[RewardTerm]]


@dataclass(frozen=True)
class ShownImage:
    """An image of the conversation. `round`: from 1, of anomaly images. `of`: number of the anomaly image of a mask."""

    number: int
    role: Role
    ref: str
    digest: str
    width: int
    height: int
    problem: str
    round: int | None = None
    of: int | None = None
    score: float | None = None
    passed: bool = False

    @property
    def words(self) -> str:
        """What it is called."""
        if self.role == "normal":
            return "Normal"
        return f"Round {self.round}" if self.role == "anomaly" and self.round else f"{self.role.capitalize()} {self.number}"


@dataclass(frozen=True)
class TurnView:
    """A turn as its page shows it; `cut` names the parts of which only the beginning is shown."""

    turn: Turn
    name: str
    arguments: str
    images: tuple[ShownImage, ...]
    failed: bool
    cut: tuple[str, ...]
    rewards: tuple[RewardTerm, ...]

    @property
    def result(self) -> str:
        """The structured result."""
        observation = self.turn.observation
        return pretty(observation.structured) if observation and observation.structured else ""


@dataclass(frozen=True)
class Story:
    """See module docstring. `problem`: why rounds cannot be told; `rewards`: of the whole trajectory."""

    trajectory: Trajectory
    entry: Entry
    images: tuple[ShownImage, ...]
    turns: tuple[TurnView, ...]
    rounds: tuple[RoundPair, ...]
    history: History | None
    graph: GraphDrawing
    time: tuple[Segment, ...]
    rewards: tuple[RewardTerm, ...]
    problem: str

    @property
    def normal(self) -> ShownImage | None:
        """Image 1."""
        return next((image for image in self.images if image.role == "normal"), None)

    @property
    def anomalies(self) -> tuple[ShownImage, ...]:
        """One image for each round."""
        return tuple(image for image in self.images if image.role == "anomaly")

    def mask_of(self, number: int) -> ShownImage | None:
        """The mask that mask_gen made of an anomaly image."""
        return next((image for image in self.images if image.role == "mask" and image.of == number), None)

    @property
    def facts(self) -> tuple[RoundFacts, ...]:
        """The rounds by themselves."""
        return tuple(pair.b for pair in self.rounds if pair.b is not None)

    @property
    def best(self) -> RoundFacts | None:
        """The round of the highest score."""
        judged = [one for one in self.facts if one.score is not None]
        return max(judged, key=lambda one: (one.passed, one.score or 0.0)) if judged else None

    @property
    def faults(self) -> tuple[Finding, ...]:
        """What stood in the way: the findings about the best image, where the trajectory was not accepted."""
        best = self.best
        return best.findings if best is not None and self.trajectory.outcome != "accepted" else ()

    @property
    def first_image(self) -> ShownImage | None:
        """The one to show first: the final one, else that of the best round, else the newest."""
        final = next((image for image in self.anomalies if image.ref == self.trajectory.final_image), None)
        if final is None and self.best is not None:
            final = next((image for image in self.anomalies if image.number == self.best.image), None)
        return final or (self.anomalies[-1] if self.anomalies else None)


def tell(name: str, opened: Opened, workspace: Workspace, rewards: Rewards | None = None) -> Story:
    """Prepare a trajectory for its page."""
    shown, whole = opened.shown, opened.whole
    try:
        rounds, problem = tuple(round_history(shown)), ""
    except TraceError as error:
        rounds, problem = (), str(error)
    facts = [pair.b for pair in rounds if pair.b is not None]
    images = _images(shown, facts, workspace)
    by_number = {image.number: image for image in images}
    terms = tuple(rewards(whole)) if rewards else ()
    turns = tuple(
        TurnView(
            turn=turn,
            name=step_name(turn),
            arguments=_action_text(turn),
            images=tuple(
                by_number[entry.number]
                for entry in (turn.observation.images if turn.observation else [])
                if entry.number in by_number
            ),
            failed=turn.observation is not None and turn.observation.error is not None and turn.legal,
            cut=tuple(part for part in PARTS if len(whole_text(full, part)) > MOST_CHARACTERS),
            rewards=tuple(term for term in terms if term.turn == turn.index),
        )
        for turn, full in zip(shown.turns, whole.turns, strict=False)
    )
    threshold = _threshold(shown)
    return Story(
        trajectory=shown,
        entry=summarize_trajectory(name, shown),
        images=images,
        turns=turns,
        rounds=rounds,
        history=draw_history(facts, threshold) if facts else None,
        graph=draw_graph(shown),
        time=draw_time(shown),
        rewards=tuple(term for term in terms if term.turn is None),
        problem=problem,
    )


def whole_text(turn: Turn, part: str) -> str:
    """One text of a turn, uncut."""
    if part == "thought":
        return turn.thought
    if part == "action":
        return _action_text(turn)
    if turn.observation is None:
        return ""
    if part == "result":
        return pretty(turn.observation.structured) if turn.observation.structured else ""
    return turn.observation.text


def pretty(value: Any, depth: int = 0) -> str:
    """JSON to be read: one key a line, lists of plain values and what lies deep on one line."""
    if depth < _PRETTY_DEPTH and isinstance(value, dict) and value:
        items = cast("dict[str, Any]", value).items()
        lines = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(one, depth + 1)}" for key, one in items]
        return "{\n" + textwrap.indent(",\n".join(lines), "  ") + "\n}"
    if depth < _PRETTY_DEPTH and isinstance(value, list):
        ones = cast("list[Any]", value)
        if any(isinstance(one, dict | list) for one in ones):
            return "[\n" + textwrap.indent(",\n".join(pretty(one, depth + 1) for one in ones), "  ") + "\n]"
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to be shown)"


def _action_text(turn: Turn) -> str:
    action = turn.action
    if isinstance(action, ToolCall):
        return pretty(action.arguments)
    if isinstance(action, Answer):
        return pretty(action.model_dump(mode="json", exclude={"kind"}))
    return action.raw


def _images(trajectory: Trajectory, facts: Sequence[RoundFacts], workspace: Workspace) -> tuple[ShownImage, ...]:
    numbers = {one.image: (index, one) for index, one in enumerate(facts, 1)}
    masked = {
        image.number: turn.action.arguments.get("anomaly_image")
        for turn in trajectory.turns
        if isinstance(turn.action, ToolCall) and turn.action.name == "mask_gen" and turn.observation
        for image in turn.observation.images
    }
    shown: list[ShownImage] = []
    for entry in trajectory.images:
        width, height, problem = _look_at(workspace, entry.ref)
        index, one = numbers.get(entry.number, (None, None))
        of = masked.get(entry.number)
        shown.append(
            ShownImage(
                number=entry.number,
                role=entry.role,
                ref=entry.ref,
                digest=entry.sha256[:12],
                width=width,
                height=height,
                problem=problem,
                round=index,
                of=of if isinstance(of, int) else None,
                score=one.score if one else None,
                passed=one.passed if one else False,
            )
        )
    return tuple(shown)


def _look_at(workspace: Workspace, ref: str) -> tuple[int, int, str]:
    """Width, height and what is wrong, from the head of the file alone."""
    try:
        with Image.open(workspace.path_of(ref)) as image:
            return image.width, image.height, ""
    except WorkspaceError as error:
        return 0, 0, str(error)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return 0, 0, f"{ref} is no image that can be read."


def _threshold(trajectory: Trajectory) -> float:
    for turn in reversed(trajectory.turns):
        structured = turn.observation.structured if turn.observation else None
        value = structured.get("threshold") if structured else None
        if isinstance(value, int | float) and 0 <= value <= 10:
            return float(value)
    return 5.0
