"""Structure of many alike elements (teeth, stitches, a weave): where it is, which way it repeats, where its middle lies."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.repetition import autocorrelation, find_shifts
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import pixel_grid
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["LEAST", "Repeat", "offsets", "on_middle", "positions", "repeat_around", "structure_at"]

_SEARCH_PX = 256
_CORRELATED = 0.2  # least height of a peak of the autocorrelation, of the highest one's
_BUSY_PX = 3.0  # on that copy: over how far structure is averaged
LEAST = 0.35  # of the busiest place: less structure is none
_PLAIN, _ABOVE_NOISE = 0.03, 5.0  # luma 0..1, and in multiples of the noise: what deviates less is no structure


class Repeat(NamedTuple):
    """How a structure repeats.

    Attributes:
        axis: (2,) unit vector (x, y) in which it repeats soonest.
        pitch_px: after how far; 0 when no repetition was found and the axis is square to the local texture.
    """

    axis: NDArray[np.float32]
    pitch_px: float


def structure_at(scene: Scene) -> Callable[[float, float], float]:
    """How much structure there is at a place (x, y) of the photo; from `LEAST` on there is some."""
    busy = _busy_map(scene)
    scale_y, scale_x = (part / whole for part, whole in zip(busy.shape, scene.photo.shape, strict=True))

    def prefers(x: float, y: float) -> float:
        row, column = min(int(y * scale_y), busy.shape[0] - 1), min(int(x * scale_x), busy.shape[1] - 1)
        return float(busy[row, column])

    return prefers


@once_per_scene
def _busy_map(scene: Scene) -> Field:
    """Structure on a small copy, about 0..1 of the busiest place of the object; near 0 where all of it is plain."""
    luma = reduced(np.ascontiguousarray(scene.luma), _SEARCH_PX)
    inside = reduced(scene.foreground.astype(np.uint8) * 255, _SEARCH_PX) > 127
    deep = cv2.erode(inside.astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=1).astype(np.float32)  # no outline
    own = inside.astype(np.float32)  # what lies behind is no structure of the object
    level, share = (cv2.GaussianBlur(one, (0, 0), 4.0 * _BUSY_PX) for one in (luma * own, own))
    fine = luma - level / np.maximum(share, 1e-3)
    power = cv2.GaussianBlur((fine**2 * deep).astype(np.float32), (0, 0), 2.0 * _BUSY_PX)
    busy = np.sqrt(np.maximum(power, 0.0))
    typical = float(np.percentile(busy[inside], 99)) if inside.any() else 0.0
    return (busy / max(typical, _PLAIN, _ABOVE_NOISE * scene.noise_sigma)).astype(np.float32)


def repeat_around(scene: Scene, center_xy: tuple[float, float], reach_px: float) -> Repeat:
    """How the structure around a place repeats."""
    x, y = (int(value) for value in center_xy)
    window = around(Window(y, x, y + 1, x + 1), max(reach_px, 24.0), scene.photo.shape)
    luma = reduced(np.ascontiguousarray(scene.luma[window.slices]), 128)
    correlation = autocorrelation(np.asarray(luma - cv2.GaussianBlur(luma, (0, 0), 8.0), np.float32)).astype(np.float32)
    shifts = find_shifts(correlation, _CORRELATED * correlation.max()).xy
    lengths = np.linalg.norm(shifts, axis=1)
    repeats = lengths > 2.0
    if not repeats.any():
        angle = scene.orientation_at(*center_xy)[0] + 0.5 * np.pi
        return Repeat(np.array([np.cos(angle), np.sin(angle)], np.float32), 0.0)
    nearest = shifts[repeats][lengths[repeats].argmin()]
    length = float(np.linalg.norm(nearest))
    return Repeat((nearest / length).astype(np.float32), length * window.shape[0] / luma.shape[0])


def on_middle(site: Site, axis: NDArray[np.float32]) -> tuple[Site, float]:
    """The site moved square to the axis to the middle of the structure (rows part where they meet), and half its width.

    The site itself and 0 where the structure goes on as far as one looks.
    """
    busy = _busy_map(site.scene)
    height, width = site.scene.photo.shape
    x0, y0, x1, y1 = site.scene.box_xyxy
    reach = 0.5 * min(x1 - x0, y1 - y0)
    aside = np.array([-axis[1], axis[0]])
    steps = np.arange(-reach, reach + 1.0)
    at = np.array(site.center_xy) + steps[:, None] * aside
    columns = (at[:, 0] * busy.shape[1] / width).astype(int).clip(0, busy.shape[1] - 1)
    rows = (at[:, 1] * busy.shape[0] / height).astype(int).clip(0, busy.shape[0] - 1)
    plain_at = np.flatnonzero(busy[rows, columns] < LEAST)
    before, after = plain_at[steps[plain_at] < 0.0], plain_at[steps[plain_at] > 0.0]
    if not before.size or not after.size:
        return site, 0.0
    low, high = float(steps[before[-1]]), float(steps[after[0]])
    x, y = np.array(site.center_xy) + 0.5 * (low + high) * aside
    return replace(site, center_xy=(float(np.clip(x, 0, width - 1)), float(np.clip(y, 0, height - 1)))), 0.5 * (high - low)


def offsets(site: Site, window: Window, axis: NDArray[np.float32]) -> tuple[Field, Field]:
    """How far each pixel lies along the axis and square to it, from the site's middle."""
    x, y = pixel_grid(window)
    dx, dy = x - site.center_xy[0], y - site.center_xy[1]
    return (dx * axis[0] + dy * axis[1]).astype(np.float32), (dy * axis[0] - dx * axis[1]).astype(np.float32)


def positions(site: Site, axis: NDArray[np.float32], along: Field, across: Field) -> tuple[Field, Field]:
    """Maps (x, y) that show what lies at (along, across) of the site's middle."""
    x = site.center_xy[0] + along * axis[0] - across * axis[1]
    y = site.center_xy[1] + along * axis[1] + across * axis[0]
    return x.astype(np.float32), y.astype(np.float32)
