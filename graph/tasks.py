"""Which tasks a run has, and which one may start next.

Tasks of an anomaly type are numbered 0, 1, 2, ... Task i has a seed and a normal image that depend on nothing but the
run's seed, item, type and i. Task n starts only while accepted + in flight < count. So the tasks that are ever started
are exactly those that one process would have started one after the other, and the data set (accepted tasks in order of
their numbers) is the same for any number of processes and after any interruption.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from anomalyagent.graph.trace import Outcome

__all__ = ["Ledger", "Slot", "TypeLedger", "TypePlan", "choose_normal", "derive_seed"]


@dataclass(frozen=True)
class TypePlan:
    """An anomaly type of a run: verbatim name, folder name, samples wanted, and why `auto` chose it."""

    anomaly_type: str
    folder: str
    count: int
    reason: str = ""


@dataclass(frozen=True)
class Slot:
    """One task: number of its type in the run's list, number among the tasks of that type."""

    kind: int
    index: int


def derive_seed(*parts: str | int) -> int:
    """A seed 0..2^63-1 from any parts, the same on every machine."""
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def choose_normal(seed: int, item: str, anomaly_type: str, index: int, normals: int) -> int:
    """Which of `normals` images task `index` edits: every one is used once before any is used again, in a shuffled order."""
    cycle, position = divmod(index, normals)
    rng = np.random.default_rng(derive_seed(seed, item, anomaly_type, "normals", cycle))
    return int(rng.permutation(normals)[position])


_OUTCOMES: tuple[Outcome | None, ...] = (None, "accepted", "rejected", "failed")


@dataclass
class TypeLedger:
    """The tasks of one type: one byte for each outcome.

    Attributes:
        count: accepted samples wanted.
        most_tasks: the type is given up when this many tasks did not bring them.
    """

    count: int
    most_tasks: int
    in_flight: set[int] = field(default_factory=set[int])
    _outcomes: bytearray = field(default_factory=bytearray)
    _first_open: int = 0

    @property
    def accepted(self) -> int:
        """Accepted tasks so far."""
        return self._outcomes.count(_OUTCOMES.index("accepted"))

    @property
    def started(self) -> int:
        """One more than the highest task number that has an outcome or is in flight."""
        return max(len(self._outcomes), max(self.in_flight, default=-1) + 1)

    @property
    def complete(self) -> bool:
        """No task is in flight, and none is to be started any more."""
        return not self.in_flight and self._next() is None

    @property
    def given_up(self) -> bool:
        """All tasks were spent without reaching `count`."""
        return self.complete and self.accepted < self.count

    def outcome(self, index: int) -> Outcome | None:
        """How task `index` ended; None while unknown."""
        return _OUTCOMES[self._outcomes[index]] if index < len(self._outcomes) else None

    def record(self, index: int, outcome: Outcome) -> None:
        """Note how task `index` ended."""
        self.in_flight.discard(index)
        if index >= len(self._outcomes):
            self._outcomes.extend(bytes(index + 1 - len(self._outcomes)))
        self._outcomes[index] = _OUTCOMES.index(outcome)

    def forget(self, outcome: Outcome) -> list[int]:
        """Make all tasks that ended so unknown again, and return their numbers."""
        code = _OUTCOMES.index(outcome)
        found = [index for index, value in enumerate(self._outcomes) if value == code]
        for index in found:
            self._outcomes[index] = 0
        self._first_open = 0
        return found

    def start_next(self) -> int | None:
        """Number of the next task, now in flight; None when none may start."""
        index = self._next()
        if index is not None:
            self.in_flight.add(index)
        return index

    def _next(self) -> int | None:
        if self.accepted + len(self.in_flight) >= self.count:
            return None
        while self.outcome(self._first_open) is not None:
            self._first_open += 1
        index = self._first_open
        while self.outcome(index) is not None or index in self.in_flight:
            index += 1
        return index if index < self.most_tasks else None


class Ledger:
    """The tasks of a run, type after type; a later type begins when the earlier ones only wait for tasks in flight."""

    def __init__(self, plans: Sequence[TypePlan], attempts_per_sample: int) -> None:
        self.types = [TypeLedger(plan.count, plan.count * attempts_per_sample) for plan in plans]

    def start_next(self) -> Slot | None:
        """The next task of the run, now in flight; None when none may start."""
        for kind, tasks in enumerate(self.types):
            index = tasks.start_next()
            if index is not None:
                return Slot(kind, index)
        return None

    def in_order(self) -> Iterator[tuple[Slot, Outcome | None]]:
        """All tasks in the order of the data set; yields (slot, None) again and again while the next one is unknown, ends when
        the run is complete."""
        for kind, tasks in enumerate(self.types):
            index = 0
            while not (tasks.complete and index >= tasks.started):
                outcome = tasks.outcome(index)
                yield Slot(kind, index), outcome
                index += outcome is not None
