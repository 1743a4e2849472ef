"""Holes of a perforated part that are too small for the copy on which its foreground is found.

One spot that has the backdrop's colour may be print. Several alike, compact, of just that colour are holes, and one sees the
backdrop through them: they are opened at the photo's own resolution. Where the backdrop is not dark, as any deep spot is, a
single one is a hole if it is as large and round as a drilled one and ends in a step, which a highlight does not.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Lab, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.measures import solidity

__all__ = ["open_small_holes"]

_SAME = 5.0  # CIELAB units from the backdrop that what is seen through a hole may differ
_APART = 12.0  # such units from the backdrop to the part around a hole
_SEVERAL, _MOST = 6, 600  # holes of about one size at least; so many spots are a texture
_ALIKE = 1.6  # between the areas of two holes of about one size
_ROUND = 0.8  # of its convex hull that a hole fills
_LONGEST = 3.0  # side of its box over the other one
_LEAST_PX = 20  # area of a hole
_LIT = 30.0  # CIELAB L from which on a backdrop is not dark
_DRILLED, _DRILLED_ROUND, _DRILLED_LONGEST = 0.0006, 0.92, 2.2  # share of the frame, of its hull and the sides of a single hole
_STEP_PX = 2.5  # width of the border of a single hole on the photo


class _Hole(NamedTuple):
    rows: slice
    columns: slice
    inside: Mask
    area: int
    drilled: bool  # a hole even if it is the only one


def open_small_holes(found: Mask, fine: RGB, mask: NDArray[np.uint8], lab: Lab, expected: Lab) -> Mask:
    """The foreground without its small holes, where there are several alike.

    Args:
        found, fine: (H, W) the foreground and (H, W, 3) the photo.
        mask, lab, expected: of the small copy: the foreground, 0 or 1, CIELAB colours and those of the backdrop.
    """
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8)) > 0
    near = (np.linalg.norm(lab - expected, axis=2) < _SAME) & inner
    count, _, stats, centers = cv2.connectedComponentsWithStats(near.astype(np.uint8), connectivity=8)
    if not 1 < count < _MOST:
        return found
    holes = [
        hole
        for one in range(1, count)
        if (hole := _hole_at(found, fine, stats[one], expected[int(centers[one][1]), int(centers[one][0])], mask.shape))
    ]
    areas = np.array([hole.area for hole in holes], np.float64)
    opened = found.copy()
    for hole in holes:
        if hole.drilled or np.count_nonzero(np.abs(np.log(areas / hole.area)) < np.log(_ALIKE)) >= _SEVERAL:
            opened[hole.rows, hole.columns] &= ~hole.inside
    return opened


def _hole_at(
    found: Mask, fine: RGB, box: NDArray[np.int32], backdrop: NDArray[np.float32], coarse: tuple[int, ...]
) -> _Hole | None:
    """The hole that a spot of the small copy is, with its outline where the colour is half way; None when it is none."""
    (height, width), (rows, columns) = found.shape, coarse[:2]
    left, top, wide, high = (int(value) for value in box[:4])
    up, down = max((top - 2) * height // rows, 0), min((top + high + 2) * height // rows, height)
    first, last = max((left - 2) * width // columns, 0), min((left + wide + 2) * width // columns, width)
    own = lab_from_rgb(np.ascontiguousarray(fine[up:down, first:last]))
    away = np.linalg.norm(own - backdrop, axis=2)
    around = found[up:down, first:last] & (away > _APART)
    if not around.any():
        return None
    part = np.median(own[around], axis=0)
    hollow = (away < np.linalg.norm(own - part, axis=2)) & found[up:down, first:last]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(hollow.astype(np.uint8), connectivity=4)
    if count < 2:
        return None
    one = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    x, y, w, h, area = (int(value) for value in stats[one])
    enclosed = x > 0 and y > 0 and x + w < hollow.shape[1] and y + h < hollow.shape[0]
    if not enclosed or area < _LEAST_PX or max(w, h) > _LONGEST * min(w, h):
        return None
    inside = np.asarray(labels == one, np.bool_)
    compact = solidity(inside)
    if compact < _ROUND:
        return None
    core = cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if not core.any() or float(np.linalg.norm(np.median(own[core], axis=0) - backdrop)) > _SAME:
        return None
    round_ = compact >= _DRILLED_ROUND and max(w, h) <= _DRILLED_LONGEST * min(w, h) and area >= _DRILLED * found.size
    drilled = round_ and float(backdrop[0]) >= _LIT and _ends_in_a_step(inside, away / np.linalg.norm(part - backdrop))
    return _Hole(slice(up, down), slice(first, last), inside, area, drilled)


def _ends_in_a_step(inside: Mask, share: NDArray[np.float32]) -> bool:
    """True when the colour goes from the backdrop's, 0, to the part's, 1, within a few pixels of the outline."""
    near = cv2.dilate(inside.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    outline = inside & (cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    between = near & (share > 0.25) & (share < 0.75)
    return int(between.sum()) <= _STEP_PX * int(outline.sum())
