"""A run or sag: too much paint, lacquer or glaze that flowed down before it set.

It is the coat itself, of its own colour and gloss, only thicker: a smooth ridge that goes straight down, grows out of the coat
at its upper end, and ends in a rounded drop, where most of the paint hangs.
"""

import re
from dataclasses import replace

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.paths import path_profile
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import foreground_cover, window_guard
from anomalyagent.mcp_tools.procedural.placement import Extent, window_around

__all__ = ["PaintRun", "names_run"]

_COATS = re.compile(r"\b(?:paint\w*|coat\w*|lacquer\w*|varnish\w*|enamel\w*|glaz\w*|clearcoat)\b")
_RUNS = re.compile(r"\b(?:runs?|sags?|sagging|curtains?|tear ?drops?|paint drips?|dripping paint)\b")
_SLENDER = (2.5, 9.0)
_HIGH = 0.3  # of half its width: how far a ridge stands up
_DROP = (1.3, 1.9)  # width of the foot by that of the ridge
_UPPER = 0.45  # of its width that a ridge has where it begins
_DOWN = 0.5 * np.pi  # image coordinates


def names_run(prompt: str) -> bool:
    """True when the words speak of paint that has run."""
    words = plain(prompt)
    return bool(_COATS.search(words)) and bool(_RUNS.search(words))


class PaintRun:
    """A mechanism that thickens a coat to a run."""

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One run, straight down unless the spec asks for a direction. None when the window is too small to hold any."""
        if min(site.window.shape) < 6:
            return None
        angle = site.angle_rad if spec.orientation_deg is not None else _DOWN + float(rng.normal(0.0, 0.04))
        if np.sin(angle) < 0.0:
            angle += np.pi
        slender = float(np.clip(spec.elongation, *_SLENDER))
        length = float(np.sqrt(site.area_px * slender))
        half = max(0.5 * site.area_px / length, 1.5)
        window = window_around(site.scene, site.center_xy, Extent(length, 4.0 * half), angle)
        site = replace(site, window=window, angle_rad=angle)
        height = _ridge(site, length, half, rng) * foreground_cover(site) * window_guard(site, 2.0)
        return Edit(window=window, support=height > 0.01 * half, height=height.astype(np.float32))


def _ridge(site: Site, length: float, half: float, rng: np.random.Generator) -> Field:
    """(h, w) how far the paint stands up, pixels."""
    x, y = pixel_grid(site.window)
    cosine, sine = float(np.cos(site.angle_rad)), float(np.sin(site.angle_rad))
    dx, dy = x - site.center_xy[0], y - site.center_xy[1]
    along = (dx * cosine + dy * sine + 0.5 * length).astype(np.float32)  # from its upper end
    across = (-dx * sine + dy * cosine).astype(np.float32)
    at = np.linspace(0.0, length, 64)
    across = across + 0.2 * half * np.interp(along, at, path_profile(64, rng, knots=5)).astype(np.float32)
    foot = half * float(rng.uniform(*_DROP))
    drop = np.exp(-(((at - (length - foot)) / (1.3 * foot)) ** 2))
    wide = half * (_UPPER + (1.0 - _UPPER) * np.clip(at / (0.6 * length), 0.0, 1.0)) + (foot - half) * drop
    left = np.clip((length - at) / foot, 0.0, 1.0)
    wide = wide * np.sqrt(left * (2.0 - left))  # round below
    rises = np.clip(at / (0.5 * length), 0.0, 1.0) * (1.0 + 0.7 * drop)
    width = np.maximum(np.interp(along, at, wide, left=0.0, right=0.0), 1e-3)
    profile = np.clip(1.0 - (across / width) ** 2, 0.0, 1.0) ** 1.2
    wave = 1.0 + 0.05 * fractal_noise(site.window.shape, max(2.0 * half, 4.0), rng, octaves=2)
    return (_HIGH * half * profile * np.interp(along, at, rises, left=0.0, right=0.0) * wave).astype(np.float32)
