"""Rust: grains of oxide that grow from many pits side by side, thickest where water stands longest.

It is a crust of its own, not a liquid: its border breaks up into grains and stray specks, its middle is uneven and goes from
orange-brown to dark brown where it is old, and it is dull. Around it lies a faint halo of what water has carried a little
way. Below it, where words say that it ran, thin straight streaks fade out downwards without a bead at their end. It begins
where water is held: at edges, holes and screws.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import foreground_cover, own_texture, window_guard
from anomalyagent.mcp_tools.procedural.light.palette import Triple, fit_shift, log_ratio, measure_surroundings

__all__ = ["Rust", "names_running_rust", "names_rust"]

_RUST = re.compile(r"\b(?:rust|rusty|rusted|rusting|red rust|corrosion|corroded)\b")
_NO_CRUST = re.compile(r"\b(?:white rust|white corrosion|rust(?:y)? (?:colored|colou?r|brown|red|orange|water)|verdigris)\b")
_RUNS = re.compile(r"\b(?:runs?|running|drip\w*|trickl\w*|streak\w*|bleed\w*|weep\w*|seep\w*|down)\b")
_YOUNG: Triple = (-15.0, 17.0, 27.0)  # CIELAB from a neutral surface of medium lightness: orange-brown
_OLD: Triple = (-38.0, 11.0, 13.0)  # dark brown
_ON_BLACK: Triple = (10.0, 14.0, 19.0)
_BLACK = 24.0  # L of a surface on which rust is the lighter one
_HALO = (0.15, 0.4)  # of the crust's thickness
_STREAK = (0.25, 0.5)  # the same
_STREAKS = 0.8  # standard deviations of the noise along the border from which a streak begins
_REDDISH = 3.0  # CIELAB a, b: a colour asked for that has less is no rust


@dataclass(frozen=True)
class Rust:
    """Draws patches of rust, `running` with streaks below them."""

    running: bool = False

    def suitability(self, scene: Scene, spec: DefectSpec) -> Callable[[float, float], float] | None:
        """Near an outline or the rim of a hole, where one is seen and the words leave the place open."""
        if scene.fills_frame or spec.zone != "any":
            return None
        reach = 0.6 * float(np.sqrt(spec.instance_px(scene.object_area_px))) + 2.0
        depth, (height, width) = scene.depth_px, scene.depth_px.shape
        return lambda x, y: float(np.exp(-depth[min(round(y), height - 1), min(round(x), width - 1)] / reach))

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One patch."""
        near = measure_surroundings(site)
        crust, age = _crust(site, spec, rng)
        thin = float(rng.uniform(*_HALO)) * _halo(site, crust, rng)
        if self.running:
            thin = np.maximum(thin, float(rng.uniform(*_STREAK)) * _streaks(site, crust, rng))
        shown = window_guard(site, 0.08 * min(site.window.shape)) * foreground_cover(site)
        crust, thin = crust * shown, np.maximum(thin - crust, 0.0) * shown
        black = near.lab[0] < _BLACK
        young = spec.color_shift or (_ON_BLACK if black else _YOUNG)
        old = (0.4 * young[0], 0.9 * young[1], 0.8 * young[2]) if black else _OLD
        colors = [
            log_ratio(near.lab, fit_shift(near, one, spec.severity, hue_limit=34.0).shift, near.grey) for one in (young, old)
        ]
        change = (crust * (1.0 - age) + thin)[..., None] * colors[0] + (crust * age)[..., None] * colors[1]
        return Edit(
            window=site.window,
            support=crust + thin > 0.01,
            log_reflectance=change.astype(np.float32),
            roughness=(0.9 * crust).astype(np.float32),
            absorbs=not black,
            strength_fixed=True,  # stronger, its halo would glow and its grains turn black
        )


def names_rust(prompt: str, shift: Triple | None) -> bool:
    """True when the words speak of brown rust and the colour asked for, if any, may be that of it."""
    words = plain(prompt)
    if shift is not None and (shift[1] < _REDDISH or shift[2] < _REDDISH):
        return False
    return bool(_RUST.search(words)) and not _NO_CRUST.search(words)


def names_running_rust(prompt: str) -> bool:
    """True when the words say that it ran down."""
    return bool(_RUNS.search(plain(prompt)))


def _crust(site: Site, spec: DefectSpec, rng: np.random.Generator) -> tuple[Field, Field]:
    """(h, w) each: how thick the crust is, about 0..1.2, and how old, 0..1."""
    shape, radius = site.window.shape, float(np.sqrt(site.area_px / np.pi))
    long = min(spec.elongation, 12.0)
    wet = blob_at(site, rng, share=0.9, elongation=long, lobes=0.3, roughness=0.25, warp=float(rng.uniform(0.4, 0.8)))
    short = radius / float(np.sqrt(long))
    slow = fractal_noise(shape, max(0.9 * short, 3.0), rng, octaves=3, gain=0.6)
    grainy = fractal_noise(shape, float(np.clip(0.35 * short, 2.0, 14.0)), rng, octaves=4, gain=0.85)
    # how likely a pit has begun to rust: sure in the middle, rarer and rarer up to some way beyond the border
    near = np.clip(wet / max(0.7 * short, 1.5), -1.2, 1.0) + 0.3 * slow + 0.32
    if not site.scene.fills_frame:  # water is held along an edge
        near = near + 0.5 * np.exp(-np.maximum(site.scene.depth_px[site.window.slices], 0.0) / (0.35 * short + 1.0)) * (
            near > -0.6
        )
    grains = smooth_step(((near + 0.55 * grainy + 0.1 * own_texture(site, max(short / 3.0, 3.0))) / 0.6).astype(np.float32))
    away = smooth_step(((near + 1.1) / 0.5).astype(np.float32))  # no grain stands far from the rest
    thick = grains * away * np.clip(0.62 + 0.28 * near + 0.14 * grainy, 0.15, 1.2)
    old = smooth_step(((0.5 * near + 0.45 * slow + 0.4 * grainy - 0.35) / 0.9).astype(np.float32))
    return thick.astype(np.float32), old


def _halo(site: Site, crust: Field, rng: np.random.Generator) -> Field:
    """(h, w) 0..1: what water has carried around the crust, soft and cloudy."""
    reach = 0.09 * float(np.sqrt(site.area_px)) + 1.0
    soft = np.asarray(cv2.GaussianBlur(crust, (0, 0), reach, borderType=cv2.BORDER_REPLICATE), np.float32)
    cloud = fractal_noise(site.window.shape, max(2.5 * reach, 3.0), rng, octaves=3)
    return np.clip(2.0 * soft * (0.9 + 0.35 * cloud), 0.0, 1.0).astype(np.float32)


def _streaks(site: Site, crust: Field, rng: np.random.Generator) -> Field:
    """(h, w) 0..1: what ran down from the lowest grains: straight, narrow, longest where most came, fading all the way."""
    height, width = crust.shape
    radius = float(np.sqrt(site.area_px / np.pi))
    came = cv2.GaussianBlur(crust, (0, 0), 0.08 * radius + 0.5, borderType=cv2.BORDER_CONSTANT)
    solid = came > 0.2
    lowest = np.where(solid.any(axis=0), height - 1 - solid[::-1].argmax(axis=0), -1).astype(np.float32)
    flow = fractal_noise((1, width), float(np.clip(0.3 * radius, 2.0, 14.0)), rng, octaves=3, gain=0.7)[0]
    flow = np.clip((flow - _STREAKS + 1.0) / 1.5, 0.0, 1.0) * (lowest >= 0)
    start = cv2.blur(lowest[None], (3, 1))[0] - 0.3 * radius
    down = np.arange(height, dtype=np.float32)[:, None] - start
    length = radius * (0.5 + 2.0 * flow) * float(rng.uniform(0.7, 1.5))
    fade = np.exp(-np.maximum(down, 0.0) / np.maximum(length, 1.0)) * smooth_step(down / max(0.3 * radius, 1.0))
    wavering = 0.85 + 0.25 * fractal_noise(crust.shape, max(0.5 * radius, 3.0), rng, octaves=2)
    soft = np.asarray(cv2.GaussianBlur((flow * fade * wavering).astype(np.float32), (0, 0), 0.04 * radius + 0.6), np.float32)
    return np.clip(soft, 0.0, 1.0)
