"""Two runs side by side: of each task where the two trajectories part, and how the runs went on the whole."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from anomalyagent.graph.compare import Parting, turn_facts
from anomalyagent.graph.locate import Damaged
from anomalyagent.graph.trace import Outcome, Trajectory

__all__ = ["RunComparison", "RunPair", "RunTotals", "compare_runs"]


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
    return _Line(one.outcome, one.score, one.rounds, tuple(_digests(turn_facts(turn)) for turn in one.turns))


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
