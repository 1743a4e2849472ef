"""A cut: a sharp blade went deep in one stroke.

Physics: a clean narrow opening, widest in the middle and pointed at both ends, along a nearly straight path. The interior
lies in shadow except for the wall that faces the light; elastic lips bulge on both sides of a narrow one and catch light, those
of a gaping one stay as narrow. Fresh cuts show the unweathered material of the walls.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.paths import offset_path, path_profile, spline_path, trace_stroke
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise
from anomalyagent.mcp_tools.procedural.light.material import bare_tone, dark_tone
from anomalyagent.mcp_tools.procedural.light.palette import measure_surroundings
from anomalyagent.mcp_tools.procedural.placement import extent_of

__all__ = ["render"]

_KNOTS = 128
_WIDEST_LIP_PX = 2.0
_POINTED = 1.4  # greatest by mean width


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One clean cut. None when the window is too small to hold any."""
    if min(site.window.shape) < 4:
        return None
    # A pointed opening is wider in the middle than on the average that area and length give.
    length, width = extent_of(site.scene, site.area_px, _POINTED * site.slimness * max(spec.elongation, 4.0))
    path = spline_path(site.center_xy, length, site.angle_rad, rng, bend=float(rng.uniform(0.02, 0.2)), wobble=0.01)
    opening_px = 0.8 * width
    stroke = trace_stroke(site.window, path, 2.2 * opening_px + 3.0)
    at = np.linspace(0.0, 1.0, _KNOTS)
    peak = float(rng.uniform(0.3, 0.7))
    lens = np.where(at < peak, np.sin(0.5 * np.pi * at / peak), np.cos(0.5 * np.pi * (at - peak) / (1.0 - peak)))
    lens = np.maximum(lens, 0.0) ** float(rng.uniform(0.6, 1.1)) * (1.0 + 0.06 * path_profile(_KNOTS, rng, knots=12)) + 0.08
    half = 0.5 * opening_px * 1.3 * np.interp(stroke.along, at, lens).astype(np.float32)
    core = stroke.coverage(half)
    depth = np.clip(1.0 - stroke.distance / np.maximum(half, 0.7), 0.0, 1.0)
    # The wall on the far side of the light faces it: bare material shows there instead of darkness.
    heading = path[-1] - path[0]
    right = np.array([-heading[1], heading[0]]) / max(float(np.linalg.norm(heading)), 1e-6)
    azimuth = site.scene.light[0]
    faces = -float(right[0] * np.cos(azimuth) + right[1] * np.sin(azimuth))  # > 0: the wall on the right looks at the light
    half_along = 0.65 * opening_px * np.interp(np.linspace(0.0, 1.0, len(path)), at, lens)
    lit = trace_stroke(site.window, offset_path(path, (np.sign(faces) * 0.7 * half_along).astype(np.float32)), opening_px + 2.0)
    wall = min(abs(faces), 1.0) * lit.coverage(0.3 * half) * core
    near = measure_surroundings(site)
    dark = dark_tone(near, spec, depth=float(rng.uniform(0.75, 0.95)))
    bare = bare_tone(near, spec, rng, chance_lighter=0.9)
    grain = 1.0 + 0.1 * fractal_noise(site.window.shape, max(2.0, width), rng, octaves=2)
    lip = np.minimum(0.5 * half + 0.3, _WIDEST_LIP_PX)
    bulge = np.exp(-(((stroke.distance - half - 0.5 * lip) / np.maximum(0.8 * lip, 0.9)) ** 2)) * lip * 0.15
    height = cv2.GaussianBlur(np.where(stroke.distance < 2.2 * opening_px + 2.5, bulge, 0.0).astype(np.float32), (5, 5), 0.8)
    tone = ((core - wall) * (0.55 + 0.45 * depth) * grain)[..., None] * dark + (0.6 * wall * grain)[..., None] * bare
    return Edit(
        window=site.window,
        support=(core > 0.02) | (height > 0.04),
        opened=core.astype(np.float32),
        height=height * (1.0 - core),
        log_reflectance=tone.astype(np.float32),
        strength_fixed=spec.color_shift is not None and spec.color_shift[0] > 0.0,  # pale flesh, not a lamp
    )
