"""Where a piece broke off the edge of a part: what lies behind it shows."""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.judge.pair import CROSS, Pair, dilate, erode

__all__ = ["band", "bared_ground"]

_LEAST_BACKDROP_PX = 40
_BACKDROP_PX = 6.0  # over so far the look of the backdrop is taken from beside the object
_SMOOTHER = 0.6  # of the grain of what changed, that a backdrop has at the most whose texture could be told from it
_USUAL, _LEAST_UNLIKE = 95.0, 3.0
"""Percentile of the backdrop's own differences from that look, and CIELAB units, at the least: no more differs bared ground."""


def bared_ground(pair: Pair) -> Mask | None:
    """(h, w) bool: where the object was and now what lies behind it shows, as it looks beside it; None where it does not.

    What lies behind is smoother than the object was, in the light or in its shade, and hangs together with the backdrop: a
    smooth spot in the middle of a part is no hole in it.
    """
    beside, inside = ~dilate(pair.foreground, 2), erode(pair.mask, 2)
    if not beside.any() or not inside.any():
        return None
    grain = band(pair.before[..., 0]) ** 2
    local = np.sqrt(cv2.GaussianBlur(grain, (0, 0), 2.0))
    smooth = ~dilate(pair.mask, 1) & (local < _SMOOTHER * float(np.sqrt(grain[inside].mean())))
    smooth = np.isin(*_parts_with(smooth, beside))
    if np.count_nonzero(smooth) < _LEAST_BACKDROP_PX:
        return None
    share = cv2.GaussianBlur(smooth.astype(np.float32), (0, 0), _BACKDROP_PX)[..., None]
    look = cv2.GaussianBlur(pair.before * smooth[..., None], (0, 0), _BACKDROP_PX) / np.maximum(share, 1e-6)
    usual = float(np.percentile(np.linalg.norm(pair.before - look, axis=2)[smooth], _USUAL))
    away = np.linalg.norm(cv2.GaussianBlur(pair.after, (0, 0), 1.0) - look, axis=2)
    like = pair.mask & (share[..., 0] > 1e-4) & (away < max(usual, _LEAST_UNLIKE))
    bared = like & np.isin(*_parts_with(like | dilate(smooth, 3), smooth))
    bared = cv2.morphologyEx(bared.astype(np.uint8), cv2.MORPH_CLOSE, CROSS, iterations=2) > 0
    return np.asarray(bared & pair.mask, np.bool_) if bared.any() else None


def _parts_with(area: Mask, other: Mask) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(h, w) labels of the parts of an area, 0 outside it, and which of them meet another area."""
    labels = np.asarray(cv2.connectedComponents(area.astype(np.uint8))[1], np.int32)
    met = np.unique(labels[other])
    return labels, met[met > 0]


def band(lightness: Field) -> Field:
    """Texture of two to six pixels, (H, W)."""
    return np.asarray(cv2.GaussianBlur(lightness, (0, 0), 0.7) - cv2.GaussianBlur(lightness, (0, 0), 3.0), np.float32)
