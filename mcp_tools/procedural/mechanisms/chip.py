"""A chip: a piece has broken out, at an edge or rim, or a shallow spall inside the surface.

Physics: brittle material parts along conchoidal (shell-shaped) faces. The fracture is fresh: the texture, print and gloss
of the old surface are gone. In glass and glaze large dull faces lie beside a few heaps of flashing splinters; in stone,
ferrite or plastic a few facets with sharp ridges are matt and granular, faint ripples run around the point of impact, and the
border is sharp, dark on one side and lit on the other. Where the piece went through the outline the background shows. Where
it sat is found by `structure/rims.py`; at the rim of a hollow it is a stretch of the wall (`breaking/wall_break.py`); where
words ask for a corner it is the tip of one (`breaking/corner_break.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.color import ciede2000, lab_from_rgb
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.breaking.corner_break import tip_of
from anomalyagent.mcp_tools.procedural.breaking.faces import paint_fracture
from anomalyagent.mcp_tools.procedural.breaking.glass import paint_glass
from anomalyagent.mcp_tools.procedural.breaking.named_body import Body
from anomalyagent.mcp_tools.procedural.breaking.spall import paint_spall, spall_outline
from anomalyagent.mcp_tools.procedural.breaking.splinter import LEAST_SLENDER
from anomalyagent.mcp_tools.procedural.breaking.wall_break import break_wall
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_distance, fractal_noise, pixel_grid
from anomalyagent.mcp_tools.procedural.light.material import median_background, polish_of
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, measure_surroundings
from anomalyagent.mcp_tools.procedural.parts.axis import near_protrusions
from anomalyagent.mcp_tools.procedural.parts.corners import Corner, corner_targets, nearest_corner
from anomalyagent.mcp_tools.procedural.parts.protrusions import protrusions_of
from anomalyagent.mcp_tools.procedural.placement import Extent, extent_of, window_around
from anomalyagent.mcp_tools.procedural.retouching.opening import cut_through, of_own_tone, with_what_falls_off
from anomalyagent.mcp_tools.procedural.structure.rims import Seat, find_hollow, find_seat

__all__ = ["Breaking", "render", "suitability"]

_NOTCH_CHANCE = 0.6
_OUT_OF_FOCUS = 0.2
_MIN_AREA_PX = 14.0
_SOFT_OUTLINE = 0.3  # a body of which a fracture flashes with this chance is polished or transparent: its outline is soft


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
    pins = np.zeros(site.scene.foreground.shape, np.bool_)
    for part in protrusions_of(site.scene):
        pins[part.window.slices] |= part.mask
    if behind is None or not (cover > 0.3).any() or (pins[site.window.slices] & (cover > 0.3)).any():
        return None  # without what holds them, pins would hang in the air
    near = measure_surroundings(site, inside=cover > 0.3)
    paint = paint_fracture(site, spec, Seat(middle, along, corner.inside(0.2 * deep), True, None), near, distance, rng, body)
    slant = (
        deep * float(rng.uniform(0.05, 0.3)) * (1.0 + 0.4 * fractal_noise(site.window.shape, max(half, 4.0), rng, octaves=3))
    )
    slant *= np.clip(site.scene.depth_px[site.window.slices] / (4.0 + 2.0 * site.scene.blur_sigma_px) - 0.5, 0.0, 1.0)
    opening = np.clip(distance - np.maximum(slant, 0.0) + 0.5, 0.0, 1.0).astype(np.float32)
    paint, cover = cut_through(site, opening, behind, None, paint, cover, rng, distance)
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
    if seat.on_outline and (body.coated or (site.scene.fills_frame and (body.coarse or site.scene.fibrous))):
        # the frame is no edge of a wall or a board; and where paint comes off at an edge, what it covered is whole
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
        paint = paint_glass(site, spec, seat, near, distance, cover, width, gloss.tint, rng)
    elif seat.on_outline or seat.hollow is not None:
        paint = paint_fracture(site, spec, seat, near, distance, rng, body)
    else:
        paint, shown = paint_spall(site, spec, near, distance, rng, body)
        cover *= shown
    opening = None
    behind = median_background(site.scene)
    if site.scene.silhouette:  # only what is gone right through can be seen
        if not seat.on_outline or behind is None:
            return None
        opening = with_what_falls_off(site, np.clip(distance + 0.5, 0.0, 1.0).astype(np.float32))
        if opening is None:
            return None
        paint, cover = cut_through(site, opening, behind, None, paint, cover, rng)
    elif seat.on_outline and behind is not None:
        sharp = body.matt or gloss.chance < _SOFT_OUTLINE
        if sharp:
            cover *= of_own_tone(site, cover > 0.3, behind, rng)
        notch = _opening(site, spec, seat, elongation, near, behind, slender, rng)
        if notch is not None:
            opening = np.clip(notch + 0.5, 0.0, 1.0).astype(np.float32)
            paint, cover = cut_through(site, opening, behind, slender, paint, cover, rng, notch if sharp else None)
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
    if site.scene.fibrous and not seat.on_outline:  # wood parts along its fibres
        elongation = max(elongation, LEAST_SLENDER)
        seat = seat._replace(angle_rad=site.scene.orientation_at(*seat.center_xy)[0])
    extent = extent_of(site.scene, nominal, elongation)
    site = replace(site, window=window_around(site.scene, seat.center_xy, extent, seat.angle_rad))
    if not seat.on_outline:
        seated = replace(site, center_xy=seat.center_xy, angle_rad=seat.angle_rad)
        if site.scene.fibrous:
            site = seated
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
    """(h, w) pixels inside the border of the outer part of the break, which goes right through; None: it does not.

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
    return notch
