"""A hole: pinhole, blowhole, pore, drilled or punched hole.

Physics: a pit whose bottom sees little of the sky and is dark (shallow ones grey); the wall on the side away from the
light faces it and shows as a lit crescent, the near wall casts shadow; metal around it may be drawn up into a burr. What
was printed, woven or ground into the surface ends at its rim. Gas pores are smooth and round or drop-shaped, torn holes
irregular. A hole right through the object shows what lies behind; none goes through a rounded body.
"""

import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.light.material import dark_tone, median_background
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, measure_surroundings
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["dig", "render"]

_THROUGH_CHANCE = 0.2
_FALL = 0.75  # of the light on a face: what a side of a rounded body gets
_DEEPEST = 0.85  # of the lightness around


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One hole. None when the window is too small to hold any."""
    if min(site.window.shape) < 4:
        return None
    lobes, rough = ((0.05, 0.02), (0.16, 0.05), (0.26, 0.1))[int(rng.choice(3, p=[0.35, 0.35, 0.3]))]
    distance = blob_at(
        site, rng, elongation=min(spec.elongation * float(rng.uniform(0.85, 1.2)), 12.0), lobes=lobes, roughness=rough
    )
    return dig(site, spec, rng, distance, may_go_through=rough < 0.1)


def dig(site: Site, spec: DefectSpec, rng: np.random.Generator, distance: Field, *, may_go_through: bool = False) -> Edit:
    """A hole of any outline.

    Args:
        distance: (h, w) signed distance to the outline, pixels, positive inside.
    """
    radius = max(float(distance.max()), 0.8)  # half the width of the hole
    cover = np.clip(distance + 0.5, 0.0, 1.0)
    towards_light = _towards_light(distance, site.scene.light[0])
    near = measure_surroundings(site)
    behind = median_background(site.scene)
    if behind is not None and site.scene.silhouette:  # nothing else of a hole can be seen
        return _through(site, cover, distance, towards_light, behind)
    if behind is not None and _lighter_than_asked(behind, near, spec):
        behind = None
    fits = behind is not None and radius > 2.5 and spec.severity >= 6.0 and may_go_through
    if fits and rng.random() < _THROUGH_CHANCE and not _is_rounded(site.scene):
        assert behind is not None
        return _through(site, cover, distance, towards_light, behind)
    wall = float(rng.uniform(0.25, 0.9)) * radius
    deep = smooth_step((distance + 0.7) / max(wall, 1.2))
    crescent = np.exp(-(((distance - 0.3 * wall) / max(0.3 * wall, 0.7)) ** 2)) * np.clip(-towards_light, 0.0, 1.0)
    shade = np.clip(towards_light, 0.0, 1.0) * np.clip(1.0 - distance / max(wall, 1.0), 0.0, 1.0)
    grain = fractal_noise(site.window.shape, max(1.6, 0.7 * radius), rng, octaves=3, gain=0.7)
    dark = cover * (0.4 + 0.6 * deep) * (1.0 + 0.18 * grain + 0.25 * shade) * (1.0 - float(rng.uniform(0.2, 0.8)) * crescent)
    tone = dark_tone(near, spec, depth=float(rng.uniform(0.4, 0.85)))
    # black is as dark as it gets: what is asked beyond would only blacken the wall too
    deepest = spec.severity * near.jnd > _DEEPEST * float(near.lab[0])
    if deepest:
        dark_as_can_be = dark_tone(near, spec.model_copy(update={"color_shift": None}), depth=_DEEPEST)
        tone = np.minimum(tone, dark_as_can_be)
    burr = float(rng.choice([0.0, 0.0, 0.1, 0.2]))
    rim_px = max(1.2, 0.1 * radius)
    rim = burr * rim_px * np.exp(-(((distance + rim_px) / rim_px) ** 2)) * np.clip(1.0 + 0.6 * grain, 0.0, 2.0)
    return Edit(
        window=site.window,
        support=(dark > 0.02) | (rim > 0.05),
        opened=(cover * (0.8 + 0.2 * deep)).astype(np.float32),
        height=rim.astype(np.float32) if burr else None,
        log_reflectance=(np.clip(dark, 0.0, 1.4)[..., None] * tone).astype(np.float32),
        strength_fixed=deepest,
    )


@once_per_scene
def _is_rounded(scene: Scene) -> bool:
    """True of a solid body (a nut, a fruit, a capsule) whose sides fall into shade: no hole goes right through it."""
    size = float(np.sqrt(scene.object_area_px))
    deep = scene.depth_px > 0.5 * float(scene.depth_px.max())
    band = (scene.depth_px > 0.02 * size) & (scene.depth_px < 0.1 * size)
    if not deep.any() or not band.any():
        return False
    return float(np.percentile(scene.luma[band], 15)) < _FALL * float(np.percentile(scene.luma[deep], 15))


def _lighter_than_asked(behind: NDArray[np.float32], near: Surroundings, spec: DefectSpec) -> bool:
    """True when a dark hole is asked for and what lies behind the object is no darker than its surface: it is no sheet."""
    asked_dark = spec.color_shift is not None and spec.color_shift[0] < 0.0
    return asked_dark and float(lab_from_rgb(behind[None, None])[0, 0, 0]) >= float(near.lab[0])


def _towards_light(distance: Field, azimuth_rad: float) -> Field:
    """(h, w) -1..1: how far a pixel lies on the light's side of the hole, from the outward normal of its outline."""
    inward_y, inward_x = np.gradient(distance)
    norm = np.maximum(np.hypot(inward_x, inward_y), 1e-4)
    return (-(inward_x * np.cos(azimuth_rad) + inward_y * np.sin(azimuth_rad)) / norm).astype(np.float32)


def _through(site: Site, cover: Field, distance: Field, towards_light: Field, behind: np.ndarray) -> Edit:
    """Background in the opening, and the thickness of the material as a thin wall, lit on its far side."""
    thickness = np.exp(-((distance / max(0.12 * float(distance.max()), 1.0)) ** 2)) * cover
    wall = (thickness * np.where(towards_light < 0, -0.35, 0.9) * np.abs(towards_light)).astype(np.float32)
    return Edit(
        window=site.window,
        support=cover > 0.02,
        paint=np.broadcast_to(behind, (*site.window.shape, 3)).astype(np.float32),
        opacity=cover.astype(np.float32),
        shadow=np.clip(wall, 0.0, 0.8),
        strength_fixed=True,
    )
