"""A chip: a piece has broken out, at an edge or rim, or a shallow spall inside the surface.

Physics: brittle material parts along conchoidal (shell-shaped) faces. The fracture is fresh: the texture, print and gloss
of the old surface are gone, and a few facets with sharp ridges each reflect their own way: in glass and glaze some flash,
most are dark; in stone, ferrite or plastic they are matt. Faint ripples run around the point of impact. The border is
sharp, dark on one side and lit on the other. Where the piece went through the outline the background shows.
"""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.material import median_background
from anomalyagent.mcp_tools.procedural.palette import Surroundings, measure_surroundings, rgb_of
from anomalyagent.mcp_tools.procedural.shapes import blob_distance, facet_planes, fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.surface_fields import shade

__all__ = ["render"]


class _Seat(NamedTuple):
    """Where the piece sat: centre of the break, direction of the edge, point of impact, and whether it is on the outline."""

    center_xy: tuple[float, float]
    angle_rad: float
    impact_xy: tuple[float, float]
    on_outline: bool


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One chip. None when there are too few pixels for a facet."""
    if site.area_px < 8 or min(site.window.shape) < 5:
        return None
    seat = _find_seat(site, spec, rng)
    area = site.area_px * (1.9 if seat.on_outline else 1.0)  # about half of it lies off the object
    distance = blob_distance(
        site.window,
        seat.center_xy,
        area,
        rng,
        elongation=min(max(spec.elongation, 1.1), 8.0),
        angle_rad=seat.angle_rad,
        lobes=0.28,
        roughness=float(rng.uniform(0.02, 0.09)),
    )
    cover = np.clip(distance + 0.5, 0.0, 1.0)
    near = measure_surroundings(site, inside=cover > 0.5)
    paint = _fracture(site, spec, seat, near, distance, rng)
    behind = median_background(site.scene)
    if seat.on_outline and behind is not None and rng.random() < 0.6:
        paint = _open_notch(site, spec, seat, paint, behind, rng)
    return Edit(window=site.window, support=cover > 0.02, paint=paint, opacity=cover.astype(np.float32))


def _find_seat(site: Site, spec: DefectSpec, rng: np.random.Generator) -> _Seat:
    """Seat on the outline when the site is near it, else against the strongest rim nearby, else inside the surface."""
    scene = site.scene
    x, y = site.center_xy
    radius = float(np.sqrt(site.area_px / np.pi))
    depth = scene.depth_px
    row, column = round(y), round(x)
    if spec.zone == "edge" or depth[row, column] < 1.3 * radius:
        # down the distance field to the outline
        for _ in range(200):
            here = depth[row, column]
            rows, columns = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
            around = depth[rows, columns]
            step = np.unravel_index(int(around.argmin()), around.shape)
            if around[step] >= here or here <= 1.0:
                break
            row, column = rows.start + int(step[0]), columns.start + int(step[1])
        point = (float(column), float(row))
        angle = site.angle_rad if spec.orientation_deg is not None else _along_outline(depth, row, column)
        return _Seat(point, angle, point, True)
    rim = _strongest_rim(site, radius)
    if rim is not None and rng.random() < 0.85:
        (rim_x, rim_y), angle = rim
        inward = np.array([x - rim_x, y - rim_y])
        norm = float(np.linalg.norm(inward))
        inward = inward / norm if norm > 1.0 else np.array([np.sin(angle), -np.cos(angle)])
        minor = radius / float(np.sqrt(min(max(spec.elongation, 1.1), 8.0)))
        center = (rim_x + 0.8 * minor * float(inward[0]), rim_y + 0.8 * minor * float(inward[1]))
        return _Seat(center, angle if spec.orientation_deg is None else site.angle_rad, (rim_x, rim_y), False)
    impact = (x + float(rng.normal(0.0, 0.3 * radius)), y + float(rng.normal(0.0, 0.3 * radius)))
    return _Seat((x, y), site.angle_rad, impact, False)


def _along_outline(depth: Field, row: int, column: int) -> float:
    patch = depth[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5]
    dy, dx = (float(part.mean()) for part in np.gradient(patch))
    return float(np.arctan2(dx, -dy))


def _strongest_rim(site: Site, radius: float) -> tuple[tuple[float, float], float] | None:
    """Point and direction of the strongest coarse edge near the site; None where the surface has no rim."""
    x0, y0 = site.window.x0, site.window.y0
    lightness = np.ascontiguousarray(site.scene.lab[site.window.slices][..., 0])
    soft = cv2.GaussianBlur(lightness, (0, 0), max(1.5, 0.12 * radius), borderType=cv2.BORDER_REPLICATE)
    dx, dy = cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=0.125)
    x, y = pixel_grid(site.window)
    away = np.hypot(x - site.center_xy[0], y - site.center_xy[1]) / (1.6 * radius + 4.0)
    strength = np.hypot(dx, dy) * np.clip(1.0 - away**2, 0.0, 1.0)
    row, column = np.unravel_index(int(strength.argmax()), strength.shape)
    step = float(np.hypot(dx[row, column], dy[row, column])) * max(1.5, 0.12 * radius) * 2.5
    if step < 7.0:  # L units across the edge
        return None
    angle = float(np.arctan2(dx[row, column], -dy[row, column]))
    return (float(column + x0), float(row + y0)), angle


def _fracture(site: Site, spec: DefectSpec, seat: _Seat, near: Surroundings, distance: Field, rng: np.random.Generator) -> RGB:
    """(h, w, 3) sRGB of the fracture surface."""
    shape = site.window.shape
    radius = float(np.sqrt(site.area_px / np.pi))
    contrast = float(np.clip(spec.severity * near.jnd * rng.uniform(0.7, 1.1), 5.0, 40.0))
    glossy = rng.random() < _gloss_of(site.scene)
    tilt = float(rng.uniform(0.25, 0.55)) if glossy else float(rng.uniform(0.08, 0.28))
    pieces = int(np.clip(3 + radius / 4, 3, 14)) if glossy else int(rng.integers(1, 6))
    facets = facet_planes(site.window, seat.center_xy, radius, rng, count=pieces, slope=tilt, warp=0.2)
    x, y = pixel_grid(site.window)
    far = np.hypot(x - seat.impact_xy[0], y - seat.impact_xy[1])
    wave = max(3.0, radius * float(rng.uniform(0.18, 0.4)))
    bend = 0.6 * fractal_noise(shape, max(radius, 4.0), rng, octaves=2)
    ripples = float(rng.uniform(0.0, 0.06)) * wave * np.sin(2.0 * np.pi * far / wave + 3.0 * bend)
    grain = fractal_noise(shape, max(1.5, 0.12 * radius), rng, octaves=2, gain=0.7)
    light = shade(facets.height + ripples + 0.12 * grain, site.scene.light)
    # The old surface's slow shading stays, its texture is gone.
    blur = 2 * int(max(0.5 * radius, 2.0)) + 1
    patch = np.ascontiguousarray(site.scene.lab[site.window.slices])
    lab = 0.35 * cv2.blur(patch, (blur, blur), borderType=cv2.BORDER_REFLECT) + 0.65 * near.lab
    lab = lab.astype(np.float32)
    fresh = float(rng.normal(-0.2, 0.4) if glossy else rng.normal(-0.65, 0.45)) * min(contrast, 22.0)
    if spec.color_shift is not None:
        lab += np.array(spec.color_shift, np.float32) * (0.0 if near.grey else 1.0)
        fresh = float(spec.color_shift[0])
    lab[..., 0] += fresh + contrast * 1.2 * (light - 1.0) + (0.09 if glossy else 0.05) * contrast * grain
    # Border: the wall on the light's side lies in shadow, the one opposite is lit.
    inward_y, inward_x = np.gradient(distance)
    azimuth = site.scene.light[0]
    lit = inward_x * np.cos(azimuth) + inward_y * np.sin(azimuth)
    lab[..., 0] += contrast * np.exp(-((distance / max(1.0, 0.05 * radius)) ** 2)) * np.clip(lit, -0.7, 0.8)
    lab[..., 1:] *= float(rng.uniform(0.3, 0.9))
    if glossy:
        glint = _glints(facets.label, grain, far / max(radius, 1.0), rng)
        lab[..., 0] += glint * np.clip(96.0 - lab[..., 0], 0.0, None)
    lab[..., 0] = np.clip(lab[..., 0], 2.0, 98.0)
    if near.grey:
        lab[..., 1:] = 0.0
    return rgb_of(lab)


def _gloss_of(scene: Scene) -> float:
    """Chance, 0..1, that a fracture flashes: how far the object's highlights stand above its median lightness."""
    x0, y0, x1, y1 = scene.box_xyxy
    step = max(1, int(np.sqrt((x1 - x0) * (y1 - y0)) / 96))
    lightness = scene.lab[y0:y1:step, x0:x1:step, 0][scene.foreground[y0:y1:step, x0:x1:step]]
    median, bright = np.percentile(lightness, [50, 99.7])
    return float(np.clip((bright - median - 25.0) / 35.0, 0.0, 1.0)) * (0.2 if scene.fills_frame else 1.0)


def _glints(label: np.ndarray, grain: Field, away: Field, rng: np.random.Generator) -> Field:
    """(h, w) 0..1 flashes of facets that happen to mirror the light, and of splinters, mostly near the impact."""
    facing = rng.random(int(label.max()) + 1) ** 3
    mirror = facing[label] * np.clip(1.5 - away, 0.0, 1.0) * (0.4 + 0.6 * smooth_step(0.6 + grain))
    flecks = 0.6 * smooth_step((grain - 1.1) / 0.8) * np.clip(1.4 - away, 0.15, 1.0)
    return np.clip(mirror + flecks, 0.0, 1.0).astype(np.float32)


def _open_notch(site: Site, spec: DefectSpec, seat: _Seat, paint: RGB, behind: np.ndarray, rng: np.random.Generator) -> RGB:
    """The outer part of the break goes right through: what lies behind the object shows."""
    notch = blob_distance(
        site.window,
        seat.center_xy,
        site.area_px * float(rng.uniform(0.5, 1.1)),
        rng,
        elongation=min(max(spec.elongation, 1.1), 8.0),
        angle_rad=seat.angle_rad,
        lobes=0.25,
        roughness=0.15,
    )
    through = np.clip(notch + 0.5, 0.0, 1.0)[..., None]
    return (paint + through * (behind - paint)).astype(np.float32)
