"""The hollow that one looks into at a site: the inside of a bottle, a bore, a pocket."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.sizes import scale_within, size_within
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.structure.rims import Hollow, find_hollow

__all__ = ["Cavity", "find_cavity"]

_SIZE_PX = 128  # longest side of the copy that is searched
_TOLERANCES = (7.0, 5.0, 3.5, 2.5)  # L of CIELAB that one even field may span to either side, until it does not leak
_LEAST_PX = 80.0  # area on the copy
_SOLID = 0.98  # of its convex hull: an outline that leaks nowhere,
_ROUGH = 0.94  # and one that is taken where there is no better one
_SMOOTHED = 0.15  # of the square root of its area: tongues and bays that are narrower are not of its outline
_REGAINED = 0.25  # level of the smoothed field: the search stops about a pixel of the copy before a clear border
_DEEP_L = 40.0  # L of CIELAB: little light comes back from inside a hollow,
_DARKER = 4.0  # and less than from what is around it


class Cavity(NamedTuple):
    """An even field, dark and darker than what is around it.

    Attributes:
        window: box in the photo that holds it and a small margin.
        mask: (h, w) bool over `window`.
    """

    window: Window
    mask: Mask


def find_cavity(site: Site) -> Cavity | None:
    """The hollow of the object if it has one, else the field of nearly the site's lightness.

    None if the site lies outside the hollow, or if the field is ragged, tiny, no darker than what is around it (a face, a
    label) or leaves the search region, which is four times as wide as the site's window.
    """
    hollow = find_hollow(site.scene)
    return _of_one_lightness(site) if hollow is None else _inside_of(site, hollow)


def _inside_of(site: Site, hollow: Hollow) -> Cavity | None:
    height, width = site.scene.foreground.shape
    rows, columns = np.nonzero(hollow.inside)
    tight = (np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]) / hollow.scale).astype(int)
    window = around(Window(*tight.tolist()), 4.0 + 1.0 / hollow.scale, (height, width))
    mask = hollow.depth(window) > 0.0
    x, y = round(site.center_xy[0]) - window.x0, round(site.center_xy[1]) - window.y0
    if not (0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x]):
        return None
    return Cavity(window, mask) if _is_deep(hollow.lightness, hollow.inside.astype(np.uint8)) else None


def _of_one_lightness(site: Site) -> Cavity | None:
    height, width = site.scene.foreground.shape
    region = around(site.window, 1.5 * max(site.window.shape), (height, width))
    scale, size = scale_within(region.shape, _SIZE_PX), size_within(region.shape, _SIZE_PX, 8)
    lightness = cv2.resize(np.ascontiguousarray(site.scene.lab[region.slices][..., 0]), size, interpolation=cv2.INTER_AREA)
    lightness = cv2.GaussianBlur(lightness, (0, 0), 1.0).astype(np.float32)
    x = int(np.clip((site.center_xy[0] - region.x0) * scale, 0, size[0] - 1))
    y = int(np.clip((site.center_xy[1] - region.y0) * scale, 0, size[1] - 1))
    filled = _grow(lightness, (x, y))
    if filled is None or not _is_deep(lightness, filled):
        return None
    left, top, wide, high = cv2.boundingRect(filled)
    tight = Window(
        int(region.y0 + top / scale),
        int(region.x0 + left / scale),
        int(region.y0 + (top + high) / scale),
        int(region.x0 + (left + wide) / scale),
    )
    window = around(tight, 4.0 + 1.0 / scale, (height, width))
    rows = ((np.arange(window.y0, window.y1) + 0.5 - region.y0) * scale - 0.5).astype(np.float32)
    columns = ((np.arange(window.x0, window.x1) + 0.5 - region.x0) * scale - 0.5).astype(np.float32)
    map_x, map_y = np.meshgrid(columns, rows)
    even = cv2.GaussianBlur(filled.astype(np.float32), (0, 0), 1.2)  # no steps where the copy was coarse
    smooth = cv2.remap(even, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return Cavity(window, smooth > _REGAINED)


def _is_deep(lightness: NDArray[np.float32], field: NDArray[np.uint8]) -> bool:
    """Whether a field (0 and 1) is dark and darker than what is around it."""
    within = float(np.median(lightness[field > 0]))
    brush = np.ones((3, 3), np.uint8)
    beside = (cv2.dilate(field, brush, iterations=4) - cv2.dilate(field, brush)).astype(np.bool_)
    return within < min(_DEEP_L, float(np.mean(lightness[beside])) - _DARKER)


def _grow(lightness: NDArray[np.float32], seed_xy: tuple[int, int]) -> NDArray[np.uint8] | None:
    """The field (0 and 1) of nearly one lightness around a pixel: the widest that leaks nowhere, else the least ragged."""
    flags = cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | 4 | (1 << 8)
    best: NDArray[np.int32] | None = None
    solid = _ROUGH
    for tolerance in _TOLERANCES:
        grown = np.zeros((lightness.shape[0] + 2, lightness.shape[1] + 2), np.uint8)
        cv2.floodFill(lightness, grown, seed_xy, 0.0, tolerance, tolerance, flags)
        field = cv2.morphologyEx(grown[1:-1, 1:-1], cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        if np.concatenate([field[0], field[-1], field[:, 0], field[:, -1]]).any():
            continue
        outlines, _ = cv2.findContours(field, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        outline = max(outlines, key=cv2.contourArea, default=None)
        if outline is None or cv2.contourArea(outline) < _LEAST_PX:
            continue
        share = cv2.contourArea(outline) / cv2.contourArea(cv2.convexHull(outline))
        if share > solid:
            best, solid = np.asarray(outline, np.int32), share
        if solid >= _SOLID:
            break
    if best is None:
        return None
    filled = np.zeros(lightness.shape, np.uint8)
    cv2.drawContours(filled, [best], -1, 1, -1)
    wide = 2 * round(0.5 * _SMOOTHED * float(np.sqrt(filled.sum()))) + 1
    round_brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    smooth = cv2.morphologyEx(cv2.morphologyEx(filled, cv2.MORPH_OPEN, round_brush), cv2.MORPH_CLOSE, round_brush)
    return np.asarray(smooth, np.uint8) if smooth.any() else None  # a slot narrower than the brush
