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
from anomalyagent.mcp_tools.procedural.shapes import blob_distance, smooth_step
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
        roughness=0.35,
    )
    fade = float(rng.uniform(0.15, 0.35)) * size / np.sqrt(max(spec.elongation, 1.0))
    density = smooth_step((distance + 0.5 * fade) / max(fade, 1.5))
    direction = site.angle_rad + float(rng.normal(0.0, 0.08))
    fine_px = max(1.1, 0.012 * size)
    reach_px = max(6.0, float(rng.uniform(0.2, 0.5)) * size)
    fine = grain_noise(shape, reach_px, fine_px, direction, rng, octaves=1)
    crossed = grain_noise(shape, 0.6 * reach_px, fine_px, direction + float(rng.normal(0.0, 0.5)), rng, octaves=1)
    deep = grain_noise(shape, 1.6 * reach_px, 1.5 * fine_px, direction + float(rng.normal(0.0, 0.05)), rng, octaves=1)
    # A scratch exists where its noise exceeds a level that falls with the density: towards the border they become rarer.
    level = 1.3 - 1.5 * density
    lines = np.clip(fine - level, 0.0, 1.2) + 0.5 * np.clip(crossed - level - 0.4, 0.0, 1.2) + 1.2 * np.clip(deep - level - 1.0, 0.0, 1.0)
    worn = np.where(density > 0.0, lines * (0.3 + 0.7 * density) + float(rng.uniform(0.1, 0.35)) * density, 0.0).astype(np.float32)
    tone = bare_tone(measure_surroundings(site), spec, rng, chance_lighter=0.65)
    return Edit(
        window=site.window,
        support=worn > 0.04,
        height=(-0.25 * lines * density).astype(np.float32),
        log_reflectance=0.6 * worn[..., None] * tone,
        roughness=0.7 * density,
    )
