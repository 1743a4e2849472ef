"""The tip of a corner that has broken off.

A corner is struck from two sides and holds by one: what comes off is the tip, along one wandering face across it, and what
lies behind the object is seen there.
"""

import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid
from anomalyagent.mcp_tools.procedural.parts.corners import Corner

__all__ = ["tip_of"]

_TILT = 0.22  # radians: how far the break stands off the square across the corner


def tip_of(window: Window, corner: Corner, area_px: float, rng: np.random.Generator) -> Field:
    """(h, w) pixels inside the border of the piece that breaks off, < 0 outside: one uneven face across the corner.

    Args:
        area_px: what is gone of the object.
    """
    deep = corner.depth_px(area_px)
    half = deep * float(np.tan(corner.half_rad))
    tilt = float(np.clip(rng.normal(0.0, _TILT), -2.0 * _TILT, 2.0 * _TILT))
    x, y = pixel_grid(window)
    cos, sin = np.float32(np.cos(corner.inward_rad + tilt)), np.float32(np.sin(corner.inward_rad + tilt))
    middle = corner.inside(deep)
    along = (x - middle[0]) * cos + (y - middle[1]) * sin
    across = (y - middle[1]) * cos - (x - middle[0]) * sin
    bow = float(rng.uniform(-0.1, 0.3)) * half * (1.0 - np.minimum((across / half) ** 2, 1.0))
    bow -= 1.2 * np.maximum(np.abs(across) - half, 0.0)  # it leaves by the nearest way, not along a side
    ragged = np.float32(0.09 * half) * fractal_noise(window.shape, max(0.8 * half, 3.0), rng, octaves=5, gain=0.55)
    aside = np.abs(across) - 1.8 * half - 4.0  # what else lies beyond the line is no part of the corner
    field = np.minimum(bow + ragged - along, -aside)
    return np.asarray(field, np.float32)
