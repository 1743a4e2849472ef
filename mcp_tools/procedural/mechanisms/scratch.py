"""A scratch: a hard point ploughed a groove into the surface.

Physics: a shallow V-groove with material pushed up into a rim on both sides, and uneven pressure along the path. The groove
is bare and rough and scatters white light: a bright line on metal, coatings and dark plastic, now and then a dark one,
with one flank lit and one in shade. A hand skips or trembles, a hard edge or a guide is dead straight, a coarse tool
leaves several parallel grooves of different strength, and a wide scratch is a scrape: many fine grooves, no bright blade.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.paths import Path, offset_path, path_profile, spline_path, trace_stroke
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import grain_noise
from anomalyagent.mcp_tools.procedural.light.material import bare_tone
from anomalyagent.mcp_tools.procedural.light.palette import measure_surroundings
from anomalyagent.mcp_tools.procedural.placement import extent_of

__all__ = ["render"]

_KNOTS = 256
_DRAWN = 0.3  # coherence of a surface that was rolled, drawn or ground one way
_WIDE_GROOVE = 0.03  # half width of a groove over its length: a wider one would be a pit
_WIDEST_POINT_PX = 5.0  # of what one hard point ploughs; wider ones are scrapes


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One scratch, or a bundle of parallel ones (see module docstring). None when the window is too small to hold any."""
    if min(site.window.shape) < 4:
        return None
    length, width = extent_of(site.scene, site.area_px, site.slimness * max(spec.elongation, 6.0))
    scrape = width > _WIDEST_POINT_PX
    if scrape:  # no point is that wide: an edge or grit ploughed many fine grooves side by side
        bundle = int(np.clip(width / float(rng.uniform(2.2, 3.6)), 4, 24))
    else:
        bundle = 1 if width < 2.6 else int(rng.choice([1, 2, 3, 4, 6], p=[0.2, 0.2, 0.25, 0.2, 0.15]))
    bend = float(rng.choice([0.02, 0.12, 0.4], p=[0.4, 0.4, 0.2] if bundle == 1 else [0.6, 0.35, 0.05]))
    if _along_the_grain(site) or _as_it_travelled(site):
        bend = min(bend, 0.02)
    spine = spline_path(site.center_xy, length, site.angle_rad, rng, bend=bend, wobble=0.012)
    height = np.zeros(site.window.shape, np.float32)
    bare = np.zeros(site.window.shape, np.float32)
    for number in range(bundle):
        path, half = spine, 0.42 * width
        if scrape:
            half = float(rng.uniform(0.5, 0.5 + 0.05 * width)) * (1.6 if number < 2 else 1.0)
            aside, share = float(rng.uniform(-0.5, 0.5)) * width, float(rng.uniform(0.25, 1.0))
            half = min(half, _WIDE_GROOVE * share * length)
            path = _part_of(offset_path(spine, aside), share, rng)
        elif bundle > 1:
            half *= float(rng.uniform(0.25, 0.9)) / np.sqrt(bundle)
            path = _part_of(offset_path(spine, float(rng.normal(0.0, 0.55 * width))), float(rng.uniform(0.35, 1.0)), rng)
        groove, core = _groove(site, path, half, rng)
        strength = float(rng.uniform(0.6, 1.0)) if scrape and number >= 2 else 1.0
        height += strength * groove
        bare = np.maximum(bare, strength * core)
    if scrape:  # between the grooves the finish is rubbed
        _, rubbed = _groove(site, spine, 0.35 * width, rng)
        fine = grain_noise(site.window.shape, 8.0 * width, 1.2, site.angle_rad, rng)
        rubbed = cv2.GaussianBlur(rubbed, (0, 0), 0.15 * width) * np.clip(0.6 + 0.5 * fine, 0.0, 1.5)
        bare = np.maximum(bare, float(rng.uniform(0.1, 0.2)) * rubbed)
    if width > 2.5:  # streaks that the roughness of the tool leaves along a wide groove
        streaks = grain_noise(site.window.shape, 12.0 * width, max(1.0, 0.2 * width), site.angle_rad, rng)
        bare *= np.clip(1.0 + 0.35 * streaks, 0.25, 1.7)
    tone = bare_tone(measure_surroundings(site), spec, rng, chance_lighter=0.75)
    return Edit(
        window=site.window,
        support=(bare > 0.03) | (np.abs(height) > 0.03),
        height=cv2.GaussianBlur(height, (5, 5), 0.7).astype(np.float32),
        log_reflectance=bare[..., None] * tone,
        roughness=0.4 * bare,
    )


def _along_the_grain(site: Site) -> bool:
    """True where it runs the way that the surface was rolled or drawn: a guide or a die did it, which does not waver."""
    angle, coherence = site.scene.grain
    return coherence > _DRAWN and abs(float(np.sin(site.angle_rad - angle))) < 0.25


def _as_it_travelled(site: Site) -> bool:
    """True where it runs square to the photo of a surface: web, strip or belt moved under what did it."""
    return site.scene.fills_frame and abs(float(np.sin(2.0 * site.angle_rad))) < 0.2


def _groove(site: Site, path: Path, half_px: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """Height (pixels) and bare core (0..1) of one groove."""
    stroke = trace_stroke(site.window, path, 2.5 * max(half_px, 0.6) + 2.0)
    at = np.linspace(0.0, 1.0, _KNOTS)
    pressure = 1.0 + 0.25 * path_profile(_KNOTS, rng, knots=5) + 0.08 * path_profile(_KNOTS, rng, knots=24)
    start, end = rng.uniform(0.02, 0.4, 2)
    pressure *= np.clip(at / start, 0.0, 1.0) ** 0.6 * np.clip((1.0 - at) / end, 0.0, 1.0) ** 0.6
    if rng.random() < 0.25:  # the tool lifts off now and then
        lift = path_profile(_KNOTS, rng, knots=9)
        pressure *= np.clip(1.6 + 1.6 * lift, 0.0, 1.0)
    load = np.interp(stroke.along, at, np.clip(pressure, 0.0, 1.6)).astype(np.float32)
    half = half_px * (0.55 + 0.45 * load)
    core = stroke.coverage(half) * np.clip(1.3 * load, 0.0, 1.0)
    wide = np.maximum(half, 0.8)
    across = stroke.distance / wide
    lean = 1.0 + 0.6 * float(rng.uniform(-1.0, 1.0)) * stroke.side
    rim = 0.35 * np.exp(-(((across - 1.4) / 0.45) ** 2)) * lean
    depth = 0.4 * wide * np.clip(load, 0.0, 1.2)
    height = np.where(across < 2.5, depth * (rim - np.clip(1.0 - across, 0.0, 1.0)), 0.0)
    return height.astype(np.float32), core.astype(np.float32)


def _part_of(path: Path, share: float, rng: np.random.Generator) -> Path:
    keep = max(int(len(path) * share), 3)
    first = int(rng.integers(0, len(path) - keep + 1))
    return path[first : first + keep]
