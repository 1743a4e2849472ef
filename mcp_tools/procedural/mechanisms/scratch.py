"""A scratch: a hard point ploughed a groove into the surface.

Physics: a V-groove whose material is pushed up into a rim on both sides, with uneven pressure along the path. The groove
itself is bare and rough: on metal and coatings it is a bright line with a dark flank (depending on the light), on dark
plastic matt and lighter than its surroundings, on bright matt surfaces darker. A slipping tool skips; a coarse one leaves
several parallel grooves.
"""

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.placement import extent_of
from anomalyagent.mcp_tools.procedural.shapes import Path, fractal_noise, offset_path, path_profile, spline_path, trace_stroke

__all__ = ["render"]


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One scratch, or a bundle of parallel ones (see module docstring). None when the window is too small to hold any."""
    if min(site.window.shape) < 4:
        return None
    length, width = extent_of(site.scene, site.area_px, max(spec.elongation, 6.0))
    bundle = 1 if width < 3.0 else int(rng.choice([1, 1, 2, 3]))
    bend = float(rng.choice([0.04, 0.15, 0.4], p=[0.4, 0.4, 0.2]))
    spine = spline_path(site.center_xy, length, site.angle_rad, rng, bend=bend, wobble=0.02)
    height = np.zeros(site.window.shape, np.float32)
    bare = np.zeros(site.window.shape, np.float32)
    half = 0.5 * width / bundle**0.8
    for _ in range(bundle):
        path, share = spine, 1.0
        if bundle > 1:
            share = float(rng.uniform(0.4, 1.0))
            path = _shortened(offset_path(spine, float(rng.normal(0.0, 0.9 * width))), float(rng.uniform(0.5, 1.0)), rng)
        groove, core = _groove(site, path, half * share, rng)
        height += groove
        bare = np.maximum(bare, core)
    tone = _tone(site, spec, rng)
    streaks = 1.0 + 0.35 * fractal_noise(site.window.shape, max(1.5, 0.5 * width), rng, octaves=2)
    bare *= np.clip(streaks, 0.2, 1.8)
    return Edit(
        window=site.window,
        support=(bare > 0.02) | (np.abs(height) > 0.02),
        height=height,
        log_reflectance=bare[..., None] * tone,
        roughness=0.5 * bare,
    )


def _groove(site: Site, path: Path, half_px: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """Height (pixels) and bare core (0..1) of one groove."""
    stroke = trace_stroke(site.window, path, 2.5 * half_px + 3.0)
    knots = 256
    pressure = 1.0 + 0.35 * path_profile(knots, rng, knots=7) + 0.2 * path_profile(knots, rng, knots=40)
    ends = np.linspace(0.0, 1.0, knots)
    start, end = rng.uniform(0.03, 0.35, 2)
    pressure *= np.clip(ends / start, 0.0, 1.0) ** 0.7 * np.clip((1.0 - ends) / end, 0.0, 1.0) ** 0.7
    if rng.random() < 0.35:  # the tool skips
        pressure *= np.clip(0.75 + path_profile(knots, rng, knots=14), 0.05, 1.0)
    load = np.interp(stroke.along, ends, np.clip(pressure, 0.0, 1.8)).astype(np.float32)
    half = half_px * (0.35 + 0.65 * load)
    core = stroke.coverage(half) * np.clip(1.4 * load, 0.0, 1.0)
    wide = np.maximum(half, 0.6)
    across = stroke.distance / wide
    rim = np.exp(-(((across - 1.35) / 0.4) ** 2)) * (1.0 + 0.5 * stroke.side * float(rng.uniform(-1, 1)))
    height = load * wide * (0.5 * rim - 0.9 * np.clip(1.0 - across, 0.0, 1.0))
    return np.where(across < 2.4, height, 0.0).astype(np.float32), core.astype(np.float32)


def _shortened(path: Path, share: float, rng: np.random.Generator) -> Path:
    keep = max(int(len(path) * share), 3)
    first = int(rng.integers(0, len(path) - keep + 1))
    return path[first : first + keep]


def _tone(site: Site, spec: DefectSpec, rng: np.random.Generator) -> np.ndarray:
    """(3,) log reflectance of bare material against the surface: lighter on dark surfaces, either way on mid tones."""
    if spec.color_shift is not None:
        return np.full(3, 0.03 * spec.color_shift[0], np.float32)
    x, y = (round(value) for value in site.center_xy)
    lightness = float(site.scene.lab[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5, 0].mean())
    brighter = rng.random() < np.clip(1.15 - lightness / 75.0, 0.08, 0.95)
    return np.full(3, 0.8 if brighter else -0.8, np.float32)
