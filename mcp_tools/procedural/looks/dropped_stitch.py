"""A stitch that fell off its needle: its wale has run down into a ladder.

The loops of one wale are undone course by course. Where they were, the yarn of each course lies across as a bare rung, thinner
than the loops and a little bowed, and between the rungs one sees what lies behind the cloth. Above the stitch that was dropped
the knit is whole.
"""

import re
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.repetition import Shifts, autocorrelation, find_shifts
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.light.palette import log_ratio, measure_surroundings
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["DroppedStitch", "find_knit", "names_dropped_stitch"]

_NAMES = re.compile(
    r"\b(?:ladder(?:s|ed|ing)?|(?:dropped|drop|missed|lost) (?:stitch\w*|loops?)|run in (?:the )?(?:fabric|knit\w*))\b"
)
_WINDOW_PX = 256  # of the middle of the photo, in which the loops are measured
_CORRELATED = 0.12  # least height of a peak of the autocorrelation, of the highest one's
_CLEAR = 0.6  # of the clearest shift in a direction: the shortest one as clear is a loop
_UPRIGHT = 0.27  # tangent of how far courses and wales may be turned against the photo
_LOOP_PX = (3.0, 60.0)
_WIDTH = (0.85, 1.1)  # wale pitches that a ladder is wide
_FEWEST = 4  # courses that run down
_RUNG = (0.32, 0.48)  # of the course pitch
_BOWED = 0.18  # of the course pitch, that a rung hangs through
_THIN = 0.2  # of the darkness between rungs, that they have themselves


class Knit(NamedTuple):
    """Loops of a knitted cloth, pixels: how far wales and courses lie apart, and whether wales run from left to right."""

    wale_px: float
    course_px: float
    lying: bool


@once_per_scene
def find_knit(scene: Scene) -> Knit | None:
    """The loops of a cloth that fills the photo; None where nothing repeats both ways. Loops are wider than high."""
    if not scene.fills_frame:
        return None
    height, width = scene.photo.shape
    side = min(height, width, _WINDOW_PX)
    top, left = (height - side) // 2, (width - side) // 2
    luma = np.ascontiguousarray(scene.luma[top : top + side, left : left + side])
    correlation = autocorrelation(np.asarray(luma - cv2.GaussianBlur(luma, (0, 0), 8.0), np.float32)).astype(np.float32)
    shifts = find_shifts(correlation, _CORRELATED * float(correlation.max()))
    across, along = _pitch(shifts, 0), _pitch(shifts, 1)
    if across is None or along is None:
        return None
    return Knit(max(across, along), min(across, along), lying=along > across)


def _pitch(shifts: Shifts, axis: int) -> float | None:
    """The shortest clear shift along the rows (0) or the columns (1) of a photo."""
    ahead, aside = shifts.xy[:, axis], np.abs(shifts.xy[:, 1 - axis])
    ours = (ahead >= _LOOP_PX[0]) & (ahead <= _LOOP_PX[1]) & (aside < _UPRIGHT * ahead)
    if not ours.any():
        return None
    heights = np.where(ours, shifts.heights, 0.0)
    return float(ahead[heights >= _CLEAR * heights.max()].min())


def names_dropped_stitch(prompt: str) -> bool:
    """True when the words speak of a stitch that fell off its needle."""
    return bool(_NAMES.search(plain(prompt)))


class DroppedStitch:
    """A mechanism that lets a wale of `knit` run down; the share of the cloth says how far."""

    def __init__(self, knit: Knit) -> None:
        self._knit = knit

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One ladder through the site. None where it would be too narrow to be seen."""
        wale, course, lying = self._knit
        height, width = site.scene.photo.shape
        wide = float(rng.uniform(*_WIDTH)) * wale
        longest = float(width if lying else height)
        length = float(np.clip(site.area_px / wide, min(_FEWEST * course, longest), longest))
        at = np.clip(site.center_xy[0 if lying else 1], 0.5 * length, longest - 0.5 * length)
        middle = site.center_xy[1 if lying else 0]
        low, high = float(at - 0.5 * length), float(at + 0.5 * length)
        window = _window(low - course, high + course, middle - wide - 2.0, middle + wide + 2.0, lying, (height, width))
        if min(window.shape) < 4:
            return None
        site = replace(site, window=window)
        x, y = pixel_grid(window)
        along, across = (x, y) if lying else (y, x)
        share = (across - middle) / (0.5 * wide)  # -1..1 from side to side
        uneven = fractal_noise(window.shape, 2.5 * course, rng, octaves=2)
        taper = smooth_step((along - low) / (2.0 * course)) * smooth_step((high - along) / (1.0 * course) + 0.3)
        half = 0.5 * wide * (0.35 + 0.65 * taper) * (1.0 + 0.08 * uneven)
        gap = smooth_step(((half - np.abs(across - middle)) / 1.2 + 0.5).astype(np.float32))
        gap = gap * smooth_step((along - low) / course + 0.5) * smooth_step((high - along) / course + 0.5)
        number = int(np.ceil(length / course)) + 3
        shifts, thick = rng.normal(0.0, 0.07, number), rng.uniform(*_RUNG, number)
        lean = rng.normal(0.0, 0.08, number)
        turn = (along - low) / course + _BOWED * (share**2 - 1.0) + 0.06 * uneven
        rung = np.zeros(window.shape, np.float32)
        for index in range(number):
            off = np.abs(turn - index - shifts[index] - lean[index] * share) * course
            rung = np.maximum(rung, smooth_step((0.5 * thick[index] * course - off) / 1.0 + 0.5))
        near = measure_surroundings(site, radius_px=24.0)
        change = -float(np.clip(spec.severity * near.jnd, 6.0, 45.0))
        tone = log_ratio(near.lab, (change, 0.0, 0.0), near.grey)
        loose = np.clip(1.0 + 0.12 * fractal_noise(window.shape, 2.5, rng, octaves=2), 0.6, 1.3)  # fibres between the rungs
        depth = gap * (1.0 - (1.0 - _THIN) * rung) * loose
        return Edit(
            window=window,
            support=gap > 0.03,
            opened=(0.8 * gap).astype(np.float32),
            log_reflectance=(depth[..., None] * tone).astype(np.float32),
        )


def _window(low: float, high: float, left: float, right: float, lying: bool, shape: tuple[int, int]) -> Window:
    """The box from `low` to `high` along the wales and from `left` to `right` across them."""
    y0, y1, x0, x1 = (left, right, low, high) if lying else (low, high, left, right)
    height, width = shape
    return Window(max(int(y0), 0), max(int(x0), 0), min(int(np.ceil(y1)), height), min(int(np.ceil(x1)), width))
