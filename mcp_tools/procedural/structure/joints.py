"""Joints between bricks, tiles and stones: narrow light or dark bands that run through the photo in a net or side by side."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["Joints", "find_joints"]

_SIZE_PX = 384  # longest side of the copy that is searched
_WIDEST = (9, 15, 25)  # pixels of that copy
_STANDS_OUT = (6.0, 0.45)  # L of CIELAB, and share of what the clearest bands stand out by
_CLEAREST = 98.0  # percentile
_RUNS_ON = 0.6  # of the photo's width or height that a net or a band runs over
_MOST_OF = 0.55  # of what stands out that belongs to such nets and bands
_SHARE = (0.01, 0.4)  # of the photo


@dataclass(frozen=True)
class Joints:
    """Joints of a photo.

    Attributes:
        depth: (H, W) float32, pixels from the border of the joint that a pixel lies in, negative beside joints.
        middle_xy: (n, 2) float32, points of their middle lines, photo pixels.
    """

    depth: Field
    middle_xy: NDArray[np.float32]


@once_per_scene
def find_joints(scene: Scene) -> Joints | None:
    """The joints of a surface; None where no narrow bands run through the photo."""
    if not scene.fills_frame:
        return None
    lightness = reduced(np.ascontiguousarray(scene.lab[..., 0]), _SIZE_PX)
    lightness = np.asarray(cv2.GaussianBlur(lightness, (0, 0), 1.0), np.float32)
    best: Mask | None = None
    for size in _WIDEST:
        brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
            bands = _running(np.asarray(cv2.morphologyEx(lightness, kind, brush), np.float32))
            if bands is not None and (best is None or np.count_nonzero(bands) > 1.3 * np.count_nonzero(best)):
                best = bands
    if best is None:
        return None
    height, width = scene.photo.shape
    soft = cv2.resize(best.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    inside, outside = (cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5) for part in (soft > 0.5, soft <= 0.5))
    depth = np.asarray(inside - outside, np.float32)
    ridge = (depth > 1.0) & (depth >= cv2.dilate(depth, np.ones((5, 5), np.uint8)) - 0.01)
    ys, xs = np.nonzero(ridge)
    return Joints(depth, np.stack([xs, ys], 1).astype(np.float32)) if len(xs) else None


def _running(stands_out: Field) -> Mask | None:
    """(h, w) bool: bands that run on through the picture; None where what stands out does not."""
    clear = max(_STANDS_OUT[0], _STANDS_OUT[1] * float(np.percentile(stands_out, _CLEAREST)))
    found = (stands_out > clear).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    height, width = found.shape
    runs = (stats[:, cv2.CC_STAT_WIDTH] > _RUNS_ON * width) | (stats[:, cv2.CC_STAT_HEIGHT] > _RUNS_ON * height)
    runs[0] = False
    bands = np.asarray(runs[labels], np.bool_)
    share = float(bands.mean())
    return bands if _SHARE[0] < share < _SHARE[1] and np.count_nonzero(bands) > _MOST_OF * int(found.sum()) else None
