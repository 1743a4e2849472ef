"""Contamination: foreign matter that lies on or in the part. It is opaque, has its own texture and throws a contact
shadow.

Kinds: `powder` (many grains, few of them large), `chip` (a splinter of metal or plastic with flat facets), `glob` (glue,
resin, grease: rounded, glossy, partly transparent), `debris` (an irregular bit with arms, crumb- or insect-like), `rag`
(a torn or cut piece of fabric, paper or tape with its own weave), `strip` (a long piece that may reach in from outside),
`film` (a thin translucent layer: residue, grease, foil, dust), `drop` (a round bead or disc with rings of light),
`bubble` (gas in something clear), `haze` (a soft cloud without outline), `filling` (matter that covers the bottom of the
hollow around the site up to its rim, or up to a level), `band` (a strip of tape or glue with parallel sides), `curl` (a
thin curled shaving), `puddle` (a film of what has flowed); on open surfaces those of `matter/loose.py` too, and dust for
powder. Their bodies are drawn by `solid.py`, `spread.py` and `loose.py` of `matter/`. What lies deep in a cavity,
or stands off the surface, is out of focus.

Where the words of a prompt name the matter, `Foreign` draws that.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import cast_shadow, window_guard
from anomalyagent.mcp_tools.procedural.geometry.warp import feather
from anomalyagent.mcp_tools.procedural.light.material import is_glass
from anomalyagent.mcp_tools.procedural.light.palette import OWN, choose_matter, measure_surroundings, paint_of
from anomalyagent.mcp_tools.procedural.matter.loose import adhesive, crumbs, flake, lint, smear
from anomalyagent.mcp_tools.procedural.matter.named_matter import Named
from anomalyagent.mcp_tools.procedural.matter.solid import band, chip, curl, debris, glob, rag, scrap, strip
from anomalyagent.mcp_tools.procedural.matter.spread import bubble, drop, dust, filling, film, haze, powder, puddle
from anomalyagent.mcp_tools.procedural.structure.cavity import Cavity, find_cavity

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
_THICK_PX = {
    "powder": 0.8,
    "rag": 1.5,
    "strip": 2.0,
    "filling": 0.0,
    "film": 0.0,
    "puddle": 0.0,
    "haze": 0.0,
    "bubble": 0.0,
    "smear": 0.0,
    "lint": 1.2,
}  # of what does not grow with its area: other bodies are the thicker the larger they are
_TRANSLUCENT = frozenset({"film", "puddle", "drop", "bubble", "haze", "smear", "adhesive"})
_CLEAR_COVER = (0.5, 0.85)  # of matter that light goes through
_OUT_OF_FOCUS = 0.3  # chance in a cavity
_FILLED = 7.0  # odds of a hollow whose bottom is covered
_CLEAR = 10.0  # JND
_METALS = frozenset({"swarf", "solder"})
_OWN_HUE = 0.85  # of its colour that metal has by itself, however faint it should be: the rest mirrors what it lies on
_METAL_TONES = (30.0, 74.0)  # L: no piece of metal is as white as paper, or black, all over
_OWN_TONES = 24.0  # L: nor does what the part itself is made of differ more from it
_GLINTS = 0.05  # more contrast for each L beyond
_LEAST_POWDER_PX = 160.0  # area


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
        cover, tone = filling(site, cavity, matter, rng)
    else:
        cover, tone = _BODIES[kind](site, spec, matter, rng)
        # it lies inside, behind the rim; long pieces often hang out over it
        if cavity is not None and rng.random() < (0.3 if kind == "strip" else 0.75):
            cover = cover * _inside(site, cavity)
    tone = tone * min(0.35 + spec.severity / 14.0, 1.3)
    if matter.name in _METALS:
        color[1:] = 0.0 if near.grey else _OWN_HUE * np.array(matter.lab[1:]) + (1.0 - _OWN_HUE) * color[1:]
        color, tone = _glinting(color, tone, _METAL_TONES)
    elif matter.name == OWN:
        color, tone = _glinting(color, tone, (float(near.lab[0]) - _OWN_TONES, float(near.lab[0]) + _OWN_TONES))
    see_through = kind in _TRANSLUCENT
    if named is not None and named.clear and not see_through:
        see_through = True
        cover = cover * float(rng.uniform(*_CLEAR_COVER))
    if cavity is not None and kind not in ("powder", "dust", "filling") and rng.random() < _OUT_OF_FOCUS:
        sigma = float(rng.uniform(0.005, 0.025)) * float(np.sqrt(site.area_px)) + 0.5
        cover, tone = (cv2.GaussianBlur(part, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for part in (cover, tone))
    cover = (cover * window_guard(site, 2.0)).astype(np.float32)
    thick = _THICK_PX.get(kind, 0.12 * float(np.sqrt(site.area_px)))
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


def _glinting(color: NDArray[np.float32], tone: Field, tones: tuple[float, float]) -> tuple[NDArray[np.float32], Field]:
    """What must stand out more than its own `tones` (L) does so by lights and darks: it mirrors the lamp and a dark room."""
    within = color.copy()
    within[0] = np.clip(color[0], *tones)
    beyond = abs(float(color[0] - within[0]))
    return within, tone * np.float32(1.0 + _GLINTS * beyond)


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


_BODIES = {
    "powder": powder,
    "chip": chip,
    "glob": glob,
    "debris": debris,
    "rag": rag,
    "strip": strip,
    "band": band,
    "curl": curl,
    "film": film,
    "puddle": puddle,
    "drop": drop,
    "bubble": bubble,
    "haze": haze,
    "dust": dust,
    "scrap": scrap,
    "adhesive": adhesive,
    "crumbs": crumbs,
    "flake": flake,
    "lint": lint,
    "smear": smear,
}
