"""Two trajectories or two rounds side by side: where they part, and what differs. Pure functions over records.

Times, costs, retries and file names are no differences: two trajectories are the same when the agent thought, did and saw
the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from anomalyagent.graph.changes import Change, Span, changes_between, words_changed
from anomalyagent.graph.locate import progress_of
from anomalyagent.graph.progress import Round
from anomalyagent.graph.trace import Observation, ToolCall, Trajectory, Turn
from anomalyagent.mcp_tools.contracts import Finding

__all__ = [
    "Comparison",
    "Parting",
    "RoundFacts",
    "RoundPair",
    "TurnPair",
    "compare_trajectories",
    "find_parting",
    "read_rounds",
    "round_history",
    "turn_facts",
]

_UNTOLD = frozenset({"cost_usd", "tokens", "ref", "image", "mask"})
"""Keys of results that differ without meaning anything; images are compared by their content."""


@dataclass(frozen=True)
class Parting:
    """The first turn at which two trajectories differ.

    Attributes:
        turn: its index, from 0; the length of the shorter one where that just ends.
        where: what differs first there, in the order in which it happens; `end`: one of them has no such turn.
    """

    turn: int
    where: Literal["thought", "action", "observation", "end"]
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class TurnPair:
    """Turn `index` of both; None where one is shorter."""

    index: int
    a: Turn | None
    b: Turn | None
    changes: tuple[Change, ...]

    @property
    def same(self) -> bool:
        """Both are there, and nothing differs."""
        return self.a is not None and self.b is not None and not self.changes


@dataclass(frozen=True)
class RoundFacts:
    """One image_gen result with what was asked, drawn and said.

    Attributes:
        turn: index of the image_gen turn.
        image: its number in the conversation; `ref` its file in the run folder.
        spec: as it was asked for; {} when there were words alone. `drawn`: as the backend drew it.
        score: 0..10, and its two halves; None while it was not judged.
        cards: ids of the knowledge cards looked up after this round.
    """

    turn: int
    image: int
    ref: str
    prompt: str
    spec: dict[str, Any]
    drawn: dict[str, Any]
    seed: int
    changed_fraction: float
    location_score: float | None
    quality_score: float | None
    score: float | None
    passed: bool
    findings: tuple[Finding, ...]
    review: str
    cards: tuple[str, ...]


@dataclass(frozen=True)
class RoundPair:
    """Two rounds: the same number of two trajectories, or one after the other of one.

    Attributes:
        prompt: the texts of the prompts, cut where they differ.
        spec: of what was drawn, or asked for where the backend does not say what it drew.
        scores: location_score, quality_score, score, passed.
        findings: weight of each finding by name, where it differs.
    """

    number: int
    a: RoundFacts | None
    b: RoundFacts | None
    prompt: tuple[Span, ...] = ()
    spec: tuple[Change, ...] = ()
    scores: tuple[Change, ...] = ()
    findings: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two trajectories.

    Attributes:
        parting: None when every turn is the same.
        task: differences of what was to be made. `made_with`: policy, settings, versions. `result`: how it ended.
    """

    a: str
    b: str
    parting: Parting | None
    task: tuple[Change, ...]
    made_with: tuple[Change, ...]
    result: tuple[Change, ...]
    turns: tuple[TurnPair, ...]
    rounds: tuple[RoundPair, ...]


def find_parting(a: Sequence[Turn], b: Sequence[Turn]) -> Parting | None:
    """Where two conversations part first; None when they are the same."""
    for index, (one, other) in enumerate(zip(a, b, strict=False)):
        changes = _turn_changes(one, other)
        if changes:
            first = changes[0].path.split(".")[0]
            where = first if first in ("thought", "action") else "observation"
            return Parting(index, cast("Any", where), changes)
    return None if len(a) == len(b) else Parting(min(len(a), len(b)), "end")


def compare_trajectories(a: Trajectory, b: Trajectory) -> Comparison:
    """Two trajectories, turn by turn and round by round.

    Raises:
        TraceError: the turns of one of them contradict each other.
    """
    turns = [
        TurnPair(i, one, other, _turn_changes(one, other) if one and other else ())
        for i in range(max(len(a.turns), len(b.turns)))
        for one, other in [(_at(a.turns, i), _at(b.turns, i))]
    ]
    rounds_a, rounds_b = read_rounds(a), read_rounds(b)
    rounds = [_compare_rounds(i, _at(rounds_a, i), _at(rounds_b, i)) for i in range(max(len(rounds_a), len(rounds_b)))]
    return Comparison(
        a=a.id,
        b=b.id,
        parting=find_parting(a.turns, b.turns),
        task=changes_between(a.task.model_dump(exclude={"id", "index"}), b.task.model_dump(exclude={"id", "index"})),
        made_with=changes_between(_maker(a), _maker(b)),
        result=changes_between(_ending(a), _ending(b)),
        turns=tuple(turns),
        rounds=tuple(rounds),
    )


def read_rounds(trajectory: Trajectory) -> list[RoundFacts]:
    """The rounds of a trajectory, oldest first.

    Raises:
        TraceError: its turns contradict each other.
    """
    made_in = {image.number: turn.index for turn in trajectory.turns if turn.observation for image in turn.observation.images}
    return [_facts(one, made_in.get(one.number, -1)) for one in progress_of(trajectory).rounds]


def _compare_rounds(number: int, a: RoundFacts | None, b: RoundFacts | None) -> RoundPair:
    """Two rounds; one that is missing differs in nothing."""
    if a is None or b is None:
        return RoundPair(number, a, b)
    by_name = [{finding.name: round(finding.weight, 4) for finding in one.findings} for one in (a, b)]
    same = a.prompt == b.prompt
    return RoundPair(
        number,
        a,
        b,
        prompt=(Span("same", a.prompt),) if same else words_changed(a.prompt, b.prompt),
        spec=changes_between(a.drawn or a.spec, b.drawn or b.spec, "spec"),
        scores=changes_between(_scores(a), _scores(b)),
        findings=changes_between(by_name[0], by_name[1]),
    )


def round_history(trajectory: Trajectory) -> list[RoundPair]:
    """Each round beside the one before it; the first has none.

    Raises:
        TraceError: its turns contradict each other.
    """
    rounds = read_rounds(trajectory)
    return [_compare_rounds(i, rounds[i - 1] if i else None, one) for i, one in enumerate(rounds)]


def _turn_changes(a: Turn, b: Turn) -> tuple[Change, ...]:
    return changes_between(turn_facts(a), turn_facts(b))


def turn_facts(turn: Turn) -> dict[str, Any]:
    """What the agent thought, did and saw in a turn, in this order."""
    told: dict[str, Any] = {"thought": turn.thought, "action": turn.action.model_dump(mode="json"), "legal": turn.legal}
    return told | {"observation": _seen(turn.observation)}


def _seen(observation: Observation | None) -> dict[str, Any] | None:
    if observation is None:
        return None
    return {
        "error": observation.error,
        "images": [image.sha256 for image in observation.images],
        "result": _meaning(observation.structured or {}),
        "text": observation.text,
    }


def _meaning(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key not in _UNTOLD}


def _facts(one: Round, turn: int) -> RoundFacts:
    judged = one.evaluation
    return RoundFacts(
        turn=turn,
        image=one.number,
        ref=one.result.image,
        prompt=str(one.arguments.get("prompt", "")),
        spec=dict(one.arguments.get("spec") or {}),
        drawn=one.result.spec.model_dump(mode="json") if one.result.spec else {},
        seed=one.result.seed,
        changed_fraction=one.result.changed_fraction,
        location_score=judged.location_score if judged else None,
        quality_score=judged.quality_score if judged else None,
        score=judged.score if judged else None,
        passed=one.passed,
        findings=tuple(judged.findings) if judged else (),
        review=judged.review if judged else "",
        cards=tuple(card.id for found in one.knowledge for card in found.cards),
    )


def _scores(one: RoundFacts) -> dict[str, Any]:
    return {
        "location_score": one.location_score,
        "quality_score": one.quality_score,
        "score": one.score,
        "passed": one.passed,
    }


def _maker(one: Trajectory) -> dict[str, Any]:
    backends = {
        turn.action.name: turn.observation.structured.get("backend")
        for turn in one.turns
        if isinstance(turn.action, ToolCall) and turn.observation and turn.observation.structured
    }
    return {"policy": one.policy, "config_sha256": one.config_sha256, "versions": one.versions, "backends": backends}


def _ending(one: Trajectory) -> dict[str, Any]:
    return one.model_dump(include={"outcome", "reason", "location_score", "quality_score", "score", "rounds"})


def _at(items: Sequence[Any], index: int) -> Any:
    return items[index] if index < len(items) else None
