"""Head, neck, thread and tip of a screw, bolt or nail seen from the side.

The axis is the long one of the outline. The head is the end that is clearly wider than what follows, the tip the other end;
the thread is the stretch between them whose fine texture along the axis is strong, the neck what is smooth before it.
"""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.geometry.warp import sample_linear
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["Fastener", "Place", "find_fastener"]

Place = Literal["head", "neck", "thread", "tip"]

_STEPS = 160  # along the axis
_ROWS = 9  # across it
_SLENDER = 3.0  # least length over the usual width
_WHOLE = 0.8  # share of the foreground in one piece
_WIDER = 1.3  # a head is at least so many times as wide as what follows
_HEAD_ENDS = 0.3  # of the way from the usual width to that of the head
_LONGEST_HEAD = 0.3  # of the length
_TIP = (0.06, 0.16)  # of the length, at least and at most
_TAPERED = 0.75  # of the usual width
_BUSIER = 1.8  # how much stronger than on a neck the texture of a thread is
_LEAST_NECK = 0.08  # of the length; a thread that begins nearer to the head leaves none
_LEAST_PX = 48.0  # of the length


class Fastener(NamedTuple):
    """A fastener as it was found.

    Attributes:
        origin_xy: middle of the head's end, photo pixels.
        angle_rad: direction from the head to the tip, image coordinates.
        length_px: from end to end.
        spans: where each place begins and ends, shares of the length from the head's end.
    """

    origin_xy: tuple[float, float]
    angle_rad: float
    length_px: float
    spans: dict[Place, tuple[float, float]]

    def coordinates(self, x: Field, y: Field) -> tuple[Field, Field]:
        """How far places lie from the head's end along the axis, and beside it, pixels."""
        cos, sin = float(np.cos(self.angle_rad)), float(np.sin(self.angle_rad))
        dx, dy = x - self.origin_xy[0], y - self.origin_xy[1]
        return np.asarray(dx * cos + dy * sin, np.float32), np.asarray(dy * cos - dx * sin, np.float32)

    def mask(self, scene: Scene, place: Place) -> Mask:
        """(H, W) bool: the pixels of the object in a place, where a defect may be."""
        ys, xs = np.nonzero(scene.allowed)
        along, _ = self.coordinates(xs.astype(np.float32), ys.astype(np.float32))
        first, last = self.spans[place]
        inside = (along >= first * self.length_px) & (along <= last * self.length_px)
        found = np.zeros_like(scene.allowed)
        found[ys[inside], xs[inside]] = True
        return found


@once_per_scene
def find_fastener(scene: Scene) -> Fastener | None:
    """The fastener that a photo shows lengthwise; None for surfaces, several pieces, what is not long or has no head."""
    if scene.fills_frame:
        return None
    _, labels, stats, _ = cv2.connectedComponentsWithStats(scene.foreground.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if int(areas.max()) < _WHOLE * int(areas.sum()):
        return None
    ys, xs = np.nonzero(labels == 1 + int(areas.argmax()))
    middle = np.array([xs.mean(), ys.mean()])
    points = np.stack([xs, ys], axis=1) - middle
    _, axes = np.linalg.eigh(np.cov(points.T))
    direction = axes[:, 1]
    along, across = points @ direction, points @ axes[:, 0]
    first, last = float(along.min()), float(along.max())
    length = last - first + 1.0
    start = middle + direction * first
    widths, sides = _profile(scene.foreground, start, direction, length, float(np.abs(across).max()) + 1.0)
    usual = float(np.median(widths))
    if length < max(_SLENDER * usual, _LEAST_PX):
        return None
    outer = round(0.15 * _STEPS)
    ends = float(np.percentile(widths[:outer], 80)), float(np.percentile(widths[-outer:], 80))
    if ends[1] > ends[0]:
        start, direction, widths = middle + direction * last, -direction, widths[::-1]
    head_ends = _end_of_head(widths, usual) if max(ends) >= _WIDER * usual else None
    if head_ends is None:
        return None
    tip_starts = _start_of_tip(widths, usual)
    origin = start + axes[:, 0] * float(np.median(sides))
    turn = float(np.arctan2(direction[1], direction[0]))
    busy = _texture(scene, (float(origin[0]), float(origin[1])), turn, length, 0.35 * usual)
    neck_ends = _end_of_neck(busy, head_ends, tip_starts)
    spans: dict[Place, tuple[float, float]] = {
        "head": (0.0, head_ends / _STEPS),
        "neck": (head_ends / _STEPS, neck_ends / _STEPS),
        "thread": (neck_ends / _STEPS, tip_starts / _STEPS),
        "tip": (tip_starts / _STEPS, 1.0),
    }
    return Fastener((float(origin[0]), float(origin[1])), turn, length, spans)


def _profile(
    foreground: Mask, start: NDArray[np.float64], direction: NDArray[np.float64], length_px: float, reach_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(_STEPS,) each: width along the axis, and how far beside the axis its middle lies, pixels."""
    along = (np.arange(_STEPS) + 0.5)[:, None] * length_px / _STEPS
    beside = np.arange(-np.ceil(reach_px), np.ceil(reach_px) + 1.0)[None]
    x = start[0] + along * direction[0] - beside * direction[1]
    y = start[1] + along * direction[1] + beside * direction[0]
    solid = cv2.remap(foreground.astype(np.float32), x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    widths = np.asarray(solid, np.float64).sum(axis=1)
    return widths, (solid * beside).sum(axis=1) / np.maximum(widths, 1e-3)


def _end_of_head(widths: NDArray[np.float64], usual: float) -> int | None:
    """Step at which the head has become as narrow as what follows; None when it never does."""
    most = float(np.percentile(widths[: round(0.15 * _STEPS)], 90))
    narrow = np.flatnonzero(widths < usual + _HEAD_ENDS * (most - usual))
    narrow = narrow[narrow > int(widths[: round(0.15 * _STEPS)].argmax())]
    return None if not len(narrow) or narrow[0] > _LONGEST_HEAD * _STEPS else max(int(narrow[0]), 2)


def _start_of_tip(widths: NDArray[np.float64], usual: float) -> int:
    """Step from which on it tapers; of a blunt end the last of it."""
    full = np.flatnonzero(widths >= _TAPERED * usual)
    least, most = (round((1.0 - share) * _STEPS) for share in _TIP[::-1])
    return int(np.clip(full[-1] - 1, least, most))


def _texture(
    scene: Scene, origin_xy: tuple[float, float], angle_rad: float, length_px: float, half_px: float
) -> NDArray[np.float64]:
    """(_STEPS,) how busy the lightness is along the axis, CIELAB units."""
    along = np.arange(round(length_px), dtype=np.float32)[None]
    across = np.linspace(-half_px, half_px, _ROWS, dtype=np.float32)[:, None]
    cos, sin = float(np.cos(angle_rad)), float(np.sin(angle_rad))
    x, y = origin_xy[0] + along * cos - across * sin, origin_xy[1] + along * sin + across * cos
    lightness = np.ascontiguousarray(scene.lab[..., 0])
    strip = sample_linear(lightness, x.astype(np.float32), y.astype(np.float32))
    slow = cv2.GaussianBlur(strip, (0, 0), sigmaX=0.02 * length_px, sigmaY=1e-3)
    fast = cv2.GaussianBlur(strip, (0, 0), sigmaX=0.8, sigmaY=1e-3) - slow
    busy = np.sqrt((fast**2).mean(axis=0))
    bins = np.minimum((np.arange(len(busy)) / length_px * _STEPS).astype(int), _STEPS - 1)
    counts = np.bincount(bins, minlength=_STEPS)
    means = np.bincount(bins, busy, _STEPS) / np.maximum(counts, 1)
    filled = np.interp(np.arange(_STEPS), np.flatnonzero(counts), means[counts > 0])
    return np.convolve(np.pad(filled, 4, mode="edge"), np.full(9, 1.0 / 9.0), "valid")


def _end_of_neck(busy: NDArray[np.float64], head_ends: int, tip_starts: int) -> int:
    """Step at which the thread begins: there the texture before and after it differs most."""
    least = max(round(_LEAST_NECK * _STEPS), 4)
    first, last = head_ends + least, tip_starts - least
    if last <= first:
        return min(head_ends + least, tip_starts)
    level = np.log(np.maximum(busy, 0.3))
    cuts = np.arange(first, last)
    steps = np.array([level[cut:tip_starts].mean() - level[head_ends:cut].mean() for cut in cuts])
    best = int(np.argmax(np.maximum(steps, 0.0) ** 2 * (cuts - head_ends) * (tip_starts - cuts)))
    return int(cuts[best]) if steps[best] >= np.log(_BUSIER) else first  # threaded up to its head: a short neck all the same
