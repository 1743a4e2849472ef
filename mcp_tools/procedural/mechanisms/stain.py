"""Stains: liquid that has soaked in, dried or lies as a film. The surface stays visible through it.

A stain is a thickness map t (0..1) times an absorption per colour channel, added in log reflectance (Beer-Lambert), so
that texture keeps its contrast under it. Kinds: `blotch` (soaked, frayed along the grain), `ring` (dried drop with a dark
rim, the coffee ring), `run` (drips down), `oil` (a film: darker, smoother, more saturated), `splash` (a drop and its
satellites).
"""

import re
from typing import NamedTuple

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.paths import spline_path, trace_stroke
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_distance, fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import foreground_cover, grain_noise, own_texture, window_guard
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, Triple, fit_shift, log_ratio, measure_surroundings

__all__ = ["Spot", "names_spots", "render"]


class _Liquid(NamedTuple):
    shift: Triple  # CIELAB, on a surface of medium lightness
    kinds: tuple[str, ...]


_LIQUIDS = (
    _Liquid((-16.0, 0.5, 3.0), ("blotch", "ring", "run", "splash")),  # water, cooling emulsion
    _Liquid((-22.0, 6.0, 15.0), ("blotch", "ring", "run", "splash")),  # coffee, tea, rusty water
    _Liquid((-18.0, 2.0, 12.0), ("oil", "run", "blotch")),  # oil, grease
    _Liquid((-26.0, 2.0, -9.0), ("blotch", "splash", "run")),  # ink, dye
    _Liquid((-20.0, 14.0, 20.0), ("blotch", "run", "ring")),  # rust water
)
_RESIDUE = (
    _Liquid((20.0, 0.0, 1.0), ("ring", "blotch", "run", "splash")),
    _Liquid((14.0, -1.0, 5.0), ("oil", "ring", "blotch")),
)

_SPOTS = re.compile(r"\b(?:spot|speck|speckle|dot|fleck|freckle)s?\b")
_RUNS = re.compile(r"\b(?:runs?|running|runny|drip\w*|trickl\w*|streak\w*|rivulet\w*|flow\w*|spill\w*|leak\w*)\b")
_DRIPPING = 4  # most stains that one spill leaves
_ODDS = {"blotch": 1.0, "ring": 0.7, "run": 0.35, "oil": 0.6, "splash": 0.45}


class Spot:
    """Stains that the words call spots, specks or dots: they do not run down."""

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One spot."""
        return _render(site, spec, rng, drips=False)


def names_spots(prompt: str) -> bool:
    """True when the words speak of spots, specks or dots, and not of what runs."""
    words = plain(prompt)
    return bool(_SPOTS.search(words)) and not _RUNS.search(words)


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """A stain of the asked area and direction (see module docstring)."""
    return _render(site, spec, rng, drips=True)


def _render(site: Site, spec: DefectSpec, rng: np.random.Generator, *, drips: bool) -> Edit | None:
    near = measure_surroundings(site)
    # what absorbs cannot be seen on black: there stains are pale residues (lime, salt, wiped grease)
    dark = near.lab[0] < 24.0 or (near.lab[0] < 40.0 and spec.severity * near.jnd > 0.75 * near.lab[0])
    liquids = _RESIDUE if dark else _LIQUIDS
    liquid = liquids[int(rng.integers(len(liquids)))]
    odds = np.array([_ODDS[kind] for kind in liquid.kinds])
    kind = liquid.kinds[int(rng.choice(len(odds), p=odds / odds.sum()))]
    if spec.elongation > 4.0 and kind in ("ring", "splash"):
        kind = "blotch"
    radius = float(np.sqrt(site.area_px / np.pi))
    if kind == "run" and (not drips or spec.count > _DRIPPING):  # a field of flecks is scale, rust or spatter and does not run
        kind = "blotch"
    if radius < 2.5 and kind in ("ring", "run", "splash"):
        kind = "blotch"
    outline = _outline(kind, site, spec, rng, radius)
    thickness = _thickness(kind, site, spec, outline, rng, radius) * window_guard(site, 0.1 * min(site.window.shape))
    thickness *= foreground_cover(site)
    fitted = fit_shift(near, spec.color_shift or _vary(liquid.shift, near, rng), spec.severity, hue_limit=26.0)
    absorbed = log_ratio(near.lab, fitted.shift, near.grey)
    # liquid gathers in the pits of a texture and runs off its ridges
    pits = 1.0 - (0.12 if kind == "oil" else 0.2) * own_texture(site, max(radius / 4.0, 3.0)) * (thickness > 0)
    change = (thickness * pits)[..., None] * absorbed
    roughness = None
    if kind == "oil" or rng.random() < 0.25:
        roughness = (-0.6 * thickness if kind == "oil" else -0.25 * thickness).astype(np.float32)
    return Edit(
        window=site.window,
        support=thickness > 0.01,
        log_reflectance=change.astype(np.float32),
        roughness=roughness,
        absorbs=not dark,
    )


def _vary(shift: Triple, near: Surroundings, rng: np.random.Generator) -> Triple:
    """The liquid's colour a little different each time; pale surfaces show more hue, dark ones less."""
    strength = float(rng.uniform(0.8, 1.3))
    hue = float(rng.uniform(0.5, 1.2)) * min(float(near.lab[0]) / 60.0, 1.2)
    return shift[0] * strength, shift[1] * hue, shift[2] * hue


def _outline(kind: str, site: Site, spec: DefectSpec, rng: np.random.Generator, radius: float) -> Field:
    """Signed distance to the border of the wet area in pixels, positive inside."""
    window, (x0, y0) = site.window, site.center_xy
    smooth = kind in ("ring", "oil", "splash")
    share = {"run": float(rng.uniform(0.4, 0.65)), "splash": 0.8}.get(kind, 1.0)
    # long stains are drawn out along the grain: their flanks are smooth, not knobbly
    calm = 1.0 / max(1.0, float(np.sqrt(min(spec.elongation, 30.0))) / 1.2)
    wet = blob_distance(
        window,
        (x0, y0) if kind != "run" else (x0, y0 - 0.6 * radius),
        site.area_px * share,
        rng,
        elongation=min(spec.elongation, 30.0),
        angle_rad=site.angle_rad,
        lobes=float(rng.uniform(0.1, 0.3)),
        roughness=float(rng.uniform(0.05, 0.13) if smooth else rng.uniform(0.1, 0.3)) * calm,
        warp=float(rng.uniform(0.0, 0.2) if smooth else rng.uniform(0.1, 0.45)) * calm,
    )
    if kind == "blotch":
        angle, coherence = site.scene.orientation_at(x0, y0)
        fray = min(coherence, 1.0) * float(rng.uniform(0.05, 0.18)) * radius / np.sqrt(min(spec.elongation, 30.0))
        wet += np.float32(fray) * grain_noise(window.shape, max(radius * 0.5, 4.0), max(radius * 0.06, 1.5), angle, rng)
    elif kind == "run":
        for _ in range(int(rng.integers(1, 4))):
            start = x0 + float(rng.normal(0.0, 0.35)) * radius, y0 - 0.6 * radius
            length = radius * float(rng.uniform(1.0, 2.6))
            path = spline_path((start[0], start[1] + length / 2), length, np.pi / 2, rng, bend=0.12, wobble=0.02)
            half = max(radius * float(rng.uniform(0.07, 0.18)), 1.0)
            stroke = trace_stroke(window, path, half * 3.0)
            # thins out on its way and ends in a bead, or dries up before
            bead = max(float(rng.uniform(-0.5, 0.8)), -0.3)
            width = half * (1.1 - 0.5 * stroke.along + bead * smooth_step((stroke.along - 0.8) / 0.2))
            wet = np.maximum(wet, width - stroke.distance)
    elif kind == "splash":
        x, y = pixel_grid(window)
        for _ in range(int(rng.integers(3, 14))):
            size = radius * min(0.04 + float(rng.gamma(0.9, 0.07)), 0.4)
            away, around = radius * float(rng.uniform(1.05, 2.3)), float(rng.uniform(0.0, 2.0 * np.pi))
            long = float(rng.uniform(1.0, 1.7))  # drops fly outwards
            dx, dy = x - x0 - away * np.cos(around), y - y0 - away * np.sin(around)
            u, v = dx * np.cos(around) + dy * np.sin(around), -dx * np.sin(around) + dy * np.cos(around)
            wet = np.maximum(wet, size - np.hypot(u / long, v))
    return wet


def _thickness(kind: str, site: Site, spec: DefectSpec, wet: Field, rng: np.random.Generator, radius: float) -> Field:
    """How much matter lies where, about 0..1."""
    shape = site.window.shape
    depth = max(float(wet.max()), 1.0)
    loose = float(rng.uniform(0.5, 1.0) if spec.elongation > 3.0 else rng.uniform(0.12, 0.9))
    soft = {"ring": 0.08, "run": 0.15, "splash": 0.1, "oil": 0.3}.get(kind, loose) * depth
    body = smooth_step(wet / max(soft, 1.2))
    cloud = fractal_noise(shape, max(radius * 0.7, 3.0), rng, octaves=3, gain=0.5)
    y = np.linspace(-1.0, 1.0, shape[0], dtype=np.float32)[:, None]
    inner = 0.72 + 0.16 * cloud + (0.12 * y if kind in ("run", "ring") else 0.0)
    if kind in ("ring", "run", "splash") or (spec.elongation < 3.0 and rng.random() < 0.3):
        # evaporation carries matter to the border (Deegan 1997): a dark line inside the outline, uneven around it
        width = max(depth * float(rng.uniform(0.03, 0.09)), 0.8)
        rim = np.exp(-(((wet - 1.2 * width) / width) ** 2)) * np.clip(0.75 + 0.45 * cloud, 0.05, 1.6)
        thin = float(rng.uniform(0.4, 0.7)) if kind == "ring" else float(rng.uniform(0.6, 0.9))
        inner = inner * thin + rim
        if kind == "ring" and rng.random() < 0.4:  # it dried in two steps
            step = depth * float(rng.uniform(0.25, 0.5))
            inner = inner + 0.5 * np.exp(-(((wet - step) / (1.3 * width)) ** 2))
    return np.clip(body * inner, 0.0, 1.35).astype(np.float32)
