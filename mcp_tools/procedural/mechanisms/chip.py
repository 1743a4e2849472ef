"""A chip: a piece has broken out, at an edge or rim, or a shallow spall inside the surface.

Physics: brittle material parts along conchoidal (shell-shaped) faces. The fracture is fresh: the texture, print and gloss
of the old surface are gone. In glass and glaze large dull faces lie beside a few heaps of flashing splinters; in stone,
ferrite or plastic a few facets with sharp ridges are matt and granular, faint ripples run around the point of impact, and the
border is sharp, dark on one side and lit on the other. Where the piece went through the outline the background shows. Where
it sat is found by `structure/rims.py`; at the rim of a hollow it is a stretch of the wall (`breaking/wall_break.py`); where
words ask for a corner it is the tip of one (`parts/corners.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask, SmallMask
from anomalyagent.mcp_tools.imaging.color import ciede2000, lab_from_rgb
from anomalyagent.mcp_tools.imaging.inpainting import continue_smoothly, fill_from_surroundings
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.texture import local_statistics
from anomalyagent.mcp_tools.procedural.breaking.glass import crush_glass, paint_faces, soften
from anomalyagent.mcp_tools.procedural.breaking.named_body import Body
from anomalyagent.mcp_tools.procedural.breaking.spall import SHADED_HOLLOW, paint_spall, spall_outline
from anomalyagent.mcp_tools.procedural.breaking.wall_break import break_wall
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target
from anomalyagent.mcp_tools.procedural.geometry.facets import facet_planes
from anomalyagent.mcp_tools.procedural.geometry.paths import path_profile
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_distance, fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import shade
from anomalyagent.mcp_tools.procedural.light.material import (
    contrast_for,
    median_background,
    polish_of,
    recolor,
    shading_of,
    subdued,
)
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, measure_surroundings, rgb_of
from anomalyagent.mcp_tools.procedural.parts.axis import near_protrusions
from anomalyagent.mcp_tools.procedural.parts.corners import Corner, corner_targets, nearest_corner, tip_of
from anomalyagent.mcp_tools.procedural.parts.protrusions import protrusions_of
from anomalyagent.mcp_tools.procedural.placement import Extent, extent_of, window_around
from anomalyagent.mcp_tools.procedural.retouching.cutout import SMOOTH_GRAIN
from anomalyagent.mcp_tools.procedural.structure.rims import Seat, find_hollow, find_seat

__all__ = ["Breaking", "render", "suitability"]

_HELD = 0.2  # of the largest piece: what is smaller and hangs on nothing falls off
_NOTCH_CHANCE = 0.6
_OUT_OF_FOCUS = 0.2
_MIN_AREA_PX = 14.0
_OWN_TONE = 0.3  # of the way from what lies behind an object to its own tone: what is so near to it belongs to it


def suitability(scene: Scene, spec: DefectSpec) -> Callable[[float, float], float] | None:
    """Chips sit at rims: places at the rim of a hollow are preferred. Those at the outline are placed by the zone."""
    hollow = None if spec.zone == "edge" else find_hollow(scene)
    if hollow is not None:
        return hollow.nearness
    bulk = _bulk(scene, np.sqrt(spec.instance_px(scene.object_area_px)))
    return None if bulk is None else lambda x, y: float(bulk[min(round(y), len(bulk) - 1), min(round(x), bulk.shape[1] - 1)])


@dataclass(frozen=True)
class Breaking:
    """Chips of a body of which the words say how it breaks, and whether at its corners."""

    body: Body
    at_corners: bool = False

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """The corners of the object where they are asked for."""
        return corner_targets(scene, spec) if self.at_corners else []

    def suitability(self, scene: Scene, spec: DefectSpec) -> Callable[[float, float], float] | None:
        """As for any other body."""
        return suitability(scene, spec)

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One chip of this body."""
        corner = nearest_corner(site) if self.at_corners else None
        return _render(site, spec, rng, self.body) if corner is None else _at_corner(site, spec, corner, rng, self.body)


class _Gloss(NamedTuple):
    """Chance that a fracture flashes, 0..1, and the colour (a, b of CIELAB) of the object's highlights."""

    chance: float
    tint: tuple[float, float]


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One chip. None when none of it would lie on the object."""
    return _render(site, spec, rng, Body())


def _at_corner(site: Site, spec: DefectSpec, corner: Corner, rng: np.random.Generator, body: Body) -> Edit | None:
    """The tip of a corner is gone; of its face one sees what slants towards the camera."""
    area = corner.piece_px(max(site.area_px, _MIN_AREA_PX), site.scene)
    deep = corner.depth_px(area)
    half = deep * float(np.tan(corner.half_rad))
    middle, along = corner.inside(deep), corner.inward_rad + 0.5 * np.pi
    extent = Extent(2.6 * half, 2.4 * deep)
    site = replace(site, window=window_around(site.scene, corner.inside(0.5 * deep), extent, along))
    distance = tip_of(site.window, corner, area, rng)
    cover = (np.clip(distance + 0.5, 0.0, 1.0) * site.scene.foreground[site.window.slices]).astype(np.float32)
    behind = median_background(site.scene)
    if behind is None or not (cover > 0.3).any():
        return None
    near = measure_surroundings(site, inside=cover > 0.3)
    paint = _fracture(site, spec, Seat(middle, along, corner.inside(0.2 * deep), True, None), near, distance, rng, body)
    slant = (
        deep * float(rng.uniform(0.05, 0.3)) * (1.0 + 0.4 * fractal_noise(site.window.shape, max(half, 4.0), rng, octaves=3))
    )
    slant *= np.clip(site.scene.depth_px[site.window.slices] / (4.0 + 2.0 * site.scene.blur_sigma_px) - 0.5, 0.0, 1.0)
    opening = np.clip(distance - np.maximum(slant, 0.0) + 0.5, 0.0, 1.0).astype(np.float32)
    pins = np.zeros(site.scene.foreground.shape, np.bool_)
    for part in protrusions_of(site.scene):
        pins[part.window.slices] |= part.mask
    if (pins[site.window.slices] & (cover > 0.3)).any():
        return None  # what stands there would hang in the air
    paint, cover = _cut_through(site, opening, behind, None, paint, cover, rng, distance)
    return Edit(window=site.window, support=cover > 0.02, paint=paint, opacity=cover, strength_fixed=True)


class _Break(NamedTuple):
    """What is gone: the site with a window for it, (h, w) distance inside its border in pixels (< 0 outside), its size."""

    site: Site
    distance: Field
    width_px: float


def _render(site: Site, spec: DefectSpec, rng: np.random.Generator, body: Body) -> Edit | None:
    if min(site.window.shape) < 4:
        return None
    site = replace(site, area_px=max(site.area_px, _MIN_AREA_PX))
    seat = find_seat(site, spec, rng)
    if seat.on_outline and (body.coated or (site.scene.fills_frame and body.coarse)):
        # the frame is no edge of a wall; and where paint comes off at an edge, what it covered is whole
        seat = seat._replace(on_outline=False)
    elongation = min(max(spec.elongation, 1.1), 8.0)
    if seat.on_outline:  # half of the outline below is cut off along its length: what is left is twice as long by its width,
        elongation = max(0.5 * elongation, 1.0)  # and no deeper than a half-moon: a blow at an edge runs along it
    site, distance, width = _break_out(site, seat, elongation, rng)
    solid = site.scene.foreground[site.window.slices]
    cover = (np.clip(distance + 0.5, 0.0, 1.0) * solid).astype(np.float32)
    if seat.hollow is not None:
        cover *= 1.0 - seat.hollow.cover(site.window)
    bulk = None if seat.hollow is not None else _bulk(site.scene, np.sqrt(site.area_px))
    slender = None if bulk is None else solid & ~bulk[site.window.slices]
    if slender is not None:
        cover = np.where(slender, 0.0, cover).astype(np.float32)
    if not (cover > 0.3).any():
        return None
    near = measure_surroundings(site, inside=cover > 0.3)
    if seat.hollow is not None and rng.random() < _OUT_OF_FOCUS:  # what broke off deep inside lies out of focus
        sigma = float(rng.uniform(0.02, 0.06)) * float(np.sqrt(site.area_px)) + 0.3
        cover = np.asarray(cv2.GaussianBlur(cover, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
        cover *= (1.0 - seat.hollow.cover(site.window)) * solid
    gloss = _gloss_of(site.scene, bulk)
    glossy = rng.random() < gloss.chance and not body.matt
    if glossy:
        paint = _glass(site, spec, seat, near, distance, cover, width, gloss.tint, rng)
    elif seat.on_outline or seat.hollow is not None:
        paint = _fracture(site, spec, seat, near, distance, rng, body)
    else:
        paint, shown = paint_spall(site, spec, near, distance, rng, body)
        cover *= shown
    opening = None
    behind = median_background(site.scene)
    if site.scene.silhouette:  # only what is gone right through can be seen
        if not seat.on_outline or behind is None:
            return None
        opening = _with_what_falls_off(site, np.clip(distance + 0.5, 0.0, 1.0).astype(np.float32))
        if opening is None:
            return None
        paint, cover = _cut_through(site, opening, behind, None, paint, cover, rng)
    elif seat.on_outline and behind is not None:
        opening = _opening(site, spec, seat, elongation, near, behind, slender, rng)
        if opening is not None:
            paint, cover = _cut_through(site, opening, behind, slender, paint, cover, rng)
    return Edit(
        window=site.window, support=cover > 0.02, paint=paint, opacity=cover, strength_fixed=opening is not None or glossy
    )


def _break_out(site: Site, seat: Seat, elongation: float, rng: np.random.Generator) -> _Break:
    """The outline of the piece at its seat: of a wall, of the object, or of a spall. It gets a window of its own there."""
    width = float(np.sqrt(site.area_px / np.pi))
    if seat.hollow is not None:
        broken = break_wall(site, seat, seat.hollow, elongation, rng)
        return _Break(replace(site, window=broken.window), broken.distance, broken.width_px)
    nominal = site.area_px * (1.8 if seat.on_outline else 1.0)  # about half of it lies beyond the edge
    extent = extent_of(site.scene, nominal, elongation)
    site = replace(site, window=window_around(site.scene, seat.center_xy, extent, seat.angle_rad))
    if not seat.on_outline:
        seated = replace(site, center_xy=seat.center_xy, angle_rad=seat.angle_rad)
        return _Break(site, spall_outline(seated, elongation, rng), width)
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
    return _Break(site, distance, width)


def _bulk(scene: Scene, size_px: float) -> Mask | None:
    """(H, W) bool: the object without what is too slender for a chip of this size (pins, wires); None where nothing is."""
    if scene.fills_frame:
        return None
    thickest = float(scene.depth_px.max())
    radius = float(np.clip(0.3 * size_px, max(0.2 * thickest, 2.0), max(0.25 * thickest, 2.0)))
    core = scene.depth_px > radius
    if not core.any():
        return None
    away = cv2.distanceTransform((~core).astype(np.uint8), cv2.DIST_L2, 3)
    bulk = scene.foreground & (away <= 1.5 * radius + 1.0)
    bulk &= ~near_protrusions(scene)  # they are slender down to where they leave the body
    return None if np.count_nonzero(bulk) > 0.97 * scene.object_area_px else bulk


def _across(site: Site, seat: Seat, length_px: float) -> Field:
    """Distance from the outline, so that a long break follows its curve."""
    depth = site.scene.depth_px[site.window.slices]
    # The opposite side of a ring is as near to the edge: it is kept out by how far it lies behind the seat.
    x, y = pixel_grid(site.window)
    across = (y - seat.center_xy[1]) * np.cos(seat.angle_rad) - (x - seat.center_xy[0]) * np.sin(seat.angle_rad)
    behind = np.abs(across) - 0.4 * length_px
    return np.where(behind > 0, np.abs(depth) + 2.0 * behind, depth).astype(np.float32)


def _fracture(
    site: Site, spec: DefectSpec, seat: Seat, near: Surroundings, distance: Field, rng: np.random.Generator, body: Body
) -> RGB:
    """(h, w, 3) sRGB of a matt fracture surface."""
    shape = site.window.shape
    radius = float(np.sqrt(site.area_px / np.pi))
    contrast = contrast_for(spec, near, rng)
    # at an outline: from a granular break (0) to the smooth shell that a fine dense body leaves (1)
    shell = float(rng.random() ** 0.4) if seat.on_outline and not body.coarse else 0.0
    tilt = float(rng.uniform(0.08, 0.28)) * (1.0 - 0.5 * shell)
    facets = facet_planes(site.window, seat.center_xy, radius, rng, count=int(rng.integers(1, 6)), slope=tilt, warp=0.2)
    x, y = pixel_grid(site.window)
    far = np.hypot(x - seat.impact_xy[0], y - seat.impact_xy[1]).astype(np.float32)
    wave = max(3.0, radius * float(rng.uniform(0.18, 0.4)))
    bend = 0.6 * fractal_noise(shape, max(radius, 4.0), rng, octaves=2)
    ripples = (
        float(rng.choice([0.007, 0.014, 0.02] if seat.on_outline else [0.0, 0.005, 0.014]))
        * wave
        * np.sin(2.0 * np.pi * far / wave + 5.0 * bend)
        * smooth_step(0.8 + bend)
    )
    grain = fractal_noise(shape, max(1.5, 0.12 * radius), rng, octaves=2, gain=0.7)
    azimuth = site.scene.light[0]
    facing = -(facets.slope[:, 0] * np.cos(azimuth) + facets.slope[:, 1] * np.sin(azimuth))
    light = shade((ripples + 0.05 * (1.0 - shell) * grain).astype(np.float32), site.scene.light)
    light = light + 0.7 * facing[facets.label] * (1.0 - 0.4 * facets.border)
    patch, slow = shading_of(site, radius)
    lab = (0.35 * slow + 0.65 * near.lab).astype(np.float32)
    fresh = float(rng.normal(-0.65 + 0.35 * shell, 0.45 - 0.15 * shell)) * min(contrast, 22.0)
    if body.pale:
        fresh = abs(0.5 * fresh)
    tone = recolor(lab, spec, near, fresh)
    if body.pale:  # asked for darker, it is the hollow that lies in shade, not a body of rock
        tone = max(tone, -SHADED_HOLLOW)
    lab[..., 0] += tone + contrast * (1.2 * (light - 1.0) + 0.05 * (1.0 - shell) * grain)
    if shell:
        lab[..., 0] += contrast * shell * _ribs((far / radius + 0.12 * bend).astype(np.float32), distance, bend, rng)
    # broken grains, each lit its own way
    crumbs = float(rng.uniform(0.3, 1.2)) * (1.0 - 0.85 * shell)
    crumbs = crumbs * fractal_noise(shape, float(np.clip(0.1 * radius, 2.0, 6.0)), rng, octaves=3, gain=0.9)
    lab[..., 0] += 0.11 * contrast * crumbs + 0.3 * contrast * (
        shade((0.5 * crumbs).astype(np.float32), site.scene.light) - 1.0
    )
    lab[..., 0] += contrast * _walls(distance, max(1.0, 0.05 * radius), azimuth, hidden=shell)
    # rough, so a little paler; most bodies are coloured throughout
    lab[..., 1:] *= max(float(rng.uniform(0.55, 1.0)), 0.85 if body.pale else 0.0)
    lab[..., 0] = np.clip(lab[..., 0], 0.35 * float(near.lab[0]), 98.0)  # light scattered in the break fills every shadow
    if near.grey:
        lab[..., 1:] = 0.0
    return rgb_of(subdued(lab, slow, patch, distance > 0, spec.severity * near.jnd))


def _glass(
    site: Site,
    spec: DefectSpec,
    seat: Seat,
    near: Surroundings,
    distance: Field,
    cover: Field,
    size_px: float,
    tint: tuple[float, float],
    rng: np.random.Generator,
) -> RGB:
    """(h, w, 3) sRGB of a fracture in glass (see `breaking/glass.py`). `tint`: colour of the object's highlights."""
    inside = cover > 0.3
    contrast = contrast_for(spec, near, rng)
    patch, slow = shading_of(site, size_px)
    lab = (0.25 * slow + 0.75 * near.lab).astype(np.float32)
    lab[..., 0] += recolor(lab, spec, near, float(rng.normal(0.06, 0.25)) * contrast)
    lab = paint_faces(lab, inside, size_px, contrast, rng)
    lab[..., 0] += float(rng.uniform(0.3, 1.0)) * contrast * _walls(distance, max(1.0, 0.04 * size_px), site.scene.light[0])
    lab[..., 1:] *= float(rng.uniform(0.5, 1.1))
    lab = soften(lab, size_px, rng)
    lab[..., 0] = np.clip(lab[..., 0], 0.35 * float(near.lab[0]), 98.0)
    lab = subdued(lab, slow, patch, distance > 0, spec.severity * near.jnd)
    if seat.hollow is not None:
        away = np.maximum(-seat.hollow.depth(site.window), 0.0)
    elif seat.on_outline:
        away = site.scene.depth_px[site.window.slices]
    else:
        away = np.zeros(site.window.shape, np.float32)
    rim = np.exp(-((away / (0.4 * size_px + 1.0)) ** 2)).astype(np.float32)
    bright, dark = crush_glass(site.window, inside, rim, size_px, seat.impact_xy, rng)
    # a mirror shows the lamp, however faint the break is otherwise
    strength = float(np.clip(spec.severity * near.jnd / 12.0, 0.45, 1.0))
    warmth = float(rng.uniform(-0.2, 1.0)) + 0.4 * fractal_noise(site.window.shape, max(0.3 * size_px, 2.0), rng, octaves=2)
    lamp = np.empty_like(lab)
    lamp[..., 0] = float(rng.uniform(84.0, 99.0))
    lamp[..., 1], lamp[..., 2] = warmth * tint[0], warmth * tint[1]
    lab[..., 0] *= 1.0 - 0.6 * strength * dark
    lab += strength * bright[..., None] * (lamp - lab)
    if near.grey:
        lab[..., 1:] = 0.0
    return rgb_of(lab)


def _ribs(far: Field, distance: Field, bend: Field, rng: np.random.Generator) -> Field:
    """Light and dark over a shell, about -1..1: ribs at uneven distances around the blow, and a hollow that deepens inwards.

    Args:
        far: distance from the blow relative to the size of the break.
        bend: slow noise; the ribs fade where it is low.
    """
    at = np.linspace(0.0, 4.0, 256)
    wide = path_profile(256, rng, knots=int(rng.integers(8, 20)))
    fine = path_profile(256, rng, knots=int(rng.integers(30, 60)))
    profile = 0.3 * wide + float(rng.uniform(0.05, 0.16)) * fine
    ribs = np.interp(far, at, profile).astype(np.float32) * smooth_step(0.75 + bend)
    ribs *= smooth_step(2.5 * far - 0.5)  # what was struck is crushed, there are no rings in it
    depth = np.clip(distance / max(float(distance.max()), 1.0), 0.0, 1.0)
    return (ribs + float(rng.normal(0.25, 0.25)) * (depth - 0.5)).astype(np.float32)


def _walls(distance: Field, width_px: float, azimuth: float, hidden: float = 0.0) -> Field:
    """-1..1 along the border: the wall on the light's side lies in shadow, the one opposite is lit.

    Args:
        hidden: 0..1, how far the wall stands too steeply above the face for any light: dark all around.
    """
    inward_y, inward_x = np.gradient(distance)
    lit = np.clip(inward_x * np.cos(azimuth) + inward_y * np.sin(azimuth), -0.7, 0.8)
    lit = lit + hidden * (-0.6 - 0.6 * np.maximum(lit, 0.0))
    return (np.exp(-((distance / width_px) ** 2)) * lit).astype(np.float32)


def _gloss_of(scene: Scene, bulk: Mask | None) -> _Gloss:
    """From how far the highlights of the body (`bulk`, the whole object where it is None) stand above its median lightness."""
    x0, y0, x1, y1 = scene.box_xyxy
    step = max(1, int(np.sqrt((x1 - x0) * (y1 - y0)) / 96))
    lab = scene.lab[y0:y1:step, x0:x1:step][(scene.foreground if bulk is None else bulk)[y0:y1:step, x0:x1:step]]
    tint = lab[lab[:, 0] >= np.percentile(lab[:, 0], 99)].mean(0)
    # lights on a surface that fills the frame are mostly its lines and grain
    chance = polish_of(lab[:, 0]) * (0.03 if scene.fills_frame else 1.0)
    return _Gloss(chance, (float(tint[1]), float(tint[2])))


def _opening(
    site: Site,
    spec: DefectSpec,
    seat: Seat,
    elongation: float,
    near: Surroundings,
    behind: NDArray[np.float32],
    slender: Mask | None,
    rng: np.random.Generator,
) -> Field | None:
    """(h, w) 0..1: the outer part of the break, which goes right through; None: it does not.

    Args:
        behind: (3,) sRGB of what lies behind the object.
        slender: (h, w) what is too slender to break here; None where nothing is.
    """
    if rng.random() >= _NOTCH_CHANCE:
        return None
    # An opening cannot be faint: it is only cut where what lies behind differs no more than the severity allows.
    if float(ciede2000(lab_from_rgb(behind[None, None])[0, 0], near.lab)) >= 2.5 * spec.severity * near.jnd:
        return None
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
    opening = np.clip(notch + 0.5, 0.0, 1.0).astype(np.float32)
    if slender is not None and (slender & (opening > 0.3)).any():
        return None  # what stands there would hang in the air
    return opening


def _with_what_falls_off(site: Site, opening: Field) -> Field | None:
    """The opening with the pieces of the object that nothing holds any more; None where one reaches out of the window."""
    rest = site.scene.foreground.astype(np.uint8)
    rest[site.window.slices] &= opening < 0.5
    loose = _small_pieces(rest)
    inside = loose[site.window.slices]
    if np.count_nonzero(inside) < np.count_nonzero(loose & ~_small_pieces(site.scene.foreground.astype(np.uint8))):
        return None
    return np.maximum(opening, cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8))).astype(np.float32)


def _small_pieces(body: SmallMask) -> Mask:
    """(H, W) bool: the pieces of a body that are much smaller than its largest one."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(body, connectivity=4)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    small = 1 + np.flatnonzero(areas < _HELD * areas.max(initial=0))
    return np.asarray(np.isin(labels, small))


def _cut_through(
    site: Site,
    opening: Field,
    behind: NDArray[np.float32],
    slender: Mask | None,
    paint: RGB,
    cover: Field,
    rng: np.random.Generator,
    beside: Field | None = None,
) -> tuple[RGB, Field]:
    """Paint and cover of the break with what lies behind the object seen through its opening.

    Args:
        beside: (h, w) pixels inside the border of the piece, for one with a sharp outline: what goes with it is all within
            that border, and beyond what the lens blurs only what has the tone of the object; None: see below.
    """
    reach = _outline_reach(site.scene)
    solid = site.scene.foreground[site.window.slices]
    beyond = _with_outline(solid if slender is None else solid & ~slender, reach)
    # beside the object the opening goes on as far as the soft outline of the piece reached, and fades out along it
    away = cv2.distanceTransform((opening < 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    wide = smooth_step((1.75 - 1.25 * away / reach).astype(np.float32)) if beside is None else smooth_step(0.5 + beside / 5.0)
    through = np.where(solid, opening, wide).astype(np.float32) * beyond
    if slender is not None:  # what stands beside the break stays, with its soft outline
        around = cv2.dilate(slender.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        through = np.where(around, 0.0, through).astype(np.float32)
    backdrop = _backdrop(site, (beyond > 0) | solid, behind, rng)
    if beside is not None and (solid & (opening > 0.5)).any():
        rgb = site.scene.photo.rgb[site.window.slices]
        own = rgb[solid & (opening > 0.5)].mean(axis=0) - backdrop
        toned = ((rgb - backdrop) * own).sum(axis=2) / np.maximum((own * own).sum(axis=2), 1e-3) > _OWN_TONE
        near = _with_outline(solid | toned, 1.0 + 3.0 * site.scene.blur_sigma_px)
        through *= np.asarray(cv2.GaussianBlur(near, (0, 0), 0.7), np.float32)
    share = np.where(solid, through, 1.0)[..., None]  # beside the object there is no fracture to mix in
    return (paint + share * (backdrop - paint)).astype(np.float32), np.maximum(cover, through)


def _with_outline(solid: Mask, reach_px: float) -> Field:
    """The object and the pixels beside it that its blurred outline still tints, 0..1: no trace of it may hang over a notch.

    Rounded and transparent parts fade out over more than the lens blur: a share of the object's size is added.
    """
    size = 2 * int(np.ceil(reach_px)) + 1
    grown = cv2.dilate(solid.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return grown.astype(np.float32)


def _outline_reach(scene: Scene) -> float:
    """Pixels beyond the outline that the object may still tint."""
    return 2.0 + 3.0 * scene.blur_sigma_px + 0.02 * float(np.sqrt(scene.object_area_px))


def _backdrop(site: Site, covered: Mask, usual: NDArray[np.float32], rng: np.random.Generator) -> RGB:
    """(h, w, 3) what lies behind the object, continued from what is seen of it in the window; `usual` when too little is."""
    if np.count_nonzero(~covered) < 24:
        return np.broadcast_to(usual, (*covered.shape, 3)).astype(np.float32)
    rgb = np.ascontiguousarray(site.scene.photo.rgb[site.window.slices])
    if local_statistics(rgb, ~covered).grain.mean() >= SMOOTH_GRAIN:  # a weave or a perforated board
        return fill_from_surroundings(rgb, covered, rng)
    return continue_smoothly(rgb, ~covered)
