"""Parts of an object that can be taken away, exchanged or bent: blobs that differ from what surrounds them, and
protrusions.

Everything is searched near a site and at the size that the site asks for, on a copy scaled so that a part of that size is
about 16 pixels wide: the cost does not depend on the photo.
"""

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = [
    "Component",
    "Region",
    "around",
    "around_point",
    "beside_others",
    "ends_the_object",
    "find_components",
    "find_protrusions",
    "find_repeated",
    "is_flank",
    "lies_on_piece",
    "mask_in",
    "measured_part",
    "nearest_pieces",
    "pieces_of",
    "region_of",
    "touches_twice",
]

_BESIDE, _FLANK = 0.6, 0.5  # of a part's size: around it the ground is seen, right beside it the other flank of a relief
# CIELAB a, b by which light and shade of one body differ; share of the other flank beside it, and its depth against this one
_SHADED, _COUNTERPART, _OPPOSITE = 5.0, 0.2, 0.25
_PART_PX = 16.0  # size of a wanted part on the scaled copy
_WHOLE_PX = 256.0  # longest side of the copy on which the whole object is searched
_SECOND = 0.25  # of where a part touches the body most: what counts as a second place
_ON_PIECE = 0.7  # of a part
_AT_OUTLINE = 0.15  # of its border
_REACH = 4.5  # half width of the search region, in part sizes


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


class _Look(NamedTuple):
    lab: Lab  # scaled
    distance: Field  # scaled, CIELAB distance to the local median
    background: NDArray[np.float32] | None  # (3,) median colour off the object


class Region(NamedTuple):
    window: Window
    scale: float  # scaled pixels per photo pixel
    foreground: NDArray[np.uint8]  # scaled, 0 or 1


def around(window: Window, margin_px: float, photo_shape: tuple[int, int]) -> Window:
    """`window` widened on all sides, clipped to the photo."""
    m = int(np.ceil(margin_px))
    return Window(
        max(window.y0 - m, 0), max(window.x0 - m, 0), min(window.y1 + m, photo_shape[0]), min(window.x1 + m, photo_shape[1])
    )


def around_point(xy: NDArray[np.floating], reach_px: float, photo_shape: tuple[int, int]) -> Window:
    """All pixels within `reach_px` of a place, as a box clipped to the photo."""
    x, y = int(xy[0]), int(xy[1])
    return around(Window(y, x, y + 1, x + 1), reach_px, photo_shape)


def beside_others(scene: Scene, at_xy: tuple[float, float], window: Window) -> Field:
    """(h, w) 0..1 over a window: the pieces that a place does not lie on nor nearest to, with their blurred borders; 0 where
    there are not several alike. What breaks or bends one candle of a tray leaves the others as they are."""
    others = scene.other_pieces(*at_xy)
    if others is None:
        return np.zeros(window.shape, np.float32)
    grow = 2 * round(3.0 + 3.0 * scene.blur_sigma_px) + 1
    wide = cv2.dilate(others[window.slices].astype(np.uint8), np.ones((grow, grow), np.uint8)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), 1.0), np.float32)


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


def find_components(site: Site) -> list[Component]:
    """Compact parts near the site that stand out from their surroundings (pins, prints, screws, holes), best first.

    Best means close to the site and about the wished area; parts cut off by the search region are left out. When there is
    none of the wished size, smaller ones are looked for.
    """
    smaller = replace(site, area_px=0.3 * site.area_px)
    return _find_blobs(site, _region(site)) or _find_blobs(smaller, _region(smaller))


def find_repeated(scene: Scene, area_px: float) -> list[Component]:
    """Compact parts of about the wished area anywhere on the object that have others of their size beside them."""
    x0, y0, x1, y1 = scene.box_xyxy
    window = around(Window(y0, x0, y1, x1), 4.0, scene.photo.shape)
    site = Site(scene, (0.5 * (x0 + x1), 0.5 * (y0 + y1)), area_px, 0.0, window)
    scale = min(_PART_PX / max(float(np.sqrt(area_px)), 6.0), _WHOLE_PX / max(window.shape))
    if scale * float(np.sqrt(area_px)) < 5.0:  # too small to be told apart on the copy
        return []
    found = _find_blobs(site, region_of(scene, window, scale))
    alike = [sum(0.5 < other.area_px / part.area_px < 2.0 for other in found) > 1 for part in found]
    return [part for part, is_alike in zip(found, alike, strict=True) if is_alike]


@once_per_scene
def pieces_of(scene: Scene) -> list[Component]:
    """The like pieces of a tray, each as a part; empty where there are not several. What the frame cuts is left out."""
    found = scene.alike_pieces
    if found is None:
        return []
    labels, whole = found
    height, width = labels.shape
    grow = round(2.0 + 2.0 * scene.blur_sigma_px)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
    parts: list[Component] = []
    for one in whole:
        ys, xs = np.nonzero(labels == one)
        tight = Window(int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1)
        if tight.y0 == 0 or tight.x0 == 0 or tight.y1 == height or tight.x1 == width:
            continue
        window = around(tight, 0.3 * float(np.sqrt(len(xs))) + grow + 4.0, (height, width))
        own = labels[window.slices] == one
        mask = (cv2.dilate(own.astype(np.uint8), disc) > 0) & (own | (labels[window.slices] == 0))
        long = _long_axis(xs, ys)
        at = float(xs.mean()), float(ys.mean())
        parts.append(Component(window, mask, at, float(len(xs)), long.angle_rad, long.elongation, at, long.length_px, 0.0))
    return parts


class _LongAxis(NamedTuple):
    angle_rad: float
    elongation: float
    length_px: float


def _long_axis(xs: NDArray[np.intp], ys: NDArray[np.intp]) -> _LongAxis:
    """Of the ellipse that spreads as some pixels do."""
    values, vectors = np.linalg.eigh(np.cov(np.stack([xs, ys]).astype(np.float64)) + np.eye(2) / 12.0)
    angle = float(np.arctan2(vectors[1, 1], vectors[0, 1]))
    return _LongAxis(angle, float(np.sqrt(values[1] / values[0])), float(4.0 * np.sqrt(values[1])))


def lies_on_piece(scene: Scene, part: Component) -> bool:
    """False for what is seen in the gaps between pieces that touch; true where there are not several."""
    found = scene.alike_pieces
    return found is None or bool((found[0][part.window.slices][part.mask] > 0).mean() > _ON_PIECE)


def nearest_pieces(site: Site) -> list[Component]:
    """The like pieces on a tray, the one that a site lies on or nearest to first; empty where there are not several."""
    x, y = site.center_xy
    return sorted(pieces_of(site.scene), key=lambda one: np.hypot(one.center_xy[0] - x, one.center_xy[1] - y))


def _find_blobs(site: Site, region: Region) -> list[Component]:
    lab = cv2.resize(site.scene.lab[region.window.slices], region.foreground.shape[::-1], interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    coded = np.clip(lab * np.array([2.5, 1.0, 1.0]) + np.array([0.0, 128.0, 128.0]), 0, 255).astype(np.uint8)
    size = int(2.2 * _PART_PX) | 1
    ground = np.stack([cv2.medianBlur(np.ascontiguousarray(coded[..., i]), size) for i in range(3)], -1)
    # leads and pins that the foreground missed still hang on the object
    near_object = cv2.dilate(region.foreground, np.ones((int(_PART_PX) | 1,) * 2, np.uint8))
    away = (coded.astype(np.float32) - ground) / np.array([2.5, 1.0, 1.0], np.float32)
    distance = cv2.GaussianBlur(np.linalg.norm(away, axis=2).astype(np.float32), (0, 0), 0.7)
    inside = distance[near_object > 0]
    if inside.size < 50:
        return []
    level = max(7.0, 3.0 * float(np.median(inside)), 0.35 * float(np.percentile(inside, 98.5)))
    marked = ((distance > level) & (near_object > 0)).astype(np.uint8)
    marked = cv2.morphologyEx(marked, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)).astype(np.uint8)
    found = _collect(site, region, marked, _Look(lab, distance, _background(region, lab)), solid=0.6)
    return sorted(found, key=lambda part: _misplacement(site, part))


def find_protrusions(site: Site) -> list[Component]:
    """Parts of the outline that stand out from the body (leads, pins, tabs, thread), best first."""
    if site.scene.fills_frame:
        return []
    region = _region(site)
    found: list[Component] = []
    for radius in (0.35, 0.7):
        reach = int(radius * _PART_PX)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        padded = cv2.copyMakeBorder(region.foreground, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
        body = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc)[reach:-reach, reach:-reach].astype(np.uint8)
        stubs = cv2.morphologyEx(region.foreground & (1 - body), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)).astype(np.uint8)
        for part in _collect(site, region, stubs, None, solid=0.5):
            rooted = _with_root(region, part, body)
            # corners of the body are wider than they stand out
            if rooted is not None and part.elongation > 1.6 and abs(np.cos(rooted.angle_rad - part.angle_rad)) > 0.7:
                found.append(rooted)
    return sorted(found, key=lambda part: _misplacement(site, part))


def _region(site: Site) -> Region:
    wanted = float(np.sqrt(site.area_px))
    reach = _REACH * max(wanted, 6.0)
    x, y = site.center_xy
    height, width = site.scene.foreground.shape
    window = Window(
        max(int(y - reach), 0), max(int(x - reach), 0), min(int(y + reach) + 1, height), min(int(x + reach) + 1, width)
    )
    return region_of(site.scene, window, min(_PART_PX / max(wanted, 6.0), 1.5))


def region_of(scene: Scene, window: Window, scale: float) -> Region:
    size = max(round(window.shape[1] * scale), 8), max(round(window.shape[0] * scale), 8)
    foreground = cv2.resize(scene.foreground[window.slices].astype(np.uint8), size, interpolation=cv2.INTER_AREA)
    return Region(window, scale, foreground.astype(np.uint8))


def _collect(site: Site, region: Region, marked: NDArray[np.uint8], look: _Look | None, *, solid: float) -> list[Component]:
    """Connected parts of about the wished size, with their shape measured."""
    count, labels, stats, centers = cv2.connectedComponentsWithStats(marked, connectivity=8)
    wanted = site.area_px * region.scale**2
    height, width = marked.shape
    photo_height, photo_width = site.scene.foreground.shape
    parts: list[Component] = []
    for i in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[i])
        if not 0.2 * wanted < area < 5.0 * wanted or area < 12:
            continue
        cut = (x == 0 and region.window.x0 > 0) or (y == 0 and region.window.y0 > 0)
        cut |= (x + w == width and region.window.x1 < photo_width) or (y + h == height and region.window.y1 < photo_height)
        if cut:
            continue
        piece = (labels[y : y + h, x : x + w] == i).astype(np.uint8)
        ys, xs = np.nonzero(piece)
        hull = cv2.convexHull(np.stack([xs, ys], 1).astype(np.int32))
        if area < solid * max(cv2.contourArea(hull) + 0.5 * cv2.arcLength(hull, True), 1.0):
            continue
        contrast = 0.0
        if look is not None:
            contrast = float(look.distance[y : y + h, x : x + w][piece > 0].mean())
            if not _stands_alone(look, piece, x, y, contrast):
                continue
        parts.append(measured_part(site, region, piece, x, y, (float(centers[i][0]), float(centers[i][1])), contrast))
    return parts


def _background(region: Region, lab: Lab) -> NDArray[np.float32] | None:
    """Median colour of what is not the object; None when there is too little of it."""
    beyond = cv2.dilate(region.foreground, np.ones((3, 3), np.uint8)) == 0
    return np.median(lab[beyond], axis=0).astype(np.float32) if np.count_nonzero(beyond) > 0.02 * beyond.size else None


def _stands_alone(look: _Look, piece: NDArray[np.uint8], x: int, y: int, contrast: float) -> bool:
    """False for a corner of the body (it goes on beyond the border of the piece) and for a gap that shows the background."""
    h, w = piece.shape
    framed = np.pad(piece, 3)
    lab = cv2.copyMakeBorder(look.lab, 3, 3, 3, 3, cv2.BORDER_REPLICATE)[y : y + h + 6, x : x + w + 6]
    color = np.median(lab[framed > 0], axis=0)
    if look.background is not None and float(np.linalg.norm(color - look.background)) < 10.0:
        return False
    near, far = cv2.dilate(framed, np.ones((3, 3), np.uint8)), cv2.dilate(framed, np.ones((7, 7), np.uint8))
    ring = (far > 0) & (near == 0)
    alike = np.linalg.norm(lab[ring] - color, axis=1) < 0.5 * contrast
    return bool(alike.mean() < 0.15)


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
    long = _long_axis(xs, ys)
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


def _with_root(region: Region, part: Component, body: NDArray[np.uint8]) -> Component | None:
    """The protrusion with the place where it leaves the body; None when it does not touch it."""
    ys, xs = np.nonzero(part.mask)
    px, py = xs + part.window.x0, ys + part.window.y0
    row = np.clip(((py - region.window.y0) * region.scale).astype(int), 0, body.shape[0] - 1)
    column = np.clip(((px - region.window.x0) * region.scale).astype(int), 0, body.shape[1] - 1)
    touching = cv2.dilate(body, np.ones((3, 3), np.uint8))[row, column] > 0
    if not touching.any() or touches_twice(xs[touching], ys[touching]):
        return None
    root = float(px[touching].mean()), float(py[touching].mean())
    outwards = np.arctan2(part.center_xy[1] - root[1], part.center_xy[0] - root[0])
    along = (px - root[0]) * np.cos(outwards) + (py - root[1]) * np.sin(outwards)
    return part._replace(root_xy=root, angle_rad=float(outwards), length_px=float(along.max()))


def touches_twice(x: NDArray[np.intp], y: NDArray[np.intp]) -> bool:
    """True when pixels at which a part touches the body lie in two places: it is a neck or a handle, and has no free end."""
    places = np.zeros((int(y.max() - y.min()) + 1, int(x.max() - x.min()) + 1), np.uint8)
    places[y - y.min(), x - x.min()] = 1
    joined = cv2.morphologyEx(np.pad(places, 3), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(joined.astype(np.uint8))
    areas = np.sort(stats[1:count, cv2.CC_STAT_AREA])
    return len(areas) > 1 and bool(areas[-2] >= _SECOND * areas[-1])


def _misplacement(site: Site, part: Component) -> float:
    """Distance from the site in part sizes plus |log| of the area ratio; parts outside the site's window count double."""
    away = float(np.hypot(part.center_xy[0] - site.center_xy[0], part.center_xy[1] - site.center_xy[1]))
    x, y = part.center_xy
    box = site.window
    outside = not (box.x0 <= x < box.x1 and box.y0 <= y < box.y1)
    return away / max(float(np.sqrt(site.area_px)), 6.0) * (2.0 if outside else 1.0) + abs(
        float(np.log(part.area_px / site.area_px))
    )
