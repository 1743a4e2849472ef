"""Lifting a part out of a photo: the ground behind it, the place that it covered, and its matte."""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.inpainting import continue_smoothly, fill_from_surroundings
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.texture import local_statistics
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import smooth_step
from anomalyagent.mcp_tools.procedural.geometry.warp import feather
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.parts.axis import axis_of
from anomalyagent.mcp_tools.procedural.parts.component import Component, mask_in
from anomalyagent.mcp_tools.procedural.retouching.belongings import REACH, Belongings, belongings_of, cast_shade_of

__all__ = [
    "SMOOTH_GRAIN",
    "Cleared",
    "CutOut",
    "clear_protrusion",
    "continue_backdrop",
    "cut_out",
    "edit_of",
    "edit_of_drawn",
    "fill_behind",
    "lowest_light",
    "put_down",
]

SMOOTH_GRAIN = 0.02
"""sRGB units: a backdrop with less grain is even."""

_MOST_OF_A_PIECE, _ENOUGH_GROUND = 0.6, 0.15  # of a piece that a part must be to be it; of a part, for its ground to be seen
_UNCHANGED = 1.0 / 512.0  # sRGB units: half a step of 8 bits
_EVEN_SWEEPS = 24  # fewer leave an edge where a wide gap begins
_SHADOW = 0.04  # sRGB units: the side of a part that is darker by this lies in its shadow
_LOWEST = 0.5  # percent of the backdrop: where so much is darker than that by itself, only what is darker still is shade
_BROAD = 0.07  # of the size of a hole: half the width of what can be the body around it
_WIDE = 0.12  # of the object's size: an arm that is wider throws no further shadow


class CutOut(NamedTuple):
    """A part lifted from its ground.

    Attributes:
        window: box in the photo that holds the part and the asked margin.
        rgb: (h, w, 3) the photo there.
        ground: (h, w, 3) the same without the part.
        seat: (h, w) 0..1, the place that the part, its blurred border and its shadow covered.
        cover: (h, w) 0..1, the same without the shadow.
        matte: (h, w) 0..1, the part itself without the ground that shows between its strokes.
        center_xy: its centroid relative to the window.
    """

    window: Window
    rgb: RGB
    ground: RGB
    seat: Field
    cover: Field
    matte: Field
    center_xy: tuple[float, float]


def cut_out(site: Site, part: Component, margin_px: float, rng: np.random.Generator, *, stands_out: bool = False) -> CutOut:
    """Lift a part, with `margin_px` of room around it to put it down again.

    Args:
        stands_out: it is a protrusion over the background: its shadow is lifted with it.
    """
    window = around(part.window, margin_px, site.scene.foreground.shape)
    wide = around(part.window, max(margin_px, REACH * float(np.sqrt(part.area_px))), site.scene.foreground.shape)
    more = None if stands_out else _belongings(np.ascontiguousarray(site.scene.photo.rgb[wide.slices]), mask_in(wide, part))
    window = window if more is None else wide
    rgb = np.ascontiguousarray(site.scene.photo.rgb[window.slices])
    mask = mask_in(window, part)
    soft_px = 1.0 + 1.2 * site.scene.blur_sigma_px
    if more is not None:
        mask |= more.matter
    seat = feather(mask, soft_px)
    own = seat
    if more is not None:  # the shade is lifted too, but it does not go with the part
        grow = 2 * round(soft_px) + 1
        mask = cv2.dilate((mask | more.shade).astype(np.uint8), np.ones((grow, grow), np.uint8)).astype(bool)
        seat = feather(mask, soft_px)
    if stands_out:
        ground, cleared = clear_protrusion(site, part, window, rng, whole=False)
        seat = np.maximum(seat, cleared)
    else:
        bare = _ground_under_piece(site.scene, part, window, mask, soft_px)
        ground = fill_behind(rgb, mask, rng, own > 0) if bare is None else continue_backdrop(rgb, mask, bare, rng)
    if stands_out:  # it stays fixed where it leaves the body
        ys, xs = np.mgrid[: window.shape[0], : window.shape[1]].astype(np.float32)
        root_x, root_y = part.root_xy
        along = (xs + window.x0 - root_x) * np.cos(part.angle_rad) + (ys + window.y0 - root_y) * np.sin(part.angle_rad)
        seat = seat * smooth_step((along / (0.5 * part.area_px / max(part.length_px, 1.0) + 2.0)).astype(np.float32))
    away = np.linalg.norm(lab_from_rgb(rgb) - lab_from_rgb(cv2.blur(ground, (5, 5)).astype(np.float32)), axis=2)
    typical = max(float(np.percentile(away[mask], 75)), 1.0) if mask.any() else 1.0
    matte = own * smooth_step(((away - 0.15 * typical) / (0.4 * typical)).astype(np.float32))
    return CutOut(window, rgb, ground, seat, own, matte, (part.center_xy[0] - window.x0, part.center_xy[1] - window.y0))


def _belongings(rgb: RGB, mask: Mask) -> Belongings | None:
    """What goes with a part: told by even ground, else only the shadow that it throws over what it lies on."""
    found = belongings_of(rgb, mask)
    if found is not None and found.shade.any():
        return found
    shade = cast_shade_of(rgb, mask)
    if shade is None:
        return found
    return Belongings(np.zeros_like(mask) if found is None else found.matter, shade)


def _ground_under_piece(scene: Scene, part: Component, window: Window, mask: Mask, soft_px: float) -> Mask | None:
    """(h, w) bool: the ground around a piece that touches others, on which none of them lies; None of what touches none, or is
    no piece, or where too little ground is seen."""
    others = scene.other_pieces(*part.center_xy)
    if others is None or not _is_piece(scene, part):
        return None
    grow = 2 * round(2.0 * soft_px) + 1
    beside = cv2.dilate(mask.astype(np.uint8), np.ones((grow, grow), np.uint8)) > 0
    if not others[window.slices][beside].any():
        return None
    taken = cv2.dilate(scene.foreground[window.slices].astype(np.uint8), np.ones((grow, grow), np.uint8)) > 0
    bare = np.asarray(~taken & ~mask, np.bool_)
    return bare if np.count_nonzero(bare) > _ENOUGH_GROUND * np.count_nonzero(mask) else None


def _is_piece(scene: Scene, part: Component) -> bool:
    """True when the part is most of one of several pieces."""
    assert scene.alike_pieces is not None
    labels, whole = scene.alike_pieces
    inside = labels[part.window.slices][part.mask]
    own = int(np.bincount(inside).argmax()) if inside.size else 0
    if own == 0:
        own = int(np.bincount(inside[inside > 0]).argmax()) if (inside > 0).any() else 0
    return own in whole and int(np.count_nonzero(inside == own)) > _MOST_OF_A_PIECE * int(np.count_nonzero(labels == own))


class Cleared(NamedTuple):
    """What lies behind a protrusion, (h, w, 3), and 0..1 where it and its shadow covered that."""

    ground: RGB
    seat: Field


def clear_protrusion(site: Site, part: Component, window: Window, rng: np.random.Generator, *, whole: bool) -> Cleared:
    """The window without a part that stands out over the background, and without its shadow there.

    Args:
        whole: clear the part up to the body that it leaves, not only from its root on.
    """
    scene = site.scene
    wide = min(part.area_px / max(part.length_px, 1.0), _WIDE * float(np.sqrt(scene.object_area_px)))
    rgb = np.ascontiguousarray(scene.photo.rgb[window.slices])
    solid = scene.foreground[window.slices]
    mask = np.zeros(window.shape, bool)
    y, x = part.window.y0 - window.y0, part.window.x0 - window.x0
    rows, columns = slice(max(y, 0), y + part.mask.shape[0]), slice(max(x, 0), x + part.mask.shape[1])
    inside = mask[rows, columns]
    inside[:] = part.mask[max(-y, 0) :, max(-x, 0) :][: inside.shape[0], : inside.shape[1]]
    other = cv2.morphologyEx((solid & ~mask).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool)
    from_part = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    from_other = cv2.distanceTransform((~other).astype(np.uint8), cv2.DIST_L2, 3)
    # a shadow lies beside what casts it; where a neighbour is as near, it is the neighbour's
    hole = (mask & (from_other > 0)) | ((from_part <= 1.8 * wide + 2.0) & (from_part < 0.8 * from_other))
    blurred = 1 + round(1.5 * scene.blur_sigma_px)
    shaded, sunny = _sides_of(rgb, part, window, (from_part > blurred) & (from_part < blurred + 0.6 * wide + 1.0) & ~other)
    hole |= shaded & (from_part <= 2.2 * wide + 2.0) & (from_other > blurred + 1)  # that far a shadow is its own
    hole &= ~sunny | (from_part <= blurred + 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * blurred + 1, 2 * blurred + 1))
    plain = ~hole & ~cv2.dilate(other.astype(np.uint8), disc).astype(bool)
    if not plain.any():
        return Cleared(fill_behind(rgb, hole, rng), hole.astype(np.float32))
    calm = plain & (np.minimum(from_part, from_other) > 2.2 * wide + 2.0)
    lit = _in_the_light(rgb, hole, mask, plain, calm, blurred)
    hole, plain = hole & ~lit, plain | lit
    ground = continue_backdrop(rgb, hole | other, plain, rng)
    fade = feather(cv2.dilate(hole.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~other, 0.3 * wide + 1.5)
    seat = np.maximum(fade, mask & (from_other > 0)).astype(np.float32)
    if not whole:
        return Cleared(ground, seat)
    root, share, seen = _without_root(site, part, window, rng)
    seat = seat * seen * (1.0 - share)
    cover = seat + share
    ground = (seat[..., None] * ground + share[..., None] * root) / np.maximum(cover, 1e-4)[..., None]
    return Cleared(ground.astype(np.float32), cover.astype(np.float32))


def _sides_of(rgb: RGB, part: Component, window: Window, beside: Mask) -> tuple[Mask, Mask]:
    """(h, w) bool each: the side of a protrusion on which its shadow lies, and the other; nothing where none is darker."""
    ys, xs = np.mgrid[: window.shape[0], : window.shape[1]].astype(np.float32)
    x, y = xs + window.x0 + 0.5 - part.root_xy[0], ys + window.y0 + 0.5 - part.root_xy[1]
    along = x * np.cos(part.angle_rad) + y * np.sin(part.angle_rad)
    across = -x * np.sin(part.angle_rad) + y * np.cos(part.angle_rad)
    level, out = rgb.mean(axis=2), across > 0
    seen = beside & (along > 0.4 * part.length_px) & (along < 0.9 * part.length_px)
    nothing = np.zeros(window.shape, bool)
    if not (seen & out).any() or not (seen & ~out).any():
        return nothing, nothing
    here, there = float(np.median(level[seen & out])), float(np.median(level[seen & ~out]))
    if abs(here - there) < _SHADOW:
        return nothing, nothing
    below = (along > 0.2 * part.length_px) & (along < part.length_px)
    return (out if here < there else ~out) & (along > 0), (~out if here < there else out) & below


def _in_the_light(rgb: RGB, hole: Mask, mask: Mask, plain: Mask, calm: Mask, blurred_px: int) -> Mask:
    """(h, w) bool, what of `hole` is as bright as the backdrop beside it: no shadow lies there, it can stay as it is.

    `calm` (h, w) bool: backdrop out of reach of any shadow, which tells how uneven it is by itself.
    """
    backdrop = cv2.GaussianBlur(continue_smoothly(rgb, plain, _EVEN_SWEEPS).mean(2), (0, 0), 1.5)
    soft = cv2.GaussianBlur(rgb.mean(2), (0, 0), 1.0)
    reach = 2 * blurred_px + 3
    part = cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))).astype(bool)
    lowest = lowest_light(np.asarray(soft, np.float32), calm, 2.0 * reach) if calm.any() else 1.0
    lit = hole & ~part & (soft > np.minimum(backdrop - 0.01, lowest * backdrop))
    lit = cv2.morphologyEx(lit.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool)
    penumbra = cv2.dilate((hole & ~lit).astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    return lit & ~penumbra


def continue_backdrop(rgb: RGB, hole: Mask, plain: Mask, rng: np.random.Generator) -> RGB:
    """`rgb` with everything in `hole` replaced by the backdrop that `plain` (h, w) bool shows.

    The light on an even backdrop goes on smoothly, which copied patches cannot do; a textured one is continued by patches.
    """
    grain = local_statistics(rgb, plain).grain
    if float(grain.mean()) >= SMOOTH_GRAIN:
        return fill_from_surroundings(rgb, hole, rng, plain)
    even = cv2.GaussianBlur(continue_smoothly(rgb, plain), (0, 0), 1.5)
    even = continue_smoothly(np.asarray(even, np.float32), plain, _EVEN_SWEEPS)
    drawn = np.clip(even + _fine_noise(hole.shape, rng) * 2.1 * grain, 0.0, 1.0)  # 2.1: what the blur takes from the noise
    return np.where(hole[..., None], drawn, rgb).astype(np.float32)


def _fine_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Field:
    """(h, w, 1) noise of a photo's grain, from normal numbers."""
    return cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), 0.6)[..., None].astype(np.float32)


def _without_root(site: Site, part: Component, window: Window, rng: np.random.Generator) -> tuple[RGB, Field, Field]:
    """What lies where a protrusion leaves the body, (h, w, 3); where that is, 0..1; where the rest may be cleared, 0..1.

    Each line across the protrusion runs on from its one side to the other, so that the edge of the body and the shade below
    it go on. The strip reaches back into the body until the protrusion cannot be told from its sides.
    """
    scene = site.scene
    axis = axis_of(scene, part)
    half = axis.half + 2.0 + 1.5 * scene.blur_sigma_px
    ys, xs = np.mgrid[: window.shape[0], : window.shape[1]].astype(np.float32)
    along, across = axis.coordinates(xs + window.x0 + 0.5, ys + window.y0 + 0.5)
    rgb = scene.photo.rgb
    left, right = axis.sample(rgb, along, -half), axis.sample(rgb, along, half)
    fill = left + np.clip((across + half) / (2.0 * half), 0.0, 1.0)[..., None] * (right - left)
    beside = (np.abs(across) > half) & (np.abs(across) < half + 4.0) & (along > 0) & (along < 0.5 * part.length_px)
    grain = local_statistics(np.ascontiguousarray(rgb[window.slices]), beside).grain
    fill = np.clip(
        fill + _fine_noise(window.shape, rng) * grain, 0.0, 1.0
    )  # the mean of two sides has kept part of their grain
    near = smooth_step(((0.4 * part.length_px - along) / (0.3 * part.length_px)).astype(np.float32))
    within = smooth_step((0.5 * (half + 1.0 - np.abs(across))).astype(np.float32))
    share = near * within * smooth_step((0.5 * (along + axis.back + 1.0)).astype(np.float32))
    return fill.astype(np.float32), share.astype(np.float32), np.maximum(1.0 - near, within).astype(np.float32)


def put_down(place: CutOut, moved: RGB, matte: Field) -> Edit:
    """The edit that clears `place` and shows a moved part there: (h, w, 3) pixels and (h, w) matte over its window."""
    cleared = place.rgb + (place.ground - place.rgb) * place.seat[..., None]
    paint = cleared + (moved - cleared) * matte[..., None]
    cover = np.where((place.seat > 0.01) | (matte > 0.01), 1.0, 0.0).astype(np.float32)
    return edit_of(place.window, paint.astype(np.float32), cover, size_fixed=True)


def lowest_light(level: Field, where: Mask, reach_px: float) -> float:
    """Light of the darkest spots of an uneven backdrop, as a share of what lies around them within `reach_px`."""
    weight = where.astype(np.float32)
    around = cv2.GaussianBlur(level * weight, (0, 0), reach_px) / np.maximum(cv2.GaussianBlur(weight, (0, 0), reach_px), 1e-3)
    return float(np.percentile(level[where] / np.maximum(around[where], 1e-3), _LOWEST))


def edit_of(window: Window, paint: RGB, cover: Field, *, size_fixed: bool = False) -> Edit:
    """The edit that shows photographed pixels where `cover` (0..1) is above 0. `size_fixed`: see `Edit`."""
    return Edit(
        window=window,
        support=cover > 0.01,
        paint=np.clip(paint, 0.0, 1.0).astype(np.float32),
        opacity=cover.astype(np.float32),
        strength_fixed=True,
        size_fixed=size_fixed,
        photographed=True,
    )


def edit_of_drawn(site: Site, window: Window, drawn: RGB, *, size_fixed: bool = False) -> Edit:
    """The edit that shows `drawn`, (h, w, 3) of photographed pixels over a window, wherever it differs from the photo."""
    changed = np.abs(drawn - site.scene.photo.rgb[window.slices]).max(axis=2) > _UNCHANGED
    return edit_of(window, drawn, changed.astype(np.float32), size_fixed=size_fixed)


def fill_behind(rgb: RGB, hole: Mask, rng: np.random.Generator, seat: Mask | None = None) -> RGB:
    """`rgb` with `hole` filled by the plain ground around it.

    Whatever else stands out from the ground (neighbouring parts, letters, edges) is kept out of the filling, so that no piece
    of a neighbour appears in the gap.

    Args:
        rgb: (h, w, 3) float32 0..1. hole: (h, w) bool, not everything.
        seat: (h, w) bool, the part of the hole that a body around it goes on through; None: all of it.
    """
    reach = max(3, round(0.12 * float(np.sqrt(np.count_nonzero(hole)))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    ring = cv2.dilate(hole.astype(np.uint8), disc).astype(bool) & ~hole
    if not ring.any():
        return fill_from_surroundings(rgb, hole, rng)
    away = np.linalg.norm(lab_from_rgb(rgb) - np.median(lab_from_rgb(rgb[ring][None])[0], axis=0), axis=2)
    plain = away <= max(6.0, 3.0 * float(np.median(away[ring])))
    plain &= ~cv2.dilate((~plain & ~hole).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    if np.count_nonzero(plain & ~hole) < 0.1 * hole.size:
        return fill_from_surroundings(rgb, hole, rng)
    filled = fill_from_surroundings(rgb, hole | ~plain, rng)
    filled = np.where(hole[..., None], filled, rgb).astype(np.float32)
    body = _body(hole, hole if seat is None else seat, plain)
    if body is None:
        return filled
    # where the part sat in a body (a pin in its housing), the body goes on, not the ground
    to_body = cv2.distanceTransform((~body).astype(np.uint8), cv2.DIST_L2, 3)
    to_plain = cv2.distanceTransform((~(plain & ~hole)).astype(np.uint8), cv2.DIST_L2, 3)
    share = smooth_step((0.5 + 0.5 * (to_plain - to_body)).astype(np.float32)) * hole
    return (filled + share[..., None] * (continue_smoothly(rgb, body) - filled)).astype(np.float32)


def _body(hole: Mask, seat: Mask, plain: Mask) -> Mask | None:
    """What stands out from the ground, touches the seat and is large beside the hole; None when there is no such thing."""
    broad = max(3, 2 * round(_BROAD * float(np.sqrt(np.count_nonzero(hole)))) + 1)  # tracks of a board are no body
    other = cv2.morphologyEx((~plain & ~hole).astype(np.uint8), cv2.MORPH_OPEN, np.ones((broad, broad), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(other, connectivity=4)
    near = cv2.dilate(seat.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    large = [one for one in range(1, count) if stats[one, cv2.CC_STAT_AREA] > 0.4 * np.count_nonzero(hole)]
    touching = [one for one in large if (near & (labels == one)).any()]
    return np.isin(labels, touching) if touching else None
