"""Tracks of a bare circuit board: where there is copper and where laminate, and along which lines the tracks run.

Both have an even tone of their own, under a solder mask too, so most edges of the photo lead from the one to the other: the
colours are looked at along the main axis of such steps. Which of the two is copper `copper_side.py` tells.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.color import axis_of_steps
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene
from anomalyagent.mcp_tools.procedural.structure.copper_side import (
    FEWEST,
    Spot,
    copper_of,
    depth_of,
    middle_lines,
    round_spots,
    typical_half,
)

__all__ = ["Tracks", "find_tracks"]

_LOOKED_AT = 200_000  # pixels from which the two tones are learnt
_APART = 0.75  # least share of the tones' variance that lies between the two classes
_SHARE = (0.02, 0.95)  # of the photo that copper covers
_LIKE_TRACKS = 1.7  # times the median half width: wider places are pads and planes
_CLEAR = 3.0  # median half widths: so far from wide places a track is counted as one
_ROWS = 16  # of the photo that are looked at together


class Tracks(NamedTuple):
    """The copper of a board.

    Attributes:
        copper: (H, W) bool.
        inside_px, outside_px: (H, W) float32, distance to the nearest laminate and to the nearest copper; 0 on the other side.
        middle_xy: (n, 2) float32, pixels (x, y) on the middle lines of tracks.
        half_px: (n,) float32, half the width of the track there.
        typical_px: the median of it.
        holes: (H, W) int32, 0 or the index of a drilled hole.
        hole_xy: (m, 2) float32, their middles in the order of the index.
    """

    copper: Mask
    inside_px: Field
    outside_px: Field
    middle_xy: NDArray[np.float32]
    half_px: NDArray[np.float32]
    typical_px: float
    holes: NDArray[np.int32]
    hole_xy: NDArray[np.float32]

    def run_at(self, index: int) -> NDArray[np.float32]:
        """Unit vector (x, y) along the track at a point of its middle line."""
        away = self.middle_xy - self.middle_xy[index]
        near = away[np.square(away).sum(axis=1) <= max(5.0 * float(self.half_px[index]), 4.0) ** 2]
        _, vectors = np.linalg.eigh(near.T @ near)
        return vectors[:, -1].astype(np.float32)


@once_per_scene
def find_tracks(scene: Scene) -> Tracks | None:
    """The tracks of the board that a photo shows; None when it shows no two clear tones, or no strips of copper."""
    brighter = _brighter_tone(scene)
    if brighter is None:
        return None
    copper = copper_of(brighter)
    inside, outside = depth_of(copper), depth_of(~copper)
    typical = typical_half(inside)
    if typical is None or not _SHARE[0] < copper.mean() < _SHARE[1]:
        return None
    holes, hole_xy = _numbered(round_spots(~copper, typical), copper.shape)
    solid = depth_of(copper | (holes > 0))  # a pad with its hole is one wide place
    wide = solid > _LIKE_TRACKS * typical
    beside = depth_of(~wide) if wide.any() else np.full(copper.shape, np.inf, np.float32)
    ys, xs = np.nonzero(middle_lines(solid) & copper & ~wide & (beside > _CLEAR * typical))
    if len(xs) < FEWEST:
        return None
    middle = np.stack([xs, ys], axis=1).astype(np.float32)
    return Tracks(copper, inside, outside, middle, solid[ys, xs], typical, holes, hole_xy)


def _brighter_tone(scene: Scene) -> Mask | None:
    """(H, W) bool; None when the photo has no two tones."""
    lab = cv2.GaussianBlur(scene.lab, (0, 0), 0.7)
    step = max(1, int(np.sqrt(lab.shape[0] * lab.shape[1] / _LOOKED_AT)))
    axis = axis_of_steps(np.asarray(lab, np.float32), step)
    axis *= np.sign(axis[0] if axis[0] else 1.0)
    seen = np.ascontiguousarray(lab[::step, ::step]) @ axis
    low, high = (float(value) for value in np.percentile(seen, [0.5, 99.5]))
    if high - low < 1.0:
        return None
    coded = np.empty(lab.shape[:2], np.uint8)
    for top in range(0, len(lab), _ROWS):  # in the processor's cache
        tone = lab[top : top + _ROWS] @ axis
        coded[top : top + _ROWS] = np.clip((tone - low) * (255.0 / (high - low)), 0, 255)
    seen = coded[::step, ::step].ravel()
    between, _ = cv2.threshold(seen, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    upper = seen > between
    share = float(upper.mean())
    if not 0.0 < share < 1.0:
        return None
    gap = float(seen[upper].mean()) - float(seen[~upper].mean())
    apart = share * (1.0 - share) * gap**2 / max(float(seen.astype(np.float64).var()), 1e-9)
    return coded > between if apart >= _APART else None


def _numbered(spots: list[Spot], shape: tuple[int, ...]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The drilled holes of `Tracks`."""
    holes = np.zeros(shape, np.int32)
    for index, spot in enumerate(spots, 1):
        holes[spot.window.slices][spot.mask] = index
    return holes, np.array([spot.xy for spot in spots], np.float32).reshape(-1, 2)
