"""One too many: a component on a board that should not be there.

It is a copy of one that the photo shows, turned by quarters, on bare board. It stands in the light of its place and throws a
short shadow.
"""

import re

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.components import Component
from anomalyagent.mcp_tools.procedural.cutout import cut_out, edit_of_drawn
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.mounted import mounted_on
from anomalyagent.mcp_tools.procedural.surface_fields import cast_shadow
from anomalyagent.mcp_tools.procedural.warp import sample, sample_cover, turn_map

__all__ = ["Extra", "can_be_more", "names_extra"]

_EXTRA = re.compile(
    r"\b(?:extra|additional|surplus|superfluous|redundant|one too many|too many)\b(?! (?:material|hole|print|ink))"
)
_PLACES, _FREE = 120, 8  # places looked at, and how many free ones are compared
_BARRED = 0.01  # of the piece, that may lie on what is there already
_APART = 2.0  # pixels between it and its neighbours
_THICK, _SHADE = 0.06, (0.15, 0.35)  # of its size: its height; share of light that its shadow takes


class Extra:
    """Puts down one more of the things that the photo shows, once for all instances asked for."""

    at_once = True

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One more; None where no place is free for it."""
        del spec
        scene = site.scene
        things = mounted_on(scene)
        if not things:
            return None
        thing = things[int(rng.integers(len(things)))]
        angle = float(rng.integers(4)) * 0.5 * np.pi
        lifted = cut_out(site, thing, 0.5 * thing.length_px, rng)
        maps = turn_map(lifted.window.shape, lifted.center_xy, angle)
        cover = sample_cover(lifted.matte, *maps)
        window = _free_place(scene, lifted.window, cover, _taken(scene, things), rng)
        if window is None:
            return None
        before = np.ascontiguousarray(scene.photo.rgb[window.slices])
        light = np.median(before, axis=(0, 1)) - np.median(lifted.ground, axis=(0, 1))
        size = float(np.sqrt(thing.area_px))
        shade = cast_shadow(cover, scene.light, _THICK * size, float(rng.uniform(*_SHADE)))
        ground = before * (1.0 - shade)[..., None]
        pixels = sample(lifted.rgb, *maps) + light.astype(np.float32)
        drawn = np.clip(ground + (pixels - ground) * cover[..., None], 0.0, 1.0).astype(np.float32)
        return edit_of_drawn(site, window, drawn, size_fixed=True)


def names_extra(prompt: str) -> bool:
    """True when the words speak of one too many."""
    return bool(_EXTRA.search(plain(prompt)))


def can_be_more(scene: Scene) -> bool:
    """True for a photo of a board with components."""
    return bool(mounted_on(scene))


def _taken(scene: Scene, things: tuple[Component, ...]) -> Mask:
    """(H, W) bool: where nothing more can lie."""
    taken = ~scene.foreground
    for thing in things:
        taken[thing.window.slices] |= thing.mask
    grow = 2 * round(_APART + 2.0 * scene.blur_sigma_px) + 1
    return np.asarray(cv2.dilate(taken.astype(np.uint8), np.ones((grow, grow), np.uint8)) > 0, np.bool_)


def _free_place(scene: Scene, window: Window, cover: Field, taken: Mask, rng: np.random.Generator) -> Window | None:
    """A window of the same shape in which what is covered is free, the plainest of some; None where there is none."""
    height, width = window.shape
    high, wide = taken.shape
    shown = cover > 0.5
    if height > high or width > wide or not shown.any():
        return None
    best: tuple[float, Window] | None = None
    free = 0
    for _ in range(_PLACES):
        y, x = int(rng.integers(high - height + 1)), int(rng.integers(wide - width + 1))
        place = Window(y, x, y + height, x + width)
        if taken[place.slices][shown].mean() > _BARRED:
            continue
        uneven = float(scene.luma[place.slices][shown].std())
        if best is None or uneven < best[0]:
            best = uneven, place
        free += 1
        if free == _FREE:
            break
    return None if best is None else best[1]
