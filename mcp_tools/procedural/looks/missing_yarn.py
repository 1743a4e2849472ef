"""A yarn that is missing from a woven cloth: a broken end (warp) or pick (weft), or picks that lie apart (weft crack).

The loom wove on without it, so that a straight gap of the width of a yarn or two runs with the other yarns from where it broke
to the end of the cloth, or right through. In the gap one sees the yarns that cross it, hardly held, on what lies behind.
"""

import re
from dataclasses import replace

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.geometry.paths import path_profile
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import own_texture
from anomalyagent.mcp_tools.procedural.light.palette import log_ratio, measure_surroundings
from anomalyagent.mcp_tools.procedural.looks.frayed import names_cloth

__all__ = ["MissingYarn", "names_missing_yarn"]

_NAMES = re.compile(
    r"\b(?:broken|missing|lacking|absent|lost) (?:warp|weft|filling|ends?|picks?)\b"
    r"|\b(?:broken|missing|lacking) (?:warp |weft )?yarns?\b|\b(?:ends?|picks?) out\b|\bmispicks?\b"
    r"|\b(?:weft|warp|filling) cracks?\b"
)
_THROUGH = 0.35  # chance that it is missing all the way
_WIDTH_PX = (1.2, 6.0)
_SHORTEST = 0.25  # of the way through the photo
_BARE = 0.55  # share of the weave's texture that is gone in the gap
_DARK = 0.65  # chance that what lies behind is darker


def names_missing_yarn(prompt: str) -> bool:
    """True when the words speak of a yarn that is missing from cloth."""
    return bool(_NAMES.search(plain(prompt))) and names_cloth(prompt)


class MissingYarn:
    """A mechanism that takes one yarn out of a cloth that fills the photo."""

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One yarn, along the site's direction or that of the weave nearby."""
        angle = _with_the_weave(site)
        x, y = pixel_grid(Window(0, 0, *site.scene.photo.shape))
        cosine, sine = float(np.cos(angle)), float(np.sin(angle))
        along = ((x - site.center_xy[0]) * cosine + (y - site.center_xy[1]) * sine).astype(np.float32)
        across = (-(x - site.center_xy[0]) * sine + (y - site.center_xy[1]) * cosine).astype(np.float32)
        near_line = np.abs(across) < 1.0
        first, last = float(along[near_line].min()), float(along[near_line].max())
        longest = last - first
        width = float(np.clip(site.area_px / longest, *_WIDTH_PX))
        length = float(np.clip(site.area_px / width, _SHORTEST * longest, longest))
        if rng.random() > _THROUGH and length > 0.85 * longest:
            length *= float(rng.uniform(0.4, 0.85))
        ends_first = rng.random() < 0.5
        low, high = (first, first + length) if ends_first else (last - length, last)
        keep = (along > low - 2.0 * width) & (along < high + 2.0 * width) & (np.abs(across) < width + 3.0)
        rows, columns = np.flatnonzero(keep.any(axis=1)), np.flatnonzero(keep.any(axis=0))
        if not len(rows):
            return None
        window = Window(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
        site = replace(site, window=window)
        along, across = along[window.slices], across[window.slices]
        at = np.linspace(low, high, 64)
        strays = 0.25 * width * np.interp(along, at, path_profile(64, rng, knots=8))
        half = 0.5 * width * (1.0 + 0.15 * fractal_noise(window.shape, max(2.0 * width, 4.0), rng, octaves=2))
        gap = smooth_step((half - np.abs(across - strays)) / 0.8 + 0.5)
        gap = gap * smooth_step((along - low) / width + 0.5) * smooth_step((high - along) / width + 0.5)
        near = measure_surroundings(site, radius_px=24.0)
        dark = spec.color_shift[0] < 0.0 if spec.color_shift is not None else rng.random() < _DARK
        change = float(np.clip(spec.severity * near.jnd, 4.0, 40.0)) * (-1.0 if dark else 1.0)
        tone = log_ratio(near.lab, (change, 0.0, 0.0), near.grey)
        crossing = np.clip(1.0 + 0.25 * own_texture(site, max(2.0 * width, 4.0)), 0.4, 1.6)
        return Edit(
            window=window,
            support=gap > 0.02,
            opened=(_BARE * gap).astype(np.float32),
            log_reflectance=((gap * crossing)[..., None] * tone).astype(np.float32),
        )


def _with_the_weave(site: Site) -> float:
    """The direction of yarns that the site's is nearest to: along or square to the photo's texture, else its sides."""
    of_all, coherence = site.scene.grain
    yarns = (of_all, of_all + 0.5 * np.pi) if coherence > 0.3 else (0.0, 0.5 * np.pi)
    off = [(site.angle_rad - yarn + 0.5 * np.pi) % np.pi - 0.5 * np.pi for yarn in yarns]
    best = int(np.argmin(np.abs(off)))
    return float(yarns[best])
