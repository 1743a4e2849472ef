"""The level of a liquid that is seen through the wall of what holds it.

Above it one sees through the empty part what lies behind the object, below it the liquid: the line across the object at
which its look leaves that of the backdrop for another one. The edge of a label or a cap is no such line: on neither side of it
does one look through; nor is the place where a pale cap sits on a body: there the wall does not run on.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Lab, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import scale_within, size_within
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["Level", "find_level"]

_SIDE_PX = 320  # of the copy on which it is looked for
_MIDDLE = 0.6  # of the object's width in a row: what is refracted at the wall is left out
_CLOSED = 0.85  # share of its rows in which the object is seen
_STRIP = 0.025  # of the object's height: so high are the strips that are compared
_STEP = 5.0  # CIELAB units between them, at the least
_ALL_ACROSS = 0.85  # share of the columns that show the step
_SEEN_THROUGH = 0.6  # of the step: the upper strip is at least so much nearer to the backdrop than the lower one, and so near
_WIDEST = 0.2  # of its widest row, that the row of the level is wide at the least
_SHOULDER = 1.4  # times as wide as a strip further up: there a cap or a stopper ends and the body begins
_LIKE = 0.5  # of the step: what is nearer to the liquid than to the empty part shows the liquid
_LEAST_FILLED, _LEAST_EMPTY = 4, 2  # strips: so high is what is seen of the liquid, which is no stopper, and of the empty part
_ACROSS = 0.6  # share of a row in which liquid, or emptiness, shows
_STEEPEST = 0.2  # rise over run of a level on a photo that is not upright
_THICKEST, _SETTLED = 0.05, 0.2  # of the height: the meniscus and its shade; of the step: where it ends


class Level(NamedTuple):
    """Where a liquid ends, in pixels of the photo.

    Attributes:
        y: its height on the object's middle line.
        slope: rise over run of the line, as the photo is turned.
        middle_x: of the object at that height.
        half_px: half the height of the meniscus with its shade.
        width_px: of the object there.
        empty_px: how far one sees through the empty part above it.
        filled_px: how far the liquid is seen below it.
        shows: (H, W) bool, where liquid or the empty part is seen: no label, no cap.
        left, right: (H,) float32, the object's borders in each row.
    """

    y: float
    slope: float
    middle_x: float
    half_px: float
    width_px: float
    empty_px: float
    filled_px: float
    shows: Mask
    left: NDArray[np.float32]
    right: NDArray[np.float32]


class _Line(NamedTuple):
    """A level on the straightened copy: its row, (columns, 3) looks of both sides and how far apart they are, for how many
    rows one sees the empty part above it and the liquid below it, and (rows, columns) bool where it looks like either.
    """

    at: int
    empty: Lab
    liquid: Lab
    step: float
    up: int
    down: int
    like: Mask


@once_per_scene
def find_level(scene: Scene) -> Level | None:
    """The level of the liquid that the photo shows; None where it shows none, or no backdrop."""
    if scene.fills_frame:
        return None
    scale, size = scale_within(scene.photo.shape, _SIDE_PX), size_within(scene.photo.shape, _SIDE_PX, 8)
    lab = cv2.GaussianBlur(cv2.resize(scene.lab, size, interpolation=cv2.INTER_AREA), (0, 0), 0.8)
    solid = cv2.resize(scene.foreground.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    around = cv2.dilate(solid.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    if np.count_nonzero(around) < 0.03 * around.size:
        return None
    borders = _borders(solid)
    if borders is None:
        return None
    top, left, right = borders
    looks = _straightened(np.asarray(lab, np.float32), top, left, right)
    strip = max(2, round(_STRIP * len(looks)))
    backdrop = np.median(lab[around], axis=0).astype(np.float32)
    lines = (_line_at(looks, at, strip) for at in _steps(looks, right - left, strip, backdrop))
    line = next((one for one in lines if one is not None), None)
    if line is None:
        return None
    at, up, down = line.at, line.up, line.down
    half = _half_of_meniscus(looks, line, strip)
    slope = _slope(looks, line, strip, float((right - left)[at]))
    shows = _shown(line.like, at - up, at + down, solid.shape, top, left, right)
    height, width = scene.photo.shape
    rows = (np.arange(height, dtype=np.float32) + 0.5) * scale - 0.5 - top
    ends = [np.interp(rows, np.arange(len(one)), one).astype(np.float32) / scale for one in (left, right)]
    return Level(
        y=(at + top) / scale,
        slope=slope,
        middle_x=float(left[at] + right[at]) / 2.0 / scale,
        half_px=half / scale,
        width_px=float(right[at] - left[at]) / scale,
        empty_px=up / scale,
        filled_px=down / scale,
        shows=cv2.resize(shows.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0,
        left=ends[0],
        right=ends[1],
    )


def _borders(solid: Mask) -> tuple[int, NDArray[np.float32], NDArray[np.float32]] | None:
    """First row of the object and its ends in each of its rows, smoothed; None of what is too small or falls apart."""
    rows = np.flatnonzero(solid.any(axis=1))
    if len(rows) < 24:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    body = solid[top:bottom]
    every, seen = np.arange(len(body)), np.flatnonzero(body.any(axis=1))
    if len(seen) < _CLOSED * len(body):
        return None
    left = np.interp(every, seen, body.argmax(axis=1)[seen]).astype(np.float32)  # clear glass may not be told from the backdrop
    right = np.interp(every, seen, body.shape[1] - body[:, ::-1].argmax(axis=1)[seen]).astype(np.float32)
    middle = 0.5 * (left + right)
    axis = np.polyfit(every, middle, 1)
    usual = np.abs(middle - np.polyval(axis, every))
    axis = np.polyval(np.polyfit(every[usual <= np.median(usual)], middle[usual <= np.median(usual)], 1), every)
    half = np.maximum(
        axis - left, right - axis
    )  # what holds liquids is as wide to both sides: a wall of clear glass may be lost
    half = cv2.blur(half.astype(np.float32)[:, None], (1, 5), borderType=cv2.BORDER_REPLICATE)[:, 0]
    left, right = axis - half, axis + half
    return top, np.asarray(left, np.float32), np.asarray(right, np.float32)


def _straightened(lab: Lab, top: int, left: NDArray[np.float32], right: NDArray[np.float32]) -> Lab:
    """(rows, 48, 3): the middle of the object in each row, from side to side, as if it were everywhere as wide."""
    across = np.linspace(0.5 - 0.5 * _MIDDLE, 0.5 + 0.5 * _MIDDLE, 48, dtype=np.float32)[None]
    map_x = (left[:, None] + across * (right - left)[:, None]).astype(np.float32)
    map_y = np.broadcast_to(np.arange(len(left), dtype=np.float32)[:, None] + top, map_x.shape)
    return np.asarray(cv2.remap(lab, map_x, np.ascontiguousarray(map_y), cv2.INTER_LINEAR), np.float32)


def _steps(looks: Lab, widths: NDArray[np.float32], strip: int, backdrop: NDArray[np.float32]) -> list[int]:
    """Rows across which one ceases to look through the object, the clearest first."""
    found: list[tuple[float, int]] = []
    for at in range(3 * strip, len(looks) - 3 * strip):
        if widths[at] < _WIDEST * float(widths.max()):
            continue
        if float((widths[at - strip : at + 2 * strip] / widths[at - 2 * strip : at + strip]).max()) > _SHOULDER:
            continue
        above = looks[at - 2 * strip : at - strip // 2].mean(axis=0)
        below = looks[at + strip // 2 : at + 2 * strip].mean(axis=0)
        step = (below - above).mean(axis=0)
        size = float(np.linalg.norm(step))
        if size < _STEP or (((below - above) @ (step / size)) > 0.4 * size).mean() < _ALL_ACROSS:
            continue
        near, far = (float(np.percentile(np.linalg.norm(one - backdrop, axis=1), 80.0)) for one in (above, below))
        if far - near < _SEEN_THROUGH * size or near > _SEEN_THROUGH * size:
            continue
        found.append((size + float(np.linalg.norm((looks[at + 1] - looks[at - 1]).mean(axis=0))), at))
    rows: list[int] = []
    for _, at in sorted(found, key=lambda one: -one[0]):
        if all(abs(at - row) > 2 * strip for row in rows):
            rows.append(at)
    return rows


def _line_at(looks: Lab, at: int, strip: int) -> _Line | None:
    """The line of a row; None where it is the edge of something else than a liquid."""
    empty, liquid = looks[at - 2 * strip : at - strip].mean(axis=0), looks[at + strip : at + 2 * strip].mean(axis=0)
    step = float(np.linalg.norm(empty.mean(axis=0) - liquid.mean(axis=0)))
    filled, hollow = (np.linalg.norm(looks - one, axis=2) < _LIKE * step for one in (liquid, empty))
    filled[: at - 2 * strip], hollow[at + 2 * strip :] = False, False
    down = _run(filled[at + strip :].mean(axis=1) > _ACROSS) + strip
    up = _run(hollow[: at - strip][::-1].mean(axis=1) > _ACROSS) + strip
    if down < _LEAST_FILLED * strip or up < _LEAST_EMPTY * strip:
        return None
    above = np.linalg.norm(looks[: at - up] - liquid, axis=2).mean(axis=1) < _LIKE * step
    if np.count_nonzero(above) > _LEAST_EMPTY * strip:  # what lies between is a label of the backdrop's colour
        return None
    return _Line(at, empty, liquid, step, up, down, np.asarray(filled | hollow, np.bool_))


def _run(true: NDArray[np.bool_]) -> int:
    """How many are true from the first on."""
    ends = np.flatnonzero(~true)
    return int(ends[0]) if ends.size else len(true)


def _half_of_meniscus(looks: Lab, line: _Line, strip: int) -> float:
    """How far from the level the rows look like neither side."""
    at = line.at
    off_empty, off_liquid = (np.linalg.norm(looks - one, axis=2).mean(axis=1) for one in (line.empty, line.liquid))
    most = max(2, round(_THICKEST * len(looks)))
    usual = 0.5 * float(off_empty[at - 2 * strip : at - strip].mean() + off_liquid[at + strip : at + 2 * strip].mean())
    sides = off_empty[at - most : at], off_liquid[at : at + most]
    reach = [int(np.count_nonzero(one > usual + _SETTLED * line.step)) for one in sides]
    return float(np.clip(max(reach) + 1, 1.5, most))


def _slope(looks: Lab, line: _Line, strip: int, width: float) -> float:
    """Rise over run of the line at which each column leaves the one look for the other."""
    window = looks[max(line.at - 3 * strip, 0) : line.at + 3 * strip]
    wet = np.linalg.norm(window - line.empty, axis=2) > np.linalg.norm(window - line.liquid, axis=2)
    heights = np.count_nonzero(~wet, axis=0).astype(np.float64)
    rise = float(np.polyfit(np.linspace(-0.5, 0.5, len(heights)) * _MIDDLE * width, heights, 1)[0])
    return rise if abs(rise) < _STEEPEST else 0.0


def _shown(
    like: Mask,
    first: int,
    last: int,
    shape: tuple[int, ...],
    top: int,
    left: NDArray[np.float32],
    right: NDArray[np.float32],
) -> Mask:
    """(h, w) bool of the copy: between two rows of the object, where a column shows liquid or the empty part.

    Beyond the middle, at the walls, what the nearest column shows.
    """
    size = max(3, round(0.04 * like.shape[0])) | 1
    closed = cv2.morphologyEx(like.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((size, size), np.uint8))
    shown = np.zeros(shape[:2], np.float32)
    for row in range(max(first, 0), min(last, len(like))):
        wide = max(float(right[row] - left[row]), 1.0)
        across = (np.arange(shape[1]) + 0.5 - left[row]) / wide
        places = np.clip((across - 0.5) / _MIDDLE + 0.5, 0.0, 1.0) * (like.shape[1] - 1)
        shown[row + top] = closed[row][np.rint(places).astype(int)] * ((across > 0.0) & (across < 1.0))
    return np.asarray(shown > 0.5, np.bool_)
