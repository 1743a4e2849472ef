"""Rings of equal parts around the middle of an object: the teeth of a gear, the balls of a bearing.

Unrolled around that middle, such a ring repeats: most of the power of its rows lies at one number of turns and its multiples.
The middle is moved until it does so most.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.geometry.warp import sample_linear
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["Ring", "ring_of_balls", "ring_of_teeth"]

_TURN, _RADII = 720, 120  # columns and rows of the unrolled photo
_REACH = (0.25, 1.25)  # of the object's radius: what is unrolled
_FEWEST, _MOST = 6, 120  # parts of a ring
_SLOW = 4  # turns: what changes more slowly is the light
_BAND = 5  # rows that are looked at together
_SHARE, _LEAST = 0.3, 0.02  # of a band's power that is at one number of parts; its spread, luma 0..1
_EDGE = 0.12  # of the strongest row's power: where the ring ends
_MOVES = (0.05, 0.02, 0.008)  # of the radius: steps in which the middle is moved
_OUTER = 0.8  # of the object's radius: there teeth begin at the least
_FEWEST_TEETH = 8


class Ring(NamedTuple):
    """A ring of equal parts, pixels of the photo.

    Attributes:
        center_xy: its middle.
        parts: how many there are.
        phase_rad: where the middle of one of them lies, from x towards y.
        inner_px, outer_px: between which radii they lie.
    """

    center_xy: tuple[float, float]
    parts: int
    phase_rad: float
    inner_px: float
    outer_px: float

    @property
    def pitch_rad(self) -> float:
        """From one part to the next."""
        return 2.0 * np.pi / self.parts

    def at(self, index: int) -> tuple[float, float]:
        """(x, y) of the middle of a part."""
        angle, radius = self.phase_rad + index * self.pitch_rad, 0.5 * (self.inner_px + self.outer_px)
        return self.center_xy[0] + radius * float(np.cos(angle)), self.center_xy[1] + radius * float(np.sin(angle))

    def nearest(self, xy: tuple[float, float]) -> int:
        """The part that a place is nearest to."""
        angle = float(np.arctan2(xy[1] - self.center_xy[1], xy[0] - self.center_xy[0]))
        return round((angle - self.phase_rad) / self.pitch_rad) % self.parts


class _Found(NamedTuple):
    score: float
    parts: int
    row: int
    power: NDArray[np.float32]  # (rows,) at that number of parts
    center: tuple[float, float]


@once_per_scene
def ring_of_teeth(scene: Scene) -> Ring | None:
    """The outermost ring, whose parts look like what carries them and whose gaps do not; None where there is none."""
    found = _search(scene, outermost=True)
    if found is None:
        return None
    ring, radius = found
    rows = _radii(radius)
    inside = (rows > ring.inner_px) & (rows < ring.outer_px)
    below = (rows < ring.inner_px) & (rows > ring.inner_px - 0.08 * radius)
    if not below.any():
        return None
    looks = np.stack([_unrolled(np.ascontiguousarray(scene.lab[..., one]), ring.center_xy, radius) for one in range(3)], axis=2)
    away = np.linalg.norm(looks[inside] - looks[below].mean(axis=0), axis=2).mean(axis=0)
    return ring._replace(phase_rad=_phase(-away, ring.parts))


@once_per_scene
def ring_of_balls(scene: Scene) -> Ring | None:
    """The clearest ring; its parts have more lights and darks of their own than what lies between; None without one."""
    found = _search(scene, outermost=False)
    if found is None:
        return None
    ring, radius = found
    rows = _radii(radius)
    looks = _unrolled(scene.luma, ring.center_xy, radius)[(rows > ring.inner_px) & (rows < ring.outer_px)]
    return ring._replace(phase_rad=_phase(looks.std(axis=0), ring.parts))


def _search(scene: Scene, *, outermost: bool) -> tuple[Ring, float] | None:
    """The ring without its phase, and the object's radius."""
    if scene.fills_frame or scene.alike_pieces is not None:
        return None
    contours, _ = cv2.findContours(scene.foreground.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    body = max(contours, key=cv2.contourArea)
    area, moments = cv2.contourArea(body), cv2.moments(body)
    if area < 400.0:
        return None
    radius = float(np.sqrt(area / np.pi))
    middle = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    luma = np.asarray(cv2.GaussianBlur(scene.luma, (0, 0), 1.0), np.float32)
    best = _ring_at(luma, middle, radius, outermost=outermost)
    for step in _MOVES:
        tries = [
            (best.center[0] + dx * step * radius, best.center[1] + dy * step * radius)
            for dx in (-2, -1, 0, 1, 2)
            for dy in (-2, -1, 0, 1, 2)
        ]
        best = max([best, *(_ring_at(luma, one, radius, outermost=outermost) for one in tries)], key=lambda found: found.score)
    if best.score <= 0.0:
        return None
    strong = best.power > _EDGE * float(best.power.max())
    rows = _radii(radius)
    first = last = best.row
    while first > 0 and strong[first - 1]:
        first -= 1
    while last + 1 < len(strong) and strong[last + 1]:
        last += 1
    return Ring(best.center, best.parts, 0.0, float(rows[first]), float(rows[last])), radius


def _ring_at(luma: Field, center: tuple[float, float], radius: float, *, outermost: bool) -> _Found:
    """The best ring around a middle; of score 0 where there is none."""
    unrolled = _unrolled(luma, center, radius)
    power = np.square(np.abs(np.fft.rfft(unrolled - unrolled.mean(axis=1, keepdims=True), axis=1))).astype(np.float32)
    power *= np.float32(2.0 / _TURN**2)
    power[:, :_SLOW] = 0.0
    power = cv2.blur(power, (1, _BAND), borderType=cv2.BORDER_REPLICATE)
    total = power.sum(axis=1)
    least = _FEWEST_TEETH if outermost else _FEWEST
    counts = np.arange(least, _MOST + 1)
    at_counts = power[:, counts] + power[:, np.minimum(2 * counts, _TURN // 2)] + power[:, np.minimum(3 * counts, _TURN // 2)]
    share = at_counts / np.maximum(total, 1e-9)[:, None]
    valid = (share > _SHARE) & (at_counts > _LEAST**2)
    if outermost:
        valid &= (_radii(radius) > _OUTER * radius)[:, None]
    scores = np.where(valid, share * np.sqrt(at_counts), 0.0)
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    return _Found(float(scores[row, column]), int(counts[column]), int(row), at_counts[:, column], center)


def _radii(radius: float) -> NDArray[np.float64]:
    return np.linspace(*_REACH, _RADII) * radius


def _unrolled(values: Field, center: tuple[float, float], radius: float) -> Field:
    """(radii, angles) around a middle."""
    angles = np.arange(_TURN) * (2.0 * np.pi / _TURN)
    map_x = center[0] + _radii(radius)[:, None] * np.cos(angles)
    map_y = center[1] + _radii(radius)[:, None] * np.sin(angles)
    return sample_linear(values, map_x.astype(np.float32), map_y.astype(np.float32))


def _phase(values: NDArray[np.floating], count: int) -> float:
    """Angle at which what repeats `count` times a turn is largest."""
    first = np.fft.rfft(values)[count]
    return float(-np.angle(first) / count)
