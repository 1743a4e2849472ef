"""What a run tells while it goes on: to a progress bar, a log or a program."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anomalyagent.graph.tasks import TypePlan
from anomalyagent.graph.trace import Outcome, Trajectory

__all__ = ["Event", "Importing", "Note", "Planned", "Progress", "TaskFinished", "TaskStarted"]


@dataclass(frozen=True)
class Importing:
    """`done` of `total` normal images were brought into the run."""

    done: int
    total: int


@dataclass(frozen=True)
class Planned:
    """The run is about to start, or to go on.

    Attributes:
        plans: types and samples wanted of each.
        accepted: samples of each type that earlier sessions made.
    """

    run_dir: Path
    item: str
    plans: tuple[TypePlan, ...]
    accepted: tuple[int, ...]
    normals: int
    resumed: bool


@dataclass(frozen=True)
class TaskStarted:
    """A task is under way."""

    task: str
    anomaly_type: str


@dataclass(frozen=True)
class TaskFinished:
    """A task came to its end; `accepted` of `wanted` samples of its type exist now."""

    task: str
    anomaly_type: str
    outcome: Outcome
    reason: str
    score: float | None
    rounds: int
    seconds: float
    cost_usd: float
    accepted: int
    wanted: int

    @classmethod
    def of(cls, trajectory: Trajectory, accepted: int, wanted: int) -> "TaskFinished":
        """What there is to tell of a trajectory that ended."""
        return cls(
            task=trajectory.id,
            anomaly_type=trajectory.task.anomaly_type,
            outcome=trajectory.outcome,
            reason=trajectory.reason,
            score=trajectory.score,
            rounds=trajectory.rounds,
            seconds=trajectory.seconds,
            cost_usd=trajectory.cost_usd,
            accepted=accepted,
            wanted=wanted,
        )


@dataclass(frozen=True)
class Note:
    """Something worth reading."""

    level: Literal["info", "warning"]
    text: str


Event = Importing | Planned | TaskStarted | TaskFinished | Note
Progress = Callable[[Event], None]
