"""Shape of a break in the wall around a hollow: a stretch of the wall is gone, from the rim of the hollow to its outer edge.

A crack that starts at the rim runs through the wall and then along it, so that a break is about as wide as the wall is
thick, small ones of a light knock aside, and grows in length: its outer border follows the rim. Its ends are
cut obliquely and ragged, or run out to a point. Coordinates: `along` the rim (angle around the middle of the hollow times the
radius of the wall's middle) and `outward` from the rim, photo pixels.
"""

from typing import NamedTuple

import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid
from anomalyagent.mcp_tools.procedural.structure.rims import Hollow, Seat

__all__ = ["WallBreak", "break_wall"]

_DEEPER = 0.12  # chance that a break goes on beyond the wall
_LONGEST = 0.9  # of the way around


class WallBreak(NamedTuple):
    """A break on a window of its own.

    Attributes:
        window: box that holds it.
        distance: (h, w) about the signed distance to its outline in pixels, positive inside; it goes on into the hollow.
        width_px: from the rim to its outer border.
    """

    window: Window
    distance: Field
    width_px: float


def break_wall(site: Site, seat: Seat, hollow: Hollow, elongation: float, rng: np.random.Generator) -> WallBreak:
    """A break of the site's area, around the seat."""
    middle_x, middle_y = hollow.middle_xy
    width = min(
        float(np.sqrt(site.area_px / elongation)) * float(rng.uniform(1.0, 1.5)),
        hollow.wall_px * float(rng.uniform(0.85, 1.06)),
    )
    if rng.random() < _DEEPER:
        width *= float(rng.uniform(1.1, 1.7))
    radius = hollow.radius_px + 0.5 * width
    round_px = 2.0 * np.pi * radius
    width = max(width, site.area_px / (_LONGEST * round_px))  # what does not fit around the hollow goes deeper
    half = min(0.5 * site.area_px / width, 0.5 * _LONGEST * round_px)
    start = float(np.arctan2(seat.center_xy[1] - middle_y, seat.center_xy[0] - middle_x))
    start += float(rng.normal(0.0, 0.3)) * half / radius
    skew = rng.normal(0.0, 0.6, 2)
    window = _window(site, hollow, (middle_x, middle_y), start, (half + 1.2 * width) / radius, 1.5 * width + 6.0)
    x, y = pixel_grid(window)
    turn = (np.arctan2(y - middle_y, x - middle_x) - start + np.pi) % (2.0 * np.pi) - np.pi
    along = (turn * radius).astype(np.float32)
    outward = -hollow.depth(window)
    ragged = width * fractal_noise(window.shape, max(0.8 * width, 3.0), rng, octaves=4, gain=0.6)
    slant = np.where(along > 0, skew[0], skew[1]).astype(np.float32) * (outward - 0.5 * width)
    end = np.abs(along) + slant + float(rng.uniform(0.04, 0.18)) * ragged
    border = width * (1.0 + float(rng.uniform(0.0, 0.08)) * fractal_noise(window.shape, max(1.5 * width, 4.0), rng, octaves=3))
    border += float(rng.uniform(0.0, 0.05)) * ragged
    runs_out = float(rng.choice([1.5, 3.0, 12.0], p=[0.3, 0.3, 0.4]))  # from a crescent to a stretch with blunt ends
    wanted = min(site.area_px, 0.97 * _LONGEST * round_px * width)
    distance = np.zeros(window.shape, np.float32)
    for _ in range(3):
        taper = 1.0 - np.clip(end / max(half, 1.0), 0.0, 1.0) ** runs_out
        distance = np.minimum(border * taper - outward, half - end).astype(np.float32)
        found = int(np.count_nonzero((distance > 0) & (outward > 0)))
        if abs(found - wanted) < 0.05 * wanted:
            break
        half = float(np.clip(half * np.clip(wanted / max(found, 1), 0.5, 2.0), 1.0, 0.5 * _LONGEST * round_px))
    return WallBreak(window, distance, width)


def _window(
    site: Site, hollow: Hollow, middle_xy: tuple[float, float], start: float, half_turn: float, reach_px: float
) -> Window:
    """Box of all pixels near enough to the rim, within `half_turn` to either side of the start."""
    height, width = site.scene.photo.shape
    rows, columns = np.nonzero(hollow.away <= reach_px * hollow.scale)
    x, y = (columns + 0.5) / hollow.scale, (rows + 0.5) / hollow.scale
    turn = (np.arctan2(y - middle_xy[1], x - middle_xy[0]) - start + np.pi) % (2.0 * np.pi) - np.pi
    near = np.abs(turn) <= half_turn
    if not near.any():
        return site.window
    room = 2.0 / hollow.scale + 4.0
    x, y = x[near], y[near]
    return Window(
        max(int(y.min() - room), 0),
        max(int(x.min() - room), 0),
        min(int(y.max() + room) + 1, height),
        min(int(x.max() + room) + 1, width),
    )
