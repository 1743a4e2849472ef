"""Round parts of equal size: the cores of a cable, cells of a battery, pills in a blister, heads of bolts.

Circles are found by Hough's transform on a small copy, kept when an edge runs along most of them, and believed when there are
several of one size that do not overlap. What is concentric in most of them is the core of each (the copper in an insulated
wire), a circle or a ragged bundle of another look. Real ones are not quite round: outlines follow the edge beside the circle.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.procedural.edit import Window
from anomalyagent.mcp_tools.procedural.geometry.warp import sample_linear
from anomalyagent.mcp_tools.procedural.parts.component import Component
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["core_within", "cores_of", "discs_of"]

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
_SHELL = (0.86, 0.96)  # of the radius: where a disc shows what surrounds its core,
_SAME = 14.0  # within so many CIELAB units; so much of the core at most looks like that, and of the shell at least
_CORE_LIKE_SHELL, _SHELL_LIKE_SHELL = 0.35, 0.8
_OFF_CIRCLE = 0.16  # of the radius that an outline may lie off the circle
_DIRECTIONS = 96  # in which it is sought
_EDGE_STEP, _EDGE_AROUND = 1.5, 0.7  # CIELAB units a pixel that an edge is at least, and the share of a disc that has one
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


def core_within(scene: Scene, part: Component) -> Component | None:
    """The core of a part that is one of the discs."""
    known = _search(scene)
    if not any(part is disc for disc in known.discs):
        return None
    reach = 0.25 * part.length_px
    x, y = part.center_xy
    return next((one for one in known.cores if np.hypot(one.center_xy[0] - x, one.center_xy[1] - y) < reach), None)


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
    inner = [core for disc in group if (core := _core(circles, disc) or _bundle(scene, disc, scale)) is not None]
    radius = float(np.median([circle.radius for circle in group]))
    parts = tuple(
        _without_neighbours(part, group, scale)
        for circle in group
        if (part := _part(scene, circle, radius, scale)) is not None and _is_disc(scene, part, radius / scale)
    )
    if not parts:
        return _Discs((), ())
    if len(inner) < _ENOUGH_CORES * len(group):
        return _Discs(parts, ())
    within = float(np.median([circle.radius for circle in inner]))
    return _Discs(parts, tuple(core for circle in group if (core := _part(scene, circle, within, scale)) is not None))


def _without_neighbours(part: Component, group: list[_Circle], scale: float) -> Component:
    """The part without the rims of those that it touches."""
    rows, columns = np.ogrid[part.window.y0 : part.window.y1, part.window.x0 : part.window.x1]
    x, y = part.center_xy
    own = (columns - x) ** 2 + (rows - y) ** 2
    mask = part.mask
    for other in group:
        x, y = (other.x + 0.5) / scale - 0.5, (other.y + 0.5) / scale - 0.5
        mask = mask & ((columns - x) ** 2 + (rows - y) ** 2 >= own)
    return part._replace(mask=np.asarray(mask, np.bool_))


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


def _bundle(scene: Scene, disc: _Circle, scale: float) -> _Circle | None:
    """What fills a disc and looks otherwise than its shell all around, though no circle bounds it."""
    x, y, radius = (disc.x + 0.5) / scale - 0.5, (disc.y + 0.5) / scale - 0.5, disc.radius / scale
    shares = np.linspace(0.0, 1.0, 51)
    lab = _along_rays(scene, x, y, shares * radius)
    shell = (shares > _SHELL[0]) & (shares < _SHELL[1])
    look = np.median(lab[:, shell].reshape(-1, 3), axis=0)
    like = (np.linalg.norm(lab - look, axis=2) < _SAME).mean(axis=0)
    fitting = [
        share
        for i, share in enumerate(shares)
        if _CORE[0] < share < _CORE[1]
        and np.average(like[:i], weights=shares[:i]) < _CORE_LIKE_SHELL
        and like[(shares > share + 0.04) & (shares < _SHELL[1])].mean() > _SHELL_LIKE_SHELL
    ]
    return _Circle(disc.x, disc.y, float(np.mean(fitting)) * disc.radius, 1.0) if fitting else None


def _along_rays(scene: Scene, x: float, y: float, radii: NDArray[np.float64]) -> NDArray[np.float32]:
    """(directions, radii, 3) CIELAB around a place of the photo."""
    angles = np.linspace(0.0, 2.0 * np.pi, _DIRECTIONS, endpoint=False)[:, None]
    columns, rows = ((at + radii * turn(angles)).astype(np.float32) for at, turn in ((x, np.cos), (y, np.sin)))
    return lab_from_rgb(sample_linear(scene.photo.rgb, columns, rows))


def _off_circle(scene: Scene, x: float, y: float, radius: float) -> NDArray[np.float32] | None:
    """(directions,) pixels by which the clearest edge lies outside of the circle, smooth around it, 0 where there is none.

    None where there is none along much of the circle.
    """
    steps = np.arange(-np.ceil(_OFF_CIRCLE * radius) - 1.0, np.ceil(_OFF_CIRCLE * radius) + 2.0)
    lab = cv2.GaussianBlur(_along_rays(scene, x, y, radius + steps), (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
    step = np.linalg.norm(np.diff(lab, axis=1), axis=2)
    at = 0.5 * (steps[1:] + steps[:-1])
    likely = step * np.exp(-0.5 * (at / (0.5 * _OFF_CIRCLE * radius)) ** 2)
    best = likely.argmax(axis=1)
    clear = np.take_along_axis(step, best[:, None], axis=1)[:, 0]
    if float((clear > _EDGE_STEP).mean()) < _EDGE_AROUND:
        return None
    off = np.where(clear > 0.4 * np.median(clear), at[best], 0.0)
    around = np.stack([np.roll(off, turn) for turn in range(-4, 5)])
    middle = np.median(around, axis=0)
    return np.mean([np.roll(middle, turn) for turn in range(-2, 3)], axis=0).astype(np.float32)


def _part(scene: Scene, circle: _Circle, radius: float, scale: float) -> Component | None:
    """The disc in the photo, with its blurred border; None where no edge runs around it."""
    x, y = (float((at + 0.5) / scale - 0.5) for at in (circle.x, circle.y))
    off = _off_circle(scene, x, y, radius / scale)
    if off is None:
        return None
    around_it = radius / scale + off + 0.5 / scale + 1.5 + 2.0 * scene.blur_sigma_px  # its border fades inside of this
    reach = float(around_it.max())
    height, width = scene.photo.shape
    window = Window(
        max(int(y - reach) - 2, 0), max(int(x - reach) - 2, 0), min(int(y + reach) + 3, height), min(int(x + reach) + 3, width)
    )
    rows, columns = np.ogrid[window.y0 : window.y1, window.x0 : window.x1]
    direction = np.arctan2(rows - y, columns - x) * (_DIRECTIONS / (2.0 * np.pi))
    outline = np.interp(direction, np.arange(_DIRECTIONS), around_it, period=_DIRECTIONS)
    mask = (columns - x) ** 2 + (rows - y) ** 2 <= outline**2
    ring = ((columns - x) ** 2 + (rows - y) ** 2 <= (1.2 * reach) ** 2) & ~mask
    lab = scene.lab_in(window.slices)
    contrast = float(np.linalg.norm(np.median(lab[mask], axis=0) - np.median(lab[ring if ring.any() else mask], axis=0)))
    return Component(window, mask, (x, y), float(mask.sum()), 0.0, 1.0, (x, y), 2.0 * float(around_it.mean()), contrast)
