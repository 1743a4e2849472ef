"""Parts of an object near a site: blobs that differ from what surrounds them, and protrusions.

Everything is searched at the size that the site asks for, on a copy scaled so that a part of that size is about 16 pixels
wide: the cost does not depend on the photo.
"""

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Lab
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.parts.component import Component, Region, measured_part, region_of, touches_twice

__all__ = ["find_components", "find_protrusions", "find_repeated"]

_PART_PX = 16.0  # size of a wanted part on the scaled copy
_WHOLE_PX = 256.0  # longest side of the copy on which the whole object is searched
_REACH = 4.5  # half width of the search region, in part sizes


class _Look(NamedTuple):
    lab: Lab  # scaled
    distance: Field  # scaled, CIELAB distance to the local median
    background: NDArray[np.float32] | None  # (3,) median colour off the object


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


def _misplacement(site: Site, part: Component) -> float:
    """Distance from the site in part sizes plus |log| of the area ratio; parts outside the site's window count double."""
    away = float(np.hypot(part.center_xy[0] - site.center_xy[0], part.center_xy[1] - site.center_xy[1]))
    x, y = part.center_xy
    box = site.window
    outside = not (box.x0 <= x < box.x1 and box.y0 <= y < box.y1)
    return away / max(float(np.sqrt(site.area_px)), 6.0) * (2.0 if outside else 1.0) + abs(
        float(np.log(part.area_px / site.area_px))
    )
