"""A patch of an even surface turned, mirrored or brought from elsewhere, in the light of its new place.

A patch has edges of its own. Where the surface holds more than one look they would cut through what it shows.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, pixel_grid, rectangle_at, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.warp import sample
from anomalyagent.mcp_tools.procedural.light.visibility import is_noticed
from anomalyagent.mcp_tools.procedural.retouching.cutout import edit_of

__all__ = ["is_even", "patch"]

_DIRECTED = 0.3  # coherence of a texture that shows which way it runs
_SAME_LIGHT = 0.85  # of the difference between a patch and what lies beside it
_OTHER_TONE = 0.08, 0.16  # of its brightness, by which a patch from another sheet differs
_ONE_LOOK = 6.0  # CIELAB units about its median within which a surface has one colour
_MOSTLY = 0.6  # share of a body that has one colour when it is even


def patch(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """The first of several patches that shows; None on an uneven surface, and where everything looks the same everywhere."""
    scene = site.scene
    height, width = scene.foreground.shape
    cover = _patch_cover(site, spec, rng)
    shown = cover > 0.5
    if not shown.any():
        return None
    rgb = scene.photo.rgb[site.window.slices]
    beside = np.asarray((cv2.dilate(shown.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0) & (cover < 0.01))
    grain = 0.12 * float(np.sqrt(site.area_px)) + 1.0
    if not _of_one_look(rgb, shown | beside, grain):
        return None
    detail = float(np.std(rgb[shown]))
    x, y = pixel_grid(site.window)
    grid_x = np.ascontiguousarray(np.broadcast_to(x, site.window.shape), np.float32)
    grid_y = np.ascontiguousarray(np.broadcast_to(y, site.window.shape), np.float32)
    source = site.center_xy
    x0, y0, x1, y1 = scene.box_xyxy
    # where texture runs one way only a quarter of a turn shows
    directed = scene.orientation_at(*site.center_xy)[1] > _DIRECTED
    for attempt in range(12):
        angle = float(rng.choice([0.5, 1.5] if directed else [0.5, 1.0, 1.5]) * np.pi)
        mirror = bool(rng.random() < 0.3)
        if attempt > 2 or rng.random() < 0.3:  # from elsewhere
            source = float(rng.uniform(x0, x1 - 1)), float(rng.uniform(y0, y1 - 1))
            angle = 0.0 if rng.random() < 0.5 and not directed else angle
        cos, sin = np.cos(angle), np.sin(angle)
        dx, dy = grid_x - site.center_xy[0], grid_y - site.center_xy[1]
        dx = -dx if mirror else dx
        map_x = (source[0] + dx * cos + dy * sin).astype(np.float32)
        map_y = (source[1] - dx * sin + dy * cos).astype(np.float32)
        seen_x, seen_y = map_x[shown], map_y[shown]
        if min(seen_x.min(), seen_y.min()) < 0 or seen_x.max() > width - 1 or seen_y.max() > height - 1:
            continue
        rows, columns = np.rint(seen_y).astype(int), np.rint(seen_x).astype(int)
        if scene.foreground[rows, columns].mean() < 0.97:
            continue
        piece = sample(scene.photo.rgb, map_x, map_y)
        rougher = float(np.std(piece[shown])) / max(detail, 1e-3)
        if not (0.5 < rougher < 2.0 and _of_one_look(piece, shown, grain)):
            continue
        # it is shown in the light of its new place; where nothing else tells, another tone does
        light = np.median(rgb[beside], axis=0) - np.median(piece[shown], axis=0) if beside.any() else np.zeros(3)
        tone = float(rng.uniform(*_OTHER_TONE) * rng.choice([-1.0, 1.0])) if attempt >= 6 else 0.0
        edit = edit_of(site.window, ((piece + _SAME_LIGHT * light) * (1.0 + tone)).astype(np.float32), cover)
        if is_noticed(site, edit):
            return edit
    return None


def _of_one_look(rgb: RGB, where: Mask, grain_px: float, least: float = 0.95) -> bool:
    """True when that share at least has one colour, apart from detail finer than `grain_px`."""
    weight = where.astype(np.float32)
    step = max(1.0, grain_px / 3.0)
    size = max(1, round(where.shape[1] / step)), max(1, round(where.shape[0] / step))
    total = cv2.resize(np.dstack([rgb * weight[..., None], weight]), size, interpolation=cv2.INTER_AREA)
    solid = total[..., 3] > 0.5
    if not solid.any():
        return True
    total = cv2.GaussianBlur(total, (0, 0), grain_px / step)
    broad = lab_from_rgb((total[..., :3] / np.maximum(total[..., 3:], 1e-4)).astype(np.float32))[solid]
    away = np.linalg.norm(broad - np.median(broad, axis=0), axis=1)
    return float((away < _ONE_LOOK).mean()) >= least


def is_even(scene: Scene) -> bool:
    """True for a body most of which has one colour, so that a patch can lie somewhere on it."""
    return _of_one_look(scene.photo.rgb, scene.foreground, 0.02 * float(np.sqrt(scene.object_area_px)), least=_MOSTLY)


def _patch_cover(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Field:
    """A cut piece of a sheet, or an irregular patch of the site's area: nothing cuts rectangles into a body."""
    if rng.random() < 0.6 and site.scene.fills_frame:
        inside = rectangle_at(site, min(spec.elongation, 6.0))
    else:
        inside = blob_at(site, rng, elongation=min(spec.elongation, 6.0), lobes=0.15, roughness=0.05)
    soft = 1.2 + 1.2 * site.scene.blur_sigma_px
    return smooth_step((inside + 0.5 * soft) / soft) * site.scene.foreground[site.window.slices]
