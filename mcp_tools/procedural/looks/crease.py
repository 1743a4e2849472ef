"""A crease in what is thin and pliant: cloth, paper, film, foil.

A sheet that was folded and laid flat again keeps the line of the fold. The bend is sharp, so that the two flanks meet in that
line; away from it the sheet lies down again. One flank leans to the light and is lighter, the other leans away from it, in the
colour of the sheet: nothing is dyed or mirrored. In the valley itself less of the sky is seen. The line runs nearly straight,
for much longer than its flanks are wide, and the flanks grow narrow and flat towards its ends. A wrinkle was not pressed: its
bend is round and its line swings.
"""

import re
from dataclasses import dataclass, replace

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.paths import Path, path_profile, spline_path, trace_stroke
from anomalyagent.mcp_tools.procedural.geometry.shapes import smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import window_guard
from anomalyagent.mcp_tools.procedural.looks.frayed import names_cloth
from anomalyagent.mcp_tools.procedural.placement import Extent, window_around

__all__ = ["Crease", "named_crease"]

_WRINKLES = re.compile(r"\b(?:wrinkl\w*|rumpl\w*|crinkl\w*|crumpl\w*|pucker\w*)\b")
_CREASES = re.compile(r"\b(?:creas\w*|folds?|folded|pleats?|pleated)\b")
_PLIANT = re.compile(r"\b(?:papers?|cardboards?|paperboards?|cartons?|kraft|films?|foils?|tarpaulins?|labels?)\b")
_SLENDER = (14.0, 45.0)  # length to width of the two flanks together
_SEEN = 0.7  # share of that width in which the change can be seen
_STEEP = 0.3  # logarithm of the light that a flank gains or loses, before the strength is fitted
_MOST = 0.6  # logarithm of the light that a flank can gain: it is matt
_LEAST_FACING = 0.35  # of it: a line that points at the lamp is still seen, by the lamp's width and the room
_SHARP_PX = 0.6  # within which the slope turns round, beside what the lens blurs,
_ROUND = 0.12  # and that of a wrinkle, of the width of its flanks
_KNOTS = 96


def named_crease(prompt: str) -> "Crease | None":
    """What draws a fold in something thin and pliant; None when the words do not speak of one."""
    words = plain(prompt)
    if not names_cloth(prompt) and not _PLIANT.search(words):
        return None
    if _WRINKLES.search(words):
        return Crease(pressed=False)
    return Crease() if _CREASES.search(words) else None


@dataclass(frozen=True)
class Crease:
    """A mechanism that draws the line of a fold; of one that was not `pressed` a wrinkle."""

    pressed: bool = True

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One crease. None when the window is too small to hold any."""
        if min(site.window.shape) < 4:
            return None
        slender = float(np.clip(spec.elongation, *_SLENDER))
        length = min(float(np.sqrt(site.area_px / _SEEN * slender)), 1.2 * float(max(site.scene.photo.shape)))
        width = max(site.area_px / _SEEN / length, 2.0)
        site = replace(site, window=window_around(site.scene, site.center_xy, Extent(length, width), site.angle_rad))
        bend = float(rng.uniform(0.0, 0.07) if self.pressed else rng.uniform(0.05, 0.25))
        path = spline_path(site.center_xy, length, site.angle_rad, rng, bend=bend, wobble=0.008 if self.pressed else 0.03)
        stroke = trace_stroke(site.window, path, 1.5 * width)
        sharp = _SHARP_PX if self.pressed else max(_ROUND * width, _SHARP_PX)
        at = np.linspace(0.0, 1.0, _KNOTS)
        ends = smooth_step((np.minimum(at, 1.0 - at) * float(rng.uniform(2.0, 5.0))).astype(np.float32))
        steep = np.interp(stroke.along, at, ends * np.clip(1.0 + 0.3 * path_profile(_KNOTS, rng, knots=9), 0.3, 1.7))
        narrow = np.interp(stroke.along, at, 0.35 + 0.65 * ends)
        left, right = (float(rng.uniform(0.22, 0.45)) * width for _ in range(2))  # how soon a flank lies flat again
        off = stroke.distance / np.maximum(np.where(stroke.side > 0, right, left) * narrow, 1.0)
        fade = smooth_step((2.5 - off).astype(np.float32)) * window_guard(site, 3.0)
        flank = np.exp(-off) * np.tanh(stroke.side * stroke.distance / sharp)
        valley = -float(rng.uniform(0.1, 0.6)) * np.exp(-((stroke.distance / (1.5 * sharp)) ** 2))
        # the flank on the light's side of a valley leans away from it
        light = _STEEP * fade * steep * (valley - _facing(path, site.scene.light[0]) * flank)
        return Edit(
            window=site.window,
            support=np.abs(light) > 0.002,
            log_reflectance=np.repeat(light.astype(np.float32)[..., None], 3, axis=2),
            most_light=_MOST,
        )


def _facing(path: Path, azimuth_rad: float) -> float:
    """-1..1: 1 when the light comes from the right-hand side of the path."""
    heading = path[-1] - path[0]
    right = np.array([-heading[1], heading[0]]) / max(float(np.linalg.norm(heading)), 1e-6)
    facing = float(right[0] * np.cos(azimuth_rad) + right[1] * np.sin(azimuth_rad))
    return float(np.copysign(max(abs(facing), _LEAST_FACING), facing))
