"""Mould: colonies of many sizes that grew side by side, round, with a fuzzy border of threads and an older, darker middle.

The spots begin where spores fell, close together, and run into one another as they grow. They lie on the surface and dull it.
"""

import re

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.knowledge.words.quoted_type import quoted_type
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import foreground_cover, window_guard
from anomalyagent.mcp_tools.procedural.light.palette import Triple, fit_shift, log_ratio, measure_surroundings, paint_of

__all__ = ["Mould", "names_mould"]

_MOULD = re.compile(r"\b(?:mold(?:y|ed)?|mildew\w*|fung\w*|fuzzy)\b")  # `plain` writes mould so
_MOULDING = re.compile(r"\bmold (?:mark|line|flash|seam|defect|fault|shrinkage|part|release)\w*\b")
_ON_PALE: tuple[Triple, ...] = ((-24.0, -6.0, 5.0), (-26.0, -3.0, -4.0), (-30.0, 1.0, 3.0))  # green, blue-grey, black
_ON_DARK: tuple[Triple, ...] = ((24.0, -2.0, 2.0), (18.0, -7.0, 6.0))  # white, pale green
_PALE = 45.0  # L of a surface on which it is dark
_COVERED = 0.75  # share of its area that colonies cover
_SIZES = (0.1, 0.5)  # radius of a colony, of that of the whole: smallest and largest
_FUZZ = (0.3, 0.55)  # share of a colony's radius over which it thins out
_LEAST_PX = 0.9  # radius of a colony
_MOST = 48  # colonies
_PALER, _THREADS = 34.0, (-2.0, 3.0)  # L by which threads are lighter than the surface, and their a and b
_WOOLLY, _OLDER, _DENSE = 3.0, 9.0, 0.85  # L: their unevenness, how much darker the middle is; how much they hide
_HALO = (0.25, 0.5)  # how much of the colour the young border has


class Mould:
    """Draws the colonies of one outbreak."""

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """Colonies of the asked area in all."""
        near = measure_surroundings(site)
        kinds = _ON_PALE if near.lab[0] > _PALE else _ON_DARK
        shift = spec.color_shift or kinds[int(rng.integers(len(kinds)))]
        age, cover = _colonies(site, spec, rng)
        cover = cover * window_guard(site, 2.0) * foreground_cover(site)
        halo = float(rng.uniform(*_HALO))
        strength = cover * (halo + (1.0 - halo) * age)
        if shift[0] > 0.0:  # pale threads hide what they grow on
            color = np.array([min(float(near.lab[0]) + _PALER, 92.0), *_THREADS], np.float32)
            color[1:] *= 0.0 if near.grey else 1.0
            tone = (_WOOLLY * fractal_noise(site.window.shape, 2.2, rng, octaves=3) - _OLDER * age).astype(np.float32)
            opacity = np.clip(_DENSE * cover, 0.0, 1.0).astype(np.float32)
            return Edit(window=site.window, support=cover > 0.01, paint=paint_of(tone, color), opacity=opacity)
        fitted = fit_shift(near, shift, spec.severity, hue_limit=24.0)
        return Edit(
            window=site.window,
            support=cover > 0.01,
            log_reflectance=(strength[..., None] * log_ratio(near.lab, fitted.shift, near.grey)).astype(np.float32),
            roughness=(0.8 * cover).astype(np.float32),
            absorbs=True,
        )


def names_mould(prompt: str) -> bool:
    """True when the name of the type speaks of what grows, and not of what things are moulded in."""
    words = plain(quoted_type(prompt) or "")
    return bool(_MOULD.search(words)) and not _MOULDING.search(words)


def _colonies(site: Site, spec: DefectSpec, rng: np.random.Generator) -> tuple[Field, Field]:
    """(h, w) 0..1 each: how old the growth is, oldest in the middle of a colony, and how densely it covers the surface."""
    whole = float(np.sqrt(site.area_px / np.pi))
    stretch = float(np.sqrt(min(spec.elongation, 6.0)))
    cos, sin = np.cos(site.angle_rad), np.sin(site.angle_rad)
    x, y = pixel_grid(site.window)
    fine = fractal_noise(site.window.shape, 2.2, rng, octaves=2)
    wavy = fractal_noise(site.window.shape, max(0.35 * whole, 3.0), rng, octaves=3)
    cover, age = np.zeros(site.window.shape, np.float32), np.zeros(site.window.shape, np.float32)
    left = _COVERED * site.area_px
    for _ in range(_MOST):
        radius = max(whole * _SIZES[0] * (_SIZES[1] / _SIZES[0]) ** float(rng.beta(1.1, 1.6)), _LEAST_PX)
        along, across = rng.normal(0.0, 0.62 * whole, 2) * (stretch, 1.0 / stretch)
        dx = x - (site.center_xy[0] + along * cos - across * sin)
        dy = y - (site.center_xy[1] + along * sin + across * cos)
        away = np.hypot(dx, dy) / radius + 0.1 * wavy
        fuzz = float(rng.uniform(*_FUZZ))
        edge = np.clip((1.0 - away) / fuzz, 0.0, 1.0)
        threads = smooth_step((edge + 0.35 * fine * (1.0 - edge) * (edge > 0.0)).astype(np.float32))
        cover = np.maximum(cover, threads * float(rng.uniform(0.6, 1.0)))
        age = np.maximum(age, smooth_step(np.clip((0.75 - away) / 0.5, 0.0, 1.0).astype(np.float32)))
        left -= np.pi * radius**2
        if left <= 0.0:
            break
    return age.astype(np.float32), (cover * (1.0 + 0.12 * fine)).clip(0.0, 1.0).astype(np.float32)
