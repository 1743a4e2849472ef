"""Is a repaired photo clean? Its repaired area beside flawless ones of the same kind, without weights.

Every pixel is described by band-passed brightness and colour, signed and as local energy, at four scales; of objects that
always lie in the same place, also by that place. The distance of a pixel to its nearest neighbour among pixels of flawless
pictures tells how foreign it is: a left-over defect, a smear and a seam are foreign. How foreign flawless areas of the same
shape and about the same place are says what is usual.
After: K. Roth et al., "Towards total recall in industrial anomaly detection" (PatchCore), 2022, with drawn features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.restoring import Source
from anomalyagent.mcp_tools.judge.pair import dilate

__all__ = ["CleanBank", "Leftovers"]

_SCALES_PX = (0.8, 1.6, 3.2, 6.4)
_REACH_PX = 24  # so far a pixel's description looks around
_MOST_POINTS = 700  # of each picture in the bank
_MOST_ASKED = 350  # pixels of an area that are looked up
_TOP = 0.1  # share of an area's pixels, the most foreign ones, that speak for it
_REFERENCES = 10
_JITTER = 0.1  # of the picture: so far from the area's own place may a reference lie; of objects always in one place: there
_PLACE_UNIT = 0.05  # of the picture's side: a step of one unit of description for objects that lie in the same place
_ALIGNED = 0.8  # correlation of pictures of such an object
_LEAST_PX, _LEAST_SHARE = 50, 0.2  # of a reference: part of its shape may lie where nothing is known to be flawless
_BAND_PX = 3  # around the repaired area: defects left beside it are left-overs too

Points = NDArray[np.float32]


@dataclass(frozen=True)
class Leftovers:
    """How foreign a repaired area is.

    Attributes:
        amount: of the repaired area.
        before: of the same area with the defect.
        usual: nine of ten flawless areas of this shape are no more foreign.
    """

    amount: float
    before: float
    usual: float

    @property
    def clean(self) -> bool:
        """No more foreign than flawless areas are."""
        return self.amount <= self.usual

    @property
    def ratio(self) -> float:
        """`amount` in multiples of `usual`: up to 1 is clean."""
        return self.amount / max(self.usual, 1e-6)


class CleanBank:
    """Descriptions of flawless pictures of one kind: every second one is looked up, the others say what is usual.

    Args:
        sources: at least two; flawless outside what they forbid.
        rng: draws pixels and reference places.
    """

    def __init__(self, sources: Sequence[Source], rng: np.random.Generator) -> None:
        self._rng = rng
        self._usable = [
            np.ones(one.rgb.shape[:2], np.bool_) if one.forbidden is None else ~dilate(one.forbidden, 4) for one in sources
        ]
        self._sources = list(sources)
        self._placed = _are_aligned(sources)
        points = [
            self._described(one.rgb, usable, _MOST_POINTS)
            for one, usable in zip(self._sources[::2], self._usable[::2], strict=True)
        ]
        bank = np.concatenate(points)
        self._spread = np.maximum(bank.std(axis=0), 1e-3)
        if self._placed:
            self._spread[-2:] = _PLACE_UNIT
        self._bank = bank / self._spread

    def judge(self, before: RGB, after: RGB, hole: Mask) -> Leftovers:
        """Compare the repaired area, and a narrow band around it, with flawless ones.

        Args:
            before: (H, W, 3) with the defect.
            after: repaired.
            hole: (H, W) bool, what was repaired.
        """
        area, away = dilate(hole, _BAND_PX), ~dilate(hole, 12)
        own = self._described(after, away, _MOST_POINTS) / self._spread if np.count_nonzero(away) > 400 else self._bank[:0]
        bank = np.concatenate([self._bank, own])
        amount, was = (self._foreignness(bank, rgb, area) for rgb in (after, before))
        return Leftovers(amount, was, self._usual(area))

    def _usual(self, area: Mask) -> float:
        """What nine of ten flawless areas of this shape stay below."""
        x, y, w, h = cv2.boundingRect(area.astype(np.uint8))
        part = area[y : y + h, x : x + w]
        place = np.array([y / max(1, area.shape[0] - h), x / max(1, area.shape[1] - w)])
        found: list[float] = []
        others = list(range(len(self._sources)))[1::2]
        for number in range(len(others) if self._placed else 3 * _REFERENCES):
            index = others[number % len(others)]
            usable = self._usable[index]
            height, width = self._sources[index].rgb.shape[:2]
            tall, wide = min(h, height), min(w, width)
            jitter = np.zeros(2) if self._placed else self._rng.uniform(-_JITTER, _JITTER, 2)
            room = np.array([height - tall, width - wide])
            top, left = (int(side) for side in np.clip(np.rint((place + jitter) * room), 0, room))
            placed = np.zeros(usable.shape, np.bool_)
            placed[top : top + tall, left : left + wide] = part[:tall, :wide]
            placed &= usable
            if np.count_nonzero(placed) >= max(_LEAST_PX, _LEAST_SHARE * np.count_nonzero(part)):
                found.append(self._foreignness(self._bank, self._sources[index].rgb, placed))
            if len(found) == _REFERENCES:
                break
        return float(np.quantile(found, 0.9)) if found else 0.0

    def _foreignness(self, bank: Points, rgb: RGB, area: Mask) -> float:
        asked = self._described(rgb, area, _MOST_ASKED) / self._spread
        nearest = np.full(len(asked), np.inf, np.float32)
        own = (asked**2).sum(axis=1)
        for start in range(0, len(bank), 4096):
            some = bank[start : start + 4096]
            squared = own[:, None] + (some**2).sum(axis=1)[None] - 2.0 * (asked @ some.T)
            nearest = np.minimum(nearest, squared.min(axis=1))
        distance = np.sort(np.sqrt(np.maximum(nearest, 0.0)))
        return float(distance[-max(1, round(_TOP * distance.size)) :].mean())

    def _described(self, rgb: RGB, area: Mask, most: int) -> Points:
        """Descriptions of at most so many pixels of an area, evenly drawn."""
        x, y, w, h = cv2.boundingRect(area.astype(np.uint8))
        height, width = area.shape
        top, left = max(0, y - _REACH_PX), max(0, x - _REACH_PX)
        window = (slice(top, min(height, y + h + _REACH_PX)), slice(left, min(width, x + w + _REACH_PX)))
        rows, columns = np.nonzero(area[window])
        if rows.size > most:
            chosen = self._rng.choice(rows.size, most, replace=False)
            rows, columns = rows[chosen], columns[chosen]
        points = _describe(rgb[window], rows, columns)
        if not self._placed:
            return points
        place = np.stack([(rows + top) / height, (columns + left) / width], axis=1)
        return np.concatenate([points, place.astype(np.float32)], axis=1)


def _describe(rgb: RGB, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Points:
    """(N, 12): signed bands and their local energy in lightness, coarse bands in colour."""
    lab = lab_from_rgb(rgb)
    layers: list[NDArray[np.float32]] = []
    for channel in range(3):
        values = np.ascontiguousarray(lab[..., channel])
        for sigma in _SCALES_PX if channel == 0 else _SCALES_PX[1::2]:
            band = _blurred(values, sigma) - _blurred(values, 2.0 * sigma)
            layers.append(band[rows, columns])
            if channel == 0:
                layers.append(np.sqrt(_blurred(band * band, 2.0 * sigma))[rows, columns])
    return np.asarray(np.stack(layers, axis=1), np.float32)


def _blurred(values: NDArray[Any], sigma: float) -> Field:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def _are_aligned(sources: Sequence[Source]) -> bool:
    """They all show the same object in the same place."""
    if len({one.rgb.shape for one in sources}) != 1 or any(one.forbidden is not None for one in sources):
        return False
    small = [cv2.resize(one.rgb.mean(axis=2), (32, 32), interpolation=cv2.INTER_AREA).ravel() for one in sources[:8]]
    return len(small) > 1 and float(np.corrcoef(np.array(small))[np.triu_indices(len(small), 1)].min()) > _ALIGNED
