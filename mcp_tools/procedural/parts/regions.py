"""A region of one look near a site: its border is an edge of the photo all around (a print's field, a cap, a compartment's
floor), so that something else could be there without a seam that nothing explains."""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Lab, Mask
from anomalyagent.mcp_tools.imaging.measures import solidity
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.parts.component import Component, Region, measured_part, region_of

__all__ = ["dye_of", "region_at"]

_SIZE_PX = 28.0  # of the wished region on the copy on which it is sought
_REACH = 2.5  # half width of the search window, in sizes of the wished region
_SEEDS = 1.2  # how far from the site a region is sought, in the same unit
_ALIKE = (3.0, 5.0, 8.0)  # CIELAB units, see `dye_of`, within which a region has one look
_SIZES = (1.0, 0.3, 4.0)  # of the wished area: where there is none of about that size, smaller and larger ones are looked for
_AREAS = (0.4, 2.5)  # of the wished area
_SOLID, _WHOLE = 0.8, 0.75  # of its convex hull, and of what its outline holds, that it fills
_STEP, _ALL_AROUND = 9.0, 0.93  # such units from a region to what lies beyond its border, and the share of that border
_TONE, _TONE_OF_A_COLOR = 0.45, 0.15  # how much light and shade count beside hue on what is grey, and on what is coloured
_COLORED = 40.0  # tint of what is coloured


def dye_of(lab: Lab) -> NDArray[np.float32]:
    """(..., 3) what a thing is dyed with, in about CIELAB units: light and shade of it differ little."""
    light = np.maximum(lab[..., :1], 0.0)
    tint = lab[..., 1:] * (65.0 / (light + 20.0))
    colored = np.minimum(np.linalg.norm(tint, axis=-1, keepdims=True) / _COLORED, 1.0)
    return np.concatenate([(_TONE - (_TONE - _TONE_OF_A_COLOR) * colored) * light, tint], axis=-1).astype(np.float32)


def region_at(site: Site) -> Component | None:
    """The best bounded region of about the wished area at or near the site; None where the photo has no such edges."""
    for factor in _SIZES:
        found = _of_size(replace(site, area_px=factor * site.area_px))
        if found is not None:
            return found
    return None


def _of_size(site: Site) -> Component | None:
    size = max(float(np.sqrt(site.area_px)), 6.0)
    x, y = round(site.center_xy[0]), round(site.center_xy[1])
    window = around(site.window._replace(y0=y, x0=x, y1=y + 1, x1=x + 1), _REACH * size, site.scene.foreground.shape)
    region = region_of(site.scene, window, min(_SIZE_PX / size, 1.0))
    lab = cv2.resize(site.scene.lab[window.slices], region.foreground.shape[::-1], interpolation=cv2.INTER_AREA)
    coded = np.clip(4.0 * dye_of(np.asarray(lab, np.float32)) + np.array([0.0, 128.0, 128.0]), 0, 255).astype(np.uint8)
    even = np.stack([np.asarray(cv2.medianBlur(np.ascontiguousarray(coded[..., i]), 5), np.uint8) for i in range(3)], -1)
    look = (0.25 * even.astype(np.float32)).astype(np.float32)
    best: tuple[float, NDArray[np.uint8]] | None = None
    for piece in _flooded(site, region, even):
        bounded = _bounded(piece, look)
        if bounded >= _ALL_AROUND and (best is None or bounded > best[0]):
            best = bounded, piece
    if best is None:
        return None
    left, top, width, height = cv2.boundingRect(best[1])
    ys, xs = np.nonzero(best[1])
    tight = best[1][top : top + height, left : left + width]
    return measured_part(site, region, tight, left, top, (float(xs.mean()), float(ys.mean())), 0.0)


def _flooded(site: Site, region: Region, even: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """(h, w) 0 or 1 each: what hangs together with a place near the site and looks like it, of about the wished area."""
    height, width = region.foreground.shape
    wanted = site.area_px * region.scale**2
    size = float(np.sqrt(wanted))
    middle = (site.center_xy[0] - region.window.x0) * region.scale, (site.center_xy[1] - region.window.y0) * region.scale
    steps = np.linspace(-_SEEDS, _SEEDS, 5) * size
    seeds = sorted(((dx, dy) for dx in steps for dy in steps), key=lambda step: float(np.hypot(*step)))
    barred = np.pad(1 - region.foreground, 1, constant_values=1)
    photo_height, photo_width = site.scene.foreground.shape
    tried = np.zeros((height, width), np.bool_)
    found: list[NDArray[np.uint8]] = []
    for dx, dy in seeds:
        column, row = round(middle[0] + dx), round(middle[1] + dy)
        if not (0 <= column < width and 0 <= row < height) or not region.foreground[row, column] or tried[row, column]:
            continue
        for away in _ALIKE:
            filled = barred.copy()
            within = (4.0 * away,) * 3
            flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (2 << 8)
            cv2.floodFill(even, filled, (column, row), (0, 0, 0), within, within, flags)
            own = np.asarray(filled[1:-1, 1:-1] == 2, np.uint8)
            piece = _without_gaps(own)
            tried |= own > 0
            if int((own & piece).sum()) < _WHOLE * int(piece.sum()):
                continue
            left, top, w, h = cv2.boundingRect(piece)
            cut = (left == 0 and region.window.x0 > 0) or (top == 0 and region.window.y0 > 0)
            cut |= (left + w == width and region.window.x1 < photo_width) or (
                top + h == height and region.window.y1 < photo_height
            )
            if not cut and _AREAS[0] * wanted < int(piece.sum()) < _AREAS[1] * wanted and _is_solid(piece):
                found.append(piece)
    return found


def _without_gaps(piece: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Specks and slits of other looks belong to the region, and hairs that stick out of it do not."""
    contours, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(piece), contours, -1, 1, cv2.FILLED)
    return np.asarray(cv2.morphologyEx(filled, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)


def _is_solid(piece: NDArray[np.uint8]) -> bool:
    contours, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return len(contours) == 1 and solidity(piece) > _SOLID


def _bounded(piece: NDArray[np.uint8], look: Lab) -> float:
    """Share of the border beyond which something clearly else begins."""
    near, far = (cv2.dilate(piece, np.ones((side, side), np.uint8)) for side in (5, 7))
    ring: Mask = np.asarray((far > 0) & (near == 0))
    if not ring.any():
        return 0.0
    own = np.median(look[piece > 0], axis=0)
    return float((np.linalg.norm(look[ring] - own, axis=1) > _STEP).mean())
