"""Which of the two tones of a bare board is copper.

Lit from behind, or etched black, copper is the darker one; its shape tells. Holes are drilled into copper, and show as small
round spots of the other tone within it. Tracks are thin, and the laminate between them is wide and reaches the border of the
photo; gaps round the tracks of a poured plane are thin too, but cut pieces off the copper. Where shape tells nothing the
brighter tone is copper.
"""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.procedural.edit import Window

__all__ = ["FEWEST", "Spot", "copper_of", "depth_of", "middle_lines", "round_spots", "typical_half"]

FEWEST = 40  # pixels of middle lines
_LOOKED_AT = 500_000  # pixels from which it is told which side is copper
_THIN = 0.06  # of the shorter side: wider strips are no tracks
_LEAST_HALF_PX = 1.0
_HOLE = 40.0  # squared half widths of tracks: the largest area of a drilled hole
_ROUND = (0.55, 1.8)  # least share of its box that a hole covers, and the longest sides of the box
_DRILLED = 3  # holes at least, and times as many as the other way round, that tell
_THINNER = 1.5  # times as wide is the laminate as the tracks, at least, where that tells
_OPEN = 0.95  # of the laminate between tracks that is connected with the border of the photo


class Spot(NamedTuple):
    """A round place of the other tone: its box, its pixels there, its middle (x, y)."""

    window: Window
    mask: Mask
    xy: tuple[float, float]


def copper_of(brighter: Mask) -> Mask:
    """(H, W) bool, the tone that is copper: the brighter one or the other; large photos are judged by some of their pixels."""
    step = max(1, int(np.sqrt(brighter.size / _LOOKED_AT)))
    seen = np.ascontiguousarray(brighter[::step, ::step])
    return ~brighter if _is_dark(seen) else brighter


def _is_dark(brighter: Mask) -> bool:
    """Whether shape tells that the darker of the two is copper."""
    dark, bright = typical_half(depth_of(~brighter)), typical_half(depth_of(brighter))
    if dark is None:
        return False
    drilled, islands = _drilled(~brighter, bright), _drilled(brighter, dark)
    if drilled >= max(_DRILLED, _DRILLED * islands):
        return False
    thinner = np.inf if bright is None else bright / dark
    if islands >= max(_DRILLED, _DRILLED * drilled) and thinner >= 1.0:
        return True
    return bool(thinner >= _THINNER and _share_at_border(brighter) >= _OPEN)


def depth_of(side: Mask) -> Field:
    """(H, W) float32 distance to the nearest pixel outside a mask."""
    return np.asarray(cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def middle_lines(depth: Field) -> Mask:
    """(H, W) bool, the middle lines of what is thin."""
    highest = np.asarray(cv2.dilate(depth, np.ones((3, 3), np.uint8)), np.float32)
    highest -= 0.3
    return (depth >= highest) & (depth >= _LEAST_HALF_PX) & (depth <= _THIN * min(depth.shape))


def typical_half(depth: Field) -> float | None:
    """Half the usual width of strips, from the depth within them, pixels; None where there are none."""
    middle = middle_lines(depth)
    return float(np.median(depth[middle])) if np.count_nonzero(middle) >= FEWEST else None


def _drilled(other: Mask, typical_px: float | None) -> int:
    """How many holes in strips of that half width what is no copper would be."""
    return 0 if typical_px is None else sum(_is_whole(spot.mask) for spot in round_spots(other, typical_px))


def _is_whole(spot: Mask) -> bool:
    """True for what has no hole of its own: a ring is a pad and not a hole."""
    _, tree = cv2.findContours(np.pad(spot, 1).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return bool((np.asarray(tree)[0, :, 2] < 0).all())


def _share_at_border(mask: Mask) -> float:
    """How much of a mask is connected with the border of the photo, 0..1."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])).astype(np.intp)
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    return float(areas[border[border > 0]].sum() / max(areas[1:].sum(), 1.0))


def round_spots(other: Mask, typical_px: float) -> list[Spot]:
    """Round pieces of what is no copper, as large as holes in tracks of that half width, which the copper surrounds."""
    _, labels, stats, middles = cv2.connectedComponentsWithStats(other.astype(np.uint8), connectivity=4)
    x, y, width, height, area = (stats[:, column].astype(np.float64) for column in range(5))
    whole = (x > 0) & (y > 0) & (x + width < other.shape[1]) & (y + height < other.shape[0])
    even = np.maximum(width, height) <= _ROUND[1] * np.minimum(width, height)
    fitting = whole & even & (area >= _ROUND[0] * width * height) & (area >= 6) & (area <= _HOLE * typical_px**2)
    fitting[0] = False
    found: list[Spot] = []
    for index in np.flatnonzero(fitting):
        window = Window(int(y[index]), int(x[index]), int(y[index] + height[index]), int(x[index] + width[index]))
        xy = (float(middles[index, 0]), float(middles[index, 1]))
        found.append(Spot(window, np.asarray(labels[window.slices]) == index, xy))
    return found
