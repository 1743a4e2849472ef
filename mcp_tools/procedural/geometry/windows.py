"""Boxes of the photo around other boxes and around places."""

import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.procedural.edit import Window

__all__ = ["around", "around_point"]


def around(window: Window, margin_px: float, photo_shape: tuple[int, int]) -> Window:
    """`window` widened on all sides, clipped to the photo."""
    m = int(np.ceil(margin_px))
    return Window(
        max(window.y0 - m, 0), max(window.x0 - m, 0), min(window.y1 + m, photo_shape[0]), min(window.x1 + m, photo_shape[1])
    )


def around_point(xy: NDArray[np.floating], reach_px: float, photo_shape: tuple[int, int]) -> Window:
    """All pixels within `reach_px` of a place, as a box clipped to the photo."""
    x, y = int(xy[0]), int(xy[1])
    return around(Window(y, x, y + 1, x + 1), reach_px, photo_shape)
