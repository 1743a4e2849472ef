"""Abrasion: rubbing against something hard wore a patch of the surface.

Physics: countless fine scratches, mostly in the direction of the movement, with a few longer and deeper ones; together they
roughen the patch, so that gloss and colour are washed out. The patch has no outline: the density of scratches falls off,
fastest across the movement.
"""

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.material import bare_tone
from anomalyagent.mcp_tools.procedural.palette import measure_surroundings
from anomalyagent.mcp_tools.procedural.shapes import blob_distance, fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.surface_fields import grain_noise

__all__ = ["render"]


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One worn patch. None when there are too few pixels to show any texture."""
    if min(site.window.shape) < 8:
        return None
    shape = site.window.shape
    size = float(np.sqrt(site.area_px))
    distance = blob_distance(
        site.window,
        site.center_xy,
        site.area_px,
        rng,
        elongation=max(spec.elongation, 1.2),
        angle_rad=site.angle_rad,
        lobes=0.35,
        roughness=0.2,
    )
    half_width = size / np.sqrt(np.pi * max(spec.elongation, 1.2))
    fade = max(float(rng.uniform(0.5, 1.0)) * half_width, 2.0)
    density = smooth_step((distance + 0.35 * fade) / fade)
    direction = site.angle_rad + float(rng.normal(0.0, 0.1))
    fine_px = max(1.0, 0.006 * size)
    long_px = max(8.0, float(rng.uniform(0.35, 0.9)) * size * np.sqrt(spec.elongation))
    # A scratch exists where its noise exceeds a level that falls with the density: towards the border they become rarer.
    lines = np.zeros(shape, np.float32)
    for weight, stretch, width, turn, rarity in (
        (1.0, 1.0, 1.0, 0.03, 0.0),
        (0.7, 0.6, 1.0, 0.25, 0.5),
        (1.3, 1.4, 1.8, 0.05, 0.9),
    ):
        noise = grain_noise(shape, stretch * long_px, width * fine_px, direction + float(rng.normal(0.0, turn)), rng, octaves=1)
        lines += np.float32(weight) * np.clip(noise - (1.7 + rarity - 1.5 * density), 0.0, 1.0)
    haze = float(rng.uniform(0.05, 0.3)) * density * (1.0 + 0.4 * fractal_noise(shape, max(0.5 * size, 4.0), rng, octaves=3))
    worn = np.where(density > 0.0, lines + np.maximum(haze, 0.0), 0.0).astype(np.float32)
    tone = bare_tone(measure_surroundings(site), spec, rng, chance_lighter=0.85)
    return Edit(
        window=site.window,
        support=worn > 0.04,
        log_reflectance=0.7 * worn[..., None] * tone,
        roughness=0.7 * density,
    )
