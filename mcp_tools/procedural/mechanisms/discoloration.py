"""Discoloration: the colour or tone of the surface itself has shifted over a broad area; nothing lies on it.

The shift is a weight map (0..1, mostly soft) times a change in log reflectance. Kinds: `cloud` (soft patch), `streaks`
(uneven coating, follows the local structure), `band` (a zone with one clear straight border: ground, coated or exposed
differently, its texture stronger or weaker than elsewhere), `patch` (an area with a clear outline that grinding, coating or
pressing missed or did twice: its own tone and finish, the texture around it is gone or weak), `heat` (temper colours in
rings, on neutral metal in colour photos), `whole` (of what is asked for half of an object or more: the object has another
colour).
"""

import re
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.imaging.color import ciede2000, lab_from_rgb
from anomalyagent.mcp_tools.imaging.measures import local_orientation
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import foreground_cover, grain_noise, lightness_of, window_guard
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.light.dielectric import whiteness_of_lights
from anomalyagent.mcp_tools.procedural.light.palette import (
    Surroundings,
    Triple,
    fit_shift,
    log_ratio,
    measure_surroundings,
    rgb_of,
)
from anomalyagent.mcp_tools.procedural.light.surface import linear_from_srgb, srgb_from_linear

__all__ = ["Shifted", "names_dye", "names_heat", "render"]

_WHOLE = 0.45  # share of the object
_MARGIN_PX = 8
_AS_WIDE = 1.6  # of the asked area: so far a band widens to end where the part does
_HEATED = re.compile(
    r"\b(?:metal\w*|steels?|iron|stainless|alumin\w*|copper|brass|bronze|titanium|nickel|chrome\w*|zinc|alloys?|cast\w*|nuts?|bolts?|screws?"
    r"|washers?|gears?|bearings?|springs?|shafts?|blades?|weld\w*|solder\w*|heat\w*|temper\w*|anneal\w*|overheat\w*|burn\w*|scorch\w*|blued)\b"
)

_DYED = re.compile(
    r"\b(?:shade (?:variation|difference|bar|band)|uneven dyeing|patchy dye|dye (?:streak|variation)|off shade|barre)s?\b"
)
_DYE = (0.12, 0.4)  # share of its dye that a place has more or less than the rest
_MOST_DYE = 0.6
_FAINTEST = 2.0  # JND

# CIELAB shifts of a neutral surface: bleached, worn bright, yellowed, rust, scorched, dark oxide, verdigris, fogged blue
_NEUTRAL: tuple[Triple, ...] = (
    (14.0, 0.0, -2.0),
    (9.0, 0.0, 2.0),
    (-4.0, 2.0, 14.0),
    (-12.0, 10.0, 15.0),
    (-24.0, 3.0, 6.0),
    (-14.0, 0.0, -3.0),
    (-6.0, -9.0, 3.0),
    (7.0, -1.0, -6.0),
)
# the same for a coloured one: (dL, share of its own chroma gained, yellow): faded, bleached, scorched, soaked, yellowed
_COLORED: tuple[Triple, ...] = ((9.0, -0.35, 1.0), (16.0, -0.5, 0.0), (-20.0, -0.4, 4.0), (-13.0, 0.1, 0.0), (-3.0, -0.1, 10.0))
_COLOURED = 16.0  # CIELAB a, b of a surface with a colour of its own
_MOST_HUE, _VEIL = 24.0, 8.0  # CIELAB a, b of a strong change; what has bleached or fogged is pale blue at most, not sky blue
_TINGE = 20.0  # CIELAB a, b: a shift of so much is a tinge of the surface's own colour, a larger one is a colour asked for
_WHITE, _CHALK = 0.9, 0.15  # linear light of chalk, and its largest share
_DULLED, _DARKENED = 0.3, 0.85  # share of its colour and of its light that what has darkened with age or heat can lose
_DULL = 0.6  # of the light it mirrors
# temper colours of steel from cool to hot: straw, brown, purple, blue, pale blue-grey
_TEMPER = np.array([(0, 0, 0), (-3, 3, 16), (-12, 11, 14), (-18, 17, -12), (-16, 2, -24), (-6, -4, -10)], np.float32)


@dataclass(frozen=True)
class Shifted:
    """A mechanism that shifts tone and colour of a body that is no metal, however neutral its colour: no temper colours.

    `dyed`: what is dyed unevenly has more or less of its own dye there, no other colour.
    """

    dyed: bool = False

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """A shifted area of the asked size."""
        if self.dyed and not site.scene.photo.is_grey:
            near = measure_surroundings(site)
            shift, most = _of_its_dye(near, spec.color_shift, rng)
            severity = min(spec.severity, max(most / near.jnd, _FAINTEST))
            edit = _render(
                site, spec.model_copy(update={"color_shift": shift, "severity": severity}), rng, tempers=False, ages=False
            )
            return None if edit is None else replace(edit, strength_fixed=True)  # what has lost all its dye cannot lose more
        return _render(site, spec, rng, tempers=False)


def names_dye(prompt: str) -> bool:
    """True when the words speak of an uneven dye."""
    return bool(_DYED.search(plain(prompt)))


def names_heat(prompt: str) -> bool:
    """True when the words speak of a metal, or of what heat does to one."""
    return bool(_HEATED.search(plain(prompt)))


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """A shifted area of the asked size (see module docstring)."""
    return _render(site, spec, rng, tempers=True)


def _render(site: Site, spec: DefectSpec, rng: np.random.Generator, *, tempers: bool, ages: bool = True) -> Edit | None:
    whole = not site.scene.fills_frame and spec.area_fraction >= _WHOLE
    if whole:
        x0, y0, x1, y1 = site.scene.box_xyxy
        site = replace(site, window=around(Window(y0, x0, y1, x1), _MARGIN_PX, site.scene.foreground.shape))
    near = measure_surroundings(site, inside=site.scene.foreground[site.window.slices] if whole else None)
    angle, coherence = site.scene.orientation_at(*site.center_xy)
    worked = _worked(near, coherence)
    kind = "whole" if whole else _choose_kind(site, near, spec, coherence, rng, tempers=tempers)
    weight = _weight(kind, site, spec, angle, worked, rng)
    weight = weight * window_guard(site, 0.15 * min(site.window.shape) if not whole else 1.0)
    weight = (weight * foreground_cover(site)).astype(np.float32)
    fixed = aged = fades = False
    if kind == "heat":
        change = _temper(near, weight)
    elif ages and whiteness_of_lights(site.scene) > 0.5 and not _names_colour(spec.color_shift):
        change = _aged(site, near, spec.color_shift or _choose_shift(near, kind, rng), spec.severity, weight, rng)
        fixed = aged = True
    else:
        shift = spec.color_shift or _choose_shift(near, kind, rng)
        veiled = spec.color_shift is None and shift[0] > 0.0 > shift[2]
        fades = _is_colored(near) and not _names_colour(spec.color_shift)
        fitted = fit_shift(near, shift, spec.severity, hue_limit=_VEIL if veiled else _MOST_HUE)
        change = weight[..., None] * log_ratio(near.lab, fitted.shift, near.grey)
        fixed = fitted.at_limit
    if kind == "band":
        gain = float(rng.uniform(0.15, 0.7)) * (1.0 if rng.random() < 0.6 else -0.7)
    elif kind == "patch":
        # what grinding or rolling missed has none of their lines
        gain = -float(rng.uniform(0.3 + 0.5 * worked, 0.9 + 0.1 * worked))
    else:
        gain = float(rng.normal(0.0, 0.1))
    change = change + (gain * weight * _log_texture(site))[..., None]
    if kind == "patch":
        mottle = fractal_noise(site.window.shape, max(float(rng.uniform(2.0, 0.3 * np.sqrt(site.area_px) + 3.0)), 2.0), rng)
        change = change + (float(rng.uniform(0.0, 0.06)) * weight * mottle)[..., None]
    return Edit(
        window=site.window,
        support=weight > 0.01,
        log_reflectance=change.astype(np.float32),
        strength_fixed=fixed or whole,  # a change of the whole object is seen at once: no paint is stronger than asked
        size_fixed=whole,
        absorbs=not aged,  # chalk adds light
        fades=fades,
    )


def _choose_kind(
    site: Site, near: Surroundings, spec: DefectSpec, coherence: float, rng: np.random.Generator, *, tempers: bool
) -> str:
    chroma = float(np.hypot(near.lab[1], near.lab[2]))
    metal = tempers and not near.grey and chroma < 14.0 and 25.0 < near.lab[0] < 80.0
    wide = site.area_px > 0.1 * site.window.shape[0] * site.window.shape[1]  # a thin band would look like a line
    finish = spec.color_shift is not None and max(map(abs, spec.color_shift[1:])) < 1.0
    # what is soft and dark cannot be told from uneven light, least of all where the lines of a worked surface run on through it
    soft = max(1.0 - 2.5 * _worked(near, coherence), 0.0) if finish else 1.0
    long = float(np.clip(0.5 * spec.elongation - 1.25, 0.0, 1.0))  # a band is several times as long as wide
    odds = {
        "cloud": (0.3 if finish else 1.0) * soft,
        "streaks": 0.4 * (0.3 + 0.9 * coherence) * soft if finish else 0.9 * _runs_on(site) + 0.3 * long,
        "band": (0.35 + 0.5 * coherence) * (long if wide else 0.0),
        # a plain shift of lightness with a sign is how cards describe zones of another finish
        "patch": 2.5 if finish else 0.3,
        "heat": 0.5 if metal and spec.color_shift is None else 0.0,
    }
    weights = np.array(list(odds.values()))
    return list(odds)[int(rng.choice(len(odds), p=weights / weights.sum()))]


def _runs_on(site: Site) -> float:
    """0..1: how far one grain runs through the whole area. Rings and outlines have a direction at each place, but no grain."""
    angle, coherence = site.scene.orientation_at(*site.center_xy)
    if (angle, coherence) == site.scene.grain:
        return coherence
    radius = max(8, round(1.2 * float(np.sqrt(site.area_px / np.pi))))
    of_all, evenness = local_orientation(site.scene.luma, *site.center_xy, radius)
    return evenness**2 * max(float(np.cos(2.0 * (angle - of_all))), 0.0)


def _worked(near: Surroundings, coherence: float) -> float:
    """0..1: how far lines of a tool mark the surface. Lines on a coloured one are grain of wood or threads, which go deep."""
    return coherence if near.grey or float(np.hypot(near.lab[1], near.lab[2])) < 14.0 else 0.0


def _of_its_dye(near: Surroundings, wanted: Triple | None, rng: np.random.Generator) -> tuple[Triple, float]:
    """The CIELAB shift of a little more dye (darker, deeper) or less, and the length of the largest that can be.

    What a dye lets pass grows by a power with its amount (Beer-Lambert).
    """
    more = wanted[0] < 0.0 if wanted is not None else rng.random() < 0.5
    share = float(rng.uniform(*_DYE)) * (1.0 if more else -1.0)
    passes = np.maximum(linear_from_srgb(rgb_of(near.lab[None, None])), 0.003)
    shift, largest = (
        lab_from_rgb(srgb_from_linear(passes ** np.float32(1.0 + part)))[0, 0] - near.lab
        for part in (share, _MOST_DYE * np.sign(share))
    )
    return (float(shift[0]), float(shift[1]), float(shift[2])), float(np.linalg.norm(largest))


def _choose_shift(near: Surroundings, kind: str, rng: np.random.Generator) -> Triple:
    """A shift that the local colour can undergo: rust on neutral metal, fading on paint; nothing bleaches white further."""
    lightness, a, b = (float(value) for value in near.lab)
    colored = _is_colored(near)
    known = [(s[0], s[1] * a, s[1] * b + s[2]) for s in _COLORED] if colored else list(_NEUTRAL)
    known = [s for s in known if 8.0 < lightness + s[0] < 97.0 and not (lightness > 80.0 and s[0] > 5.0)]
    shift = np.array(known[int(rng.integers(len(known)))])
    if kind in ("band", "patch") or near.grey:
        up = rng.random() < (0.65 if lightness < 55.0 else 0.25)
        shift[0] = float(rng.uniform(8.0, 20.0)) * (1.0 if up else -1.0)
        shift[1:] *= 0.3
    shift = shift * rng.uniform(0.8, 1.25, 3)
    return float(shift[0]), float(shift[1]), float(shift[2])


def _is_colored(near: Surroundings) -> bool:
    return not near.grey and bool(np.hypot(near.lab[1], near.lab[2]) > _COLOURED)


def _names_colour(shift: Triple | None) -> bool:
    return shift is not None and float(np.hypot(shift[1], shift[2])) > _TINGE


def _aged(site: Site, near: Surroundings, wanted: Triple, severity: float, weight: Field, rng: np.random.Generator) -> RGB:
    """(h, w, 3) log reflectance of paint, plastic or glaze of a deep colour that has aged, faded or burnt: in its own hue.

    It grows duller and darker, or chalky, as if mixed with white. A tinge is a filter over it: yellow takes from the blue that
    is there, it adds none of its own. What the surface mirrors stays the lamp's, and less of it comes from a dull one.
    """
    own = linear_from_srgb(rgb_of(near.lab))
    grey = np.full(3, own.mean(), np.float32)
    hue = near.lab[1:]
    beside = wanted[2] - float(wanted[1] * hue[0] + wanted[2] * hue[1]) / max(float(hue @ hue), 1.0) * float(
        hue[1]
    )  # of its own hue
    tinge = log_ratio(np.array([60.0, 0.0, 0.0], np.float32), (0.0, 0.0, max(beside, 0.0)), grey=False)
    passes = np.exp(tinge - tinge.max())
    chalky = wanted[0] > 0.0
    share = np.linspace(0.02, 1.0, 40, dtype=np.float32)[:, None]
    if chalky:
        steps = own * passes**share + _CHALK * share * (_WHITE - own)
    else:
        steps = (own + _DULLED * share * (grey - own)) * (1.0 - _DARKENED * share) * passes**share
    change = ciede2000(np.broadcast_to(near.lab, steps.shape), lab_from_rgb(srgb_from_linear(steps)[None])[0])
    enough = np.flatnonzero(change >= severity * near.jnd)
    aged = steps[int(enough[0]) if enough.size else -1] / np.maximum(own, 1e-4) - 1.0
    far = np.clip(weight, 0.0, 1.0)[..., None]
    light = np.maximum(linear_from_srgb(site.scene.photo.rgb[site.window.slices]), 1e-4)
    pure = float(own.min() / max(float(own.max()), 1e-4))
    most, least = light.max(axis=2, keepdims=True), light.min(axis=2, keepdims=True)
    mirrored = np.maximum(least - pure * most, 0.0) / max(1.0 - pure, 0.05)
    body = np.maximum(light - mirrored, 1e-4)
    dull = np.float32(rng.uniform(0.0, _DULL)) * far
    return np.log((body * (1.0 + far * aged) + mirrored * (1.0 - dull)) / (body + mirrored)).astype(np.float32)


def _weight(kind: str, site: Site, spec: DefectSpec, angle: float, worked: float, rng: np.random.Generator) -> Field:
    """How far each pixel has shifted, 0..1."""
    shape = site.window.shape
    radius = float(np.sqrt(site.area_px / np.pi))
    if kind == "whole":
        return (1.0 + 0.04 * fractal_noise(shape, max(0.3 * min(shape), 4.0), rng, octaves=2)).astype(np.float32)
    if kind == "band":
        return _band(site, angle, rng)
    stretch = min(max(spec.elongation, 1.0), 20.0)
    if kind == "patch":
        return _patch(site, stretch, worked, rng)
    inner = blob_at(
        site, rng, share=1.4, elongation=stretch, lobes=float(rng.uniform(0.08, 0.2)), roughness=float(rng.uniform(0.02, 0.1))
    )
    depth = max(float(inner.max()), 1.0)
    if kind == "heat":
        heat = inner / depth + 0.08 * fractal_noise(shape, max(radius, 4.0), rng, octaves=2)
        return np.clip(heat, 0.0, 1.0).astype(np.float32)
    cloud = fractal_noise(shape, max(radius, 4.0), rng, octaves=3)
    if kind == "streaks":
        lines = grain_noise(shape, max(radius * 1.6, 6.0), max(radius * 0.09, 1.5), angle, rng)
        body = smooth_step(inner / (0.7 * depth))
        return body * np.clip(0.62 + 0.3 * lines + 0.15 * cloud, 0.0, 1.3).astype(np.float32)
    soft = float(rng.uniform(0.6, 1.2)) * depth
    body = smooth_step(((inner + 0.12 * depth * cloud) / soft).astype(np.float32))
    return body * np.clip(0.85 + 0.12 * cloud, 0.0, 1.2).astype(np.float32)


def _patch(site: Site, stretch: float, worked: float, rng: np.random.Generator) -> Field:
    """An area with a clear outline that fades here and there; denser and thinner inside, faintly darker or lighter near it."""
    shape = site.window.shape
    radius = float(np.sqrt(site.area_px / np.pi))
    clear = rng.random() < worked  # a wheel or a die leaves off at a line, scale and oxide grow out slowly
    inner = blob_at(
        site,
        rng,
        elongation=stretch,
        lobes=float(rng.uniform(0.05, 0.3)),
        roughness=float(rng.choice([0.01, 0.04, 0.12] if clear else [0.06, 0.15, 0.3])),
        warp=float(rng.uniform(0.0, 0.2) if clear else rng.uniform(0.05, 0.35)),
    )
    depth = max(float(inner.max()), 1.0)
    sharp = max(depth * float(rng.choice([0.0, 0.02, 0.06]) if clear else rng.uniform(0.0, 0.4)), 1.0)
    fades = float(rng.uniform(0.0, 0.5)) if rng.random() < 0.7 else 0.0
    fading = np.clip(fractal_noise(shape, max(radius, 6.0), rng, octaves=2) - 0.3, 0.0, 1.0)
    edge = sharp + np.float32(fades * depth) * fading
    rim = float(rng.normal(0.0, 0.12)) * np.exp(-((inner / max(0.12 * depth, 1.5)) ** 2))
    dense = float(rng.uniform(0.0, 0.25)) * fractal_noise(shape, max(0.7 * radius, 4.0), rng)
    return (np.clip((inner + 0.5) / edge, 0.0, 1.0) * np.clip(1.0 + rim + dense, 0.4, 1.3)).astype(np.float32)


def _band(site: Site, angle: float, rng: np.random.Generator) -> Field:
    """A zone between one clear and one fading border, running along or across the structure, through the whole window."""
    height, width = site.window.shape
    x, y = pixel_grid(site.window)
    along = angle + (0.0 if rng.random() < 0.3 else np.pi / 2) + float(rng.normal(0.0, 0.06))
    across = -(x - site.center_xy[0]) * np.sin(along) + (y - site.center_xy[1]) * np.cos(along)
    run = (x - site.center_xy[0]) * np.cos(along) + (y - site.center_xy[1]) * np.sin(along)
    extent = float(np.hypot(width * np.cos(along), height * np.sin(along)))
    thick = max(site.area_px / max(extent, 1.0), 3.0)
    bow = float(rng.normal(0.0, 0.05)) * run**2 / max(extent, 1.0)
    wave = 0.01 * extent * fractal_noise((height, width), max(extent / 5.0, 4.0), rng, octaves=3)
    side = 1.0 if rng.random() < 0.5 else -1.0
    across = side * (across + bow) + wave
    clear = smooth_step((across + thick / 2) / float(rng.uniform(1.5, 4.0)))
    fading = smooth_step((thick / 2 - across) / (thick * float(rng.choice([0.06, 0.5, 0.9]))))
    # a zone that was worked differently mostly ends where the part does
    height_all, width_all = site.scene.foreground.shape
    box = site.window
    at_border = (box.y0 == 0) + (box.x0 == 0) + (box.y1 == height_all) + (box.x1 == width_all)
    ends_there = at_border >= 2 and rng.random() < 0.7
    if ends_there and float(clear.sum()) < _AS_WIDE * site.area_px:
        fading = np.ones_like(clear)
    return clear * fading * np.clip(0.9 + 0.1 * fractal_noise((height, width), thick, rng), 0.0, 1.2).astype(np.float32)


def _temper(near: Surroundings, level: Field) -> NDArray[np.float32]:
    """(h, w, 3) log reflectance of temper colours: `level` 0 is untouched metal, 1 the hottest spot."""
    steps = np.stack([log_ratio(near.lab, (float(s[0]), float(s[1]), float(s[2])), near.grey) for s in _TEMPER])
    at = np.linspace(0.0, 1.0, len(steps))
    return np.stack([np.interp(level, at, steps[:, channel]) for channel in range(3)], axis=-1).astype(np.float32)


def _log_texture(site: Site) -> Field:
    """Local contrast of the surface, as differences of log lightness."""
    logs = np.log(lightness_of(site) + 4.0)
    reach = 2 * max(min(site.window.shape) // 8, 3) + 1
    return (logs - cv2.blur(logs, (reach, reach), borderType=cv2.BORDER_REFLECT)).astype(np.float32)
