"""Rows of pins or pads: bright compact spots of one size at even steps, which stand nearly side by side.

Found by geometry alone, at the sizes that pins have on photos of boards: print is neither as solid nor as even.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.measures import solidity
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.procedural.edit import Window
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["Pin", "PinPair", "neighbouring_pins", "pins_in"]

_WIDTHS = (0.008, 0.016, 0.032)  # of the photo's longer side: what is wider is no pin at that look
_FINE_PX = 20  # wider pins are looked for on a smaller copy, on which they are no wider than this
_BRIGHTER = 0.12  # luma 0..1 by which a pin stands out
_LEAST_PX = 8  # its area
_SOLID = 0.72  # share of its convex hull that it fills
_ALIKE = 0.45  # |log| of an area over that of its neighbour
_EVEN = 0.18  # of a step: how far the next but one may stray
_GAP = 1.3  # widths of a pin: neighbours farther apart are not bridged
_ROW = 4  # pins at least
_MOST = 6000  # spots of one size: where there are more they are a texture
_SLENDER, _SQUARE = 1.5, 0.35  # a pin so much longer than wide stands square to its row: cosine between the two
_AS_BRIGHT = 0.5  # of how much the brightest rows stand out: what does so less is print


class Pin(NamedTuple):
    """(x, y) of its middle, pixels of the photo; its width along the row and its length square to it; how much brighter it is
    than what lies around it, luma 0..1.
    """

    xy: NDArray[np.float32]
    width_px: float
    length_px: float
    rise: float


class PinPair(NamedTuple):
    """A pin, the vector (x, y) to the next one of its row, and how many more follow at the same step."""

    pin: Pin
    step: NDArray[np.float32]
    more: int

    @property
    def gap_px(self) -> float:
        """Free way between the two."""
        return float(np.linalg.norm(self.step)) - self.pin.width_px


class _Spot(NamedTuple):
    xy: NDArray[np.float32]
    area: float
    points: NDArray[np.float32]  # (n, 2) pixels around the middle
    rise: float


@once_per_scene
def neighbouring_pins(scene: Scene) -> tuple[PinPair, ...]:
    """All neighbours in rows of pins; empty where the photo shows none."""
    return _pairs_of(scene.luma, scene.foreground, max(scene.photo.shape))


def pins_in(scene: Scene, window: Window) -> list[PinPair]:
    """The neighbours in rows of pins of a part of the photo, in pixels of that part."""
    box = window.slices
    return list(_pairs_of(np.ascontiguousarray(scene.luma[box]), scene.foreground[box], max(scene.photo.shape)))


def _pairs_of(luma: Field, solid: Mask, side_px: int) -> tuple[PinPair, ...]:
    """Neighbours on a photo, or a part of one, whose longer side has `side_px`."""
    soft = np.asarray(cv2.GaussianBlur(luma, (0, 0), 0.6), np.float32)
    found: list[PinPair] = []
    for share in _WIDTHS:
        reach = max(3, round(share * side_px))
        if reach <= _FINE_PX:
            found += _pairs(_spots(soft, solid, reach))
            continue
        small = reduced(soft, max(soft.shape) * _FINE_PX / reach)
        inside = cv2.resize(solid.astype(np.uint8), small.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
        up = soft.shape[1] / small.shape[1]
        found += [_enlarged(pair, np.float32(up)) for pair in _pairs(_spots(small, inside, _FINE_PX))]
    rises = [pair.pin.rise for pair in found]
    return tuple(pair for pair in found if pair.pin.rise > _AS_BRIGHT * float(np.percentile(rises, 90.0)))


def _enlarged(pair: PinPair, up: np.float32) -> PinPair:
    """A pair that was found on a smaller copy, in pixels of the photo."""
    pin = pair.pin
    large = pin._replace(xy=(pin.xy + 0.5) * up - 0.5, width_px=float(pin.width_px * up), length_px=float(pin.length_px * up))
    return PinPair(large, pair.step * up, pair.more)


def _spots(luma: Field, solid: Mask, reach: int) -> list[_Spot]:
    """What is brighter than all around it and narrower than `reach` pixels one way."""
    kernel = np.ones((reach, reach), np.uint8)
    raised = luma - cv2.morphologyEx(luma, cv2.MORPH_OPEN, kernel)
    level = 0.5 * cv2.dilate(raised, kernel)  # half way up, whatever the pin's brightness
    shown = (raised > np.maximum(level, _BRIGHTER)) & solid
    count, labels, stats, centers = cv2.connectedComponentsWithStats(shown.astype(np.uint8), connectivity=4)
    spots: list[_Spot] = []
    for one in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[one])
        if area < _LEAST_PX or min(w, h) > reach or area > 4 * reach**2:
            continue
        body = np.asarray(labels[y : y + h, x : x + w] == one, np.bool_)
        if solidity(body) < _SOLID:
            continue
        ys, xs = np.nonzero(body)
        middle = np.asarray(centers[one], np.float32)
        points = np.stack([xs + x, ys + y], axis=1).astype(np.float32) - middle
        spots.append(_Spot(middle, float(area), points, float(raised[y : y + h, x : x + w][body].max())))
    return spots


def _pairs(spots: list[_Spot]) -> list[PinPair]:
    if not _ROW <= len(spots) <= _MOST:
        return []
    spots = sorted(spots, key=lambda spot: float(spot.xy[0]))
    at = np.stack([spot.xy for spot in spots])
    logs = np.log([spot.area for spot in spots])

    def within(x: float, reach_px: float) -> slice:
        first, last = np.searchsorted(at[:, 0], (x - reach_px, x + reach_px))
        return slice(int(first), int(last))

    def next_at(index: int, step: NDArray[np.float32]) -> int | None:
        place, most = at[index] + step, _EVEN * float(np.linalg.norm(step))
        near = within(float(place[0]), most)
        off = np.linalg.norm(at[near] - place, axis=1)
        if not off.size or off.min() >= most:
            return None
        one = near.start + int(off.argmin())
        return one if abs(logs[one] - logs[index]) < _ALIKE and one != index else None

    found: list[PinPair] = []
    for index, spot in enumerate(spots):
        near = within(float(spot.xy[0]), float(np.ptp(spot.points, axis=0).max() + 1.0) * (1.0 + _GAP) + 1.0)
        away = np.linalg.norm(at[near] - at[index], axis=1)
        for other in near.start + np.argsort(away)[1:7]:
            step = at[other] - at[index]
            if step[int(np.abs(step).argmax())] < 0.0:  # each pair once
                continue
            if abs(logs[other] - logs[index]) > _ALIKE or not (pin := _as_pin(spot, step)):
                continue
            after, last = 0, int(other)
            while (following := next_at(last, step)) is not None and after < _ROW:
                after, last = after + 1, following
            before, first = 0, index
            while (previous := next_at(first, -step)) is not None and before < _ROW:
                before, first = before + 1, previous
            if after + before + 2 >= _ROW:
                found.append(PinPair(pin, step, after))
    return found


def _as_pin(spot: _Spot, step: NDArray[np.float32]) -> Pin | None:
    """The spot as a pin of a row in the direction of `step`; None where its neighbour is too far, or not beside it."""
    far = float(np.linalg.norm(step))
    along = spot.points @ (step / far)
    across = spot.points @ (np.array([-step[1], step[0]], np.float32) / far)
    width, length = float(np.ptp(along)) + 1.0, float(np.ptp(across)) + 1.0
    if not 0.0 < far - width < _GAP * width + 1.0 or length < 0.6 * width:
        return None
    spreads, axes = np.linalg.eigh(spot.points.T @ spot.points / len(spot.points))
    if spreads[1] > _SLENDER**2 * spreads[0] and abs(float(axes[:, 1] @ step)) > _SQUARE * far:
        return None
    return Pin(spot.xy, width, length, spot.rise)
