"""Lifting a part out of a photo: the ground behind it, the place that it covered, and its matte."""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.texture import fill_from_surroundings
from anomalyagent.mcp_tools.procedural.components import Component, around
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.shapes import smooth_step
from anomalyagent.mcp_tools.procedural.warp import feather

__all__ = ["CutOut", "cut_out", "edit_of", "fill_behind", "put_down"]


class CutOut(NamedTuple):
    """A part lifted from its ground.

    Attributes:
        window: box in the photo that holds the part and the asked margin.
        rgb: (h, w, 3) the photo there.
        ground: (h, w, 3) the same without the part.
        seat: (h, w) 0..1, the place that the part and its blurred border covered.
        matte: (h, w) 0..1, the part itself without the ground that shows between its strokes.
        center_xy: its centroid relative to the window.
    """

    window: Window
    rgb: RGB
    ground: RGB
    seat: Field
    matte: Field
    center_xy: tuple[float, float]


def cut_out(site: Site, part: Component, margin_px: float, rng: np.random.Generator) -> CutOut:
    """Lift a part, with `margin_px` of room around it to put it down again."""
    window = around(part.window, margin_px, site.scene.foreground.shape)
    rgb = np.ascontiguousarray(site.scene.photo.rgb[window.slices])
    mask = np.zeros(window.shape, bool)
    y, x = part.window.y0 - window.y0, part.window.x0 - window.x0
    mask[y : y + part.mask.shape[0], x : x + part.mask.shape[1]] = part.mask
    ground = fill_behind(rgb, mask, rng)
    seat = feather(mask, 1.0 + 1.2 * site.scene.blur_sigma_px)
    away = np.linalg.norm(lab_from_rgb(rgb) - lab_from_rgb(cv2.blur(ground, (5, 5)).astype(np.float32)), axis=2)
    typical = max(float(np.percentile(away[mask], 75)), 1.0) if mask.any() else 1.0
    matte = seat * smooth_step(((away - 0.15 * typical) / (0.4 * typical)).astype(np.float32))
    return CutOut(window, rgb, ground, seat, matte, (part.center_xy[0] - window.x0, part.center_xy[1] - window.y0))


def put_down(place: CutOut, moved: RGB, matte: Field) -> Edit:
    """The edit that clears `place` and shows a moved part there: (h, w, 3) pixels and (h, w) matte over its window."""
    cleared = place.rgb + (place.ground - place.rgb) * place.seat[..., None]
    paint = cleared + (moved - cleared) * matte[..., None]
    return edit_of(
        place.window, paint.astype(np.float32), np.where((place.seat > 0.01) | (matte > 0.01), 1.0, 0.0).astype(np.float32)
    )


def edit_of(window: Window, paint: RGB, cover: Field) -> Edit:
    """The edit that shows photographed pixels where `cover` (0..1) is above 0."""
    return Edit(
        window=window,
        support=cover > 0.01,
        paint=np.clip(paint, 0.0, 1.0).astype(np.float32),
        opacity=cover.astype(np.float32),
        strength_fixed=True,
        photographed=True,
    )


def fill_behind(rgb: RGB, hole: Mask, rng: np.random.Generator) -> RGB:
    """`rgb` with `hole` filled by the plain ground around it.

    Whatever else stands out from the ground (neighbouring parts, letters, edges) is kept out of the filling, so that no piece
    of a neighbour appears in the gap.

    Args:
        rgb: (h, w, 3) float32 0..1. hole: (h, w) bool, not everything.
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
    return np.where(hole[..., None], filled, rgb).astype(np.float32)
