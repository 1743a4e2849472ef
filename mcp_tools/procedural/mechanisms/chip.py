"""A chip: a piece has broken out, at an edge or rim, or a shallow spall inside the surface.

Physics: brittle material parts along conchoidal (shell-shaped) faces. The fracture is fresh: the texture, print and gloss
of the old surface are gone, and a few facets with sharp ridges each reflect their own way: in glass and glaze every face
mirrors or refracts another part of the surroundings, a few splinters around the point of impact flash; in stone, ferrite or
plastic they are matt and granular, and inside a surface the outline of the spall is angular. Faint ripples run around the
point of impact. The border is sharp, dark on one side and lit on the other. Where the piece went through the outline the
background shows. Where the piece sat is found by `rims.py`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.color import ciede2000, lab_from_rgb
from anomalyagent.mcp_tools.imaging.inpainting import continue_smoothly
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.bodies import cut_outline
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.material import median_background
from anomalyagent.mcp_tools.procedural.palette import Surroundings, measure_surroundings, rgb_of
from anomalyagent.mcp_tools.procedural.placement import extent_of, window_around
from anomalyagent.mcp_tools.procedural.rims import Seat, find_hollow, find_seat
from anomalyagent.mcp_tools.procedural.shapes import (
    Facets,
    blob_distance,
    facet_planes,
    fractal_noise,
    pixel_grid,
    smooth_step,
)
from anomalyagent.mcp_tools.procedural.surface_fields import shade

__all__ = ["render", "suitability"]

_NOTCH_CHANCE = 0.6
_FLASH_CHANCE = 0.9
_OUT_OF_FOCUS = 0.2
_MIN_AREA_PX = 14.0


def suitability(scene: Scene, spec: DefectSpec) -> Callable[[float, float], float] | None:
    """Chips sit at rims: places at the rim of a hollow are preferred. Those at the outline are placed by the zone."""
    hollow = None if spec.zone == "edge" else find_hollow(scene)
    if hollow is not None:
        return hollow.nearness
    bulk = _bulk(scene, np.sqrt(spec.area_fraction * scene.object_area_px / spec.count))
    return None if bulk is None else lambda x, y: float(bulk[min(round(y), len(bulk) - 1), min(round(x), bulk.shape[1] - 1)])


class _Gloss(NamedTuple):
    """Chance that a fracture flashes, 0..1, and the colour (a, b of CIELAB) of the object's highlights."""

    chance: float
    tint: tuple[float, float]


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One chip. None when none of it would lie on the object."""
    if min(site.window.shape) < 4:
        return None
    site = replace(site, area_px=max(site.area_px, _MIN_AREA_PX))
    seat = find_seat(site, spec, rng)
    elongation = min(max(spec.elongation, 1.1), 8.0)
    at_edge = seat.hollow is not None or seat.on_outline
    nominal = site.area_px * (1.8 if at_edge else 1.0)  # about half of it lies beyond the edge
    # The piece may have sat beside the site, at the edge: it gets a window of its own.
    extent = extent_of(site.scene, nominal, elongation)
    site = replace(site, window=window_around(site.scene, seat.center_xy, extent, seat.angle_rad))
    if at_edge:
        distance = blob_distance(
            site.window,
            seat.center_xy,
            nominal,
            rng,
            elongation=elongation,
            angle_rad=seat.angle_rad,
            lobes=0.28,
            roughness=float(rng.uniform(0.02, 0.09)),
            across_px=_across(site, seat, extent.length_px),
        )
    else:
        distance = _angular(replace(site, center_xy=seat.center_xy, angle_rad=seat.angle_rad), elongation, rng)
    solid = site.scene.foreground[site.window.slices]
    cover = (np.clip(distance + 0.5, 0.0, 1.0) * solid).astype(np.float32)
    if seat.hollow is not None:
        cover *= 1.0 - seat.hollow.cover(site.window)
    bulk = None if seat.hollow is not None else _bulk(site.scene, np.sqrt(site.area_px))
    slender = None if bulk is None or not bulk[site.window.slices].any() else solid & ~bulk[site.window.slices]
    if slender is not None:
        cover = np.where(slender, 0.0, cover).astype(np.float32)
    if not (cover > 0.3).any():
        return None
    near = measure_surroundings(site, inside=cover > 0.3)
    if seat.hollow is not None and rng.random() < _OUT_OF_FOCUS:  # what broke off deep inside lies out of focus
        sigma = float(rng.uniform(0.02, 0.06)) * float(np.sqrt(site.area_px)) + 0.3
        cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
        cover *= (1.0 - seat.hollow.cover(site.window)) * solid
    paint = _fracture(site, spec, seat, near, distance, rng)
    behind = median_background(site.scene)
    notched = False
    if seat.on_outline and behind is not None and rng.random() < _NOTCH_CHANCE:
        # An opening cannot be faint: it is only cut where what lies behind differs no more than the severity allows.
        notched = float(ciede2000(lab_from_rgb(behind[None, None])[0, 0], near.lab)) < 2.5 * spec.severity * near.jnd
    if notched and behind is not None:
        beyond = _with_outline(solid if slender is None else solid & ~slender, site.scene)
        opening = _opening(site, elongation, seat, rng)
        # beside the object the opening goes on as far as the soft outline of the piece reached
        wide = cv2.dilate(opening, np.ones((2 * round(_outline_reach(site.scene)) + 1,) * 2, np.uint8))
        through = np.where(solid, opening, wide).astype(np.float32) * beyond
        if slender is not None:  # what stands beside the break stays, with its soft outline
            around = cv2.dilate(slender.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            through = np.where(around, 0.0, through).astype(np.float32)
        backdrop = _backdrop(site, beyond > 0, behind)
        paint = (paint + through[..., None] * (backdrop - paint)).astype(np.float32)
        cover = np.maximum(cover, through)
    return Edit(window=site.window, support=cover > 0.02, paint=paint, opacity=cover, strength_fixed=notched)


def _bulk(scene: Scene, size_px: float) -> Mask | None:
    """(H, W) bool: the object without what is too slender for a chip of this size (pins, wires); None where nothing is."""
    if scene.fills_frame:
        return None
    radius = float(np.clip(0.3 * size_px, 2.0, 0.25 * float(scene.depth_px.max())))
    core = scene.depth_px > radius
    if not core.any():
        return None
    away = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 3)
    bulk = scene.foreground & (away <= 1.5 * radius + 1.0)
    return None if np.count_nonzero(bulk) > 0.97 * scene.object_area_px else bulk


def _angular(site: Site, elongation: float, rng: np.random.Generator) -> Field:
    """Signed distance to the outline of a spall: straight runs between corners, ragged by the grain of the material."""
    radius = float(np.sqrt(site.area_px / np.pi))
    outline = cut_outline(
        site, elongation, rng, corners=int(rng.integers(6, 11)), spread=float(rng.uniform(0.15, 0.35)), convex=False
    )
    ragged = fractal_noise(site.window.shape, max(0.45 * radius, 2.0), rng, octaves=4, gain=0.65)
    return (outline + float(rng.uniform(0.03, 0.07)) * radius / np.sqrt(elongation) * ragged).astype(np.float32)


def _across(site: Site, seat: Seat, length_px: float) -> Field | None:
    """Distance from the edge, so that a long break follows its curve; None inside a surface."""
    if not seat.on_outline and seat.hollow is None:
        return None
    depth = site.scene.depth_px[site.window.slices] if seat.hollow is None else seat.hollow.depth(site.window)
    # The opposite side of a ring is as near to the edge: it is kept out by how far it lies behind the seat.
    x, y = pixel_grid(site.window)
    across = (y - seat.center_xy[1]) * np.cos(seat.angle_rad) - (x - seat.center_xy[0]) * np.sin(seat.angle_rad)
    behind = np.abs(across) - 0.4 * length_px
    return np.where(behind > 0, np.abs(depth) + 2.0 * behind, depth).astype(np.float32)


def _fracture(site: Site, spec: DefectSpec, seat: Seat, near: Surroundings, distance: Field, rng: np.random.Generator) -> RGB:
    """(h, w, 3) sRGB of the fracture surface."""
    shape = site.window.shape
    radius = float(np.sqrt(site.area_px / np.pi))
    contrast = float(np.clip(spec.severity * near.jnd * rng.uniform(0.7, 1.1), 5.0, 26.0))
    gloss = _gloss_of(site.scene)
    glossy = rng.random() < gloss.chance
    if glossy:  # many breaks of glass are of about the tone around them: what is missing there tells, and a few glints
        contrast *= float(rng.choice([0.35, 0.6, 1.0]))
    spall = not glossy and seat.hollow is None and not seat.on_outline
    tilt = float(rng.uniform(0.25, 0.55)) if glossy or spall else float(rng.uniform(0.08, 0.28))
    pieces = int(rng.integers(2, int(np.clip(4 + radius / 8, 5, 11)))) if glossy else int(rng.integers(3 if spall else 1, 6))
    facets = facet_planes(site.window, seat.center_xy, radius, rng, count=pieces, slope=tilt, warp=0.2)
    x, y = pixel_grid(site.window)
    far = np.hypot(x - seat.impact_xy[0], y - seat.impact_xy[1]).astype(np.float32)
    wave = max(3.0, radius * float(rng.uniform(0.18, 0.4)))
    bend = 0.6 * fractal_noise(shape, max(radius, 4.0), rng, octaves=2)
    ripples = (
        float(rng.choice([0.007, 0.014, 0.02] if seat.on_outline and not glossy else [0.0, 0.005, 0.014]))
        * wave
        * np.sin(2.0 * np.pi * far / wave + 5.0 * bend)
        * smooth_step(0.8 + bend)
    )
    # glass breaks smooth as a mirror; hackles are where the crack ran fast, not everywhere
    hackle = float(rng.choice([0.15, 0.4, 1.0], p=[0.5, 0.3, 0.2])) if glossy else 1.0
    grain = hackle * fractal_noise(shape, max(1.5, 0.12 * radius), rng, octaves=2, gain=0.7)
    relief = ripples + (0.12 if glossy else 0.05) * grain
    azimuth = site.scene.light[0]
    facing = -(facets.slope[:, 0] * np.cos(azimuth) + facets.slope[:, 1] * np.sin(azimuth))
    light = shade(relief.astype(np.float32), site.scene.light) + 0.7 * facing[facets.label] * (1.0 - 0.4 * facets.border)
    # The old surface's slow shading stays, its texture is gone.
    blur = 2 * int(max(0.5 * radius, 2.0)) + 1
    patch = np.ascontiguousarray(site.scene.lab[site.window.slices])
    slow = cv2.blur(patch, (blur, blur), borderType=cv2.BORDER_REFLECT).astype(np.float32, copy=False)
    lab = (0.35 * slow + 0.65 * near.lab).astype(np.float32)
    fresh = float(rng.normal(0.05, 0.3) if glossy else rng.normal(-0.65, 0.45)) * min(contrast, 22.0)
    if spec.color_shift is not None:
        lab[..., 1:] += np.array(spec.color_shift[1:], np.float32)
        fresh = float(spec.color_shift[0])
    fresh = max(fresh, -0.4 * float(near.lab[0]))
    tone = contrast * 1.2 * (light - 1.0)
    if glossy:
        lab, tone = _glassy(lab, tone, patch, facets, contrast, radius, rng)
    lab[..., 0] += fresh + tone + (0.09 if glossy else 0.05) * contrast * grain
    if spall:  # broken grains, each lit its own way
        crumbs = fractal_noise(shape, max(2.0, 0.1 * radius), rng, octaves=3, gain=0.9)
        lab[..., 0] += 0.11 * contrast * crumbs + 0.3 * contrast * (
            shade((0.5 * crumbs).astype(np.float32), site.scene.light) - 1.0
        )
    # Border: the wall on the light's side lies in shadow, the one opposite is lit.
    inward_y, inward_x = np.gradient(distance)
    lit = np.clip(inward_x * np.cos(azimuth) + inward_y * np.sin(azimuth), -0.7, 0.8)
    lab[..., 0] += contrast * np.exp(-((distance / max(1.0, (0.16 if spall else 0.05) * radius)) ** 2)) * lit
    lab[..., 1:] *= float(rng.uniform(0.3, 0.9))
    flash = None
    if glossy and rng.random() < _FLASH_CHANCE:
        flash = _flashes(site, seat, radius, grain, far / max(radius, 1.0), rng)[..., None]
    lab[..., 0] = np.clip(lab[..., 0], 0.35 * float(near.lab[0]), 98.0)  # light scattered in the break fills every shadow
    if near.grey:
        lab[..., 1:] = 0.0
    lab = _subdued(lab, slow, patch, distance > 0, spec.severity * near.jnd)
    if flash is not None:  # a mirror shows the lamp, however faint the break is otherwise
        strength = float(np.clip(spec.severity * near.jnd / 12.0, 0.45, 1.0))
        warmth = float(rng.uniform(0.2, 1.2))
        tint = (warmth * gloss.tint[0], warmth * gloss.tint[1]) if not near.grey else (0.0, 0.0)
        highlight = np.array([float(rng.uniform(80.0, 99.0)), *tint], np.float32)
        lab += strength * flash * (highlight - lab)
    return rgb_of(lab)


def _glassy(
    lab: Lab, tone: Field, patch: Lab, facets: Facets, contrast: float, radius: float, rng: np.random.Generator
) -> tuple[Lab, Field]:
    """Colour and lightness of faces that are smooth as a mirror.

    Each face shows another part of the surroundings, mirrored or refracted, and brightens towards one side, since it is
    curved; some ridges gleam. The faces lie deeper or higher than the surface in focus: often they are blurred.
    """
    shape = tone.shape
    count = len(facets.slope)
    shifts = rng.normal(0.0, 0.6 * radius + 2.0, (count, 2)).astype(np.float32)
    zoom = rng.uniform(0.6, 1.2, count).astype(np.float32) * rng.choice([-1.0, 1.0], count).astype(np.float32)
    x, y = np.arange(shape[1], dtype=np.float32)[None, :], np.arange(shape[0], dtype=np.float32)[:, None]
    middle_x, middle_y = 0.5 * shape[1], 0.5 * shape[0]
    map_x = middle_x + shifts[facets.label, 0] + zoom[facets.label] * (x - middle_x)
    map_y = middle_y + shifts[facets.label, 1] + zoom[facets.label] * (y - middle_y)
    seen = cv2.remap(patch, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    soft = max(float(rng.choice([0.02, 0.08, 0.2])) * radius, 0.6)
    seen = cv2.GaussianBlur(seen, (0, 0), soft, borderType=cv2.BORDER_REFLECT)
    share = float(rng.choice([0.0, 0.35, 0.7], p=[0.3, 0.35, 0.35]))
    lab = (lab + np.float32(share) * (seen - lab)).astype(np.float32)
    lean = rng.normal(0.0, 0.8, (count, 2)).astype(np.float32)
    ramp = (lean[facets.label, 0] * (x - middle_x) + lean[facets.label, 1] * (y - middle_y)) / np.float32(max(radius, 2.0))
    cloud = fractal_noise(shape, max(0.8 * radius, 3.0), rng, octaves=2)
    gleam = smooth_step(cloud + 0.2) * facets.border * float(rng.choice([0.0, 0.5, 0.9]))
    tone = 0.45 * tone + contrast * (0.22 * ramp + 0.15 * cloud + 0.6 * gleam)
    if rng.random() < 0.4:
        sigma = max(float(rng.uniform(0.02, 0.1)) * radius, 0.7)
        soft_tone = cv2.GaussianBlur(np.asarray(tone, np.float32), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        tone = np.asarray(soft_tone, np.float32)
    return lab, np.asarray(tone, np.float32)


def _subdued(lab: Lab, slow: Lab, patch: Lab, inside: Mask, wanted: float) -> Lab:
    """The fracture with its contrast taken back towards the surface's slow shading where it would exceed the wanted change.

    A faint break is an opaque surface of nearly the same tone, not a transparent one: the old texture must not shine through.
    """

    def change(share: float) -> float:
        mixed = slow[inside] + np.float32(share) * (lab[inside] - slow[inside])
        return float(np.percentile(ciede2000(mixed.astype(np.float32), patch[inside]), 80))

    if not inside.any():
        return lab
    full, none = change(1.0), change(0.0)
    share = float(np.clip((1.1 * wanted - none) / max(full - none, 1e-3), 0.1, 1.0)) if full > none else 1.0
    return (slow + np.float32(share) * (lab - slow)).astype(np.float32)


def _gloss_of(scene: Scene) -> _Gloss:
    """From how far the object's highlights stand above its median lightness."""
    x0, y0, x1, y1 = scene.box_xyxy
    step = max(1, int(np.sqrt((x1 - x0) * (y1 - y0)) / 96))
    lab = scene.lab[y0:y1:step, x0:x1:step][scene.foreground[y0:y1:step, x0:x1:step]]
    median, bright = np.percentile(lab[:, 0], [50, 99.7])
    tint = lab[lab[:, 0] >= np.percentile(lab[:, 0], 99)].mean(0)
    # dark bodies with bright lights on them are polished; on light ones the lights stand out less
    polished = float(np.clip((bright - median - 14.0) / 20.0, 0.0, 1.0)) * float(np.clip((75.0 - median) / 30.0, 0.15, 1.0))
    chance = polished * (0.08 if scene.fills_frame else 1.0)
    return _Gloss(chance, (float(tint[1]), float(tint[2])))


def _flashes(site: Site, seat: Seat, radius: float, grain: Field, away: Field, rng: np.random.Generator) -> Field:
    """(h, w) 0..1 light that splinters and facets happen to mirror, most of it around the point of impact."""
    spread = float(rng.uniform(0.35, 0.8))
    count = int(np.clip(6 + radius * float(rng.uniform(0.3, 1.0)), 8, 40))
    shards = facet_planes(site.window, seat.impact_xy, spread * radius, rng, count=count, warp=0.12)
    facing = rng.random(count) ** float(rng.choice([1.0, 2.0, 4.0]))
    facing[rng.integers(count, size=3)] = 1.0
    near = np.clip(1.4 - away / (1.2 * spread), 0.0, 1.0)
    mirror = facing[shards.label] * near * (0.6 + 0.5 * smooth_step(0.7 + grain)) * (1.0 - 0.5 * shards.border)
    splinters = 0.55 * smooth_step((grain - 1.2) / 0.8) * np.clip(1.5 - away, 0.12, 1.0)
    return np.clip(mirror + splinters, 0.0, 1.0).astype(np.float32)


def _opening(site: Site, elongation: float, seat: Seat, rng: np.random.Generator) -> Field:
    """(h, w) 0..1: the outer part of the break, which goes right through."""
    notch = blob_distance(
        site.window,
        seat.center_xy,
        site.area_px * float(rng.uniform(0.5, 1.1)),
        rng,
        elongation=elongation,
        angle_rad=seat.angle_rad,
        lobes=0.25,
        roughness=0.1,
    )
    return np.clip(notch + 0.5, 0.0, 1.0).astype(np.float32)


def _with_outline(solid: Mask, scene: Scene) -> Field:
    """The object and the pixels beside it that its blurred outline still tints, 0..1: no trace of it may hang over a notch.

    Rounded and transparent parts fade out over more than the lens blur: a share of the object's size is added.
    """
    size = 2 * int(np.ceil(_outline_reach(scene))) + 1
    grown = cv2.dilate(solid.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return grown.astype(np.float32)


def _outline_reach(scene: Scene) -> float:
    """Pixels beyond the outline that the object may still tint."""
    return 2.0 + 3.0 * scene.blur_sigma_px + 0.02 * float(np.sqrt(scene.object_area_px))


def _backdrop(site: Site, covered: Mask, usual: NDArray[np.float32]) -> RGB:
    """(h, w, 3) what lies behind the object, continued from what is seen of it in the window; `usual` when too little is."""
    if np.count_nonzero(~covered) < 24:
        return np.broadcast_to(usual, (*covered.shape, 3)).astype(np.float32)
    rgb = np.ascontiguousarray(site.scene.photo.rgb[site.window.slices])
    return continue_smoothly(rgb, ~covered)
