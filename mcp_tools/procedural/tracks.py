"""Tracks of a bare circuit board: where there is copper and where laminate, and along which lines the tracks run.

Both have an even tone of their own, under a solder mask too, so most edges of the photo lead from the one to the other: the
colours are looked at along the main axis of such steps. Copper is the brighter of the two.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["Tracks", "find_tracks"]

_LOOKED_AT = 200_000  # pixels from which the two tones are learnt
_APART = 0.75  # least share of the tones' variance that lies between the two classes
_SHARE = (0.02, 0.95)  # of the photo that copper covers
_THIN = 0.06  # of the shorter side: wider strips are no tracks
_LEAST_HALF_PX = 1.0
_FEWEST = 40  # pixels of middle lines
_LIKE_TRACKS = 1.7  # times the median half width: wider places are pads and planes
_CLEAR = 3.0  # median half widths: so far from wide places a track is counted as one
_HOLE = 40.0  # squared half widths of tracks: the largest area of a drilled hole
_ROUND = (0.55, 1.8)  # least share of its box that a hole covers, and the longest sides of the box


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
    """The tracks of the board that a photo shows; None when it shows no two clear tones, or no strips of the brighter one."""
    copper = _brighter_tone(scene)
    if copper is None or not _SHARE[0] < copper.mean() < _SHARE[1]:
        return None
    inside, outside = _depth(copper), _depth(~copper)
    ridge = _ridge(inside)
    if np.count_nonzero(ridge) < _FEWEST:
        return None
    typical = float(np.median(inside[ridge]))
    holes, hole_xy = _holes(~copper, typical)
    solid = _depth(copper | (holes > 0))  # a pad with its hole is one wide place
    wide = solid > _LIKE_TRACKS * typical
    beside = _depth(~wide) if wide.any() else np.full(copper.shape, np.inf, np.float32)
    ys, xs = np.nonzero(_ridge(solid) & copper & ~wide & (beside > _CLEAR * typical))
    if len(xs) < _FEWEST:
        return None
    middle = np.stack([xs, ys], axis=1).astype(np.float32)
    return Tracks(copper, inside, outside, middle, solid[ys, xs], typical, holes, hole_xy)


def _depth(side: Mask) -> Field:
    return np.asarray(cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _ridge(depth: Field) -> Mask:
    """(H, W) bool, the middle lines of what is thin."""
    highest = depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8)) - 0.3
    return highest & (depth >= _LEAST_HALF_PX) & (depth <= _THIN * min(depth.shape))


def _brighter_tone(scene: Scene) -> Mask | None:
    """(H, W) bool; None when the photo has no two tones."""
    lab = cv2.GaussianBlur(scene.lab, (0, 0), 0.7)
    step = max(1, int(np.sqrt(lab.shape[0] * lab.shape[1] / _LOOKED_AT)))
    steps = np.concatenate([np.diff(lab, axis=axis)[::step, ::step].reshape(-1, 3) for axis in (0, 1)])
    _, vectors = np.linalg.eigh(steps.T.astype(np.float64) @ steps)
    axis = vectors[:, -1].astype(np.float32)
    tone = lab @ (axis * np.sign(axis[0] if axis[0] else 1.0))
    seen = tone[::step, ::step].ravel()
    low, high = (float(value) for value in np.percentile(seen, [0.5, 99.5]))
    if high - low < 1.0:
        return None
    coded = np.clip((tone - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
    seen = coded[::step, ::step].ravel()
    between, _ = cv2.threshold(seen, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    upper = seen > between
    share = float(upper.mean())
    if not 0.0 < share < 1.0:
        return None
    gap = float(seen[upper].mean()) - float(seen[~upper].mean())
    apart = share * (1.0 - share) * gap**2 / max(float(seen.astype(np.float64).var()), 1e-9)
    return coded > between if apart >= _APART else None


def _holes(laminate: Mask, typical_px: float) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Round places without copper that copper surrounds."""
    count, labels, stats, middles = cv2.connectedComponentsWithStats(laminate.astype(np.uint8), connectivity=4)
    x, y, width, height, area = (stats[:, column].astype(np.float64) for column in range(5))
    whole = (x > 0) & (y > 0) & (x + width < laminate.shape[1]) & (y + height < laminate.shape[0])
    even = np.maximum(width, height) <= _ROUND[1] * np.minimum(width, height)
    fitting = whole & even & (area >= _ROUND[0] * width * height) & (area >= 6) & (area <= _HOLE * typical_px**2)
    fitting[0] = False
    renumbered = (np.cumsum(fitting) * fitting).astype(np.int32)
    assert len(renumbered) == count
    return renumbered[np.asarray(labels, np.int32)], middles[fitting].astype(np.float32)
