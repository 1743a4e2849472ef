"""The even field around a site with a clear border: the inside of a bottle, a bore, a pocket, a pane."""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.sizes import scale_within, size_within
from anomalyagent.mcp_tools.procedural.components import around
from anomalyagent.mcp_tools.procedural.edit import Site, Window

__all__ = ["Cavity", "find_cavity"]

_SIZE_PX = 128  # longest side of the copy that is searched
_TOLERANCE = 7.0  # L of CIELAB that one even field may span to either side


class Cavity(NamedTuple):
    """An even field: its box in the photo with a small margin, and its (h, w) bool mask."""

    window: Window
    mask: Mask


def find_cavity(site: Site) -> Cavity | None:
    """The field of nearly the site's lightness that holds the site; None if it is ragged, tiny or leaves the search region.

    The search region is four times as wide as the site's window.
    """
    height, width = site.scene.foreground.shape
    region = around(site.window, 1.5 * max(site.window.shape), (height, width))
    scale, size = scale_within(region.shape, _SIZE_PX), size_within(region.shape, _SIZE_PX, 8)
    lightness = cv2.resize(np.ascontiguousarray(site.scene.lab[region.slices][..., 0]), size, interpolation=cv2.INTER_AREA)
    lightness = cv2.GaussianBlur(lightness, (0, 0), 1.0).astype(np.float32)
    x = int(np.clip((site.center_xy[0] - region.x0) * scale, 0, size[0] - 1))
    y = int(np.clip((site.center_xy[1] - region.y0) * scale, 0, size[1] - 1))
    grown = np.zeros((size[1] + 2, size[0] + 2), np.uint8)
    flags = cv2.FLOODFILL_FIXED_RANGE | cv2.FLOODFILL_MASK_ONLY | 4 | (1 << 8)
    cv2.floodFill(lightness, grown, (x, y), 0.0, _TOLERANCE, _TOLERANCE, flags)
    field = cv2.morphologyEx(grown[1:-1, 1:-1], cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    if np.concatenate([field[0], field[-1], field[:, 0], field[:, -1]]).any():
        return None
    outlines, _ = cv2.findContours(field, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    largest = max(outlines, key=cv2.contourArea)
    area = cv2.contourArea(largest)
    if area < 80.0 or area < 0.85 * cv2.contourArea(cv2.convexHull(largest)):
        return None
    filled = np.zeros_like(field)
    cv2.drawContours(filled, [largest], -1, 1, -1)
    left, top, wide, high = cv2.boundingRect(largest)
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
    smooth = cv2.remap(filled.astype(np.float32), map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return Cavity(window, smooth > 0.5)
