"""Round parts of equal size: the cores of a cable, cells of a battery, pills in a blister, heads of bolts.

Circles are found by Hough's transform on a small copy, kept when an edge runs along most of them, and believed when there are
several of one size that do not overlap. What is concentric in all of them is their core (the copper in an insulated wire).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.procedural.components import Component
from anomalyagent.mcp_tools.procedural.edit import Window
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["cores_of", "discs_of"]

_SIDE_PX = 256
_RADII = (0.04, 0.3)  # of the shorter side of the object
_PERFECT = 0.6  # of a circle, see cv2.HOUGH_GRADIENT_ALT
_CANNY = 80
_EDGE = 0.55  # least share of a circle along which there is an edge
_ALONG = 0.85  # cosine between an edge's gradient and the radius
_LEAST_STEP = 2.0  # grey levels a pixel, of 255
_ALIKE = 0.12  # of the radius
_APART = 1.7  # radii between the middles of two discs
_MOST = 24
_PAIR = 0.8  # least share of edge when there are no more than two
_CORE = (0.3, 0.88)  # of the radius of the disc
_ON_OBJECT = 0.97
_ON_BODY = 0.99
_BANDS = (0.7, 0.93, 1.08)  # of the radius: what is compared lies between the first two, and beyond the third
_SECTORS = 12
_STEP = 4.0  # CIELAB units by which a disc differs from what lies beside it,
_ONE_WAY, _STANDING_OUT = 0.3, 0.65  # so much of which at least is seen in so many of the sectors
_ENOUGH_CORES = 0.6  # of the discs
_FITTING = 3.0  # wanted area over the disc's, or the inverse


class _Circle(NamedTuple):
    x: float
    y: float
    radius: float
    edge: float


class _Discs(NamedTuple):
    discs: tuple[Component, ...]
    cores: tuple[Component, ...]


def discs_of(scene: Scene, area_px: float) -> tuple[Component, ...]:
    """The round parts of equal size, when they are of about the wished area; else none."""
    return _fitting(_search(scene).discs, area_px)


def cores_of(scene: Scene, area_px: float) -> tuple[Component, ...]:
    """What lies in the middle of such parts, when it is nearer to the wished area than they are; else none."""
    known = _search(scene)
    cores = _fitting(known.cores, area_px)
    between = np.sqrt(known.discs[0].area_px * cores[0].area_px) if cores else 0.0
    return cores if area_px < between else ()


def _fitting(parts: tuple[Component, ...], area_px: float) -> tuple[Component, ...]:
    return parts if parts and 1.0 / _FITTING < area_px / parts[0].area_px < _FITTING else ()


@once_per_scene
def _search(scene: Scene) -> _Discs:
    x0, y0, x1, y1 = scene.box_xyxy
    copy = reduced(np.ascontiguousarray(scene.luma), _SIDE_PX)
    scale = copy.shape[1] / scene.luma.shape[1]
    shorter = scale * min(x1 - x0, y1 - y0)
    circles = _circles(copy, max(4.0, _RADII[0] * shorter), _RADII[1] * shorter)
    foreground = reduced(scene.foreground.astype(np.uint8) * 255, _SIDE_PX) > 127
    groups = [_alike(circles, like, foreground) for like in circles]
    group = max(groups, key=lambda found: sum(circle.radius**2 for circle in found), default=[])
    clear = len(group) > 2 or (len(group) == 2 and min(circle.edge for circle in group) >= _PAIR)
    if not clear or len(group) > _MOST:
        return _Discs((), ())
    inner = [core for disc in group if (core := _core(circles, disc)) is not None]
    radius = float(np.median([circle.radius for circle in group]))
    parts = tuple(part for circle in group if _is_disc(scene, part := _part(scene, circle, radius, scale), radius / scale))
    if not parts:
        return _Discs((), ())
    if len(inner) < _ENOUGH_CORES * len(group):
        return _Discs(parts, ())
    within = float(np.median([circle.radius for circle in inner]))
    return _Discs(parts, tuple(_part(scene, circle, within, scale) for circle in inner))


def _is_disc(scene: Scene, part: Component, radius_px: float) -> bool:
    """False of a circle in a heap of small things, and of what sits in a body and reaches beyond it, as the rim of a hole in
    the corner of a board."""
    body = scene.foreground[part.window.slices]
    rows, columns = np.ogrid[part.window.y0 : part.window.y1, part.window.x0 : part.window.x1]
    y, x = rows - part.center_xy[1], columns - part.center_xy[0]
    far = np.hypot(x, y) / radius_px
    within, beside = (far > _BANDS[0]) & (far < _BANDS[1]), far > _BANDS[2]
    if body[beside].mean() > 0.5 and body[part.mask].mean() < _ON_BODY:
        return False
    sector = ((np.arctan2(y, x) / (2.0 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
    lab = scene.lab_in(part.window.slices)
    sides = [(within & (sector == one), beside & (sector == one)) for one in range(_SECTORS)]
    steps = np.array(
        [lab[inner].mean(axis=0) - lab[outer].mean(axis=0) for inner, outer in sides if inner.any() and outer.any()]
    )
    if len(steps) < _SECTORS // 2:
        return True
    step = steps.mean(axis=0)
    size = float(np.linalg.norm(step))
    return size > _STEP and float((steps @ step > _ONE_WAY * size**2).mean()) >= _STANDING_OUT


def _circles(copy: NDArray[np.float32], least_px: float, most_px: float) -> list[_Circle]:
    """Circles along which an edge runs, the clearest first."""
    if most_px < least_px + 1.0:
        return []
    grey = cv2.GaussianBlur(np.clip(copy * 255.0, 0, 255).astype(np.uint8), (0, 0), 1.0)
    found = cv2.HoughCircles(
        grey,
        cv2.HOUGH_GRADIENT_ALT,
        dp=1.5,
        minDist=4.0,
        param1=_CANNY,
        param2=_PERFECT,
        minRadius=int(least_px),
        maxRadius=int(np.ceil(most_px)),
    )
    if found is None:
        return []
    steps = [cv2.Sobel(grey, cv2.CV_32F, *order, scale=0.125) for order in ((1, 0), (0, 1))]
    angles = np.linspace(0.0, 2.0 * np.pi, 72, endpoint=False)
    circles: list[_Circle] = []
    for x, y, radius in np.asarray(found, np.float64).reshape(-1, found.shape[-1])[:, :3]:
        best = 0.0
        for r in (radius - 1.0, radius, radius + 1.0):
            column = np.rint(x + r * np.cos(angles)).astype(int).clip(0, grey.shape[1] - 1)
            row = np.rint(y + r * np.sin(angles)).astype(int).clip(0, grey.shape[0] - 1)
            dx, dy = (np.asarray(step)[row, column] for step in steps)
            size = np.hypot(dx, dy)
            radial = np.abs(dx * np.cos(angles) + dy * np.sin(angles)) >= _ALONG * size
            best = max(best, float((radial & (size >= _LEAST_STEP)).mean()))
        if best >= _EDGE:
            circles.append(_Circle(float(x), float(y), float(radius), best))
    return sorted(circles, key=lambda circle: -circle.edge)


def _alike(circles: list[_Circle], like: _Circle, foreground: NDArray[np.bool_]) -> list[_Circle]:
    """Circles of one size that do not overlap and lie on the object."""
    group: list[_Circle] = []
    for circle in circles:
        if abs(circle.radius - like.radius) > _ALIKE * like.radius:
            continue
        if any(np.hypot(circle.x - other.x, circle.y - other.y) < _APART * like.radius for other in group):
            continue
        y, x = np.ogrid[: foreground.shape[0], : foreground.shape[1]]
        inside = (x - circle.x) ** 2 + (y - circle.y) ** 2 < circle.radius**2
        whole = inside.sum() > 0.97 * np.pi * circle.radius**2  # not cut off by the frame
        if whole and foreground[inside].mean() >= _ON_OBJECT:
            group.append(circle)
    return group


def _core(circles: list[_Circle], disc: _Circle) -> _Circle | None:
    """The largest circle with the same middle, clearly within a disc."""
    within = [
        circle
        for circle in circles
        if np.hypot(circle.x - disc.x, circle.y - disc.y) < 0.12 * disc.radius
        and _CORE[0] * disc.radius < circle.radius < _CORE[1] * disc.radius
    ]
    return max(within, key=lambda circle: circle.radius, default=None)


def _part(scene: Scene, circle: _Circle, radius: float, scale: float) -> Component:
    """The disc in the photo, with its blurred border."""
    x, y = (float((at + 0.5) / scale - 0.5) for at in (circle.x, circle.y))
    reach = radius / scale + 0.5 / scale + 1.5 + 2.0 * scene.blur_sigma_px  # its border fades inside of this
    height, width = scene.photo.shape
    window = Window(
        max(int(y - reach) - 2, 0), max(int(x - reach) - 2, 0), min(int(y + reach) + 3, height), min(int(x + reach) + 3, width)
    )
    rows, columns = np.ogrid[window.y0 : window.y1, window.x0 : window.x1]
    mask = (columns - x) ** 2 + (rows - y) ** 2 <= reach**2
    ring = ((columns - x) ** 2 + (rows - y) ** 2 <= (1.2 * reach) ** 2) & ~mask
    lab = scene.lab_in(window.slices)
    contrast = float(np.linalg.norm(np.median(lab[mask], axis=0) - np.median(lab[ring if ring.any() else mask], axis=0)))
    return Component(window, mask, (x, y), float(mask.sum()), 0.0, 1.0, (x, y), 2.0 * reach, contrast)
