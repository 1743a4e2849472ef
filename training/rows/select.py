"""Which trajectories of some runs are exported, and to which split each belongs.

Splits go by item: no item of the test split is ever trained on, and a normal photo that would be in both is left out of
training. With one item alone there is no share to hold out; it may be named as a test item.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import ValidationError

from anomalyagent.errors import ConfigError, TraceError
from anomalyagent.graph.locate import Damaged, find_run, iterate_trajectories, progress_of
from anomalyagent.graph.runfile import read_run_file
from anomalyagent.graph.trace import Trajectory
from anomalyagent.graph.wire import write_turn
from anomalyagent.training.rewards import ImageScore, RewardWeights, reward

__all__ = ["KINDS", "Chosen", "Filters", "Kind", "Picked", "pick"]

Kind = Literal["single", "dual", "triple"]
KINDS: tuple[Kind, ...] = ("single", "dual", "triple")
"""By the number of rounds; more than three count as triple. Source: the paper, section on trajectories."""
Split = Literal["train", "test"]
_ANSWERED = frozenset({"score", "location_score", "quality_score", "passed", "review", "findings", "finding", "result"})
"""What a tool answered. A fork in which a person changed that (see `graph.edits`) shows answers that no tool gives."""


@dataclass(frozen=True)
class Filters:
    """What is wanted.

    Attributes:
        accepted_only: leave out what was rejected or failed.
        least_reward: of `_own_reward`; None: any.
        kinds: numbers of rounds.
        test_items: items of the test split, by name.
        test_share: share of the items that are held out besides, at least one, chosen by a hash of their names.
    """

    accepted_only: bool = True
    least_reward: float | None = None
    kinds: Sequence[Kind] = KINDS
    test_items: Sequence[str] = ()
    test_share: float = 0.0


class Chosen(NamedTuple):
    """One trajectory to export."""

    trajectory: Trajectory
    run_dir: Path
    max_rounds: int
    kind: Kind
    split: Split
    reward: float


@dataclass
class Picked:
    """The chosen ones, and why the others were left out: reason -> how many."""

    chosen: list[Chosen] = field(default_factory=list[Chosen])
    left_out: Counter[str] = field(default_factory=Counter[str])


def _own_reward(trajectory: Trajectory) -> float:
    """The three-part reward with default weights, by the scores that the trajectory itself has.

    Raises:
        TraceError: its turns do not fit together.
    """
    rounds = progress_of(trajectory).rounds
    scores = [ImageScore(number=one.number, score=max(0.0, one.score)) for one in rounds]
    return reward(trajectory, scores, RewardWeights()).total


def pick(runs: Sequence[Path], filters: Filters) -> Picked:
    """Read the runs and choose.

    Raises:
        TraceError: a folder holds no run, or nothing is left to export.
        ConfigError: a test item does not occur, or a share was asked for and there is one item alone.
    """
    if not 0.0 <= filters.test_share < 1.0:
        raise ConfigError(f"the share of test items is from 0 to below 1; received {filters.test_share:g}.")
    picked = Picked()
    seen: set[str] = set()
    found: list[Chosen] = []
    for trajectory, run_dir, max_rounds in _read(runs, picked.left_out):
        reason, kind, earned = _judge(trajectory, filters)
        key = _fingerprint(trajectory)
        if reason is None and key in seen:
            reason = "a duplicate"
        if reason is not None:
            picked.left_out[reason] += 1
            continue
        seen.add(key)
        found.append(Chosen(trajectory, run_dir, max_rounds, kind, "train", earned))
    held_out = _test_items({one.trajectory.task.item_name for one in found}, filters)
    tested = {one.trajectory.task.normal_sha256 for one in found if one.trajectory.task.item_name in held_out}
    for one in found:
        if one.trajectory.task.item_name in held_out:
            picked.chosen.append(one._replace(split="test"))
        elif one.trajectory.task.normal_sha256 in tested:
            picked.left_out["its photo is in the test split"] += 1
        else:
            picked.chosen.append(one)
    if not picked.chosen:
        reasons = ", ".join(f"{reason} x{count}" for reason, count in picked.left_out.most_common(4)) or "the runs are empty"
        raise TraceError(f"nothing is left to export: {reasons}. Loosen the filters or give other runs.")
    return picked


def _read(runs: Sequence[Path], left_out: Counter[str]) -> Iterator[tuple[Trajectory, Path, int]]:
    for run in runs:
        run_dir = find_run(run)
        file = read_run_file(run_dir)
        max_rounds = 3 if file is None else file.settings.limits.rounds
        for one in iterate_trajectories(run_dir):
            if isinstance(one, Damaged):
                left_out["damaged, or of another trace version"] += 1
            else:
                yield one, run_dir, max_rounds


def _judge(trajectory: Trajectory, filters: Filters) -> tuple[str | None, Kind, float]:
    """Why it is left out, its kind, its reward."""
    kind = KINDS[min(max(trajectory.rounds, 1), len(KINDS)) - 1]
    if not trajectory.turns:
        return "it has no turns", kind, 0.0
    try:
        earned = _own_reward(trajectory)
    except (TraceError, ValidationError):
        return "damaged, or of another trace version", kind, 0.0
    if any(edit.path.partition(".")[0] in _ANSWERED for edit in trajectory.edits):
        return "a person changed a score or a finding", kind, earned
    if filters.accepted_only and trajectory.outcome != "accepted":
        return "not accepted", kind, earned
    if kind not in filters.kinds:
        return f"of kind {kind}", kind, earned
    if filters.least_reward is not None and earned < filters.least_reward:
        return f"a reward below {filters.least_reward:g}", kind, earned
    return None, kind, earned


def _fingerprint(trajectory: Trajectory) -> str:
    """Equal for trajectories that teach the same: the same photo, task and turns."""
    task = trajectory.task
    said = [write_turn(turn.thought, turn.action) for turn in trajectory.turns]
    seen = [turn.observation.text if turn.observation else "" for turn in trajectory.turns]
    parts = [task.normal_sha256, task.item_name, task.anomaly_type, *said, *seen]
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _test_items(items: set[str], filters: Filters) -> set[str]:
    if unknown := sorted(set(filters.test_items) - items):
        raise ConfigError(f"no trajectory is of the test item {unknown[0]!r}; the items are: {', '.join(sorted(items))}.")
    if set(filters.test_items) == items and len(items) > 0 and filters.test_items:
        return set(filters.test_items)
    rest = sorted(items - set(filters.test_items), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    if not filters.test_share:
        return set(filters.test_items)
    if len(rest) < 2:
        raise ConfigError(
            f"no share can be held out: splits go by item, and there is only {', '.join(rest)} besides the test items."
        )
    more = min(max(1, round(filters.test_share * len(items))), len(rest) - 1)
    return {*filters.test_items, *rest[:more]}
