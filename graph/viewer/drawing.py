"""Where the lines of the drawings go: the graph with the path taken, turns over time, scores over rounds.

Numbers only; the templates make SVG of them, so every text is escaped there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from anomalyagent.graph.compare import RoundFacts
from anomalyagent.graph.trace import Answer, Malformed, ToolCall, Trajectory, Turn
from anomalyagent.mcp_tools.contracts import TOOL_NAMES

__all__ = [
    "Edge",
    "GraphDrawing",
    "History",
    "Node",
    "Point",
    "Segment",
    "draw_graph",
    "draw_history",
    "draw_time",
    "step_name",
]

NODE_WIDTH, NODE_HEIGHT = 158, 40
_TOOL_X, _AGENT_X = 344, 82
_ROW = 58


class Point(NamedTuple):
    """In the drawing's own units."""

    x: float
    y: float


@dataclass(frozen=True)
class Node:
    """A box of the graph. `turns`: indexes of the turns that were here; `failed`: how many of them with an error."""

    name: str
    x: float
    y: float
    turns: tuple[int, ...] = ()
    failed: int = 0

    @property
    def taken(self) -> int:
        """How often the path came here."""
        return len(self.turns)


@dataclass(frozen=True)
class Edge:
    """A way from one box to another, as an SVG path, and how often it was taken. `label`: where the count stands."""

    source: str
    target: str
    path: str
    taken: int
    label: Point

    @property
    def width(self) -> float:
        """Of its line."""
        return 1.2 if not self.taken else 2.2 + 1.4 * math.log2(self.taken)


@dataclass(frozen=True)
class GraphDrawing:
    """The graph of `build.py` with a path lit in it."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    width: int
    height: int

    @property
    def words(self) -> str:
        """The same for people who cannot see it."""
        visited = [f"{node.name} {node.taken} times" for node in self.nodes if node.taken and node.name != "start"]
        return "Path taken: " + ", ".join(visited) + "."


def step_name(turn: Turn) -> str:
    """The name of a turn's step: a tool, `answer`, or `malformed`."""
    action = turn.action
    return action.name if isinstance(action, ToolCall) else action.kind


def draw_graph(trajectory: Trajectory) -> GraphDrawing:
    """The graph, with the path of a trajectory."""
    rows = {name: 36 + _ROW * number for number, name in enumerate(TOOL_NAMES)}
    middle = 36 + _ROW * 2
    bottom = 36 + _ROW * 4
    illegal = [turn.index for turn in trajectory.turns if not turn.legal or isinstance(turn.action, Malformed)]
    answers = [turn.index for turn in trajectory.turns if isinstance(turn.action, Answer) and turn.legal]
    called: dict[str, list[Turn]] = {name: [] for name in TOOL_NAMES}
    for turn in trajectory.turns:
        if turn.legal and isinstance(turn.action, ToolCall) and turn.action.name in called:
            called[turn.action.name].append(turn)
    nodes = [Node("start", _AGENT_X, rows[TOOL_NAMES[0]]), Node("agent", _AGENT_X, middle, tuple(range(len(trajectory.turns))))]
    edges = [
        _straight("start", "agent", _AGENT_X, rows[TOOL_NAMES[0]] + 13, middle - NODE_HEIGHT / 2, 1 if trajectory.turns else 0)
    ]
    for name in TOOL_NAMES:
        turns = called[name]
        failed = sum(1 for turn in turns if turn.observation is not None and turn.observation.error is not None)
        nodes.append(Node(name, _TOOL_X, rows[name], tuple(turn.index for turn in turns), failed))
        edges.append(_curve(name, middle, rows[name], len(turns)))
    ended = 1 if trajectory.turns or trajectory.outcome else 0
    nodes.append(Node("finish", _AGENT_X, bottom, tuple(answers[-1:])))
    edges.append(_straight("agent", "finish", _AGENT_X, middle + NODE_HEIGHT / 2, bottom - NODE_HEIGHT / 2, ended))
    if illegal:
        x, y = _AGENT_X - 50, middle - NODE_HEIGHT / 2
        loop = f"M{x:g} {y:g}c-14-34 34-34 24 0"
        edges.append(Edge("agent", "illegal", loop, len(illegal), Point(x - 2, y - 28)))
    return GraphDrawing(tuple(nodes), tuple(edges), 430, bottom + 40)


def _straight(source: str, target: str, x: float, y0: float, y1: float, taken: int) -> Edge:
    return Edge(source, target, f"M{x:g} {y0:g}V{y1:g}", taken, Point(x + 10, (y0 + y1) / 2 + 4))


def _curve(name: str, y0: float, y1: float, taken: int) -> Edge:
    x0, x1 = _AGENT_X + 68, _TOOL_X - NODE_WIDTH / 2
    bend = (x1 - x0) * 0.55
    path = f"M{x0:g} {y0:g}C{x0 + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1:g} {y1:g}"
    return Edge("agent", name, path, taken, Point(x1 - 14, y1 - 9 if y1 < y0 else y1 + 17 if y1 > y0 else y1 - 8))


@dataclass(frozen=True)
class Segment:
    """One turn on the bar of time: from where, how wide (0 .. 1000), which step."""

    index: int
    name: str
    x: float
    width: float
    seconds: float
    failed: bool


def draw_time(trajectory: Trajectory) -> tuple[Segment, ...]:
    """The turns as wide as they took long; even the shortest can be hit."""
    seconds = [turn.seconds if math.isfinite(turn.seconds) and turn.seconds > 0 else 0.0 for turn in trajectory.turns]
    total = sum(seconds)
    least = min(14.0, 1000 / max(1, len(seconds)) / 2)
    room = 1000 - least * len(seconds)
    segments: list[Segment] = []
    x = 0.0
    for turn, spent in zip(trajectory.turns, seconds, strict=True):
        width = least + (room * spent / total if total else room / max(1, len(seconds)))
        failed = not turn.legal or (turn.observation is not None and turn.observation.error is not None)
        segments.append(Segment(turn.index, step_name(turn), x, width, turn.seconds, failed))
        x += width
    return tuple(segments)


@dataclass(frozen=True)
class History:
    """Scores over rounds: a line for each score in a field of 300 x 120, 0 below; and the findings of each round.

    Attributes:
        lines: name -> points, one for each judged round.
        threshold_y: of the pass mark on the scale of `score`.
        findings: name -> weight in each round, 0 where it was not found.
    """

    rounds: tuple[int, ...]
    lines: dict[str, tuple[Point, ...]]
    threshold: float
    threshold_y: float
    findings: dict[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])


def draw_history(rounds: Sequence[RoundFacts], threshold: float) -> History:
    """The history of scores and findings."""
    step = 300 / max(1, len(rounds) - 1) if len(rounds) > 1 else 0.0
    start = 0.0 if len(rounds) > 1 else 150.0

    def points(values: Sequence[float | None], top: float) -> tuple[Point, ...]:
        return tuple(
            Point(start + step * i, 120 - 120 * min(1.0, max(0.0, value / top)))
            for i, value in enumerate(values)
            if value is not None and math.isfinite(value)
        )

    names = list(dict.fromkeys(finding.name for one in rounds for finding in one.findings))
    weights = [{finding.name: finding.weight for finding in one.findings} for one in rounds]
    return History(
        rounds=tuple(one.image for one in rounds),
        lines={
            "score": points([one.score for one in rounds], 10.0),
            "location": points([one.location_score for one in rounds], 5.0),
            "quality": points([one.quality_score for one in rounds], 5.0),
        },
        threshold=threshold,
        threshold_y=120 - 12 * threshold,
        findings={name: tuple(found.get(name, 0.0) for found in weights) for name in names},
    )
