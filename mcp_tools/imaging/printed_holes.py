"""Pale labels and black packages that look like holes, since they have the backdrop's colour, and that carry print.

A hole shows the backdrop: even, or with the backdrop's own texture. What carries several strokes that the backdrop does not
have is a face of the object, and is filled.
"""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb

__all__ = ["fill_printed_holes"]

_LEAST_SHARE = 0.002  # of the frame that a hole fills; print on less cannot be told
_STROKE = 12.0  # CIELAB L that a stroke lies off what surrounds it
_STROKES = 3  # of them at least: a chip or two seen through a hole are no print
_LEAST_INK, _INK = 0.02, 4.0  # share of the hole that strokes fill, and how often the share that the backdrop has of them
_LEAST_PX = 6  # area of a stroke
_ISLAND = 0.1  # of the hole that a printed blot may fill; what is larger is a part that stands in it


def fill_printed_holes(found: Mask, fine: RGB) -> Mask:
    """The foreground with those of its holes filled that carry print.

    Args:
        found, fine: (H, W) the foreground and (H, W, 3) the photo.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~found).astype(np.uint8), connectivity=4)
    height, width = found.shape
    x, y, w, h, area = (stats[:, column] for column in range(5))
    enclosed = (x > 0) & (y > 0) & (x + w < width) & (y + h < height) & (area >= _LEAST_SHARE * found.size)
    holes = [one for one in range(1, count) if enclosed[one]]
    if not holes:
        return found
    solid = found | np.isin(labels, holes)
    filled = found.copy()
    for one in holes:
        left, top, wide, high = (int(value) for value in stats[one][:4])
        box = slice(top, top + high), slice(left, left + wide)
        side_px = int(np.clip(min(wide, high) // 4, 5, 25)) | 1
        face = _with_print(np.asarray(labels[box] == one), side_px)
        ink = _ink_of_print(np.ascontiguousarray(fine[box]), face, side_px)
        if ink >= _LEAST_INK and ink >= _INK * _ink_of_backdrop(fine, solid, side_px):
            filled[box] |= face
    return filled


def _with_print(hole: Mask, side_px: int) -> Mask:
    """The hole with what stands in it: blots, and strokes that reach its rim."""
    square = np.ones((side_px, side_px), np.uint8)
    padded = np.pad(hole, side_px).astype(np.uint8)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, square)[side_px:-side_px, side_px:-side_px] > 0
    hole = np.asarray(hole | closed)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~hole).astype(np.uint8), connectivity=8)
    rim = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    blots = [
        one
        for one in range(1, count)
        if one not in rim and int(stats[one][cv2.CC_STAT_AREA]) < _ISLAND * np.count_nonzero(hole)
    ]
    return np.asarray(hole | np.isin(labels, blots))


def _strokes(rgb: RGB, side_px: int) -> Mask:
    """What is thin and lies off its surroundings; a median keeps the edges of shadows, so these are none."""
    levels = np.clip(lab_from_rgb(rgb)[..., 0] * 2.55, 0, 255).astype(np.uint8)
    off = np.abs(levels.astype(np.float32) - cv2.medianBlur(levels, side_px)) / np.float32(2.55)
    return np.asarray(off > _STROKE)


def _ink_of_print(rgb: RGB, face: Mask, side_px: int) -> float:
    """Share of the face that strokes fill, away from its rim; 0 for too few strokes to be print."""
    inner = cv2.erode(np.pad(face, 1).astype(np.uint8), np.ones((side_px // 2 | 1,) * 2, np.uint8))[1:-1, 1:-1] > 0
    ink = _strokes(rgb, side_px) & inner
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    several = int((stats[1:, cv2.CC_STAT_AREA] >= _LEAST_PX).sum()) >= _STROKES
    return float(ink[inner].mean()) if several else 0.0


def _ink_of_backdrop(fine: RGB, solid: Mask, side_px: int) -> float:
    """Share of such strokes in the backdrop away from the object and its holes."""
    away = cv2.dilate(solid.astype(np.uint8), np.ones((side_px, side_px), np.uint8)) == 0
    return float(_strokes(fine, side_px)[away].mean()) if away.any() else 0.0
