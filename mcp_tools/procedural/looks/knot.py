"""A knot: a branch that the wood grew around.

Cut across it is an oval of year rings of its own, darker and redder than the wood, around which the grain swerves like a
stream around a pile. A dead branch has dark bark about it and often a dark or cracked heart; a live one has grown together
with the wood and has no rim.
"""

import re

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import foreground_cover, window_guard
from anomalyagent.mcp_tools.procedural.light.palette import fit_shift, log_ratio, measure_surroundings
from anomalyagent.mcp_tools.procedural.placement import extent_of
from anomalyagent.mcp_tools.procedural.structure.seams import find_seams

__all__ = ["Knot", "names_knot"]

_KNOTS = re.compile(r"\bknots?\b")
_LONGEST = 2.2  # lengths to widths of a branch that was cut askew
_LARGEST = 0.04  # of the board: no branch is thicker
_SWERVES = 1.35  # radii of the knot within which the grain is bent
_DEAD = 0.55  # chance that the branch was dead
_CRACKED = 0.3  # chance that its heart has dried open
_TONE = (-24.0, 7.0, 6.0)  # CIELAB shift of its wood


def names_knot(prompt: str) -> bool:
    """True when the words speak of a knot; yarn has some too."""
    return bool(_KNOTS.search(plain(prompt)))


class Knot:
    """A mechanism that draws a knot into grown wood."""

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One knot of the asked area, lying along the grain. None when the window is too small to hold any."""
        area = min(site.area_px, _LARGEST * site.scene.object_area_px)
        extent = extent_of(site.scene, 0.8 * area * 4.0 / np.pi, min(max(spec.elongation, 1.0), _LONGEST))
        half_long, half_wide = max(0.5 * extent.length_px, 1.5), max(0.5 * extent.width_px, 1.5)
        if min(site.window.shape) < 4:
            return None
        x, y = pixel_grid(site.window)
        along, _ = site.scene.orientation_at(*site.center_xy)
        cosine, sine = float(np.cos(along)), float(np.sin(along))
        dx, dy = x - site.center_xy[0], y - site.center_xy[1]
        u, v = ((dx * cosine + dy * sine).astype(np.float32), (-dx * sine + dy * cosine).astype(np.float32))
        uneven = fractal_noise(site.window.shape, max(half_wide, 3.0), rng, octaves=2, gain=0.5)
        radius = np.hypot(u / half_long, v / half_wide) * (1.0 + 0.07 * uneven)
        inside = smooth_step((1.0 - radius) * half_wide / 1.6 + 0.5) * foreground_cover(site) * window_guard(site, 2.0)
        board = _board(site)
        inside = inside * board
        near = measure_surroundings(site)
        tone = log_ratio(near.lab, fit_shift(near, spec.color_shift or _TONE, spec.severity, hue_limit=24.0).shift, near.grey)
        bent, cover = _swerving(site, radius, u, v, (cosine, sine))
        cover = cover * (1.0 - inside) * board
        return Edit(
            window=site.window,
            support=(inside > 0.01) | (cover > 0.05),
            opened=(0.85 * inside).astype(np.float32),
            log_reflectance=((inside * _wood(radius, uneven, half_wide, rng))[..., None] * tone).astype(np.float32),
            paint=bent,
            opacity=cover.astype(np.float32),
            size_fixed=area < site.area_px,
            absorbs=True,
        )


def _board(site: Site) -> Field | float:
    """(h, w) 0..1: the board that the knot lies in, whose edges were sawn through it; 1 where no seams are seen."""
    seams = find_seams(site.scene)
    if seams is None:
        return 1.0
    beyond = seams.beyond(*site.center_xy)[site.window.slices]
    return 1.0 - np.asarray(cv2.GaussianBlur(beyond.astype(np.float32), (0, 0), 0.7), np.float32)


def _wood(radius: Field, uneven: Field, half_wide: float, rng: np.random.Generator) -> Field:
    """How dark the wood of the branch is, about 0.4..1.8, by the distance from its heart in radii."""
    dead = rng.random() < _DEAD
    rings = min(float(rng.uniform(2.5, 6.0)), half_wide / 2.5)  # finer ones the lens would not show
    shade = 0.75 + 0.2 * np.sin(2.0 * np.pi * rings * radius + 1.2 * uneven) + 0.12 * uneven
    heart = float(rng.uniform(0.1, 0.3))
    shade = shade + float(rng.uniform(0.2, 0.7)) * np.exp(-((radius / heart) ** 2))
    if dead:
        width = float(rng.uniform(0.08, 0.2))
        shade = shade + float(rng.uniform(0.4, 0.9)) * np.exp(-(((radius - 1.0 + width) / width) ** 2)) * (1.0 + 0.4 * uneven)
    if rng.random() < _CRACKED and half_wide > 5.0:
        shade = shade + 0.9 * np.exp(-((uneven / 0.15) ** 2)) * np.clip(1.0 - radius / 0.8, 0.0, 1.0)
    return np.clip(shade, 0.3, 1.9).astype(np.float32)


def _swerving(site: Site, radius: Field, u: Field, v: Field, axis: tuple[float, float]) -> tuple[RGB, Field]:
    """(h, w, 3) the photo with its grain led around the knot, and (h, w) 0..1 where it is."""
    fade = np.clip((_SWERVES - radius) / (_SWERVES - 1.0), 0.0, 1.0)
    aside = v * (1.0 - fade / np.maximum(radius, 1.0) ** 2)  # the stream line on which a place lies, as far from the middle
    cosine, sine = axis
    at_x = site.center_xy[0] + u * cosine - aside * sine
    at_y = site.center_xy[1] + u * sine + aside * cosine
    bent = cv2.remap(
        site.scene.photo.rgb, at_x.astype(np.float32), at_y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(bent, np.float32), np.minimum(3.0 * fade, 1.0).astype(np.float32)
