"""Fibres: a hair, a thread or a tuft of lint that lies on the surface.

A fibre is a smooth curve whose direction wanders (a hair) or coils (a thread, lint), a pixel or a few wide, opaque,
shaded like a cylinder, with a faint shadow that shows where it stands off the surface. A yarn that was pulled out of cloth has
the tone of those that lie in it, where they catch most or least light, and hangs out as a loop or with one end free.
"""

import re
from dataclasses import dataclass, replace

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.paths import Path, path_profile, spline_path, trace_stroke
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import cast_shadow, window_guard
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, measure_surroundings, paint_of, reach_contrast
from anomalyagent.mcp_tools.procedural.placement import Extent, window_around

__all__ = ["OwnYarn", "own_yarn", "render"]

_LOOPS = re.compile(r"\b(?:loops?|snag\w*)\b")
_PULLED = re.compile(r"\b(?:pulled|loose|hanging|floating|floats?|fuzz\w*|pills?|pilling|neps?|slubs?)\b(?!.*\bforeign\b)")
# percentiles of L around: a yarn on top is as light as the lightest, on pale cloth as dark as the darkest
_OWN_TONES = (8.0, 92.0)
_PALE = 72.0  # L
_YARN_SHADE = 0.45  # share of the light that a yarn that stands off keeps from the cloth beside it
_LEAST_APART, _MOST_APART = 7.0, 20.0  # L between the cloth and its own yarn on it
_LEAST_SLENDER = 12.0  # a fibre is never more compact
_SLENDER = 20.0  # elongation from which on a fibre is a single long curve
_TANGLED = 4.5  # below it a tangle is asked for: no single fibre is so compact
_MIN_LENGTH = 0.16  # of the object's diagonal, for such a fibre: shorter ones look like dashes
_MIN_WIDTH_PX = 0.75


@dataclass(frozen=True)
class OwnYarn:
    """A mechanism that draws a yarn of the cloth itself; as a loop of which both ends lie in the cloth when `loops`."""

    loops: bool

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One yarn, or a tangle of it."""
        return _lay(site, spec, rng, self)


def own_yarn(prompt: str) -> OwnYarn | None:
    """What draws the cloth's own yarn; None when the words, which must speak of cloth, mean another fibre or do not tell."""
    words = plain(prompt)
    loops = bool(_LOOPS.search(words))
    return OwnYarn(loops) if loops or _PULLED.search(words) else None


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One fibre, or a few tangled ones when the area is large (see module docstring)."""
    return _lay(site, spec, rng, None)


def _lay(site: Site, spec: DefectSpec, rng: np.random.Generator, own: OwnYarn | None) -> Edit | None:
    near = measure_surroundings(site)
    kind = str(rng.choice(["hair", "thread", "lint"], p=[0.5, 0.3, 0.2] if site.area_px > 60 else [0.8, 0.1, 0.1]))
    if spec.elongation < _TANGLED:
        kind = "lint"
    slender = spec.elongation >= _SLENDER
    if slender and kind == "lint":
        kind = "hair"
    if own is not None and kind != "lint":
        kind = "thread"
    # a thicker fibre is not what a larger area means: hairs stay about a pixel and a half, threads a few, the rest is length
    scale = float(np.sqrt(site.scene.object_area_px)) / 256.0
    thick = {"hair": rng.uniform(0.8, 1.6), "thread": rng.uniform(1.6, 3.6), "lint": rng.uniform(0.7, 1.2)}[kind]
    # nor is it a much longer one than asked, as far as the blur of the lens leaves a choice
    least_px = max(np.sqrt(site.area_px) / 18.0, np.sqrt(0.5 * site.area_px / max(spec.elongation, _LEAST_SLENDER)))
    width = float(np.clip(max(thick * max(scale, 0.3), least_px), 0.9, np.sqrt(site.area_px / 12.0) + 0.5))
    length = site.area_px / width
    least = 0.0
    if slender:
        width = float(np.clip(np.sqrt(site.area_px / spec.elongation), _MIN_WIDTH_PX, max(width, _MIN_WIDTH_PX)))
        x0, y0, x1, y1 = site.scene.box_xyxy
        least = min(_MIN_LENGTH * float(np.hypot(x1 - x0, y1 - y0)), 60.0 * width)
        length = max(site.area_px / width, least)
        site = replace(site, window=window_around(site.scene, site.center_xy, Extent(length, width), site.angle_rad))
    color = _choose_color(near, spec, rng) if own is None else _own_color(site, near)
    # a heap of fibre too long for its window is drawn as several
    coils = 1 if slender else max(1, round(length / (2.5 * float(np.hypot(*site.window.shape)))))
    strands = int(rng.integers(3, 7)) if kind == "lint" else coils
    cover = np.zeros(site.window.shape, np.float32)
    lightness = np.zeros(site.window.shape, np.float32)
    for _ in range(strands):
        looped = own is not None and own.loops and strands == 1
        path = _loop(site, length, rng) if looped else _curve(site, kind, length / strands, rng, calm=slender)
        half = 0.5 * width * (float(rng.uniform(0.6, 1.2)) if kind == "lint" else 1.0)
        stroke = trace_stroke(site.window, path, half * 2.0 + 3.0)
        tapered = half * np.clip(np.minimum(stroke.along, 1.0 - stroke.along) * 14.0, 0.35, 1.0)
        lay = stroke.coverage(half if kind == "thread" else tapered.astype(np.float32))
        tone = _cylinder(stroke.distance / max(half, 0.5), stroke.side, path, stroke.along, site.scene.light)
        if kind == "thread":  # twisted plies
            turns = max(
                len(path) * float(np.median(np.linalg.norm(np.diff(path, axis=0), axis=1))) / max(width * 1.6, 3.0), 2.0
            )
            phase = stroke.along * turns * 2.0 * np.pi + stroke.side * stroke.distance / max(half, 0.5)
            tone = tone + 4.0 * np.sin(phase)
        above = lay > 0.01
        lightness = np.where(above, lightness * (1.0 - lay) + tone * lay, lightness)
        cover = np.maximum(cover, lay)
        if kind != "hair" and width > 1.4:
            cover = np.maximum(cover, _fuzz(site, path, width, rng))
    cover *= window_guard(site, 3.0)
    lightness = lightness + 1.5 * fractal_noise(site.window.shape, max(width * 3.0, 3.0), rng, octaves=2)
    depth = 0.3 * min(spec.severity / 8.0, 1.0) if own is None else _YARN_SHADE
    shadow = cast_shadow(cover, site.scene.light, width * float(rng.uniform(0.6, 1.6)), depth)
    return Edit(
        window=site.window,
        support=(cover > 0.004) | (shadow > 0.01),
        paint=paint_of(lightness.astype(np.float32), color),
        opacity=cover.astype(np.float32),
        shadow=shadow,
        strength_fixed=True,  # the colour is chosen for the severity: more opacity would only widen the outline
        size_fixed=length <= least,
    )


def _choose_color(
    near: Surroundings, spec: DefectSpec, rng: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """CIELAB: light on dark, dark on light, now and then a dyed thread; nearer to the surface when faint."""
    lightness = float(near.lab[0])
    if spec.color_shift is not None:
        color = near.lab + np.array(spec.color_shift, np.float32)
    else:
        pale = rng.random() < np.clip((70.0 - lightness) / 40.0, 0.08, 0.92)
        tone = float(rng.uniform(70.0, 92.0) if pale else rng.uniform(10.0, 30.0))
        dyed = rng.random() < 0.2
        hue, chroma = float(rng.uniform(0.0, 2.0 * np.pi)), float(rng.uniform(12.0, 35.0) if dyed else rng.uniform(0.0, 7.0))
        color = np.array([tone, chroma * np.cos(hue), chroma * np.sin(hue)], np.float32)
    # a hair about as wide as the lens blur loses a third of its contrast
    return reach_contrast(near, color, spec.severity * float(rng.uniform(1.1, 1.6)))


def _own_color(site: Site, near: Surroundings) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """CIELAB: the cloth's colour where its yarns catch most light; on pale cloth, where they catch least."""
    around = site.scene.lab[site.window.slices][..., 0]
    darkest, lightest = (float(tone) for tone in np.percentile(around, _OWN_TONES))
    lightness = float(near.lab[0])
    if lightness > _PALE:
        apart = -float(np.clip(lightness - darkest, _LEAST_APART, _MOST_APART))
    else:
        apart = float(np.clip(lightest - lightness, _LEAST_APART, _MOST_APART))
    return (near.lab + apart * np.array([1.0, *(near.lab[1:] / (lightness + 16.0))])).astype(np.float32)


def _loop(site: Site, length: float, rng: np.random.Generator) -> Path:
    """An open loop, both ends of which meet the cloth beside one another."""
    turn = float(rng.uniform(0.75, 0.95)) * np.pi
    angle = np.linspace(-turn, turn, int(np.clip(length / 2.0, 24, 160)))
    slim = float(rng.uniform(0.4, 0.9))
    shape = np.stack([np.cos(angle), slim * np.sin(angle)], 1) * (1.0 + 0.08 * path_profile(len(angle), rng, knots=6))[:, None]
    shape *= length / float(np.linalg.norm(np.diff(shape, axis=0), axis=1).sum())
    cosine, sine = float(np.cos(site.angle_rad)), float(np.sin(site.angle_rad))
    path = shape @ np.array([[cosine, sine], [-sine, cosine]]) + np.asarray(site.center_xy)
    return path.astype(np.float32)


def _curve(site: Site, kind: str, length: float, rng: np.random.Generator, *, calm: bool = False) -> Path:
    """The fibre's axis: curls more the longer it is, so that it stays near the site; shrunk if it would leave the window."""
    count = int(np.clip(length / 2.5, 16, 240))
    curl = {"hair": 1.0, "thread": 1.6, "lint": 2.6}[kind] * float(rng.gamma(2.0, 0.5))
    if not calm and kind == "hair" and rng.random() < 0.4:
        curl *= 0.3
    x, y = site.center_xy
    if kind == "lint":
        reach = 0.12 * length
        x, y = x + float(rng.normal(0.0, reach)), y + float(rng.normal(0.0, reach))
    if curl < 0.5:
        path = spline_path((x, y), length, site.angle_rad, rng, bend=curl, wobble=0.01, points=count)
    else:
        # direction as a smooth random walk plus a steady turn: arcs, loops and S-shapes
        turn = float(rng.normal(0.0, 0.7)) * curl
        heading = turn * np.linspace(-1.0, 1.0, count) + curl * 0.7 * path_profile(count, rng, knots=int(rng.integers(3, 7)))
        if calm:  # it bends this way and that, but does not close
            heading *= min(1.0, 2.6 / max(float(np.ptp(heading)), 1e-3))
        steps = np.stack([np.cos(heading + site.angle_rad), np.sin(heading + site.angle_rad)], 1) * (length / count)
        path = np.cumsum(steps, 0)
        path = path - 0.5 * (path.min(0) + path.max(0)) + np.array([x, y])
    low, high = path.min(0), path.max(0)
    window = site.window
    room = np.array([window.x1 - window.x0, window.y1 - window.y0], np.float64) - 8.0
    fit = min(1.0, *(room / np.maximum(high - low, 1.0)))
    middle = 0.5 * (low + high)
    half = 0.5 * fit * (high - low) + 4.0
    inside = np.clip(middle, np.array([window.x0, window.y0]) + half, np.array([window.x1, window.y1]) - half)
    return ((path - middle) * fit + inside).astype(np.float32)


def _cylinder(across: Field, side: Field, path: Path, along: Field, light: tuple[float, float]) -> Field:
    """Lightness offset over the width of a round fibre: a lit flank, a dark one, a thin highlight."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-6)
    # the right-hand normal of the direction faces the light by this much
    facing = -tangent[:, 1] * np.cos(light[0]) + tangent[:, 0] * np.sin(light[0])
    at = np.linspace(0.0, 1.0, len(path))
    lit = np.interp(along, at, facing) * side * np.clip(across, 0.0, 1.0)
    gleam = np.exp(-(((lit - 0.45) / 0.3) ** 2))
    return (9.0 * lit + 7.0 * gleam - 3.0).astype(np.float32)


def _fuzz(site: Site, path: Path, width: float, rng: np.random.Generator) -> Field:
    """Loose ends that stick out of a thread: short, thin, half transparent."""
    fuzz = np.zeros(site.window.shape, np.float32)
    for _ in range(int(rng.integers(2, 6))):
        start = path[int(rng.integers(len(path)))]
        heading = float(rng.uniform(0.0, 2.0 * np.pi))
        long = width * float(rng.uniform(1.5, 4.0))
        center = float(start[0] + 0.5 * long * np.cos(heading)), float(start[1] + 0.5 * long * np.sin(heading))
        hair = trace_stroke(site.window, spline_path(center, long, heading, rng, bend=0.5, points=8), 2.0)
        fuzz = np.maximum(fuzz, hair.coverage(max(width * 0.08, 0.3)) * 0.7)
    return fuzz
