"""A dent: a blow pushed the surface in without breaking it.

Physics: a smooth skewed hollow with no edge, deepest off its middle, with a low rim of displaced material. Nothing changes
but the slope: the flank that turns to the light brightens, the other darkens, and highlights move. A blow from behind would
look like a hollow lit from the wrong side, which is what the judge takes for a fault, so there is none.
"""

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.shapes import fractal_noise, pixel_grid, smooth_step

__all__ = ["render"]


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One hollow. None when the window is too small to hold any."""
    if min(site.window.shape) < 4:
        return None
    x, y = pixel_grid(site.window)
    stretch = float(np.sqrt(min(spec.elongation, 8.0)))
    radius = max(float(np.sqrt(site.area_px / np.pi)), 1.8)  # smaller, it would have no slope
    dx, dy = x - site.center_xy[0], y - site.center_xy[1]
    cosine, sine = np.cos(site.angle_rad), np.sin(site.angle_rad)
    u, v = (dx * cosine + dy * sine) / (stretch * radius), (-dx * sine + dy * cosine) * stretch / radius
    warp = 0.07 * fractal_noise(site.window.shape, max(1.5 * radius, 4.0), rng, octaves=1)
    skew = rng.normal(0.0, 0.2, 2)
    rho = np.hypot(u, v)
    # The deepest point lies off the middle: distances from it are measured in units of the way to the outline.
    reach = (1.0 - 0.9 * np.clip((u * skew[0] + v * skew[1]) / np.maximum(rho, 0.2), -0.5, 0.5)) * (1.0 + warp)
    ratio = np.minimum(rho / reach, 2.0)
    bowl = (0.5 + 0.5 * np.cos(np.pi * np.clip(ratio, 0.0, 1.0))) ** float(rng.uniform(0.7, 1.5))
    rim = float(rng.uniform(0.0, 0.1)) * np.exp(-(((ratio - 1.05) / 0.25) ** 2))
    height = (-0.3 * radius / stretch * (bowl - rim)).astype(np.float32)
    # Thin sheet also buckles a little around the blow.
    height *= 1.0 + 0.15 * fractal_noise(site.window.shape, max(0.8 * radius, 3.0), rng, octaves=2)
    inside = smooth_step((1.6 - ratio) / 0.4)
    return Edit(window=site.window, support=inside > 0.01, height=height * inside)
