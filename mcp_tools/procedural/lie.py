"""How something lies on an object: how deep below the outline, and which way that is."""

from typing import NamedTuple

import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Field

__all__ = ["Lie", "lie_at"]

_MIDDLE = 0.9  # so deep that no outline is nearest
_MIN_SLOPE = 0.3  # of the depth, 1 where one outline is near


class Lie(NamedTuple):
    """A place on an object.

    Attributes:
        depth: below the outline, 0..1 of the deepest point.
        outward_rad: direction to the outline, image coordinates; None in the middle, where all directions are alike.
    """

    depth: float
    outward_rad: float | None


def lie_at(depth_px: Field, x: float, y: float) -> Lie:
    """The lie of a point of an object.

    Args:
        depth_px: (H, W) distance of each of its pixels to the outline, 0 outside.
        x, y: the point, in pixels.
    """
    deepest = max(float(depth_px.max()), 1.0)
    reach = max(2, round(0.1 * deepest))
    row, column = min(round(y), len(depth_px) - 1), min(round(x), depth_px.shape[1] - 1)
    near = depth_px[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
    depth = float(depth_px[row, column]) / deepest
    if min(near.shape) < 3 or depth > _MIDDLE:
        return Lie(depth, None)
    slope_y, slope_x = (float(slope.mean()) for slope in np.gradient(near))
    return Lie(depth, float(np.arctan2(-slope_y, -slope_x)) if np.hypot(slope_x, slope_y) > _MIN_SLOPE else None)
