"""Where an instance goes: centre in the wished zone, on the object, apart from the others, along the local structure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site, Target, Window

__all__ = ["Extent", "extent_of", "place_instance", "place_on_target", "turned_box", "window_around"]

_CANDIDATES = 14
_ALONG: frozenset[Mechanism] = frozenset({"stain", "discoloration", "contamination", "hole"})
_SAME_CAUSE = 0.75  # chance that a scratch runs like the first one of its image: one contact made them
_TRAVEL = 0.5  # chance that one on a surface runs square to the photo, as web, strip and belt move under a camera
_CLEAR_GRAIN = 0.6  # coherence of a surface whose direction everybody sees
_MIN_WIDTH_PX = 1.3
_MAX_SIZE_RATIO = 8.0  # of the wished area and that of a target


class Extent(NamedTuple):
    """Length and width in pixels of a stroke or patch with a given area and elongation."""

    length_px: float
    width_px: float


def extent_of(scene: Scene, area_px: float, elongation: float) -> Extent:
    """Length and width with `length * width = area`, no thinner than can be drawn and no longer than the object."""
    x0, y0, x1, y1 = scene.box_xyxy
    longest = 0.92 * float(np.hypot(x1 - x0, y1 - y0))
    length = min(float(np.sqrt(area_px * elongation)), longest)
    width = max(area_px / length, min(_MIN_WIDTH_PX, float(np.sqrt(area_px))))
    return Extent(area_px / width, width)


def window_around(scene: Scene, center_xy: tuple[float, float], extent: Extent, angle_rad: float) -> Window:
    """Box that holds a shape of this extent with room for bends, branches, shadows and the lens; clipped to the photo."""
    room = 0.3 * extent.length_px + 0.8 * extent.width_px + 6.0 + 4.0 * scene.blur_sigma_px
    return turned_box(scene, center_xy, extent, angle_rad, room)


def turned_box(scene: Scene, center_xy: tuple[float, float], extent: Extent, angle_rad: float, room_px: float = 0.0) -> Window:
    """Box that holds a rectangle of this extent, turned, and `room_px` on each side; clipped to the photo."""
    height, width = scene.photo.shape
    cosine, sine = abs(np.cos(angle_rad)), abs(np.sin(angle_rad))
    half_x = 0.5 * (extent.length_px * cosine + extent.width_px * sine) + room_px
    half_y = 0.5 * (extent.length_px * sine + extent.width_px * cosine) + room_px
    x, y = center_xy
    return Window(
        max(int(y - half_y), 0), max(int(x - half_x), 0), min(int(y + half_y) + 1, height), min(int(x + half_x) + 1, width)
    )


def place_instance(
    scene: Scene,
    spec: DefectSpec,
    area_px: float,
    taken: Sequence[Site],
    rng: np.random.Generator,
    *,
    clustered: bool,
    suitability: Callable[[float, float], float] | None = None,
) -> Site:
    """Choose the place of one more instance.

    Args:
        area_px: area that the instance should cover.
        taken: sites chosen so far; the new one keeps clear of them.
        suitability: (x, y) -> 0..1, places that the mechanism prefers; all are equal when unset.
        clustered: the new site lies in the neighbourhood of the first one.
    """
    extent = extent_of(scene, area_px, spec.elongation)
    if spec.center is not None and not taken:
        center = _snap(scene, spec.center, extent)
        angle = _direction(scene, spec, center, taken, rng)
        return Site(scene, center, area_px, angle, window_around(scene, center, extent, angle))
    best: tuple[float, tuple[float, float], float] | None = None
    anchor = taken[0] if taken and (clustered or spec.center is not None) else None
    for _ in range(_CANDIDATES):
        center = _sample(scene, spec, rng) if anchor is None else _sample_near(scene, anchor, extent, rng)
        angle = _direction(scene, spec, center, taken, rng)
        score = _fit(scene, center, extent, angle) - _crowding(center, extent, taken)
        if suitability is not None:
            score += suitability(*center)
        if best is None or score > best[0]:
            best = (score, center, angle)
        if score >= (1.0 if suitability is None else 1.7):
            break
    assert best is not None
    _, center, angle = best
    return Site(scene, center, area_px, angle, window_around(scene, center, extent, angle))


def place_on_target(
    scene: Scene,
    spec: DefectSpec,
    area_px: float,
    taken: Sequence[Site],
    rng: np.random.Generator,
    targets: Sequence[Target],
) -> Site | None:
    """A site on one of the things that the mechanism can act on, of that thing's size.

    Targets in the wished zone are preferred, those that lie under earlier instances or have quite another size than wished
    are left out. None when there is no such target.
    """
    free = [
        target
        for target in targets
        if 1.0 / _MAX_SIZE_RATIO <= target.area_px / area_px <= _MAX_SIZE_RATIO
        and all(np.hypot(target.xy[0] - x, target.xy[1] - y) > 0.5 * np.sqrt(target.area_px) for x, y in _centers(taken))
    ]
    if not free:
        return None
    zone = scene.zone_mask(spec.zone)
    height, width = zone.shape
    inside = [t for t in free if zone[min(round(t.xy[1]), height - 1), min(round(t.xy[0]), width - 1)]]
    chosen = (inside or free)[int(rng.integers(len(inside or free)))]
    angle = _direction(scene, spec, chosen.xy, taken, rng)
    window = window_around(scene, chosen.xy, extent_of(scene, chosen.area_px, spec.elongation), angle)
    return Site(scene, chosen.xy, chosen.area_px, angle, window)


def _centers(taken: Sequence[Site]) -> list[tuple[float, float]]:
    return [site.center_xy for site in taken]


def _snap(scene: Scene, center: tuple[float, float], extent: Extent) -> tuple[float, float]:
    """Pixel of a relative centre, moved to the nearest legal pixel of the object when it lies beside it.

    Where a zone mask says what is legal, to the nearest one around which the defect fits: half of a dent ends in a straight
    line that nobody believes.
    """
    x0, y0, x1, y1 = scene.box_xyxy
    x, y = x0 + center[0] * (x1 - 1 - x0), y0 + center[1] * (y1 - 1 - y0)
    allowed = scene.allowed if scene.legal is None else _roomy(scene.allowed, scene.legal, extent)
    if allowed[round(y), round(x)]:
        return x, y
    ys, xs = np.nonzero(allowed[y0:y1, x0:x1])
    nearest = int(((xs + x0 - x) ** 2 + (ys + y0 - y) ** 2).argmin())
    return float(xs[nearest] + x0), float(ys[nearest] + y0)


def _roomy(allowed: Mask, legal: Mask, extent: Extent) -> Mask:
    """Of the allowed pixels those as far inside the legal zone as the defect reaches, or as far as any are."""
    room = cv2.distanceTransform(legal.astype(np.uint8), cv2.DIST_L2, 5)
    for reach in (0.6 * extent.length_px, 0.6 * float(np.sqrt(extent.length_px * extent.width_px)), 0.6 * extent.width_px):
        deep = allowed & (room > reach)
        if deep.any():
            return deep
    return allowed


def _sample(scene: Scene, spec: DefectSpec, rng: np.random.Generator) -> tuple[float, float]:
    """A random pixel of the zone: by rejection inside the object's box, exhaustively when the zone is tiny."""
    zone = scene.zone_mask(spec.zone)
    x0, y0, x1, y1 = scene.box_xyxy
    for _ in range(40):
        x, y = int(rng.integers(x0, x1)), int(rng.integers(y0, y1))
        if zone[y, x]:
            return float(x), float(y)
    pixels = np.flatnonzero(zone)
    y, x = divmod(int(pixels[int(rng.integers(len(pixels)))]), zone.shape[1])
    return float(x), float(y)


def _sample_near(scene: Scene, anchor: Site, extent: Extent, rng: np.random.Generator) -> tuple[float, float]:
    height, width = scene.photo.shape
    spread = 1.5 * extent.length_px + 0.04 * float(np.hypot(height, width))
    x, y = np.asarray(anchor.center_xy) + rng.normal(0.0, spread, 2)
    return float(np.clip(x, 0, width - 1)), float(np.clip(y, 0, height - 1))


def _direction(
    scene: Scene, spec: DefectSpec, center_xy: tuple[float, float], taken: Sequence[Site], rng: np.random.Generator
) -> float:
    """Direction in image coordinates (y down): the spec's, or that of the local structure as far as there is one.

    What flowed, grew or was rolled with a surface lies along it; tools and blows cross it as they like, several scratches
    mostly side by side.
    """
    if spec.orientation_deg is not None:
        return float(np.deg2rad(-spec.orientation_deg))
    angle, coherence = scene.orientation_at(*center_xy)
    jitter, free, choice = rng.normal(0.0, 0.14), rng.uniform(0.0, np.pi), rng.random()
    if spec.mechanism == "scratch":
        alike, travels, swerve = rng.random() < _SAME_CAUSE, rng.random() < _TRAVEL, rng.normal(0.0, 0.04)
        if taken and alike:
            return float(taken[0].angle_rad + swerve)
        if scene.fills_frame and travels:
            free = (np.pi / 2 if free > np.pi / 2 else 0.0) + swerve
    follows = 0.2 + (0.75 * min(coherence / _CLEAR_GRAIN, 1.0) if spec.mechanism in _ALONG else 0.7 * coherence)
    return float(angle + jitter) if choice < follows else float(free)


def _fit(scene: Scene, center_xy: tuple[float, float], extent: Extent, angle_rad: float) -> float:
    """Share of the shape's footprint that lies on the legal part of the object, 0..1."""
    foreground = scene.allowed
    height, width = foreground.shape
    along = np.array([0.0, 0.5, 0.5, -0.5, -0.5, 0.3, -0.3, 0.0, 0.0, 0.55, -0.55]) * extent.length_px
    across = np.array([0.0, 0.4, -0.4, 0.4, -0.4, 0.0, 0.0, 0.6, -0.6, 0.0, 0.0]) * extent.width_px
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    xs = np.rint(center_xy[0] + along * cosine - across * sine).astype(int)
    ys = np.rint(center_xy[1] + along * sine + across * cosine).astype(int)
    seen = (xs >= 0) & (ys >= 0) & (xs < width) & (ys < height)
    return float((foreground[ys[seen], xs[seen]]).sum() / len(xs))


def _crowding(center_xy: tuple[float, float], extent: Extent, taken: Sequence[Site]) -> float:
    """0 when clear of all others, growing to 1 for the same place. Elongated shapes may cross, their middles may not meet."""
    reach = 0.5 * float(np.sqrt(extent.length_px * extent.width_px)) + 0.15 * extent.length_px
    worst = 0.0
    for other in taken:
        clear = 1.2 * (reach + 0.5 * float(np.sqrt(other.area_px))) + 2.0
        gap = float(np.hypot(center_xy[0] - other.center_xy[0], center_xy[1] - other.center_xy[1]))
        worst = max(worst, 1.0 - gap / clear)
    return max(worst, 0.0)
