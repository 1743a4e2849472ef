"""Bodies of foreign matter without corners: adhesive, crumbs, lint and what was smeared.

Each returns (cover, tone): (h, w) 0..1 how far it covers the surface, and (h, w) lightness offsets around its colour.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.geometry.paths import spline_path, trace_stroke
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, blob_distance, fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import grain_noise, shade
from anomalyagent.mcp_tools.procedural.light.palette import Matter
from anomalyagent.mcp_tools.procedural.matter.bodies import cut_outline, edge_cover, relief_tone

__all__ = ["adhesive", "crumbs", "flake", "lint", "smear", "torn_outline"]

_SMOOTHEST = 0.16  # of a highlight: spread of the slopes that mirror the lamp
_FINE = 4  # supersampling of thin fibres
_MOST_FIBRES = 28
_MOST_CRUMBS = 9
_LEAST_CRUMBS_PX = 250.0  # of a heap: below, they could not be told apart


def adhesive(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Glue that ran and set: a rounded border, a flat wavy top with sharp highlights, threads; the surface shows through."""
    size = float(np.sqrt(site.area_px))
    shape = site.window.shape
    distance = blob_at(
        site,
        rng,
        elongation=min(spec.elongation * float(rng.uniform(1.0, 1.6)), 8.0),
        lobes=float(rng.uniform(0.2, 0.45)),
        roughness=float(rng.uniform(0.02, 0.06)),
    )
    for _ in range(int(rng.choice([0, 0, 1, 2])) if size > 10.0 else 0):  # drawn out when the tip was lifted
        heading, long = float(rng.uniform(0.0, 2.0 * np.pi)), size * float(rng.uniform(0.5, 1.1))
        x0, y0 = site.center_xy
        middle = (x0 + (0.3 * size + 0.4 * long) * np.cos(heading), y0 + (0.3 * size + 0.4 * long) * np.sin(heading))
        thread = trace_stroke(site.window, spline_path(middle, long, heading, rng, bend=0.4, points=12), 0.06 * size + 3.0)
        distance = np.maximum(distance, max(0.03 * size, 0.6) * (1.3 - thread.along) - thread.distance)
    deep = max(float(distance.max()), 1.0)
    border = max(float(rng.uniform(0.25, 0.5)) * deep, 1.5)
    t = np.clip(distance / border, 0.0, 1.0)
    waves = fractal_noise(shape, max(0.45 * size, 4.0), rng, octaves=3, gain=0.45)
    top = (
        border * float(rng.uniform(0.3, 0.55)) * np.sqrt(t * (2.0 - t)) + 0.03 * size * float(rng.uniform(0.4, 1.2)) * t * waves
    )
    sigma = max(0.12 * border, 0.7)
    top = np.asarray(cv2.GaussianBlur(top.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
    azimuth, elevation = site.scene.light
    leaning = np.tan(0.5 * (0.5 * np.pi - np.clip(elevation, 0.6, 1.2)))  # the slope that mirrors the lamp into the lens
    slope_x, slope_y = (cv2.Sobel(top, cv2.CV_32F, *order, scale=0.125) for order in ((1, 0), (0, 1)))
    off = (slope_x + leaning * np.cos(azimuth)) ** 2 + (slope_y + leaning * np.sin(azimuth)) ** 2
    gleam = np.exp(-off / (2.0 * _SMOOTHEST**2)) * edge_cover(distance - 0.5) * matter.gloss
    thickness = np.clip(distance / deep, 0.0, 1.0)
    rim = np.exp(-(((distance - 0.8) / 1.3) ** 2))
    cover = edge_cover(distance) * np.clip(float(rng.uniform(0.35, 0.7)) * (0.6 + 0.4 * thickness) + 0.12 * rim, 0.0, 0.95)
    cover = np.maximum(cover, 0.9 * gleam)
    tone = 26.0 * (shade(top, site.scene.light) - 1.0) + 45.0 * gleam - 9.0 * rim + 1.5 * waves
    return cover.astype(np.float32), tone.astype(np.float32)


def crumbs(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Rounded crumbs, one large or some of very different size near each other."""
    shape = site.window.shape
    several = site.area_px > _LEAST_CRUMBS_PX and rng.random() < 0.7
    count = int(rng.integers(2, _MOST_CRUMBS + 1)) if several else 1
    shares = rng.pareto(1.2, count) + 0.15
    sizes = np.maximum(np.sqrt(site.area_px * shares / shares.sum() / np.pi), 0.7)
    x, y = pixel_grid(site.window)
    reach = float(np.sqrt(site.area_px)) * float(rng.uniform(0.5, 0.9))
    cos, sin = np.cos(site.angle_rad), np.sin(site.angle_rad)
    stretch = float(np.sqrt(min(spec.elongation, 6.0)))
    distance = np.full(shape, -np.inf, np.float32)
    height = np.zeros(shape, np.float32)
    ragged = fractal_noise(shape, max(0.5 * float(sizes.max()), 2.0), rng, octaves=4, gain=0.65)
    for index, radius in enumerate(np.sort(sizes)[::-1]):
        u, v = (rng.normal(0.0, 0.45, 2) * reach) if index else (0.0, 0.0)
        u, v = u * stretch, v / stretch
        dx, dy = x - (site.center_xy[0] + u * cos - v * sin), y - (site.center_xy[1] + u * sin + v * cos)
        turn, squeeze = float(rng.uniform(0.0, np.pi)), float(rng.uniform(0.84, 1.0))
        p = (dx * np.cos(turn) + dy * np.sin(turn)) * squeeze
        q = (-dx * np.sin(turn) + dy * np.cos(turn)) / squeeze
        away = np.hypot(p, q)
        distance = np.maximum(distance, radius * (1.0 + 0.2 * ragged) - away)
        height = np.maximum(height, 0.6 * np.sqrt(np.maximum(radius**2 - away**2, 0.0)))
    lumps = fractal_noise(shape, max(0.35 * float(sizes.max()), 2.0), rng, octaves=3, gain=0.7)
    height = cv2.GaussianBlur((height * (1.0 + 0.22 * lumps)).astype(np.float32), (0, 0), 0.6)
    return edge_cover(distance), relief_tone(np.asarray(height, np.float32), matter, site, rng)


def torn_outline(site: Site, elongation: float, rng: np.random.Generator) -> Field:
    """(h, w) signed distance to the outline of something torn on all sides, positive inside."""
    size = float(np.sqrt(site.area_px))
    corners = int(rng.integers(7, 12))
    outline = cut_outline(site, elongation, rng, corners=corners, spread=float(rng.uniform(0.15, 0.4)), convex=False)
    torn = fractal_noise(site.window.shape, max(0.4 * size, 2.5), rng, octaves=4, gain=0.6)
    return (outline + float(rng.uniform(0.03, 0.08)) * size * torn / np.sqrt(elongation)).astype(np.float32)


def flake(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A thin scale, torn on all sides, bent a little."""
    size = float(np.sqrt(site.area_px))
    distance = torn_outline(site, min(spec.elongation, 8.0), rng)
    bent = 0.06 * size * fractal_noise(site.window.shape, max(0.9 * size, 4.0), rng, octaves=3, gain=0.5)
    edge = np.clip(distance / 1.5, 0.0, 1.0) * min(0.05 * size, 1.2)
    return edge_cover(distance), relief_tone((bent + edge).astype(np.float32), matter, site, rng)


def lint(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A tuft of thin curled fibres, now and then with a knot."""
    height, width = site.window.shape
    size = float(np.sqrt(site.area_px))
    thick = float(np.clip(0.028 * size, 0.8, 2.2))
    drawn = np.zeros((height * _FINE, width * _FINE), np.uint8)
    left = 0.8 * site.area_px
    stretch = min(spec.elongation, 12.0) ** 0.4
    for _ in range(_MOST_FIBRES):
        long = size * stretch * float(rng.uniform(0.6, 2.2))
        u, v = rng.normal(0.0, 0.22 * size, 2)
        middle = (site.center_xy[0] + u * stretch, site.center_xy[1] + v)
        turn = site.angle_rad + float(rng.normal(0.0, 1.2 / stretch))
        path = spline_path(middle, long, turn, rng, bend=float(rng.uniform(0.4, 1.5)), wobble=0.12)
        points = np.rint((path - (site.window.x0, site.window.y0) + 0.5) * _FINE).astype(np.int32)
        wide = max(round(thick * float(rng.uniform(0.6, 1.2)) * _FINE), 2)
        cv2.polylines(drawn, [points.reshape(-1, 1, 2)], False, int(rng.integers(150, 256)), wide, cv2.LINE_AA)
        left -= long * wide / _FINE
        if left <= 0.0:
            break
    cover = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    if rng.random() < 0.4:
        knot = blob_distance(site.window, site.center_xy, 0.2 * site.area_px, rng, lobes=0.3, roughness=0.3)
        cover = np.maximum(cover, edge_cover(knot) * 0.9)
    round_side = np.asarray(cv2.GaussianBlur(cover, (0, 0), 0.6 * thick), np.float32) * thick
    return np.minimum(cover * 1.1, 1.0).astype(np.float32), relief_tone(round_side, matter, site, rng)


def smear(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """What was wiped over the surface: dense where the wipe began, breaking up into streaks where it ended."""
    size = float(np.sqrt(site.area_px))
    slender = float(np.clip(spec.elongation * 1.15, 1.6, 14.0))
    distance = blob_at(site, rng, share=1.15, elongation=slender, lobes=float(rng.uniform(0.1, 0.3)), roughness=0.1)
    narrow = max(float(distance.max()), 1.0)
    streaks = grain_noise(
        site.window.shape, 1.2 * size * np.sqrt(slender), max(0.16 * narrow, 1.3), site.angle_rad, rng, octaves=3
    )
    x, y = pixel_grid(site.window)
    way = 1.0 if rng.random() < 0.5 else -1.0
    along = way * ((x - site.center_xy[0]) * np.cos(site.angle_rad) + (y - site.center_xy[1]) * np.sin(site.angle_rad))
    late = np.clip(0.5 + along / (size * np.sqrt(slender)), 0.0, 1.0)  # 0 where the wipe began
    body = smooth_step(((distance + 0.24 * narrow * (0.3 + late) * streaks) / (0.2 * narrow + 1.0)).astype(np.float32))
    left = smooth_step((1.25 + 0.8 * streaks - 1.5 * late).astype(np.float32))
    cloud = fractal_noise(site.window.shape, max(0.5 * size, 3.0), rng, octaves=3)
    dense = float(rng.uniform(0.4, 0.85))
    cover = body * np.clip(dense * (1.0 - 0.45 * late) + 0.1 * cloud + 0.08 * streaks, 0.05, 0.95) * (0.25 + 0.75 * left)
    ridges = 0.25 * streaks * min(narrow * 0.12, 1.5)
    return cover.astype(np.float32), relief_tone(ridges.astype(np.float32), matter, site, rng)
