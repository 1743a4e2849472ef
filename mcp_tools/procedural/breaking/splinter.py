"""What comes out of wood: splinters. It parts along its fibres, so the place is long and narrow, its sides are straight, its
ends are torn at another length in each strand, and its floor is fresh, pale and ridged along the grain."""

from typing import NamedTuple

import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import grain_noise

__all__ = ["LEAST_SLENDER", "Splinters", "splinter_outline", "splintered_floor"]

LEAST_SLENDER = 3.5
"""Length by width of the shortest place from which splinters come."""

_STRAND = 0.16  # width of a strand, of half the width of the place
_TORN = 0.4  # how much longer or shorter than its neighbours a strand tears, of half the length


class Splinters(NamedTuple):
    """(h, w) each: height of the floor below the face in pixels, and its fine fibres, about -2..2."""

    height: Field
    fibres: Field


def splinter_outline(site: Site, elongation: float, rng: np.random.Generator) -> Field:
    """(h, w) about the distance in pixels to the border of the torn place, positive inside; its long axis is the site's."""
    half_long, half_wide = _halves(site, elongation)
    along, across = _axes(site, half_wide, rng)
    strands = max(2.0 * half_wide / max(_STRAND * half_wide, 1.2), 4.0)
    at = np.clip((across / half_wide + 1.2) / 2.4, 0.0, 1.0)
    round_off = np.sqrt(np.clip(1.0 - (across / half_wide) ** 2, 0.0, 1.0))
    ends: list[Field] = []
    for _ in range(2):
        torn = np.repeat(rng.normal(0.0, 1.0, int(strands) + 1), 8)
        torn = np.convolve(torn, np.full(3, 1 / 3), "same") + 0.6 * np.interp(
            np.linspace(0, 1, len(torn)), np.linspace(0, 1, 5), rng.normal(0.0, 1.0, 5)
        )
        reach = half_long * np.clip(round_off * (1.0 + _TORN * np.interp(at, np.linspace(0, 1, len(torn)), torn)), 0.0, 1.6)
        ends.append(np.asarray(reach, np.float32))
    inside = np.minimum(ends[0] - along, ends[1] + along)
    return np.minimum(half_wide - np.abs(across), 0.5 * inside).astype(np.float32)


def splintered_floor(site: Site, distance: Field, elongation: float, rng: np.random.Generator) -> Splinters:
    """The floor of a torn place."""
    half_long, half_wide = _halves(site, elongation)
    deep = half_wide * float(rng.uniform(0.25, 0.45))
    along, _ = _axes(site, 0.0, rng)
    strand = max(2.0 * _STRAND * half_wide, 1.8)
    ridges = grain_noise(site.window.shape, 1.6 * half_long, strand, site.angle_rad, rng, octaves=3)
    fibres = grain_noise(site.window.shape, max(0.8 * half_long, 4.0), 1.3, site.angle_rad, rng, octaves=2)
    thins = np.clip(1.0 - (np.abs(along) / (1.3 * half_long)) ** 2, 0.15, 1.0)
    wall = smooth_step((distance / max(0.25 * half_wide, 1.2)).astype(np.float32))
    height = -deep * wall * np.maximum(thins + 0.4 * ridges, 0.05)
    return Splinters(height.astype(np.float32), fibres)


def _halves(site: Site, elongation: float) -> tuple[float, float]:
    """Half of the length and of the width, pixels, of an ellipse of the site's area."""
    slender = max(elongation, LEAST_SLENDER)
    half_wide = max(float(np.sqrt(site.area_px / (np.pi * slender))), 1.5)
    return slender * half_wide, half_wide


def _axes(site: Site, wavy_px: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """(h, w) pixels along the fibres and across them from the site's centre; strands are a little wavy."""
    x, y = pixel_grid(site.window)
    dx, dy = x - site.center_xy[0], y - site.center_xy[1]
    cos, sin = np.float32(np.cos(site.angle_rad)), np.float32(np.sin(site.angle_rad))
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    if wavy_px > 0.0:
        across = across + 0.12 * wavy_px * fractal_noise(site.window.shape, max(3.0 * wavy_px, 4.0), rng, octaves=2)
    return along.astype(np.float32), across.astype(np.float32)
