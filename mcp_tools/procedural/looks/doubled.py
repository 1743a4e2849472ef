"""A second piece that adheres to the first: two kernels, snacks or parts that were not separated.

The photo's own piece, turned or mirrored, is laid against itself: it comes to lie below and shows beside the first one
only, or above and throws its shadow on it. How far it reaches over the other follows from the area asked for.
"""

import re
from dataclasses import replace

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import cast_shadow
from anomalyagent.mcp_tools.procedural.geometry.warp import sample, sample_cover, turn_map
from anomalyagent.mcp_tools.procedural.retouching.cutout import edit_of_drawn
from anomalyagent.mcp_tools.procedural.retouching.whole_object import clear_stage, own_pixels

__all__ = ["Doubled", "names_doubling"]

_DOUBLED = re.compile(
    r"\b(?:stuck together|sticking together|glued together|fused (?:piece|part|kernel|nut)s?|clumped|doubled|conjoined|siamese|"
    r"(?:two|second) (?:\w+ )?(?:stuck|fused|adher\w+|attached)|(?:stuck|adher\w+) to (?:one another|each other))\b"
)
_SIDE_PX = 128  # longer side of the copy on which a place is sought
_TRIES = 80
_TOUCH = 0.03  # of the piece, at least, that the two share; less would be two pieces
_MIN_SHOWN, _MAX_SHARED = 0.1, 0.9  # of the piece
_MAX_LOST = 0.6  # of the piece that the frame may cut off
_NEARLY_UPRIGHT = 0.7  # chance that it is turned so little that the light on it still fits
_THICKNESS = 0.08  # of the piece's size: how far it stands off what it lies on
_CONTACT = 0.25  # share of light that one piece takes from the other right beside it, where it throws no shadow on the ground

_Pose = tuple[float, bool, tuple[float, float]]  # turned by (radians), mirrored, moved by (of the piece's size)


class Doubled:
    """Lays a second piece against the one at the site."""

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One more piece; None where the frame leaves no room for it or the photo shows no ground."""
        del spec
        scene = site.scene
        first = _piece_at(site)
        stage = clear_stage(scene, rng)
        if stage is None:
            return None
        size = float(np.sqrt(np.count_nonzero(first)))
        shown = float(np.clip(site.area_px / size**2, _MIN_SHOWN, 1.0 - _TOUCH))
        found = _find_pose(first, scene.foreground & ~first, shown, rng)
        if found is None:
            return None
        pose, above = found
        around = cv2.dilate(first.astype(np.uint8), np.ones((5, 5), np.uint8))
        matte = own_pixels(scene, stage) * around
        maps = _maps(first, pose, size)
        second, pixels = sample_cover(matte, *maps), sample(scene.photo.rgb, *maps)
        thick = _THICKNESS * size
        on_ground = cast_shadow(second, stage.light, thick, stage.shadow) * (1.0 - matte)
        between = max(stage.shadow, _CONTACT)
        seen = second if above else second * (1.0 - matte)
        if above:
            on_ground = np.maximum(on_ground, cast_shadow(second, stage.light, thick, between) * matte)
        else:
            pixels = pixels * (1.0 - cast_shadow(matte, stage.light, thick, between))[..., None]
        ground = scene.photo.rgb * (1.0 - on_ground)[..., None]
        drawn = np.clip(ground + (pixels - ground) * seen[..., None], 0.0, 1.0).astype(np.float32)
        height, width = first.shape
        return replace(edit_of_drawn(site, Window(0, 0, height, width), drawn), size_fixed=True)


def names_doubling(prompt: str) -> bool:
    """True when the words speak of pieces that stick together."""
    return bool(_DOUBLED.search(plain(prompt)))


def _piece_at(site: Site) -> Mask:
    """(H, W) bool: the piece of the foreground that the site lies on, or the nearest one."""
    labels = np.asarray(cv2.connectedComponents(site.scene.foreground.astype(np.uint8))[1])
    height, width = labels.shape
    x, y = (int(np.clip(round(at), 0, end - 1)) for at, end in zip(site.center_xy, (width, height), strict=True))
    if labels[y, x] == 0:
        ys, xs = np.nonzero(labels)
        nearest = int(np.argmin((ys - y) ** 2 + (xs - x) ** 2))
        y, x = int(ys[nearest]), int(xs[nearest])
    return np.asarray(labels == labels[y, x], np.bool_)


def _middle(piece: Mask) -> tuple[float, float]:
    ys, xs = np.nonzero(piece)
    return 0.5 * float(xs.min() + xs.max()), 0.5 * float(ys.min() + ys.max())


def _maps(piece: Mask, pose: _Pose, size: float) -> tuple[Field, Field]:
    """Backward maps that turn, mirror and move the piece."""
    angle, mirror, (dx, dy) = pose
    x, y = _middle(piece)
    height, width = piece.shape
    map_x, map_y = turn_map((height, width), (x + dx * size, y + dy * size), angle, mirror)
    return map_x - np.float32(dx * size), map_y - np.float32(dy * size)


def _find_pose(piece: Mask, others: Mask, shown: float, rng: np.random.Generator) -> tuple[_Pose, bool] | None:
    """Where the second piece touches the first, and whether it lies above it.

    It stays in the frame and clear of other pieces, and shows about as much as wanted, in one piece.
    """
    small, apart = (
        reduced(np.repeat(one[..., None], 3, axis=2).astype(np.float32), _SIDE_PX, 8)[..., 0] for one in (piece, others)
    )
    solid = small > 0.5
    area = float(small.sum())
    if not solid.any():
        return None
    size = float(np.sqrt(area))
    ys, xs = np.nonzero(solid)
    reach = float(np.hypot(np.ptp(xs), np.ptp(ys))) / size
    best: tuple[float, _Pose, bool] | None = None
    for _ in range(_TRIES):
        turned = rng.uniform(-0.7, 0.7) if rng.random() < _NEARLY_UPRIGHT else rng.uniform(-np.pi, np.pi)
        heading, far = float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(0.1, 1.0)) * reach
        pose: _Pose = (float(turned), bool(rng.random() < 0.5), (far * float(np.cos(heading)), far * float(np.sin(heading))))
        second = sample_cover(small, *_maps(solid, pose, size))
        lost = 1.0 - float(second.sum()) / area
        shared = float((second * small).sum()) / area
        above = bool(rng.random() < 0.5)
        if lost > _MAX_LOST or not _TOUCH <= shared <= _MAX_SHARED:
            continue
        seen = second if above else np.asarray(second * (1.0 - small), np.float32)
        poor = abs(float(np.log(max(float(seen.sum()) / area, 0.01) / shown)))
        poor += 3.0 * lost + 3.0 * float((second * apart).sum()) / area + 2.0 * _scattered(seen)
        if best is None or poor < best[0]:
            best = poor, pose, above
    return None if best is None else best[1:]


def _scattered(cover: Field) -> float:
    """Share of what shows that does not hang together with the largest part of it."""
    stats = cv2.connectedComponentsWithStats((cover > 0.5).astype(np.uint8))[2][1:, cv2.CC_STAT_AREA]
    return 1.0 - float(stats.max()) / float(stats.sum()) if len(stats) else 1.0
