"""A part of an object that can be taken away, exchanged or bent: how it is told and measured."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.geometry.windows import around

__all__ = [
    "Component",
    "LongAxis",
    "Region",
    "ends_the_object",
    "is_flank",
    "long_axis",
    "mask_in",
    "measured_part",
    "region_of",
    "touches_twice",
]

_BESIDE, _FLANK = 0.6, 0.5  # of a part's size: around it the ground is seen, right beside it the other flank of a relief
# CIELAB a, b by which light and shade of one body differ; share of the other flank beside it, and its depth against this one
_SHADED, _COUNTERPART, _OPPOSITE = 5.0, 0.2, 0.25
_SECOND = 0.25  # of where a part touches the body most: what counts as a second place
_AT_OUTLINE = 0.15  # of its border


class Component(NamedTuple):
    """A part of the object.

    Attributes:
        window: box in the photo that holds the part and a margin of its surroundings.
        mask: (h, w) bool over `window`, the part with its blurred border.
        center_xy: centroid, photo pixels.
        area_px: its area.
        angle_rad: direction of its long axis.
        elongation: length over width.
        root_xy: where a protrusion leaves the body, photo pixels; the centroid for other parts.
        length_px: how far a protrusion stands out from its root; the long side for other parts.
        contrast: mean CIELAB distance to what surrounds it.
    """

    window: Window
    mask: Mask
    center_xy: tuple[float, float]
    area_px: float
    angle_rad: float
    elongation: float
    root_xy: tuple[float, float]
    length_px: float
    contrast: float


class Region(NamedTuple):
    """A window of the photo with the object on a scaled copy of it."""

    window: Window
    scale: float  # scaled pixels per photo pixel
    foreground: NDArray[np.uint8]  # scaled, 0 or 1


def ends_the_object(scene: Scene, part: Component) -> bool:
    """A facet, chamfer or rim: what runs along the outline is the body itself and cannot be lifted off it."""
    ring = cv2.dilate(part.mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~part.mask
    return bool(ring.any() and (~scene.foreground[part.window.slices])[ring].mean() > _AT_OUTLINE)


def mask_in(window: Window, part: Component) -> Mask:
    """(h, w) bool: the part over a window that holds it."""
    mask = np.zeros(window.shape, np.bool_)
    y, x = part.window.y0 - window.y0, part.window.x0 - window.x0
    mask[y : y + part.mask.shape[0], x : x + part.mask.shape[1]] = part.mask
    return mask


def is_flank(scene: Scene, part: Component) -> bool:
    """The lit or dark side of a groove, a ridge or a bump: of the body's own colour, with its counterpart beside it."""
    size = float(np.sqrt(part.area_px))
    window = around(part.window, _BESIDE * size, scene.photo.shape)
    mask = mask_in(window, part).astype(np.uint8)
    lab, away = scene.lab_in(window.slices), cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3)
    solid = scene.foreground[window.slices]
    beside = solid & (away > 0.0) & (away <= max(_FLANK * size / np.sqrt(part.elongation), 2.0))
    ground = np.median(lab[solid & (away > 0.0)], axis=0) if (solid & (away > 0.0)).any() else None
    if ground is None or not beside.any():
        return False
    depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    own = np.median(lab[depth > 0.5 * float(depth.max())], axis=0) - ground  # its mask is wider than it is
    opposite = (lab[beside][:, 0] - ground[0]) * np.sign(own[0]) < -_OPPOSITE * abs(own[0])
    return bool(np.hypot(own[1], own[2]) < _SHADED and opposite.mean() > _COUNTERPART)


class LongAxis(NamedTuple):
    """Direction and length of some pixels, and their length over width."""

    angle_rad: float
    elongation: float
    length_px: float


def long_axis(xs: NDArray[np.intp], ys: NDArray[np.intp]) -> LongAxis:
    """Of the ellipse that spreads as some pixels do."""
    values, vectors = np.linalg.eigh(np.cov(np.stack([xs, ys]).astype(np.float64)) + np.eye(2) / 12.0)
    angle = float(np.arctan2(vectors[1, 1], vectors[0, 1]))
    return LongAxis(angle, float(np.sqrt(values[1] / values[0])), float(4.0 * np.sqrt(values[1])))


def region_of(scene: Scene, window: Window, scale: float) -> Region:
    """A window on a copy with `scale` pixels for each of the photo's, at least 8 a side."""
    size = max(round(window.shape[1] * scale), 8), max(round(window.shape[0] * scale), 8)
    foreground = cv2.resize(scene.foreground[window.slices].astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    return Region(window, scale, foreground.astype(np.uint8))


def measured_part(
    site: Site, region: Region, piece: NDArray[np.uint8], x: int, y: int, center: tuple[float, float], contrast: float
) -> Component:
    """One part in photo coordinates: mask at full resolution, widened by its blurred border, with a margin around."""
    scale = region.scale
    h, w = piece.shape
    tight = Window(
        int(region.window.y0 + y / scale),
        int(region.window.x0 + x / scale),
        int(np.ceil(region.window.y0 + (y + h) / scale)),
        int(np.ceil(region.window.x0 + (x + w) / scale)),
    )
    size = float(np.sqrt(int(piece.sum()))) / scale
    window = around(tight, 0.6 * size + 4.0, site.scene.foreground.shape)
    rows = ((np.arange(window.y0, window.y1) + 0.5 - region.window.y0) * scale - y - 0.5).astype(np.float32)
    columns = ((np.arange(window.x0, window.x1) + 0.5 - region.window.x0) * scale - x - 0.5).astype(np.float32)
    map_x, map_y = np.meshgrid(columns, rows)
    smooth = cv2.remap(piece.astype(np.float32), map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    grow = round(1.5 + 1.5 * site.scene.blur_sigma_px + 0.04 * size)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
    mask = cv2.dilate((smooth > 0.4).astype(np.uint8), disc).astype(bool)
    ys, xs = np.nonzero(piece)
    long = long_axis(xs, ys)
    at = float(region.window.x0 + (center[0] + 0.5) / scale), float(region.window.y0 + (center[1] + 0.5) / scale)
    return Component(
        window=window,
        mask=mask,
        center_xy=at,
        area_px=float(piece.sum()) / scale**2,
        angle_rad=long.angle_rad,
        elongation=long.elongation,
        root_xy=at,
        length_px=long.length_px / scale,
        contrast=contrast,
    )


def touches_twice(x: NDArray[np.intp], y: NDArray[np.intp]) -> bool:
    """True when pixels at which a part touches the body lie in two places: it is a neck or a handle, and has no free end."""
    places = np.zeros((int(y.max() - y.min()) + 1, int(x.max() - x.min()) + 1), np.uint8)
    places[y - y.min(), x - x.min()] = 1
    joined = cv2.morphologyEx(np.pad(places, 3), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(joined.astype(np.uint8))
    areas = np.sort(stats[1:count, cv2.CC_STAT_AREA])
    return len(areas) > 1 and bool(areas[-2] >= _SECOND * areas[-1])
