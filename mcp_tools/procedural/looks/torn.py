"""A tear in paper and board: no blade made it.

The sheet parts along a ragged line, and its layers do not part in the same place: beside the gap a fringe of bare fibres shows,
paler than the face and without its print, wide on the one side and hardly there on the other.
"""

import re

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import window_guard
from anomalyagent.mcp_tools.procedural.light.palette import log_ratio, measure_surroundings
from anomalyagent.mcp_tools.procedural.mechanisms import cut

__all__ = ["Torn", "names_torn_paper"]

_PAPER = re.compile(r"\b(?:papers?|cardboards?|paperboards?|cartons?|kraft|cards?|labels?|envelopes?)\b")
_TORN = re.compile(r"\b(?:tear|tears|torn|rip|rips|ripped|rent)\b")
_RAGGED = 0.35  # of half its width, and a pixel at least: how far the line strays
_FRINGE = ((0.5, 1.4), (0.05, 0.4))  # of half the width of the gap, on the two sides
_FRINGE_PX = (1.2, 7.0)
_BARE_FIBRE = (16.0, 0.45)  # L that they are lighter, share of the face's colour that they lack
_PALEST = 1.3  # of that: a deep tear has no whiter fibres than a shallow one
_LIGHTEST = 96.0  # L


def names_torn_paper(prompt: str) -> bool:
    """True when the words speak of paper that was torn."""
    words = plain(prompt)
    return bool(_PAPER.search(words)) and bool(_TORN.search(words))


class Torn:
    """A mechanism that tears paper."""

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One tear; None where none fits."""
        edit = cut.render(site, spec, rng)
        if edit is None or edit.opened is None or edit.log_reflectance is None or not (edit.opened > 0.5).any():
            return edit
        shape = edit.opened.shape
        inside, outside = (
            np.asarray(cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5), np.float32)
            for part in (edit.opened > 0.5, edit.opened <= 0.5)
        )
        half = max(float(inside.max()), 1.0)
        ragged = max(_RAGGED * half, 1.0) * fractal_noise(shape, max(1.2 * half, 5.0), rng, octaves=4, gain=0.75)
        gap = np.asarray(cv2.GaussianBlur((inside - outside + ragged).astype(np.float32), (0, 0), 0.7), np.float32)
        opened = smooth_step(gap / 1.2 + 0.5)
        x, y = pixel_grid(site.window)
        side = (y - site.center_xy[1]) * np.cos(site.angle_rad) - (x - site.center_xy[0]) * np.sin(site.angle_rad)
        wide, slim = (float(np.clip(rng.uniform(*share) * half, *_FRINGE_PX)) for share in _FRINGE)
        reach = np.where(side > 0.0, wide, slim) * (1.0 + 0.5 * fractal_noise(shape, max(half, 4.0), rng, octaves=3, gain=0.7))
        near_gap = cv2.GaussianBlur((inside > 0).astype(np.float32), (0, 0), half + 1.0) > 0.02
        fringe = (
            smooth_step(((gap + reach) / 1.2 + 0.5).astype(np.float32)) * (1.0 - opened) * near_gap * window_guard(site, 2.0)
        )
        near = measure_surroundings(site)
        lighter = min(_BARE_FIBRE[0], max(_LIGHTEST - float(near.lab[0]), 2.0))
        lost_a, lost_b = (-_BARE_FIBRE[1] * float(part) for part in near.lab[1:])
        bare = log_ratio(near.lab, (lighter, lost_a, lost_b), near.grey)
        dark = np.min(edit.log_reflectance.reshape(-1, 3), axis=0)
        fibres = 1.0 + 0.25 * fractal_noise(shape, 2.0, rng, octaves=1)
        tone = opened[..., None] * dark + (fringe * fibres)[..., None] * bare
        return Edit(
            window=edit.window,
            support=(opened > 0.02) | (fringe > 0.03),
            opened=np.maximum(opened, 0.8 * fringe).astype(np.float32),
            log_reflectance=tone.astype(np.float32),
            most_light=_PALEST * max(float(bare.max()), 0.05),
        )
