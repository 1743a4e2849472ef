"""Whether a photo shows a part against the light: nearly black all over, before a bright ground.

Nothing that lies on such a part, or changes its surface, can be seen; only what changes its outline can.
"""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Lab, Mask

__all__ = ["is_silhouette"]

_BLACK, _DARKEST_LIT = 12.0, 16.0  # CIELAB L: of its middle, and of its brightest twentieth, away from the blurred outline
_BRIGHT = 70.0  # CIELAB L of the ground
_EVEN = 3.0  # CIELAB L by which the middle half of a silhouette differs: a black part in the light shows more
_OUTLINE_PX = 7  # so wide the outline is left out


def is_silhouette(lab: Lab, foreground: Mask) -> bool:
    """True where the object is black and even and the ground is bright; never of a surface that fills the frame.

    Args:
        lab, foreground: (H, W, 3) CIELAB of a photo, and (H, W) bool, the object.
    """
    if foreground.all() or not foreground.any():
        return False
    inside = cv2.erode(foreground.astype(np.uint8), np.ones((_OUTLINE_PX, _OUTLINE_PX), np.uint8)) > 0
    beside = cv2.dilate(foreground.astype(np.uint8), np.ones((_OUTLINE_PX, _OUTLINE_PX), np.uint8)) == 0
    if not inside.any() or not beside.any():
        return False
    low, middle, high, top = np.percentile(lab[..., 0][inside], [25, 50, 75, 95])
    dark = middle < _BLACK and top < _DARKEST_LIT and high - low < _EVEN
    return bool(dark and float(np.median(lab[..., 0][beside])) > _BRIGHT)
