"""Of which mechanism a change reminds: its descriptor against the calibrated look (mean and spread) of every mechanism."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anomalyagent.knowledge.spec import Mechanism

__all__ = ["Likeness", "Look", "compare_looks"]

CLEARLY = 1.0
"""Log likelihood by which another mechanism must fit better to be named."""


@dataclass(frozen=True)
class Look:
    """Mean and spread (standard deviation) of the descriptor of one mechanism, see `appearance.DESCRIPTOR`."""

    mean: tuple[float, ...]
    spread: tuple[float, ...]


@dataclass(frozen=True)
class Likeness:
    """How well the look fits the asked mechanisms.

    Attributes:
        excess: by how much the asked mechanisms are farther than the nearest other one, 0 when one of them is the nearest.
        nearer: the mechanism that it looks most like, when that is none of the asked ones and clearly nearer.
    """

    excess: float
    nearer: Mechanism | None


def compare_looks(
    descriptor: Sequence[float],
    asked: Sequence[Mechanism],
    looks: Mapping[Mechanism, Look],
    settled: Collection[int] = (),
) -> Likeness:
    """Distances are negative log likelihoods of a normal distribution with independent numbers, far tails cut off.

    Args:
        descriptor: of the change.
        asked: mechanisms, of which it may be any.
        looks: calibrated.
        settled: places in the descriptor that do not count, because something that knows more has judged them already.
    """
    counted = [place for place in range(len(descriptor)) if place not in settled]
    wanted = [_distance(descriptor, looks[name], counted) for name in asked if name in looks]
    others: list[tuple[float, Mechanism]] = [
        (_distance(descriptor, look, counted), name) for name, look in looks.items() if name not in asked
    ]
    if not wanted or not others:
        return Likeness(0.0, None)
    distance, nearest = min(others, key=lambda entry: entry[0])
    excess = max(0.0, min(wanted) - distance)
    return Likeness(excess, nearest if excess > CLEARLY else None)


def _distance(descriptor: Sequence[float], look: Look, counted: Sequence[int]) -> float:
    values, mean, spread = (np.array(numbers)[counted] for numbers in (descriptor, look.mean, look.spread))
    # Beyond three spreads a number says "not this one" and no more, so one odd value cannot decide alone.
    apart = np.minimum(np.abs(values - mean) / spread, 3.0)
    return float((0.5 * apart**2 + np.log(spread)).sum())
