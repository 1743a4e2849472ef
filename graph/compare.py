"""Two trajectories, two rounds or two runs side by side: where they part, and what differs. Pure functions over records.

Times, costs, retries and file names are no differences: two trajectories are the same when the agent thought, did and saw
the same.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast

from anomalyagent.graph.locate import Damaged, progress_of
from anomalyagent.graph.progress import Round
from anomalyagent.graph.trace import Observation, Outcome, ToolCall, Trajectory, Turn
from anomalyagent.mcp_tools.contracts import Finding

__all__ = [
    "Change",
    "Comparison",
    "Parting",
    "RoundFacts",
    "RoundPair",
    "RunComparison",
    "RunPair",
    "RunTotals",
    "Span",
    "TurnPair",
    "changes_between",
    "compare_rounds",
    "compare_runs",
    "compare_trajectories",
    "find_parting",
    "read_rounds",
    "round_history",
    "words_changed",
]

_UNTOLD = frozenset({"cost_usd", "tokens", "ref", "image", "mask"})
"""Keys of results that differ without meaning anything; images are compared by their content."""

MOST_COMPARED = 40_000
"""Characters of two texts together that are compared word by word."""
_WORD = re.compile(r"\w+(?:\.\w+)*\s*|[^\w\s]\s*|\s+")


@dataclass(frozen=True)
class Change:
    """A value that differs: `path` with dots (`spec.severity`); None where it is missing."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Span:
    """A piece of a text: in both, only in the old one, or only in the new one."""

    kind: Literal["same", "gone", "new"]
    text: str


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


@dataclass(frozen=True)
class RunTotals:
    """How a run went, over the trajectories that were compared."""

    accepted: int
    rejected: int
    failed: int
    score_mean: float | None
    rounds_mean: float | None
    seconds: float
    cost_usd: float


@dataclass(frozen=True)
class RunPair:
    """One task in both runs; `parting` says where, and leaves what differs to `compare_trajectories`."""

    id: str
    a: Outcome
    b: Outcome
    score_a: float | None
    score_b: float | None
    rounds_a: int
    rounds_b: int
    parting: Parting | None


@dataclass(frozen=True)
class RunComparison:
    """Two runs: tasks of equal id side by side; `damaged`: files that could not be read."""

    a: RunTotals
    b: RunTotals
    pairs: tuple[RunPair, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    damaged: tuple[Damaged, ...] = field(default=())

    @property
    def outcomes(self) -> dict[tuple[Outcome, Outcome], int]:
        """How many tasks went from one outcome to the other."""
        counts: dict[tuple[Outcome, Outcome], int] = {}
        for pair in self.pairs:
            counts[pair.a, pair.b] = counts.get((pair.a, pair.b), 0) + 1
        return counts


def changes_between(before: Any, after: Any, path: str = "") -> tuple[Change, ...]:
    """Every leaf that differs. Lists of plain values are leaves; lists of records are compared one by one."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        old, new = cast("Mapping[str, Any]", before), cast("Mapping[str, Any]", after)
        keys = [*old, *(key for key in new if key not in old)]
        dot = f"{path}." if path else ""
        return tuple(change for key in keys for change in changes_between(old.get(key), new.get(key), f"{dot}{key}"))
    if _holds_records(before) and _holds_records(after):
        length = max(len(before), len(after))
        pairs = [(before[i] if i < len(before) else None, after[i] if i < len(after) else None) for i in range(length)]
        return tuple(change for i, (a, b) in enumerate(pairs) for change in changes_between(a, b, f"{path}.{i}"))
    return () if _plain(before) == _plain(after) else (Change(path, before, after),)


def words_changed(before: str, after: str) -> tuple[Span, ...]:
    """Two texts word by word; the `same` and `gone` pieces make the old one, the `same` and `new` ones the new one."""
    if len(before) + len(after) > MOST_COMPARED:  # the comparison takes quadratic time
        return (Span("gone", before), Span("new", after))
    old, new = _WORD.findall(before), _WORD.findall(after)
    spans: list[Span] = []
    for kind, i0, i1, j0, j1 in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind == "equal":
            spans.append(Span("same", "".join(old[i0:i1])))
            continue
        if i1 > i0:
            spans.append(Span("gone", "".join(old[i0:i1])))
        if j1 > j0:
            spans.append(Span("new", "".join(new[j0:j1])))
    return tuple(spans)


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
    rounds = [compare_rounds(i, _at(rounds_a, i), _at(rounds_b, i)) for i in range(max(len(rounds_a), len(rounds_b)))]
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


def compare_rounds(number: int, a: RoundFacts | None, b: RoundFacts | None) -> RoundPair:
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
    return [compare_rounds(i, rounds[i - 1] if i else None, one) for i, one in enumerate(rounds)]


def compare_runs(a: Iterable[Trajectory | Damaged], b: Iterable[Trajectory | Damaged]) -> RunComparison:
    """Two runs, as `iterate_trajectories` gives them. Of the first one a line for each task is kept while the second is read.

    Forks are left out: they belong to one task each, not to the run.
    """
    damaged: list[Damaged] = []

    def sound(those: Iterable[Trajectory | Damaged]) -> Iterable[Trajectory]:
        for one in those:
            if isinstance(one, Damaged):
                damaged.append(one)
            elif one.parent_id is None:
                yield one

    first: dict[str, _Line] = {}
    pairs: list[RunPair] = []
    only_b: list[str] = []
    totals_a, totals_b = _Totals(), _Totals()
    for one in sound(a):
        totals_a.add(one)
        first[one.id] = _line(one)
    for other in sound(b):
        totals_b.add(other)
        one = first.pop(other.id, None)
        if one is None:
            only_b.append(other.id)
        else:
            pairs.append(_pair(other.id, one, _line(other)))
    return RunComparison(totals_a.result(), totals_b.result(), tuple(pairs), tuple(first), tuple(only_b), tuple(damaged))


class _Line(NamedTuple):
    """A trajectory in short: of each turn one digest of its thought, its action and its observation."""

    outcome: Outcome
    score: float | None
    rounds: int
    turns: tuple[tuple[bytes, bytes, bytes], ...]


def _line(one: Trajectory) -> _Line:
    return _Line(one.outcome, one.score, one.rounds, tuple(_digests(_told(turn)) for turn in one.turns))


def _digests(told: Mapping[str, Any]) -> tuple[bytes, bytes, bytes]:
    thought, action, seen = (
        hashlib.blake2b(json.dumps(part, sort_keys=True, default=str).encode(), digest_size=8).digest()
        for part in (told["thought"], told["action"], [told["legal"], told["observation"]])
    )
    return thought, action, seen


def _pair(name: str, a: _Line, b: _Line) -> RunPair:
    parting = None if len(a.turns) == len(b.turns) else Parting(min(len(a.turns), len(b.turns)), "end")
    for index, (one, other) in enumerate(zip(a.turns, b.turns, strict=False)):
        if one != other:
            part = next(i for i in range(3) if one[i] != other[i])
            parting = Parting(index, ("thought", "action", "observation")[part])
            break
    return RunPair(name, a.outcome, b.outcome, a.score, b.score, a.rounds, b.rounds, parting)


class _Totals:
    def __init__(self) -> None:
        self._outcomes: dict[Outcome, int] = {"accepted": 0, "rejected": 0, "failed": 0}
        self._scores: list[float] = []
        self._rounds, self._seconds, self._cost_usd = 0, 0.0, 0.0

    def add(self, one: Trajectory) -> None:
        self._outcomes[one.outcome] += 1
        if one.score is not None:
            self._scores.append(one.score)
        self._rounds += one.rounds
        self._seconds += one.seconds
        self._cost_usd += one.cost_usd

    def result(self) -> RunTotals:
        number = sum(self._outcomes.values())
        return RunTotals(
            accepted=self._outcomes["accepted"],
            rejected=self._outcomes["rejected"],
            failed=self._outcomes["failed"],
            score_mean=sum(self._scores) / len(self._scores) if self._scores else None,
            rounds_mean=self._rounds / number if number else None,
            seconds=self._seconds,
            cost_usd=self._cost_usd,
        )


def _turn_changes(a: Turn, b: Turn) -> tuple[Change, ...]:
    return changes_between(_told(a), _told(b))


def _told(turn: Turn) -> dict[str, Any]:
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


def _holds_records(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, dict) for one in cast("list[Any]", value))


def _plain(value: Any) -> Any:
    return list(cast("Sequence[Any]", value)) if isinstance(value, tuple) else value
