"""Parts of the whole object that a mechanism can act on, whatever their size: protrusions of its outline (pins, leads, tabs).

Found once for each photo, on a small copy, by opening the foreground with discs of growing size: what a disc does not reach
but hangs on what it reaches, and stands out further than it is wide, is a protrusion. Several alike are the surest sign.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import scale_within, size_within
from anomalyagent.mcp_tools.procedural.edit import Site, Target, Window
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.parts.component import Component, touches_twice
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["nearest_part", "protrusions_of", "targets_at"]

_SIDE_PX = 240
_RADII = (0.012, 0.02, 0.035, 0.06)  # of the small copy's longer side
_MIN_LENGTH = 1.5  # of its width
_MIN_SHARE = 0.001  # of the object


def targets_at(parts: tuple[Component, ...] | list[Component]) -> list[Target]:
    """The parts as targets."""
    return [Target(part.center_xy, part.area_px) for part in parts]


def nearest_part(site: Site, parts: tuple[Component, ...]) -> Component | None:
    """The part that the site lies on or right beside; None when all are further away."""

    def distance(part: Component) -> float:
        cos, sin = np.cos(part.angle_rad), np.sin(part.angle_rad)
        dx, dy = site.center_xy[0] - part.center_xy[0], site.center_xy[1] - part.center_xy[1]
        along = max(abs(dx * cos + dy * sin) - 0.5 * part.length_px, 0.0)
        return float(np.hypot(along, dx * sin - dy * cos))

    if not parts:
        return None
    best = min(parts, key=distance)
    return best if distance(best) <= max(best.area_px / max(best.length_px, 1.0), 3.0) else None


@once_per_scene
def protrusions_of(scene: Scene) -> tuple[Component, ...]:
    """All protrusions of the object, the most convincing set first; empty for surfaces and compact objects."""
    if scene.fills_frame:
        return ()
    scale, size = scale_within(scene.photo.shape, _SIDE_PX), size_within(scene.photo.shape, _SIDE_PX, 8)
    solid = cv2.resize(scene.foreground.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    best: list[Component] = []
    for share in _RADII:
        reach = max(2, round(share * max(size)))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
        padded = cv2.copyMakeBorder(solid, reach, reach, reach, reach, cv2.BORDER_REPLICATE)
        body = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc)[reach:-reach, reach:-reach].astype(np.uint8)
        if int(body.sum()) < 0.3 * int(solid.sum()):
            break
        stubs = cv2.morphologyEx(solid & (1 - body), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)).astype(np.uint8)
        found = [part for part in _measure(scene, stubs, body, scale) if part is not None]
        if _weight(found) > 1.15 * _weight(best):
            best = found
    return tuple(sorted(best, key=lambda part: -part.length_px))


def _weight(parts: list[Component]) -> float:
    """How convincing a set is: long parts count, several of about one length count twice."""
    lengths = np.array([part.length_px for part in parts])
    if len(lengths) == 0:
        return 0.0
    alike = (np.abs(lengths / np.median(lengths) - 1.0) < 0.4).sum() >= 2
    return float(lengths.sum()) * (2.0 if alike else 1.0)


def _measure(scene: Scene, stubs: NDArray[np.uint8], body: NDArray[np.uint8], scale: float) -> list[Component | None]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(stubs, connectivity=8)
    near_body = cv2.dilate(body, np.ones((5, 5), np.uint8)) > 0
    least = max(16.0, _MIN_SHARE * scene.object_area_px * scale**2)
    return [
        _protrusion(scene, np.asarray(labels == i), near_body, scale)
        for i in range(1, count)
        if stats[i, cv2.CC_STAT_AREA] >= least
    ]


def _protrusion(scene: Scene, piece: NDArray[np.bool_], near_body: NDArray[np.bool_], scale: float) -> Component | None:
    """One stub as a part of the photo; None when it does not stand out from the body."""
    ys, xs = np.nonzero(piece)
    height, width = piece.shape
    if xs.min() == 0 or ys.min() == 0 or xs.max() == width - 1 or ys.max() == height - 1:
        return None
    touching = near_body[ys, xs]
    if not touching.any() or touches_twice(xs[touching], ys[touching]):
        return None
    root = float(xs[touching].mean()), float(ys[touching].mean())
    center = float(xs.mean()), float(ys.mean())
    angle = float(np.arctan2(center[1] - root[1], center[0] - root[0]))
    along = (xs - root[0]) * np.cos(angle) + (ys - root[1]) * np.sin(angle)
    across = -(xs - root[0]) * np.sin(angle) + (ys - root[1]) * np.cos(angle)
    length, wide = float(along.max()), float(across.max() - across.min()) + 1.0
    if length < 5.0 or length < _MIN_LENGTH * wide:
        return None
    tight = Window(
        int(ys.min() / scale), int(xs.min() / scale), int((ys.max() + 1) / scale) + 1, int((xs.max() + 1) / scale) + 1
    )
    room = 0.6 * float(np.sqrt(len(xs))) / scale + 4.0
    window = around(tight, room, scene.photo.shape)
    # the part at full resolution, with its blurred border
    rows = np.clip(((np.arange(window.y0, window.y1) + 0.5) * scale).astype(int), 0, height - 1)
    columns = np.clip(((np.arange(window.x0, window.x1) + 0.5) * scale).astype(int), 0, width - 1)
    grow = round(1.5 + 1.5 * scene.blur_sigma_px + 0.5 / scale)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
    mask = cv2.dilate(piece[rows][:, columns].astype(np.uint8), disc) > 0
    return Component(
        window=window,
        mask=np.asarray(mask, np.bool_),
        center_xy=((center[0] + 0.5) / scale, (center[1] + 0.5) / scale),
        area_px=len(xs) / scale**2,
        angle_rad=angle,
        elongation=length / wide,
        root_xy=((root[0] + 0.5) / scale, (root[1] + 0.5) / scale),
        length_px=length / scale,
        contrast=0.0,
    )
