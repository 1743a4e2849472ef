"""Structure out of order: teeth squeezed together, rows that part, a weave pushed aside.

The photo's own pixels are moved; where rows part one sees what lies beside them. The structure's axis is the direction in
which it repeats. Only for places where there is something to be moved: on a plain surface nothing would be seen.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.geometry.warp import push_map, sample
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.mechanisms import bend
from anomalyagent.mcp_tools.procedural.retouching.cutout import edit_of_drawn
from anomalyagent.mcp_tools.procedural.structure.repeats import (
    LEAST,
    offsets,
    on_middle,
    positions,
    repeat_around,
    structure_at,
)

__all__ = ["Distorted", "named_distortion", "names_bristles"]

Kind = Literal["squeezed", "parted", "pushed"]

_NAMES: dict[Kind, re.Pattern[str]] = {
    "parted": re.compile(r"\b(?:split|gaping|apart|unzipped|separated|not meshed|opened (?:chain|seam|row)s?)\b"),
    "squeezed": re.compile(r"\b(?:squeezed|squashed|pinched|compressed|crushed|pressed together)\b"),
    "pushed": re.compile(r"\b(?:distort\w*|misalign\w*|waviness|wavy|skewed|out of line|displaced)\b"),
}
_REPEATED = re.compile(
    r"\b(?:teeth|tooth|chain|zip\w*|weav\w*|woven|yarns?|rovings?|stitch\w*|seams?|rows?|braid\w*|knit\w*|elements)\b"
)
_BRUSH = re.compile(r"\b(?:\w*brush(?:es)?|bristles?|tufts?)\b")  # what bends on it is mostly bristles
_HELD = re.compile(r"\b(?:handles?|necks?|grips?|shafts?|ferrules?|outline|head)\b")
_BEYOND = 1.2  # of half the structure's width: so far out rows that part push what is beside them
_SLIM = 0.3  # of half its length: how wide a gap opens to each side at the most
_TIGHT = (0.3, 0.55)  # how much closer things come where they are squeezed; above 1.3 the map would fold
_SEEN = 0.45  # share of a moved area in which the change can be seen


def named_distortion(prompt: str) -> Kind | None:
    """What the words say of a structure of many alike elements; None when they speak of something else."""
    words = plain(prompt)
    if not _REPEATED.search(words):
        return None
    return next((kind for kind, names in _NAMES.items() if names.search(words)), None)


def names_bristles(prompt: str) -> bool:
    """True when the words speak of a brush and not of what it is held by."""
    words = plain(prompt)
    return bool(_BRUSH.search(words)) and not _HELD.search(words)


@dataclass(frozen=True)
class Distorted:
    """A mechanism that puts a structure out of order; on a plain place `creases` draws one instead of looking for another."""

    kind: Kind
    creases: bool = True

    def suitability(self, scene: Scene, spec: DefectSpec) -> Callable[[float, float], float]:
        """Where there is structure."""
        del spec
        return structure_at(scene)

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One place. None on a plain one without creases."""
        scene = site.scene
        if self.suitability(scene, spec)(*site.center_xy) < LEAST:
            return bend.render(site, spec, rng) if self.creases else None
        long = float(rng.uniform(1.2, 2.0)) if self.kind != "squeezed" else float(rng.uniform(0.8, 1.4))
        across_px = max(float(np.sqrt(site.area_px / (_SEEN * np.pi * long))), 6.0)
        along_px = long * across_px
        x, y = (int(value) for value in site.center_xy)
        window = around(Window(y, x, y + 1, x + 1), 3.0 * max(along_px, across_px) + 3.0, scene.photo.shape)
        axis = repeat_around(scene, site.center_xy, 2.0 * along_px).axis
        if self.kind == "pushed":
            return _push(site, window, axis, along_px, across_px, rng)
        site, half_px = on_middle(site, axis)
        if self.kind == "squeezed":
            return _squeeze(site, window, axis, along_px, across_px, spec, rng)
        return _part(site, window, axis, along_px, max(across_px, _BEYOND * half_px), rng)


def _fade(along: Field, across: Field, along_px: float, across_px: float) -> Field:
    """1 in the middle, 0 from the reach on, smooth."""
    near = np.clip(1.0 - (along / along_px) ** 2 - (across / across_px) ** 2, 0.0, 1.0)
    return (near**2).astype(np.float32)


def _push(
    site: Site, window: Window, axis: NDArray[np.float32], along_px: float, across_px: float, rng: np.random.Generator
) -> Edit:
    far = float(rng.uniform(0.25, 0.4)) * across_px * float(rng.choice([-1.0, 1.0]))
    shift = np.array([-axis[1], axis[0]]) * far
    at = np.array(site.center_xy) + shift - np.array([window.x0, window.y0])
    center, push = (float(at[0]), float(at[1])), (float(shift[0]), float(shift[1]))
    x, y = push_map(window.shape, center, push, across_px, along_px / across_px)
    return edit_of_drawn(site, window, sample(np.ascontiguousarray(site.scene.photo.rgb[window.slices]), x, y))


def _squeeze(
    site: Site,
    window: Window,
    axis: NDArray[np.float32],
    along_px: float,
    across_px: float,
    spec: DefectSpec,
    rng: np.random.Generator,
) -> Edit:
    along, across = offsets(site, window, axis)
    weight = _fade(along, across, along_px, across_px)
    tight = float(np.clip(0.2 + 0.025 * spec.severity, *_TIGHT))
    tilt = float(rng.uniform(0.05, 0.22)) * float(rng.choice([-1.0, 1.0]))  # what is pressed gives way to one side
    moved = positions(site, axis, (along * (1.0 + tight * weight) + tilt * across * weight).astype(np.float32), across)
    return edit_of_drawn(site, window, sample(site.scene.photo.rgb, *moved))


def _part(
    site: Site, window: Window, axis: NDArray[np.float32], along_px: float, across_px: float, rng: np.random.Generator
) -> Edit:
    """Two sides of the axis bulge apart over a stretch; in the gap one sees what lies beside the structure."""
    along, across = offsets(site, window, axis)
    bow = np.clip(1.0 - (along / along_px) ** 2, 0.0, 1.0) ** 2
    gap = min(float(rng.uniform(0.25, 0.42)) * across_px, _SLIM * along_px) * bow
    side = np.abs(across)
    # beyond the gap what was at the axis, at the reach what was there before
    source = np.where(side < across_px, (side - gap) * across_px / np.maximum(across_px - gap, 1.0), side)
    rgb = site.scene.photo.rgb
    moved = sample(rgb, *positions(site, axis, along, (np.sign(across) * np.maximum(source, 0.0)).astype(np.float32)))
    beside = float(rng.choice([-1.0, 1.0])) * 1.1 * across_px
    behind = sample(rgb, *positions(site, axis, along, across + np.float32(beside)))
    soft = 1.0 + site.scene.blur_sigma_px
    inside = np.clip((gap - side) / soft + 0.5, 0.0, 1.0) * (gap > 0.5)
    shade = 1.0 - 0.25 * np.clip((side / np.maximum(gap, 1.0)), 0.0, 1.0)  # darkest below the edges
    drawn = moved * (1.0 - inside[..., None]) + behind * (inside * shade)[..., None]
    return edit_of_drawn(site, window, drawn.astype(np.float32))
