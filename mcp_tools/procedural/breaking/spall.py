"""A spall: a shallow piece has come off a face and left a hollow; or a flake of a coating, which bares what it covered.

Physics: the face ends in a ragged line, where a wall drops to a floor that nobody has made: the bulk of the material, broken in
steps and lumps of every size down to its grain, or round the stones of concrete and asphalt (`rubble.py`). By the light of the
photo the wall on the light's side and whatever stands up on the floor throw shadow, the wall opposite is lit, and deep places
see little of the sky. A coating is thin: its border is a line of shadow and a line of light, the ground below is even, of its
own colour, with rests of the coating on it.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab
from anomalyagent.mcp_tools.procedural.breaking.named_body import Body
from anomalyagent.mcp_tools.procedural.breaking.rubble import lay_rubble
from anomalyagent.mcp_tools.procedural.breaking.splinter import splinter_outline, splintered_floor
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import shade
from anomalyagent.mcp_tools.procedural.light.material import contrast_for, recolor, shading_of, subdued
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, rgb_of

__all__ = ["SHADED_HOLLOW", "glow_in_shade", "paint_spall", "spall_outline"]

SHADED_HOLLOW = 6.0
"""CIELAB L that a hollow in a pale body may be darker than its skin."""

_LOWEST_SUN = (0.45, 0.9)  # radians: light from above would leave no shadow, grazing light nothing else
_GLOW, _DARKEST_GLOW = 0.035, 25.0  # share of its colour gained for each L that it is darker, and L up to which
_SHADOW_STEPS = 6
_SOFT = 0.6  # of its relief is seen in dough and wax, through which light goes
_GROUND = 29  # of the random numbers for what lies below a coating


def spall_outline(site: Site, elongation: float, rng: np.random.Generator) -> Field:
    """(h, w) signed distance to the outline (pixels, positive inside): bays and teeth of every size, some straight runs."""
    if site.scene.fibrous:
        return splinter_outline(site, elongation, rng)
    radius = float(np.sqrt(site.area_px / np.pi))
    distance = blob_at(
        site,
        rng,
        share=1.08,
        elongation=elongation,
        lobes=float(rng.uniform(0.15, 0.35)),
        roughness=float(rng.uniform(0.05, 0.12)),
    )
    narrow = radius / np.sqrt(elongation)
    x, y = pixel_grid(site.window)
    wavy = 0.06 * narrow * fractal_noise(site.window.shape, max(0.6 * radius, 3.0), rng, octaves=3, gain=0.6)
    for _ in range(int(rng.integers(0, 3))):  # where it broke off along a plane of weakness
        turn = site.angle_rad + (0.5 * np.pi if rng.random() < 0.7 else 0.0) + float(rng.normal(0.0, 0.35))
        turn += np.pi * float(rng.integers(2))
        reach = float(rng.uniform(0.7, 0.95)) * narrow
        beyond = (x - site.center_xy[0]) * np.cos(turn) + (y - site.center_xy[1]) * np.sin(turn)
        distance = np.minimum(distance, reach - beyond + wavy)
    teeth = fractal_noise(site.window.shape, max(0.25 * narrow, 2.0), rng, octaves=3, gain=0.75)
    return (distance + float(rng.uniform(0.015, 0.04)) * narrow * teeth).astype(np.float32)


def paint_spall(
    site: Site, spec: DefectSpec, near: Surroundings, distance: Field, rng: np.random.Generator, body: Body
) -> tuple[RGB, Field]:
    """(h, w, 3) sRGB of what shows inside the outline, and (h, w) 0..1 how far it shows: rests of a coating are left.

    Args:
        body: what broke; of a coated one only the coating came off.
    """
    radius = float(np.sqrt(site.area_px / np.pi))
    contrast = contrast_for(spec, near, rng)
    shape = site.window.shape
    patch, slow = shading_of(site, radius)
    lab = (0.35 * slow + 0.65 * near.lab).astype(np.float32)
    shown = np.ones(shape, np.float32)
    stains = fractal_noise(shape, max(0.7 * radius, 4.0), rng, octaves=3)
    grains = fractal_noise(shape, float(np.clip(0.06 * radius, 1.5, 4.0)), rng, octaves=2, gain=0.8)
    if body.coated:
        kept = _rests(distance, stains, radius, rng)
        bared = np.minimum(distance, -kept)
        shown = np.clip(0.5 - kept, 0.0, 1.0)
        ground = np.random.default_rng([spec.seed, _GROUND])  # the same below all flakes of a photo
        fresh = float(ground.normal(-0.1, 0.6)) * 22.0
        lab[..., 0] += recolor(lab, spec, near, float(np.clip(fresh, -contrast, contrast)))
        kept_hue = float(ground.uniform(0.1, 0.5))
        lab[..., 1:] *= kept_hue + 0.45 if site.scene.fibrous else kept_hue  # below veneer lies wood, or board made of it
        border = float(rng.uniform(0.05, 0.6)) * radius  # of a second layer
        deeper = smooth_step((0.5 + (distance - border) / 1.5 + 0.12 * radius * stains).astype(np.float32))
        lab[..., 0] += float(rng.normal(0.0, 0.35)) * contrast * deeper
        lab[..., 0] += contrast * (
            0.07 * stains + 0.05 * grains + _lit(_coat(bared, deeper, radius, rng), site.scene.light, radius)
        )
    else:
        tone = recolor(lab, spec, near, float(rng.normal(-0.2, 0.35)) * min(contrast, 22.0))
        washed = float(rng.uniform(0.6, 1.0))
        if body.pale:  # asked for darker, it is the hollow that lies in shade, not a body of rock
            tone, washed, contrast = max(tone, -SHADED_HOLLOW), max(washed, 0.9), _SOFT * contrast
        if site.scene.fibrous and spec.color_shift is None:  # fresh wood has not darkened yet
            tone = abs(0.6 * tone) + 2.0
        lab[..., 0] += tone
        lab[..., 1:] *= washed
        if site.scene.fibrous:
            torn = splintered_floor(site, distance, spec.elongation, rng)
            floor = torn.height
            lab[..., 0] += contrast * (0.06 * stains + 0.16 * torn.fibres)
        elif body.coarse and not body.pale and (distance > 0).any():
            rubble = lay_rubble(distance > 0, radius, rng)
            floor = _floor(site, distance, radius, rng, rubble.height)
            lab[..., 0] += contrast * (0.08 * stains + 0.36 * rubble.tone)
        else:
            floor = _floor(site, distance, radius, rng)
            lab[..., 0] += contrast * (0.08 * stains + 0.07 * grains)
        lab[..., 0] += contrast * 1.3 * _lit(floor, site.scene.light, radius)
    lab[..., 0] = np.clip(lab[..., 0], 0.3 * float(near.lab[0]), 98.0)  # light scattered in the hollow fills every shadow
    if body.pale:
        glow_in_shade(lab, near)
    if near.grey:
        lab[..., 1:] = 0.0
    return rgb_of(subdued(lab, slow, patch, distance > 0, spec.severity * near.jnd)), shown.astype(np.float32)


def glow_in_shade(lab: Lab, near: Surroundings) -> None:
    """Deepen the colour of what is darker than the skin of a pale body, in place: light that has gone through wax or dough, or
    from wall to wall of a hollow, has taken on its colour; shade on it is no grey."""
    darker = np.clip(near.lab[0] - lab[..., :1], 0.0, _DARKEST_GLOW)
    lab[..., 1:] *= 1.0 + _GLOW * darker


def _floor(site: Site, distance: Field, radius: float, rng: np.random.Generator, rubble: Field | None = None) -> Field:
    """(h, w) height of broken bulk material below the face, pixels, 0 outside; `rubble` lies on it in place of crumbs."""
    shape = site.window.shape
    deep = radius * float(rng.uniform(0.14, 0.26))
    slow = fractal_noise(shape, max(0.8 * radius, 4.0), rng, octaves=2)
    # here the wall is steep, there the piece thinned out
    wall = np.maximum(radius * float(rng.uniform(0.08, 0.16)) * (1.0 + 0.8 * slow), 1.2)
    bowl = smooth_step((distance / wall).astype(np.float32)) * (0.65 + 0.35 * np.clip(distance / (0.6 * radius), 0.0, 1.0))
    x, y = pixel_grid(site.window)
    u, v = (x - site.center_xy[0]) / max(radius, 1.0), (y - site.center_xy[1]) / max(radius, 1.0)
    bend = 0.12 * fractal_noise(shape, max(0.5 * radius, 3.0), rng, octaves=3, gain=0.5)
    faces = np.full(shape, -np.inf, np.float32)  # it broke along a few faces with ridges between them
    for _ in range(int(rng.integers(3, 7))):
        turn, lean = float(rng.uniform(0.0, 2.0 * np.pi)), float(rng.uniform(0.2, 0.9))
        at = float(rng.normal(0.0, 0.35))
        faces = np.maximum(faces, lean * ((u + bend - at) * np.cos(turn) + (v + bend - at) * np.sin(turn)))
    faces = np.clip(faces - 0.35, -0.6, 0.6)
    inside = np.clip(distance / wall, 0.0, 1.0)
    if rubble is not None:
        lumps = fractal_noise(shape, max(0.5 * radius, 3.0), rng, octaves=2, gain=0.5)
        floor = -deep * np.maximum(bowl - inside * 0.4 * faces, 0.0) + inside * (0.1 * deep * lumps + rubble)
        return np.asarray(floor, np.float32)
    lumps = fractal_noise(shape, max(0.4 * radius, 3.0), rng, octaves=5, gain=0.55)
    crumbs = float(rng.uniform(0.1, 0.35)) * fractal_noise(
        shape, float(np.clip(0.1 * radius, 2.0, 5.0)), rng, octaves=3, gain=0.9
    )
    # crumbs lie here and there
    crumbs *= smooth_step(0.5 + slow)
    return (-deep * np.maximum(bowl - inside * 0.8 * faces, 0.0) + inside * (0.14 * deep * lumps + crumbs)).astype(np.float32)


def _rests(distance: Field, cloud: Field, radius: float, rng: np.random.Generator) -> Field:
    """(h, w) pixels into the rests of a coating within its hole, negative where it is gone: most lie near the border."""
    fine = cloud + 0.35 * fractal_noise(distance.shape, max(0.15 * radius, 2.0), rng, octaves=3, gain=0.7)
    needed = float(rng.uniform(1.3, 2.4)) + 0.8 * np.clip(distance / max(0.5 * radius, 1.0), 0.0, 1.0)
    return (0.25 * radius * (fine - needed)).astype(np.float32)


def _coat(bared: Field, deeper: Field, radius: float, rng: np.random.Generator) -> Field:
    """(h, w) height of the ground below a coating that has come off, in one or two layers, pixels, 0 outside."""
    thick = float(np.clip(rng.uniform(0.05, 0.1) * radius, 1.0, 3.0))
    ground = fractal_noise(bared.shape, max(0.2 * radius, 2.5), rng, octaves=4, gain=0.7)
    inside = smooth_step(bared / np.float32(max(0.7 * thick, 1.0)))
    return (inside * (0.1 * thick * ground - thick * (1.0 + 0.6 * deeper))).astype(np.float32)


def _lit(height: Field, light: tuple[float, float], radius: float) -> Field:
    """(h, w) about -1..1: how much lighter a relief is than a flat face in the same light, with shadows and deep places."""
    azimuth, elevation = light[0], float(np.clip(light[1], *_LOWEST_SUN))
    tone = 1.3 * (shade(height, (azimuth, elevation)) - 1.0)
    depth = max(-float(height.min()), 0.5)
    stride = depth / np.tan(elevation) / _SHADOW_STEPS
    above = np.zeros(height.shape, np.float32)
    for step in range(1, _SHADOW_STEPS + 1):  # what stands between a point and the light
        dx, dy = step * stride * np.cos(azimuth), step * stride * np.sin(azimuth)
        matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]], np.float32)
        seen = cv2.warpAffine(
            height, matrix, height.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
        )
        above = np.maximum(above, seen - height - np.float32(step * stride * np.tan(elevation)))
    size = 2 * int(max(0.3 * radius, 1.5)) + 1
    sunk = np.maximum(cv2.blur(height, (size, size), borderType=cv2.BORDER_REPLICATE) - height, 0.0) / depth
    return (tone - 0.8 * smooth_step(above / np.float32(0.35 * depth)) - 0.5 * np.minimum(sunk, 1.0)).astype(np.float32)
