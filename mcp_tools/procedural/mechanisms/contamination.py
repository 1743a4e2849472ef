"""Contamination: foreign matter that lies on or in the part. It is opaque, has its own texture and throws a contact
shadow.

Kinds: `powder` (many grains, few of them large), `chip` (a splinter of metal or plastic with flat facets), `glob` (glue,
resin, grease: rounded, glossy, partly transparent), `debris` (an irregular bit with arms, crumb- or insect-like), `rag`
(a torn or cut piece of fabric, paper or tape with its own weave), `strip` (a long piece that may reach in from outside),
`film` (a thin translucent layer: residue, grease, foil, dust), `drop` (a round bead or disc with rings of light),
`haze` (a soft cloud without outline), `filling` (matter that covers the bottom of the hollow around the site up to its
rim, or up to a level), `band` (a strip of tape or glue with parallel sides), `curl` (a thin curled shaving), `puddle` (a
film of what has flowed); on open surfaces those of
`loose_matter.py` too, and dust for powder. What lies deep in a cavity, or stands off the surface, is out of focus.

Where the words of a prompt name the matter, `Foreign` draws that.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.bodies import cut_outline, dome, edge_cover, relief_tone
from anomalyagent.mcp_tools.procedural.cavity import Cavity, find_cavity
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.loose_matter import adhesive, crumbs, flake, lint, smear, torn_outline
from anomalyagent.mcp_tools.procedural.material import is_glass
from anomalyagent.mcp_tools.procedural.named_matter import Named
from anomalyagent.mcp_tools.procedural.palette import Matter, choose_matter, measure_surroundings, paint_of
from anomalyagent.mcp_tools.procedural.shapes import (
    blob_distance,
    facet_planes,
    fractal_noise,
    pixel_grid,
    smooth_step,
    spline_path,
    trace_stroke,
)
from anomalyagent.mcp_tools.procedural.surface_fields import cast_shadow, grain_noise, window_guard
from anomalyagent.mcp_tools.procedural.warp import feather

__all__ = ["Foreign", "render"]

_MADE_OF = {
    "powder": ("dust", "soot", "rust", "swarf", "white plastic"),
    "chip": ("swarf", "white plastic", "blue plastic", "rubber", "rust", "resin"),
    "glob": ("resin", "grease", "white plastic"),
    "debris": ("insect", "soot", "cardboard", "rust", "dust", "rubber"),
    "rag": ("cardboard", "lint", "dust", "blue plastic", "rubber"),
    "strip": ("cardboard", "lint", "white plastic", "swarf", "rubber"),
    "film": ("dust", "lint", "grease", "resin", "white plastic", "soot"),
    "drop": ("dust", "resin", "grease", "white plastic", "rubber"),
    "haze": ("dust", "lint", "soot", "resin"),
    "filling": ("dust", "resin", "cardboard", "grease"),
    "dust": ("dust", "soot", "rust", "dust", "white plastic"),
    "scrap": ("cardboard", "lint", "dust", "blue plastic", "rubber"),
    "puddle": ("dust", "lint", "grease", "resin", "soot"),
    "crumbs": ("cardboard", "rust", "soot", "dust", "rubber", "resin"),
    "flake": ("white plastic", "rust", "swarf", "rubber", "cardboard", "dust"),
    "lint": ("lint", "lint", "dust", "blue plastic", "soot"),
    "smear": ("grease", "soot", "dust", "resin", "rust", "white plastic"),
}
_TRANSLUCENT = frozenset({"film", "puddle", "drop", "haze", "smear", "adhesive"})
_CLEAR_COVER = (0.5, 0.85)  # of matter that light goes through
_OUT_OF_FOCUS = 0.3  # chance in a cavity
_FILLED = 7.0  # odds of a hollow whose bottom is covered
_CLEAR = 10.0  # JND
_LEAST_POWDER_PX = 160.0  # area
_LEAST_INSECT_PX = 14.0  # size: below, arms would be as thick as the body


@dataclass(frozen=True)
class Foreign:
    """A mechanism that draws matter of which the words say what it is."""

    named: Named

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """The named matter of the asked area."""
        return _render(site, spec, rng, self.named)


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """Foreign matter of the asked area (see module docstring)."""
    return _render(site, spec, rng, None)


def _render(site: Site, spec: DefectSpec, rng: np.random.Generator, named: Named | None) -> Edit | None:
    cavity = find_cavity(site)
    kind = _choose_kind(site, spec, cavity, rng) if named is None else _choose_named(site, named, rng)
    if kind == "filling" and cavity is not None:
        site = replace(site, window=cavity.window)
    if kind == "haze":  # what is as soft as a reflection is only taken for a defect when it is clear
        spec = spec.model_copy(update={"severity": max(spec.severity, _CLEAR)})
    near = measure_surroundings(site)
    made_of = named.matter if named is not None else _MADE_OF[kind]
    matter, color = choose_matter(near, spec.severity, rng, made_of, spec.color_shift)
    if kind == "filling" and cavity is not None:
        cover, tone = _filling(site, cavity, matter, rng)
    else:
        cover, tone = _BODIES[kind](site, spec, matter, rng)
        # it lies inside, behind the rim; long pieces often hang out over it
        if cavity is not None and rng.random() < (0.3 if kind == "strip" else 0.75):
            cover = cover * _inside(site, cavity)
    tone = tone * min(0.35 + spec.severity / 14.0, 1.3)
    see_through = kind in _TRANSLUCENT
    if named is not None and named.clear and not see_through:
        see_through = True
        cover = cover * float(rng.uniform(*_CLEAR_COVER))
    if cavity is not None and kind not in ("powder", "dust", "filling") and rng.random() < _OUT_OF_FOCUS:
        sigma = float(rng.uniform(0.005, 0.025)) * float(np.sqrt(site.area_px)) + 0.5
        cover, tone = (cv2.GaussianBlur(part, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for part in (cover, tone))
    cover = (cover * window_guard(site, 2.0)).astype(np.float32)
    thick = {
        "powder": 0.8,
        "rag": 1.5,
        "strip": 2.0,
        "filling": 0.0,
        "film": 0.0,
        "puddle": 0.0,
        "haze": 0.0,
        "smear": 0.0,
        "lint": 1.2,
    }.get(kind, 0.12 * float(np.sqrt(site.area_px)))
    depth = float(rng.uniform(0.25, 0.5)) * min(spec.severity / 8.0, 1.0)
    shadow = cast_shadow(cover, site.scene.light, min(thick, 6.0), depth) if thick else None
    support = cover > 0.004
    return Edit(
        window=site.window,
        support=support if shadow is None else support | (shadow > 0.01),
        paint=paint_of(np.clip(tone, -60.0, 60.0).astype(np.float32), color),
        opacity=cover,
        shadow=shadow,
        strength_fixed=not see_through,  # the colour is chosen for the severity: more opacity would only widen the outline
    )


def _choose_kind(site: Site, spec: DefectSpec, cavity: Cavity | None, rng: np.random.Generator) -> str:
    """Small areas are specks and splinters, large ones cloth, powder or a filled cavity: no insect is as large as the part."""
    area, share = site.area_px, site.area_px / site.scene.object_area_px
    if cavity is None and not is_glass(site.scene):
        return _pick(_lying_about(spec, area, share), rng)
    odds = {"powder": 0.8, "chip": 0.8, "glob": 0.7, "debris": 1.0, "film": 0.4, "drop": 0.4 if spec.elongation < 2.0 else 0.0}
    if spec.elongation > 5.0:
        odds = {"strip": 1.0, "chip": 0.3, "powder": 0.2, "film": 0.4}
    elif share > 0.03:
        odds = {"powder": 0.3, "chip": 0.2, "glob": 0.3, "debris": 0.3, "rag": 1.2, "strip": 0.5, "film": 1.5, "haze": 0.4}
        odds["drop"] = 0.4 if spec.elongation < 2.0 else 0.0
    elif area > 250.0:
        odds |= {"rag": 0.6, "strip": 0.5 if spec.elongation >= 2.0 else 0.0, "film": 1.0, "haze": 0.25}
    if area < _LEAST_POWDER_PX:  # its grains could not be told apart
        odds["powder"] = 0.0
    if cavity is not None:  # in a hollow a soft cloud cannot be told from a reflection
        odds["haze"] = 0.0
    if cavity is not None and 0.2 < area / max(int(cavity.mask.sum()), 1) < 2.5:
        odds["filling"] = _FILLED
    return _pick(odds, rng)


def _lying_about(spec: DefectSpec, area_px: float, share: float) -> dict[str, float]:
    """Odds of what lies on open surfaces: dirt has no corners."""
    if spec.elongation > 5.0:
        odds = {"smear": 1.0, "lint": 0.9, "strip": 0.4, "flake": 0.2, "puddle": 0.2}
    elif share > 0.03:
        odds = {
            "smear": 1.2,
            "puddle": 0.8,
            "lint": 0.5,
            "dust": 0.5,
            "haze": 0.3,
            "scrap": 0.3,
            "debris": 0.3,
            "crumbs": 0.3,
            "glob": 0.2,
        }
    elif area_px > 250.0:
        odds = {"crumbs": 0.9, "dust": 0.8, "smear": 0.8, "lint": 0.7, "debris": 0.7, "flake": 0.4, "puddle": 0.4, "glob": 0.4}
        odds |= {"haze": 0.15, "scrap": 0.15}
    elif spec.elongation < 2.0:  # a speck is round and in one piece
        odds = {"crumbs": 1.0, "debris": 0.7, "flake": 0.2, "glob": 0.5}
    else:
        odds = {"crumbs": 1.2, "debris": 0.8, "lint": 0.6, "dust": 0.6, "smear": 0.5, "flake": 0.4, "glob": 0.4}
    if area_px < _LEAST_POWDER_PX:
        odds.pop("dust", None)
    return odds


def _pick(odds: dict[str, float], rng: np.random.Generator) -> str:
    weights = np.array(list(odds.values()))
    return list(odds)[int(rng.choice(len(odds), p=weights / weights.sum()))]


def _choose_named(site: Site, named: Named, rng: np.random.Generator) -> str:
    odds = dict(named.odds)
    if site.area_px < _LEAST_POWDER_PX and len(odds) > 1:
        odds.pop("powder", None)
        odds.pop("dust", None)
    return _pick(odds, rng)


def _inside(site: Site, cavity: Cavity) -> Field:
    """(h, w) 0..1 over the site's window: 1 in the cavity, with a soft border."""
    whole = np.zeros(site.window.shape, np.float32)
    top, left = cavity.window.y0 - site.window.y0, cavity.window.x0 - site.window.x0
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + cavity.mask.shape[0], whole.shape[0]), min(left + cavity.mask.shape[1], whole.shape[1])
    if y0 < y1 and x0 < x1:
        whole[y0:y1, x0:x1] = feather(cavity.mask, 2.0)[y0 - top : y1 - top, x0 - left : x1 - left]
    return whole


def _dust(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Powder without any large pieces."""
    return _powder(site, spec, matter, rng, coarsest=0.07)


def _powder(
    site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator, coarsest: float = 0.22
) -> tuple[Field, Field]:
    """Grains of heavy-tailed size, denser towards the middle, drawn at fourfold resolution where the window is small."""
    height, width = site.window.shape
    fine = 4 if max(height, width) <= 384 else 2
    cover = np.zeros((height * fine, width * fine), np.uint8)
    tone = np.zeros((height, width), np.float32)
    reach = np.sqrt(site.area_px) * float(rng.uniform(0.6, 1.1))
    left = site.area_px * float(rng.uniform(0.25, 0.5))
    typical = max(0.03 * np.sqrt(site.area_px), 0.55)
    angle, stretch = site.angle_rad, np.sqrt(min(spec.elongation, 9.0))
    cos, sin = np.cos(angle), np.sin(angle)
    for _ in range(600):
        if left <= 0.0:
            break
        radius = min(typical * (0.5 + float(rng.pareto(2.2))), coarsest * np.sqrt(site.area_px) + 0.5)
        u, v = rng.normal(0.0, 0.5, 2) * reach
        u, v = u * stretch, v / stretch
        x = site.center_xy[0] + u * cos - v * sin - site.window.x0
        y = site.center_xy[1] + u * sin + v * cos - site.window.y0
        if not (2 <= x < width - 2 and 2 <= y < height - 2):
            left -= 0.2
            continue
        turns = np.sort(rng.uniform(0.0, 2.0 * np.pi, int(rng.integers(5, 9))))
        sizes = radius * rng.uniform(0.65, 1.3, len(turns))
        points = np.stack([x + 0.5 + sizes * np.cos(turns), y + 0.5 + sizes * np.sin(turns)], 1) * fine
        cv2.fillPoly(cover, [np.round(points).astype(np.int32)], 255)
        r = int(radius) + 1
        tone[max(int(y) - r, 0) : int(y) + r + 2, max(int(x) - r, 0) : int(x) + r + 2] = float(rng.normal(0.0, 7.0))
        left -= np.pi * radius**2
    soft = cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    haze = 0.25 * float(rng.random()) * np.clip(cv2.GaussianBlur(soft, (0, 0), max(0.1 * reach, 1.0)) * 1.5, 0.0, 1.0)
    relief = cv2.GaussianBlur(soft, (0, 0), max(typical * 0.5, 0.6)) * min(typical, 2.0)
    return np.maximum(soft, haze), tone + relief_tone(relief, matter, site, rng)


def _chip(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Convex splinter: half-planes around the centre, flat facets, bright ridges."""
    distance = cut_outline(site, min(spec.elongation, 30.0), rng, corners=int(rng.integers(4, 9)), spread=0.45)
    size = np.sqrt(site.area_px)
    facets = facet_planes(site.window, site.center_xy, 0.6 * size, rng, count=int(rng.integers(2, 6)), slope=0.35, warp=0.05)
    bevel = np.clip(distance / max(0.1 * size, 1.0), 0.0, 1.0)
    slope = facets.slope[facets.label]
    towards = np.cos(site.scene.light[0]), np.sin(site.scene.light[0])
    plane = -30.0 * (slope[..., 0] * towards[0] + slope[..., 1] * towards[1])
    tone = plane * (0.5 + matter.gloss) + 7.0 * cv2.blur(facets.border, (3, 3)) * (0.3 + matter.gloss)
    chipped = 0.012 * size * fractal_noise(site.window.shape, max(0.3 * size, 3.0), rng, octaves=2)
    return edge_cover((distance + chipped).astype(np.float32)), (
        tone + relief_tone(0.8 * bevel * min(0.1 * size, 3.0), matter, site, rng)
    ).astype(np.float32)


def _glob(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Rounded drop; the middle is thicker and more opaque than the rim."""
    distance = blob_distance(
        site.window,
        site.center_xy,
        site.area_px,
        rng,
        elongation=min(spec.elongation, 6.0),
        angle_rad=site.angle_rad,
        lobes=float(rng.uniform(0.1, 0.3)),
        roughness=float(rng.uniform(0.0, 0.05)),
    )
    top = dome(distance, float(rng.uniform(0.35, 0.8)))
    wave = (
        0.035 * np.sqrt(site.area_px) * fractal_noise(site.window.shape, max(0.4 * np.sqrt(site.area_px), 3.0), rng, octaves=2)
    )
    clear = float(rng.uniform(0.0, 0.5))
    thickness = np.clip(distance / max(0.5 * float(distance.max()), 1.0), 0.0, 1.0)
    cover = edge_cover(distance) * (1.0 - clear * (1.0 - thickness))
    return cover.astype(np.float32), relief_tone(top + wave * (distance > 0), matter, site, rng)


def _debris(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A rough lump, often with a few thin bent arms."""
    size = float(np.sqrt(site.area_px))
    distance = blob_distance(
        site.window,
        site.center_xy,
        site.area_px * 0.9,
        rng,
        elongation=min(spec.elongation, 12.0),
        angle_rad=site.angle_rad,
        lobes=float(rng.uniform(0.15, 0.4)),
        roughness=float(rng.uniform(0.15, 0.4)),
    )
    if size > _LEAST_INSECT_PX and rng.random() < 0.5:
        for _ in range(int(rng.integers(2, 7))):
            heading, long = float(rng.uniform(0.0, 2.0 * np.pi)), size * float(rng.uniform(0.5, 1.2))
            center = (
                site.center_xy[0] + (0.25 * size + 0.4 * long) * np.cos(heading),
                site.center_xy[1] + (0.25 * size + 0.4 * long) * np.sin(heading),
            )
            arm = trace_stroke(site.window, spline_path(center, long, heading, rng, bend=0.5, points=12), 0.08 * size + 3.0)
            distance = np.maximum(distance, max(0.025 * size, 0.5) * (1.2 - 0.7 * arm.along) - arm.distance)
    lumps = fractal_noise(site.window.shape, max(0.35 * size, 2.0), rng, octaves=4, gain=0.6)
    height = dome(distance, float(rng.uniform(0.08, 0.6))) * (1.0 + 0.35 * lumps)
    return edge_cover(distance), relief_tone(height.astype(np.float32), matter, site, rng)


def _rag(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Piece of fabric or paper: straight cut edges, partly frayed, with a weave and soft folds."""
    distance = cut_outline(site, min(spec.elongation, 6.0), rng, corners=int(rng.integers(3, 7)), spread=0.4, convex=False)
    size = np.sqrt(site.area_px)
    fray = float(rng.uniform(0.0, 0.03)) * size
    distance = distance + fray * fractal_noise(site.window.shape, max(0.06 * size, 2.0), rng, octaves=3)
    return edge_cover(distance), _cloth(site, matter, rng, size)


def _scrap(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Piece of fabric or paper, torn on all sides."""
    return edge_cover(torn_outline(site, min(spec.elongation, 6.0), rng)), _cloth(
        site, matter, rng, float(np.sqrt(site.area_px))
    )


def _strip(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A long flat piece with parallel sides and cut ends, slightly bent; may reach in from beyond the object."""
    slender = float(np.clip(spec.elongation, 3.0, 40.0))
    length = float(np.sqrt(site.area_px * slender))
    half = 0.5 * site.area_px / length
    center = np.array(site.center_xy)
    angle = site.angle_rad
    x0, y0, x1, y1 = site.scene.box_xyxy
    if rng.random() < 0.5:
        outwards = center - np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        if np.linalg.norm(outwards) > 0.25 * min(x1 - x0, y1 - y0):
            angle = float(np.arctan2(outwards[1], outwards[0]) + rng.normal(0.0, 0.3))
    path = spline_path((float(center[0]), float(center[1])), length, angle, rng, bend=float(rng.uniform(0.0, 0.25)), wobble=0.0)
    stroke = trace_stroke(site.window, path, half + 4.0)
    ends = np.minimum(stroke.along, 1.0 - stroke.along) * length + 1e-3
    distance = np.where((stroke.along <= 0.0) | (stroke.along >= 1.0), -1.0, np.minimum(half - stroke.distance, ends))
    round_side = np.sqrt(np.clip(1.0 - (stroke.distance / max(half, 1.0)) ** 2, 0.0, 1.0)) * half * float(rng.uniform(0.1, 0.6))
    lines = grain_noise(site.window.shape, 30.0, 1.6, angle, rng) * (1.0 + 0.25 * matter.grain)
    tone = relief_tone(round_side.astype(np.float32), matter, site, rng) + lines
    return edge_cover(distance.astype(np.float32)), tone.astype(np.float32)


def _band(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Tape or a strip of glue: parallel sides, torn or cut ends, glossy creases and a few bubbles below."""
    slender = float(np.clip(spec.elongation, 3.0, 40.0))
    length = float(np.sqrt(site.area_px * slender))
    half = 0.5 * site.area_px / length
    path = spline_path(site.center_xy, length, site.angle_rad, rng, bend=float(rng.uniform(0.0, 0.06)), wobble=0.0)
    stroke = trace_stroke(site.window, path, half + 4.0)
    waver = 0.05 * half * fractal_noise(site.window.shape, max(0.8 * half, 3.0), rng, octaves=2)
    torn = 0.25 * half * fractal_noise(site.window.shape, max(0.3 * half, 2.0), rng, octaves=2)
    ends = np.minimum(stroke.along, 1.0 - stroke.along) * length + torn
    beyond = (stroke.along <= 0.0) | (stroke.along >= 1.0)
    distance = np.where(beyond, -1.0, np.minimum(half + waver - stroke.distance, ends)).astype(np.float32)
    folds = 0.06 * half * fractal_noise(site.window.shape, max(0.6 * half, 3.0), rng, octaves=3)
    lip = np.exp(-np.clip(distance, 0.0, None) / max(0.08 * half, 1.0))
    cover = edge_cover(distance) * np.clip(0.8 + 0.2 * lip, 0.0, 1.0)
    return cover.astype(np.float32), (relief_tone(folds.astype(np.float32), matter, site, rng) + 5.0 * lip).astype(np.float32)


def _curl(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A shaving: a narrow curled ribbon, bright where it turns towards the light and dark where it turns away."""
    slender = float(np.clip(2.0 * spec.elongation, 7.0, 25.0))
    length = float(np.sqrt(site.area_px * slender))
    half = max(0.5 * site.area_px / length, 0.7)
    path = spline_path(site.center_xy, length, site.angle_rad, rng, bend=float(rng.uniform(0.3, 1.4)), wobble=0.05)
    stroke = trace_stroke(site.window, path, half + 4.0)
    width = half * (0.75 + 0.25 * np.cos(2.0 * np.pi * (stroke.along * float(rng.uniform(0.5, 2.5)) + float(rng.random()))))
    ends = np.minimum(stroke.along, 1.0 - stroke.along) * length
    distance = np.where(ends <= 0.0, -1.0, np.minimum(width - stroke.distance, ends + 0.3)).astype(np.float32)
    across = np.clip(stroke.side * stroke.distance / half, -1.0, 1.0)
    turns = float(rng.uniform(1.0, 3.0))
    tone = (4.0 + 2.0 * matter.grain) * np.sin(2.0 * np.pi * turns * stroke.along + 1.5 * across + float(rng.uniform(0.0, 6.0)))
    round_side = np.sqrt(np.clip(1.0 - across**2, 0.0, 1.0)) * half * 0.4
    return edge_cover(distance), (tone + relief_tone(round_side.astype(np.float32), matter, site, rng)).astype(np.float32)


def _puddle(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A film of something that has flowed: it has no corners."""
    return _film(site, spec, matter, rng, cut=0.0, grains=(0.02, 0.05, 0.08))


def _film(
    site: Site,
    spec: DefectSpec,
    matter: Matter,
    rng: np.random.Generator,
    cut: float = 0.4,
    grains: tuple[float, ...] = (0.03, 0.12, 0.3),
) -> tuple[Field, Field]:
    """Thin layer through which the surface shows: its border is sharp where it ends and soft where it thins out."""
    size = float(np.sqrt(site.area_px))
    if rng.random() < cut:
        distance = cut_outline(site, min(spec.elongation, 8.0), rng, corners=int(rng.integers(3, 8)), spread=0.35, convex=False)
    else:
        distance = blob_distance(
            site.window,
            site.center_xy,
            site.area_px,
            rng,
            elongation=min(spec.elongation, 12.0),
            angle_rad=site.angle_rad,
            lobes=float(rng.uniform(0.1, 0.4)),
            roughness=float(rng.uniform(0.0, 0.2)),
        )
    depth = max(float(distance.max()), 1.0)
    turn = float(rng.uniform(0.0, 2.0 * np.pi))
    x, y = pixel_grid(site.window)
    ramp = ((x - site.center_xy[0]) * np.cos(turn) + (y - site.center_xy[1]) * np.sin(turn)) / max(size, 1.0)
    softness = np.clip(float(rng.uniform(0.0, 0.25)) + float(rng.uniform(0.0, 0.6)) * ramp, 0.02, 0.5) * depth
    speckle = fractal_noise(site.window.shape, max(float(rng.uniform(1.2, 0.12 * size + 1.5)), 1.2), rng, octaves=2, gain=0.8)
    cloud = fractal_noise(site.window.shape, max(0.5 * size, 3.0), rng, octaves=2)
    dense = float(rng.uniform(0.25, 0.8))
    body = smooth_step(((distance + 0.5) / np.maximum(softness, 1.0)).astype(np.float32))
    grainy = float(rng.choice(grains))
    cover = body * np.clip(dense + grainy * speckle + 0.12 * cloud, 0.05, 0.97)
    folds = 0.03 * size * cloud if rng.random() < 0.4 else 0.0 * cloud
    tone = relief_tone(folds.astype(np.float32), matter, site, rng) + 14.0 * grainy * speckle
    return cover.astype(np.float32), tone.astype(np.float32)


def _drop(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Bead of liquid, bubble or disc: nearly round, a clear rim, light gathered in rings or in a spot."""
    distance = blob_distance(
        site.window,
        site.center_xy,
        site.area_px,
        rng,
        elongation=min(spec.elongation, 1.4),
        angle_rad=site.angle_rad,
        lobes=float(rng.uniform(0.0, 0.08)),
    )
    radius = max(float(distance.max()), 1.0)
    inner = np.clip(distance / radius, 0.0, 1.0)  # 0 at the rim, 1 in the middle
    rim = np.exp(-((inner / float(rng.uniform(0.06, 0.25))) ** 2)) * float(rng.uniform(-12.0, 16.0))
    waves = np.cos(2.0 * np.pi * float(rng.uniform(0.5, 3.0)) * inner + float(rng.uniform(0.0, 6.0))) * float(
        rng.uniform(0.0, 9.0)
    )
    clear = float(rng.uniform(0.3, 0.95))
    cover = np.clip(distance / max(float(rng.choice([1.0, 0.15 * radius])), 1.0) + 0.5, 0.0, 1.0) * clear
    bead = dome(distance, float(rng.uniform(0.1, 0.6)))
    return cover.astype(np.float32), (rim + waves + relief_tone(bead, matter, site, rng)).astype(np.float32)


def _haze(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A cloud that fades out on all sides: fine dust, fogging, something far out of focus."""
    size = float(np.sqrt(site.area_px))
    distance = blob_distance(
        site.window,
        site.center_xy,
        1.3 * site.area_px,
        rng,
        elongation=min(spec.elongation, 6.0),
        angle_rad=site.angle_rad,
        lobes=float(rng.uniform(0.1, 0.35)),
    )
    depth = max(float(distance.max()), 1.0)
    cloud = fractal_noise(site.window.shape, max(0.45 * size, 3.0), rng, octaves=3)
    body = smooth_step((distance / depth / float(rng.uniform(0.5, 1.0))).astype(np.float32))
    cover = body * np.clip(float(rng.uniform(0.3, 0.75)) + float(rng.uniform(0.05, 0.2)) * cloud, 0.0, 0.95)
    return cover.astype(np.float32), (0.4 * matter.grain * cloud).astype(np.float32)


def _filling(site: Site, cavity: Cavity, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Matter on the bottom of a hollow up to its rim, or up to a ragged level: dregs with swirls and wisps, paper, cloth.

    It is out of focus, the rim in front of it is not.
    """
    size = float(np.sqrt(cavity.mask.sum()))
    shape = site.window.shape
    x, y = np.mgrid[: shape[0], : shape[1]].astype(np.float32)[::-1]
    bend_x = x + 0.15 * size * fractal_noise(shape, 0.4 * size, rng, octaves=2)
    bend_y = y + 0.15 * size * fractal_noise(shape, 0.4 * size, rng, octaves=2)
    swirl = cv2.remap(
        fractal_noise(shape, 0.35 * size, rng, octaves=4), bend_x, bend_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    wisps = np.exp(-np.abs(swirl) * 3.0) * float(rng.uniform(0.0, 9.0))
    body = np.clip(float(rng.uniform(0.6, 1.0)) + float(rng.uniform(0.03, 0.2)) * swirl, 0.2, 1.0)
    tone = float(rng.uniform(1.0, 4.5)) * swirl + wisps
    if rng.random() < 0.4:
        tone = 0.3 * tone + _cloth(site, matter, rng, size)
    body, tone = (cv2.GaussianBlur(part, (0, 0), max(float(rng.uniform(0.005, 0.06)) * size, 0.5)) for part in (body, tone))
    cover = feather(cavity.mask, 2.0) * body
    if rng.random() < 0.3:  # a rest of it: on one side of a wavy line
        turn = float(rng.uniform(0.0, 2.0 * np.pi))
        level = (bend_x - 0.5 * shape[1]) * np.cos(turn) + (bend_y - 0.5 * shape[0]) * np.sin(turn)
        ragged = 0.05 * size * fractal_noise(shape, max(0.15 * size, 3.0), rng, octaves=3)
        edge = max(float(rng.choice([0.01, 0.02])) * size, 1.0)
        cover = cover * np.clip((level + ragged + float(rng.uniform(-0.3, 0.3)) * size) / edge + 0.5, 0.0, 1.0)
    return cover.astype(np.float32), np.asarray(tone, np.float32)


def _cloth(site: Site, matter: Matter, rng: np.random.Generator, size: float) -> Field:
    """Lightness of a weave with folds, or of plain paper when the pitch would be below three pixels."""
    x, y = pixel_grid(site.window)
    folds = fractal_noise(site.window.shape, 0.6 * size, rng, octaves=3) * 0.05 * size
    tone = relief_tone(folds, matter, site, rng)
    pitch = max(float(rng.uniform(0.03, 0.07)) * size, 3.0)
    if 0.07 * size >= 3.0 and rng.random() < 0.6:
        turn = float(rng.uniform(0.0, np.pi))
        u = (x * np.cos(turn) + y * np.sin(turn) + 2.0 * folds) * 2.0 * np.pi / pitch
        v = (-x * np.sin(turn) + y * np.cos(turn) + 2.0 * folds) * 2.0 * np.pi / pitch
        tone = tone + float(rng.uniform(2.0, 6.0)) * (np.sin(u) * np.cos(0.5 * v) + 0.6 * np.sin(v))
    return tone.astype(np.float32)


_BODIES = {
    "powder": _powder,
    "chip": _chip,
    "glob": _glob,
    "debris": _debris,
    "rag": _rag,
    "strip": _strip,
    "band": _band,
    "curl": _curl,
    "film": _film,
    "puddle": _puddle,
    "drop": _drop,
    "haze": _haze,
    "dust": _dust,
    "scrap": _scrap,
    "adhesive": adhesive,
    "crumbs": crumbs,
    "flake": flake,
    "lint": lint,
    "smear": smear,
}
