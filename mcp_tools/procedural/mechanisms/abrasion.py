"""Abrasion: rubbing against something hard wore a patch of the surface.

Physics: countless scratches, most of them too fine to be told apart, in the direction of the movement or to and fro, with a
few longer and deeper ones; together they roughen the patch, so that gloss and colour are washed out. The patch has no
outline: the density of scratches falls off, fastest across the movement.
"""

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import grain_noise
from anomalyagent.mcp_tools.procedural.light.material import bare_tone
from anomalyagent.mcp_tools.procedural.light.palette import measure_surroundings

__all__ = ["render"]


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One worn patch. None when there are too few pixels to show any texture."""
    if min(site.window.shape) < 8:
        return None
    shape = site.window.shape
    size = float(np.sqrt(site.area_px))
    distance = blob_at(site, rng, elongation=max(spec.elongation, 1.2), lobes=0.35, roughness=0.2)
    half_width = size / np.sqrt(np.pi * max(spec.elongation, 1.2))
    fade = max(float(rng.uniform(0.5, 1.0)) * half_width, 2.0)
    density = smooth_step((distance + 0.35 * fade) / fade)
    direction = site.angle_rad + float(rng.normal(0.0, 0.1))
    # a patch as wide as it is long was rubbed to and fro: its scratches are short and cross one another
    astray = float(np.clip(2.0 - 0.5 * spec.elongation, 0.3, 1.5))
    fine_px = max(1.0, 0.006 * size)
    long_px = max(8.0, float(rng.uniform(0.2, 0.5)) * size * np.sqrt(spec.elongation))
    # A scratch exists where its noise exceeds a level that falls with the density: towards the border they become rarer.
    lines = np.zeros(shape, np.float32)
    for weight, stretch, width, turn, rarity in (
        (0.35, 1.0, 1.2, 0.06, 0.0),
        (0.3, 0.7, 1.2, 0.25, 0.2),
        (0.3, 0.5, 1.2, 0.5, 0.3),
        (0.8, 1.2, 1.6, 0.15, 0.9),
    ):
        turned = direction + float(rng.normal(0.0, turn * astray))
        noise = grain_noise(shape, stretch * long_px, width * fine_px, turned, rng, octaves=1)
        lines += np.float32(weight) * np.clip(noise - (1.7 + rarity - 1.5 * density), 0.0, 1.0)
    # what is too fine to be told apart: most of the change of tone
    powder = 0.25 * grain_noise(shape, 0.3 * long_px, 2.0 * fine_px, direction, rng) * density
    cloud = 1.0 + 0.4 * fractal_noise(shape, max(0.5 * size, 4.0), rng, octaves=3)
    haze = float(rng.uniform(0.35, 0.6)) * density * (cloud + powder)
    worn = np.where(density > 0.0, lines + np.maximum(haze, 0.0), 0.0).astype(np.float32)
    tone = bare_tone(measure_surroundings(site), spec, rng, chance_lighter=0.85)
    return Edit(
        window=site.window,
        support=worn > 0.04,
        log_reflectance=worn[..., None] * tone,
        roughness=0.7 * density,
    )
