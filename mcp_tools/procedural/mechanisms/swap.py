"""Swap: a component or a piece of the surface is in the wrong place, turned, mirrored, exchanged or of the wrong colour.

Near the site a component is exchanged with another one, turned, moved or recoloured; without components, a piece of the surface is
turned, mirrored or brought from elsewhere on the object. Pixels are the photo's own; only borders are blended.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.procedural.components import Component, around, fill_behind, find_components
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.palette import rgb_of
from anomalyagent.mcp_tools.procedural.shapes import blob_distance, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.warp import feather, sample, turn_map

__all__ = ["render"]

_VISIBLE_LAB = 5.0  # mean CIELAB distance below which an exchange would not be noticed


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """Something near the site is exchanged (see module docstring); None when everything looks the same everywhere."""
    parts = find_components(site)[:4]
    if parts and rng.random() < 0.85:
        part = parts[0] if rng.random() < 0.6 else parts[int(rng.integers(len(parts)))]
        ways = [_exchange, _turn, _move, _recolor]
        for index in rng.permutation(len(ways)):
            edit = ways[int(index)](site, part, parts, rng)
            if edit is not None and _visible(site, edit):
                return edit
    return _piece(site, spec, rng)


def _edit(window: Window, paint: RGB, cover: Field) -> Edit:
    return Edit(
        window=window,
        support=cover > 0.01,
        paint=np.clip(paint, 0.0, 1.0).astype(np.float32),
        opacity=cover.astype(np.float32),
        strength_fixed=True,
        photographed=True,
    )


def _visible(site: Site, edit: Edit) -> bool:
    assert edit.paint is not None
    assert edit.opacity is not None
    shown = edit.opacity > 0.5
    if not shown.any():
        return False
    before = site.scene.lab[edit.window.slices][shown]
    return float(np.linalg.norm(lab_from_rgb(edit.paint[shown][None])[0] - before, axis=1).mean()) > _VISIBLE_LAB


def _soft(site: Site) -> float:
    return 1.2 + 1.2 * site.scene.blur_sigma_px


def _exchange(site: Site, part: Component, parts: list[Component], rng: np.random.Generator) -> Edit | None:
    """Another component, scaled to fit, in the place of this one."""
    others = [other for other in parts if other is not part and 0.3 < other.area_px / part.area_px < 3.0]
    if not others:
        return None
    other = others[int(rng.integers(len(others)))]
    rgb = site.scene.photo.rgb
    zoom = float(np.sqrt(part.area_px / other.area_px))
    zoom = 1.0 if 0.8 < zoom < 1.25 else zoom
    x, y = pixel_grid(part.window)
    map_x = np.broadcast_to((x - part.center_xy[0]) / zoom + other.center_xy[0] - other.window.x0, part.window.shape)
    map_y = np.broadcast_to((y - part.center_xy[1]) / zoom + other.center_xy[1] - other.window.y0, part.window.shape)
    maps = np.ascontiguousarray(map_x, np.float32), np.ascontiguousarray(map_y, np.float32)
    moved = sample(np.ascontiguousarray(rgb[other.window.slices]), *maps)
    cover = cv2.remap(feather(other.mask, _soft(site)), *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    ground = fill_behind(rgb[part.window.slices], part.mask, rng)
    # light differs from place to place: the guest is shown on the host's ground
    around_host = np.median(rgb[part.window.slices][~part.mask], axis=0) if not part.mask.all() else 0.0
    around_guest = np.median(rgb[other.window.slices][~other.mask], axis=0) if not other.mask.all() else 0.0
    moved = moved + (around_host - around_guest)
    return _edit(part.window, _over(ground, moved, cover), np.maximum(cover, feather(part.mask, _soft(site))))


def _turn(site: Site, part: Component, parts: list[Component], rng: np.random.Generator) -> Edit | None:
    """The component turned or mirrored in its place."""
    del parts
    mirror = bool(rng.random() < 0.3)
    angle = float(
        rng.choice([0.5, 1.0, 1.5]) * np.pi if rng.random() < 0.6 else rng.uniform(0.2, 1.2) * rng.choice([-1.0, 1.0])
    )
    if mirror:
        angle = 0.0
    grown = around(part.window, 0.25 * part.length_px, site.scene.foreground.shape)
    rgb = np.ascontiguousarray(site.scene.photo.rgb[grown.slices])
    mask = _placed(part.mask, part.window, grown)
    center = part.center_xy[0] - grown.x0, part.center_xy[1] - grown.y0
    maps = turn_map(grown.shape, center, angle, mirror)
    cover = cv2.remap(feather(mask, _soft(site)), *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    paint = _over(fill_behind(rgb, mask, rng), sample(rgb, *maps), cover)
    return _edit(grown, paint, np.maximum(cover, feather(mask, _soft(site))))


def _move(site: Site, part: Component, parts: list[Component], rng: np.random.Generator) -> Edit | None:
    """The component a little beside its place, often slightly turned."""
    del parts
    size = float(np.sqrt(part.area_px))
    heading, far = float(rng.uniform(0.0, 2.0 * np.pi)), float(rng.uniform(0.25, 0.8)) * size
    shift = far * np.cos(heading), far * np.sin(heading)
    grown = around(part.window, far + 0.1 * part.length_px, site.scene.foreground.shape)
    rgb = np.ascontiguousarray(site.scene.photo.rgb[grown.slices])
    mask = _placed(part.mask, part.window, grown)
    center = part.center_xy[0] - grown.x0, part.center_xy[1] - grown.y0
    map_x, map_y = turn_map(grown.shape, (center[0] + shift[0], center[1] + shift[1]), float(rng.normal(0.0, 0.25)))
    maps = (map_x - np.float32(shift[0]), map_y - np.float32(shift[1]))
    cover = cv2.remap(feather(mask, _soft(site)), *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    paint = _over(fill_behind(rgb, mask, rng), sample(rgb, *maps), cover)
    return _edit(grown, paint, np.maximum(cover, feather(mask, _soft(site))))


def _recolor(site: Site, part: Component, parts: list[Component], rng: np.random.Generator) -> Edit | None:
    """A component of another colour (another tone in a grey photo), its shading kept."""
    del parts
    lab = site.scene.lab[part.window.slices].copy()
    typical = np.median(lab[part.mask], axis=0)
    shift = float(rng.uniform(18.0, 40.0)) * (1.0 if typical[0] < 45.0 or (typical[0] < 65.0 and rng.random() < 0.5) else -1.0)
    if site.scene.photo.is_grey:
        lab[..., 0] = np.clip(lab[..., 0] + shift, 1.0, 99.0)
    else:
        hue = float(np.arctan2(typical[2], typical[1]) + rng.uniform(0.35, 1.65) * np.pi)
        chroma = max(float(np.hypot(typical[1], typical[2])), float(rng.uniform(15.0, 45.0)))
        lab[..., 1] += np.float32(chroma * np.cos(hue) - typical[1])
        lab[..., 2] += np.float32(chroma * np.sin(hue) - typical[2])
        lab[..., 0] = np.clip(lab[..., 0] + (shift if rng.random() < 0.4 else 0.0), 1.0, 99.0)
    return _edit(part.window, rgb_of(lab), feather(part.mask, _soft(site)))


def _piece(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """A piece of the surface turned, mirrored or taken from elsewhere on the object: the first of several that shows."""
    scene = site.scene
    height, width = scene.foreground.shape
    cover = _piece_cover(site, spec, rng)
    if not (cover > 0.5).any():
        return None
    x, y = pixel_grid(site.window)
    grid_x = np.ascontiguousarray(np.broadcast_to(x, site.window.shape), np.float32)
    grid_y = np.ascontiguousarray(np.broadcast_to(y, site.window.shape), np.float32)
    source = site.center_xy
    x0, y0, x1, y1 = scene.box_xyxy
    for attempt in range(8):
        angle = float(rng.choice([0.5, 1.0, 1.5]) * np.pi)
        mirror = bool(rng.random() < 0.3)
        if attempt > 2 or rng.random() < 0.3:  # from elsewhere
            source = float(rng.uniform(x0, x1 - 1)), float(rng.uniform(y0, y1 - 1))
            if not scene.foreground[int(source[1]), int(source[0])]:
                continue
            angle = 0.0 if rng.random() < 0.5 else angle
        cos, sin = np.cos(angle), np.sin(angle)
        dx, dy = grid_x - site.center_xy[0], grid_y - site.center_xy[1]
        dx = -dx if mirror else dx
        map_x = (source[0] + dx * cos + dy * sin).astype(np.float32)
        map_y = (source[1] - dx * sin + dy * cos).astype(np.float32)
        shown = cover > 0.5
        if (
            map_x[shown].min() < 0
            or map_y[shown].min() < 0
            or map_x[shown].max() > width - 1
            or map_y[shown].max() > height - 1
        ):
            continue
        rows, columns = np.rint(map_y[shown]).astype(int), np.rint(map_x[shown]).astype(int)
        if scene.foreground[rows, columns].mean() < 0.97:
            continue
        edit = _edit(
            site.window, cv2.remap(scene.photo.rgb, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT), cover
        )
        if _visible(site, edit):
            return edit
    return None


def _piece_cover(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Field:
    """A rectangle (most assembly errors are cut pieces) or an irregular patch of the site's area."""
    if rng.random() < 0.6:
        long = float(np.sqrt(site.area_px * min(spec.elongation, 6.0)))
        wide = site.area_px / long
        x, y = pixel_grid(site.window)
        dx, dy = x - site.center_xy[0], y - site.center_xy[1]
        cos, sin = np.cos(site.angle_rad), np.sin(site.angle_rad)
        inside = np.minimum(long / 2 - np.abs(dx * cos + dy * sin), wide / 2 - np.abs(-dx * sin + dy * cos))
    else:
        inside = blob_distance(
            site.window,
            site.center_xy,
            site.area_px,
            rng,
            elongation=min(spec.elongation, 6.0),
            angle_rad=site.angle_rad,
            lobes=0.15,
            roughness=0.05,
        )
    cover = smooth_step((inside + 0.5 * _soft(site)) / _soft(site))
    return cover * site.scene.foreground[site.window.slices]


def _placed(mask: Mask, old: Window, new: Window) -> Mask:
    moved = np.zeros(new.shape, bool)
    y, x = old.y0 - new.y0, old.x0 - new.x0
    moved[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    return moved


def _over(ground: RGB, part: RGB, cover: Field) -> RGB:
    return ground + (part - ground) * cover[..., None]
