"""Print: faults of printed marks. Where marks exist they are separated into ink coverage, ink colour and ground, and
printed anew with a fault (several inks: see `retouching/picture_print.py`); where none exist, a stray or wrong mark is printed.

Faults of existing marks: `smear` (dragged while wet), `ghost` (double print), `gap` (missing strokes), `shift`
(misregistered part), `bleed` (ink spread), `blots`. Stray marks: `glyphs` (a wrong stamp), `streak` (a print head drags),
`blot`.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target, Window
from anomalyagent.mcp_tools.procedural.geometry.paths import spline_path, trace_stroke
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_distance, fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import foreground_cover, grain_noise, window_guard
from anomalyagent.mcp_tools.procedural.light.palette import log_ratio, measure_surroundings, reach_contrast, rgb_of
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene
from anomalyagent.mcp_tools.procedural.retouching.marks import Marks, find_marks, marked_places
from anomalyagent.mcp_tools.procedural.retouching.picture_print import Inks, find_inks, print_again

__all__ = ["Faulty", "named_faults", "render", "targets"]

_STREAK = 6.0  # elongation from which stray ink is a streak
_NAMED = (
    (
        re.compile(
            r"\b(?:missing|incomplete|faded|faint|lost|absent|partial|unprinted|no) (?:print\w*|ink|text|label|letter\w*)"
        ),
        ("gap",),
    ),
    (
        re.compile(r"\b(?:smear\w*|smudg\w*|wiped) (?:print\w*|ink|text|label|letter\w*)|\b(?:print|ink) (?:smear|smudge)\w*"),
        ("smear",),
    ),
    (re.compile(r"\bblur\w* (?:print\w*|ink|text|label|letter\w*)|\bink bleed\w*"), ("bleed",)),
    (re.compile(r"\bmis ?regist\w*|\b(?:shifted|offset) (?:print\w*|colou?r\w*)"), ("shift",)),
    (re.compile(r"\b(?:double|ghost) (?:print\w*|image\w*)"), ("ghost",)),
)
_FAULTS = ("smear", "ghost", "gap", "shift", "bleed", "blots")


def targets(scene: Scene, spec: DefectSpec) -> list[Target]:
    """Existing marks: faults of printing are seen where there is print."""
    area = spec.instance_px(scene.object_area_px)
    return [Target(xy, area) for xy in marked_places(scene)]


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """A printing fault (see module docstring)."""
    return _render(site, spec, _FAULTS, rng)


@dataclass(frozen=True)
class Faulty:
    """A mechanism that prints with one of the named faults."""

    faults: tuple[str, ...]

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """Existing marks."""
        return targets(scene, spec)

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """A fault of the print at the site, a stray mark where there is none."""
        return _render(site, spec, self.faults, rng)


def named_faults(prompt: str) -> tuple[str, ...]:
    """The faults of existing print that the words name; empty where they leave it open."""
    words = plain(prompt)
    return tuple(dict.fromkeys(fault for pattern, faults in _NAMED if pattern.search(words) for fault in faults))


def _render(site: Site, spec: DefectSpec, faults: tuple[str, ...], rng: np.random.Generator) -> Edit | None:
    marks, inks = find_marks(site, rng), _inks_of(site.scene)
    if marks is not None and (inks is None or not inks.is_ground(lab_from_rgb(marks.ink[:1, :1])[0, 0])):
        return _reprint(site, spec, marks, faults, rng)
    again = None if inks is None else print_again(site, spec, inks, faults, rng)
    return _stray(site, spec, rng) if again is None else again


@once_per_scene
def _inks_of(scene: Scene) -> Inks | None:
    return find_inks(scene.lab, scene.foreground)


def _reprint(site: Site, spec: DefectSpec, marks: Marks, faults: tuple[str, ...], rng: np.random.Generator) -> Edit:
    """The marks printed again with a fault inside a region of about the site's area around the nearest of them."""
    old = marks.coverage
    size = float(np.sqrt(site.area_px))
    ys, xs = np.nonzero(old > 0.5)
    local = site.center_xy[0] - marks.window.x0, site.center_xy[1] - marks.window.y0
    nearest = int(((xs - local[0]) ** 2 + (ys - local[1]) ** 2).argmin())
    middle = float(xs[nearest] + marks.window.x0), float(ys[nearest] + marks.window.y0)
    region = blob_distance(marks.window, middle, site.area_px * 2.5, rng, elongation=1.5, lobes=0.2, roughness=0.1)
    inside = smooth_step(region / max(0.15 * size, 2.0))
    stroke = max(2.0 * float(cv2.distanceTransform((old > 0.5).astype(np.uint8), cv2.DIST_L2, 3).max()), 2.0)
    strength = float(np.clip(spec.severity / 8.0, 0.35, 1.5))
    new = old
    for index in rng.permutation(len(faults)):  # a fault that does not show here is replaced by another kind
        kind = faults[int(index)]
        faulty = np.clip(_fault(kind, old, inside, stroke, strength, rng), 0.0, 1.0)
        new = (old + (faulty - old) * (1.0 if kind == "shift" else inside)).astype(np.float32)
        if np.abs(new - old).sum() > 0.1 * site.area_px:
            break
    paint = marks.ground + (marks.ink - marks.ground) * new[..., None]
    # grain of the print itself stays where its ink stays
    rgb = site.scene.photo.rgb[marks.window.slices]
    cover = smooth_step((np.abs(new - old) / 0.12).astype(np.float32))
    kept = rgb + (marks.ink - marks.ground) * (new - old)[..., None]
    mix = np.clip(np.abs(new - old) * 2.0, 0.0, 1.0)[..., None]
    paint = kept + (paint - kept) * mix
    return Edit(
        window=marks.window,
        support=cover > 0.01,
        paint=np.clip(paint, 0.0, 1.0).astype(np.float32),
        opacity=cover.astype(np.float32),
        strength_fixed=True,
        size_fixed=True,  # the marks decide how much can change
        photographed=True,
    )


def _fault(kind: str, old: Field, inside: Field, stroke: float, strength: float, rng: np.random.Generator) -> Field:
    """Ink coverage of the faulty print."""
    heading = float(rng.uniform(0.0, 2.0 * np.pi) if rng.random() < 0.4 else rng.choice([0.0, 0.5, 1.0, 1.5]) * np.pi)
    if kind == "smear":
        run = stroke * float(rng.uniform(1.5, 4.0)) * min(strength, 1.2)
        new, steps = old.copy(), int(np.clip(run, 4, 40))
        dry = np.clip(0.75 + 0.35 * grain_noise(old.shape, 4.0 * run, max(0.25 * stroke, 1.0), heading, rng), 0.1, 1.0)
        for step in range(1, steps + 1):
            t = step / steps
            moved = _moved(old, t * run * np.cos(heading), t * run * np.sin(heading))
            new = np.maximum(new, moved * float(0.75 * min(strength, 1.0) * (1.0 - t) ** 0.7) * dry)
        return new
    if kind in ("ghost", "shift"):
        far = stroke * float(rng.uniform(0.4, 1.3))
        dx, dy = far * np.cos(heading), far * np.sin(heading)
        if kind == "ghost":
            return np.maximum(old, _moved(old, dx, dy) * min(0.5 * strength, 0.8))
        return np.maximum(old * (1.0 - inside), _moved(old * inside, dx, dy))
    if kind == "gap":
        noise = fractal_noise(old.shape, max(1.5 * stroke, 4.0), rng, octaves=4, gain=0.7)
        if rng.random() < 0.5:  # a clogged nozzle: clean lines through the print
            noise = grain_noise(old.shape, 60.0, max(0.6 * stroke, 1.5), heading, rng)
        lost = np.float32(min(strength, 1.0)) * smooth_step((noise + 0.35) * np.float32(2.5))
        return (old * (1.0 - lost)).astype(np.float32)
    if kind == "bleed":
        grow = max(1, round(0.2 * stroke * strength))
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
        wet = cv2.GaussianBlur(cv2.dilate(old, disc), (0, 0), 0.3 * grow + 0.5)
        feathered = wet + 0.25 * fractal_noise(old.shape, max(0.5 * stroke, 2.0), rng, octaves=3) * wet * (1.0 - wet) * 4.0
        return np.maximum(old, feathered)
    new = old.copy()
    beside = cv2.dilate(old, np.ones((3, 3), np.uint8), iterations=max(1, round(0.4 * stroke))) > 0.4
    ys, xs = np.nonzero(beside & (old < 0.4) & (inside > 0.3))
    if len(xs) == 0:
        return new
    window = Window(0, 0, old.shape[0], old.shape[1])
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(xs)))
        area = (stroke * float(rng.uniform(0.4, 1.4)) * min(strength, 1.2)) ** 2
        center = float(xs[at]), float(ys[at])
        new = np.maximum(new, np.clip(blob_distance(window, center, area, rng, lobes=0.2, roughness=0.1) + 0.5, 0.0, 1.0))
    return new


def _moved(field: Field, dx: float, dy: float) -> Field:
    matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]], np.float32)
    return cv2.warpAffine(field, matrix, field.shape[::-1], flags=cv2.INTER_LINEAR).astype(np.float32, copy=False)


def _stray(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit:
    """Ink where there should be none: translucent enough that the texture shows through."""
    near = measure_surroundings(site)
    inks = ((10.0, 0.0, 0.0), (28.0, 15.0, -48.0), (42.0, 58.0, 38.0), (92.0, 0.0, 2.0))
    pale = near.lab[0] < 35.0
    ink = np.array(inks[3] if pale else inks[int(rng.choice(3, p=[0.6, 0.25, 0.15]))], np.float32)
    if spec.color_shift is not None:
        ink = near.lab + np.array(spec.color_shift, np.float32)
    color = reach_contrast(near, ink, spec.severity)
    odds = (
        [0.8, 0.0, 0.2]
        if spec.elongation < _STREAK
        else [0.0, 1.0, 0.0]
        if spec.elongation > 2.0 * _STREAK
        else [0.5, 0.5, 0.0]
    )
    kind = str(rng.choice(["glyphs", "streak", "blot"], p=odds))
    size = float(np.sqrt(site.area_px))
    if kind == "glyphs" and size > 9.0:
        coverage = _glyphs(site, spec, rng)
    elif kind != "streak":
        outline = blob_distance(
            site.window, site.center_xy, site.area_px, rng, elongation=min(spec.elongation, 4.0), lobes=0.15, roughness=0.08
        )
        coverage = np.clip(outline + 0.5, 0.0, 1.0)
    else:
        slender = float(np.clip(spec.elongation, _STREAK, 120.0))
        length = float(np.sqrt(site.area_px * slender))
        path = spline_path(site.center_xy, length, site.angle_rad, rng, bend=0.03, wobble=0.0)
        stroke = trace_stroke(site.window, path, site.area_px / length + 3.0)
        dry = np.clip(0.65 + 0.6 * grain_noise(site.window.shape, 0.4 * length, 2.0, site.angle_rad, rng), 0.0, 1.0)
        coverage = stroke.coverage(0.5 * site.area_px / length) * dry * np.clip((1.0 - stroke.along) * 4.0, 0.0, 1.0)
    worn = np.clip(0.92 + 0.12 * fractal_noise(site.window.shape, max(0.3 * size, 3.0), rng, octaves=4), 0.3, 1.0)
    coverage = (coverage * worn * foreground_cover(site) * window_guard(site, 2.0)).astype(np.float32)
    if color[0] > near.lab[0]:  # pale ink covers, dark ink stains
        return Edit(
            window=site.window,
            support=coverage > 0.01,
            paint=np.broadcast_to(rgb_of(color[None, None]), (*site.window.shape, 3)).astype(np.float32),
            opacity=0.92 * coverage,
            strength_fixed=True,  # the ink's colour is chosen for the severity
        )
    shift = color - near.lab
    change = log_ratio(near.lab, (float(shift[0]), float(shift[1]), float(shift[2])), near.grey)
    log_reflectance = (coverage[..., None] * change).astype(np.float32)
    return Edit(window=site.window, support=coverage > 0.01, log_reflectance=log_reflectance, strength_fixed=True)


def _glyphs(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Field:
    """A row of sign-like figures: strokes and arcs between the points of a 2 x 3 grid, one width, one slant."""
    count = int(np.clip(round(spec.elongation * float(rng.uniform(0.8, 1.6))), 1, 6))
    tall = float(np.sqrt(site.area_px * 2.2 / count))
    cell, pen = 0.62 * tall, float(rng.uniform(0.09, 0.16)) * tall
    cos, sin = np.cos(site.angle_rad), np.sin(site.angle_rad)
    coverage = np.zeros(site.window.shape, np.float32)
    for index in range(count):
        left = (index - 0.5 * count) * (cell + 2.2 * pen)
        nodes = np.array([(left + cell * i, tall * (0.5 * j - 0.5)) for j in range(3) for i in range(2)])
        order = rng.permutation(6)[: int(rng.integers(3, 6))]
        for start, end in pairwise(order.tolist()):
            line = np.linspace(nodes[start], nodes[end], 9)
            if rng.random() < 0.35:  # an arc instead of a line
                side = np.array([nodes[end][1] - nodes[start][1], nodes[start][0] - nodes[end][0]])
                line = line + 0.35 * side * np.sin(np.linspace(0.0, np.pi, 9))[:, None] * float(rng.choice([-1.0, 1.0]))
            turned = line @ np.array([[cos, sin], [-sin, cos]]) + np.array(site.center_xy)
            coverage = np.maximum(coverage, trace_stroke(site.window, turned.astype(np.float32), pen + 2.0).coverage(0.5 * pen))
    if rng.random() < 0.35:
        coverage = np.maximum(coverage, 0.45 * cv2.blur(coverage, (2 * round(pen) + 1, 1)))
    return coverage
