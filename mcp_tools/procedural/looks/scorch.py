"""Scorch: what heat has browned, darkest where it was hottest, fading out softly on all sides.

Dough, wood, paper, cloth and plastic turn brown from a hot place outwards: the border has no line, only ever paler brown, thin
ends and edges go first, and the middle of a strong burn is black-brown. Crumb and grain show through it.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import foreground_cover, own_texture, window_guard
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, Triple, log_ratio, measure_surroundings

__all__ = ["Scorch", "names_scorch"]

_SCORCHED = re.compile(r"\b(?:burn|burned|burnt|burning|scorch\w*|charred|char|singed|toasted|overbaked|overcooked|browned)\b")
_METAL = re.compile(
    r"\b(?:metal\w*|steels?|iron|stainless|alumin\w*|copper|brass|titanium|nickel|chrome\w*|zinc|alloys?|grinding|weld\w*|nuts?|bolts?"
    r"|screws?|washers?|gears?|bearings?|springs?|shafts?|blades?|wafers?|solar)\b"
)
_BROWN, _BROWNED = np.array([34.0, 17.0, 25.0], np.float32), 0.65  # CIELAB, and how far on the way to it a brown place is
_COAL, _CHARRED = np.array([12.0, 3.0, 4.0], np.float32), 0.85
_KEPT = 0.8  # of a and b of a coloured body, in what has browned
_FAINTEST = 0.2


@dataclass(frozen=True)
class Scorch:
    """Draws one burnt place."""

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """Of the asked area, its fading border included."""
        near, radius = measure_surroundings(site), float(np.sqrt(site.area_px / np.pi))
        long = min(spec.elongation, 4.0)
        short = radius / float(np.sqrt(long))
        hot = blob_at(site, rng, share=0.9, elongation=long, lobes=0.2, roughness=0.1, warp=float(rng.uniform(0.2, 0.5)))
        slow = fractal_noise(site.window.shape, max(1.2 * short, 4.0), rng, octaves=4, gain=0.55)
        heat = np.clip(hot / max(0.9 * short, 1.5), -1.0, 1.0) + 0.16 * slow
        if not site.scene.fills_frame:  # an edge takes heat from two sides
            depth = np.maximum(site.scene.depth_px[site.window.slices], 0.0)
            heat = heat + 0.35 * np.exp(-depth / (0.4 * short + 1.0))
        brown = smooth_step(((heat + 0.45) / 1.15).astype(np.float32))
        brown = brown * np.clip(1.0 - 0.1 * own_texture(site, max(0.3 * short, 3.0)), 0.7, 1.3)
        brown = brown * window_guard(site, 0.12 * min(site.window.shape)) * foreground_cover(site)
        coal = brown * smooth_step(((heat - 0.35) / 0.7).astype(np.float32))
        # faint heat does not reach coal, and its brown is paler
        strength = float(np.clip(1.6 * spec.severity * near.jnd / float(np.linalg.norm(near.lab - _COAL)), _FAINTEST, 1.0))
        brown_of = _BROWN.copy()
        brown_of[1:] = np.maximum(brown_of[1:], _KEPT * near.lab[1:])  # what is orange by itself does not turn grey
        pale, deep = (
            log_ratio(near.lab, _towards(near, color, strength * share), near.grey)
            for color, share in ((brown_of, _BROWNED), (_COAL, _CHARRED))
        )
        change = (brown - coal)[..., None] * pale + coal[..., None] * deep
        return Edit(
            window=site.window,
            support=brown > 0.01,
            log_reflectance=change.astype(np.float32),
            roughness=(0.4 * brown).astype(np.float32),
            absorbs=True,
            strength_fixed=True,
        )


def _towards(near: Surroundings, color: NDArray[np.float32], share: float) -> Triple:
    """CIELAB shift of the surface's colour a share of the way to another."""
    dl, da, db = (float(value) for value in share * (color - near.lab))
    return dl, da, db


def names_scorch(prompt: str) -> bool:
    """True when the words speak of what heat has browned, and not of a metal, which takes temper colours."""
    words = plain(prompt)
    return bool(_SCORCHED.search(words)) and not _METAL.search(words)
