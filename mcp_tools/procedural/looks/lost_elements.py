"""Elements of a row are gone or broken off: teeth of a zip, of a comb, of a belt. One sees what carries the row.

The row is the structure around the site; its elements are as long as it repeats. Of two rows that mesh mostly one loses some.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.engine import MechanismModule
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise
from anomalyagent.mcp_tools.procedural.geometry.warp import sample, sample_cover
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.retouching.cutout import edit_of_drawn
from anomalyagent.mcp_tools.procedural.structure.repeats import (
    LEAST,
    offsets,
    on_middle,
    positions,
    repeat_around,
    structure_at,
)

__all__ = ["LostElements", "names_teeth"]

_ROW = re.compile(r"\b(?:zip\w*|chains?|belts?|racks?)\b")  # not the wheel, whose teeth stand out of its outline
_TEETH = re.compile(r"\b(?:teeth|tooth|elements?)\b")
_BESIDE = 1.15  # of half the width of the structure: there begins what carries it
_STRAY = 0.1  # of the pitch: how far a broken edge strays
_ONE_ROW = 0.8  # how often only one of two rows loses elements
_CARRIED = 0.9  # share of that which is part of the object: else there is nothing that carries the row
_SHIFTS = 17


@dataclass(frozen=True)
class LostElements:
    """A mechanism that takes some elements out of a row; where the photo shows no row, `otherwise` draws."""

    otherwise: MechanismModule

    def suitability(self, scene: Scene, spec: DefectSpec) -> Callable[[float, float], float]:
        """Where there is structure."""
        del spec
        return structure_at(scene)

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """About as many elements as the asked area holds."""
        scene = site.scene
        side = float(np.sqrt(site.area_px))
        repeat = repeat_around(scene, site.center_xy, max(4.0 * side, 24.0))
        middle, half_px = on_middle(site, repeat.axis)
        if repeat.pitch_px == 0.0 or half_px < 2.0 or structure_at(scene)(*middle.center_xy) < LEAST:
            return self.otherwise.render(site, spec, rng)
        one_row, turn = rng.random() < _ONE_ROW, np.float32(rng.choice([-1.0, 1.0]))
        lost = max(1, round(site.area_px / (half_px if one_row else 2.0 * half_px) / repeat.pitch_px))
        x, y = (int(value) for value in middle.center_xy)
        window = around(Window(y, x, y + 1, x + 1), max(lost * repeat.pitch_px, 2.5 * half_px) + 4.0, scene.photo.shape)
        along, across = offsets(middle, window, repeat.axis)
        across = turn * across
        stray = np.float32(_STRAY * repeat.pitch_px) * fractal_noise(window.shape, max(repeat.pitch_px, 3.0), rng, octaves=2)
        aside = np.minimum(across, half_px + 1.0 - across) if one_row else half_px + 1.0 - np.abs(across)
        long = lost * repeat.pitch_px
        shift = _between(scene.luma[window.slices], along, aside > 0.0, long, repeat.pitch_px)
        ends = 0.5 * long - np.abs(along - shift)
        gone = np.clip((np.minimum(ends, aside) + stray) / (1.0 + scene.blur_sigma_px) + 0.5, 0.0, 1.0)[..., None]
        # what carries the row is seen beside it, and mirrored in from there
        outside = np.where(across < 0.0, -turn, turn) * (2.0 * _BESIDE * half_px - np.abs(across))
        maps = positions(middle, repeat.axis, along, outside.astype(np.float32))
        if float(sample_cover(scene.foreground.astype(np.float32), *maps)[gone[..., 0] > 0.5].mean()) < _CARRIED:
            return self.otherwise.render(site, spec, rng)
        below = sample(scene.photo.rgb, *maps)
        drawn = scene.photo.rgb[window.slices] * (1.0 - gone) + below * gone
        return edit_of_drawn(site, window, drawn.astype(np.float32))


def _between(luma: Field, along: Field, row: Mask, long_px: float, pitch_px: float) -> float:
    """By how much a stretch of a row is moved along it, half a pitch at the most, so that both ends lie between elements."""
    least = int(np.floor(along.min()))
    bins = np.floor(along[row]).astype(int) - least
    counts = np.bincount(bins)
    level = np.bincount(bins, luma[row]) / np.maximum(counts, 1)
    at = np.flatnonzero(counts)
    presence = np.abs(level[at] - np.median(luma[~row]))
    shifts = np.linspace(-0.5, 0.5, _SHIFTS) * pitch_px
    ends = [np.interp(shifts + side * 0.5 * long_px - least - 0.5, at, presence) for side in (-1.0, 1.0)]
    return float(shifts[int((ends[0] + ends[1]).argmin())])


def names_teeth(prompt: str) -> bool:
    """True when the words speak of teeth or elements that stand in rows."""
    words = plain(prompt)
    return bool(_ROW.search(words) and _TEETH.search(words))
