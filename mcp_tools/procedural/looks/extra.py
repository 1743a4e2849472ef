"""One too many: a component on a board, or a piece among others on a tray, that should not be there.

It is a copy of one that the photo shows, on bare board, turned by quarters, or on free ground, turned as it fell. It stands in
the light of its place and throws a short shadow.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.more import names_more, names_one_more
from anomalyagent.knowledge.words.quoted_type import quoted_type
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import cast_shadow
from anomalyagent.mcp_tools.procedural.geometry.warp import sample, sample_cover, turn_map
from anomalyagent.mcp_tools.procedural.parts.component import Component
from anomalyagent.mcp_tools.procedural.parts.mounted import mounted_on
from anomalyagent.mcp_tools.procedural.parts.pieces import pieces_of
from anomalyagent.mcp_tools.procedural.retouching.cutout import cut_out, edit_of_drawn

__all__ = ["Extra", "asks_for_extra"]

_PLACES, _FREE = 120, 8  # places looked at, and how many free ones are compared
_BARRED = 0.01  # of the piece, that may lie on what is there already
_ON_OTHERS = 0.6  # the same of one that lies on top of others where there is no room
_APART = 2.0  # pixels between it and its neighbours
_THICK, _SHADE = 0.06, (0.15, 0.35)  # of its size: its height; share of light that its shadow takes


class Extra:
    """Puts down one more of the things that the photo shows, once for all instances asked for."""

    at_once = True

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One more; None where no place is free for it."""
        del spec
        scene = site.scene
        mounted = mounted_on(scene)
        things = mounted or tuple(pieces_of(scene))
        if not things:
            return None
        thing = things[int(rng.integers(len(things)))]
        angle = float(rng.integers(4)) * 0.5 * np.pi if mounted else float(rng.uniform(-np.pi, np.pi))
        lifted = cut_out(site, thing, 0.5 * thing.length_px, rng)
        maps = turn_map(lifted.window.shape, lifted.center_xy, angle)
        cover = sample_cover(lifted.matte, *maps)
        taken = _taken(scene, mounted)
        window = _free_place(scene, lifted.window, cover, taken, _BARRED if mounted else _ON_OTHERS, rng)
        if window is None:
            return None
        before = np.ascontiguousarray(scene.photo.rgb[window.slices])
        bare = ~taken[window.slices]
        light = np.median(before[bare], axis=0) - np.median(lifted.ground, axis=(0, 1)) if bare.any() else np.zeros(3)
        size = float(np.sqrt(thing.area_px))
        shade = cast_shadow(cover, scene.light, _THICK * size, float(rng.uniform(*_SHADE)))
        ground = before * (1.0 - shade)[..., None]
        pixels = sample(lifted.rgb, *maps) + light.astype(np.float32)
        drawn = np.clip(ground + (pixels - ground) * cover[..., None], 0.0, 1.0).astype(np.float32)
        return edit_of_drawn(site, window, drawn, size_fixed=True)


def asks_for_extra(scene: Scene, prompt: str) -> bool:
    """True when the words speak of one too many, and the photo shows what there can be more of."""
    if not names_more(prompt):
        return False
    if mounted_on(scene):
        return True
    quoted = quoted_type(prompt)
    return quoted is not None and names_one_more(quoted, prompt.replace(quoted, "")) and bool(pieces_of(scene))


def _taken(scene: Scene, mounted: tuple[Component, ...]) -> Mask:
    """(H, W) bool: where nothing more can lie: beside the board and on its components, or on the pieces that lie there."""
    taken = ~scene.foreground if mounted else scene.foreground.copy()
    if scene.legal is not None:
        taken |= ~scene.legal
    for thing in mounted:
        taken[thing.window.slices] |= thing.mask
    grow = 2 * round(_APART + 2.0 * scene.blur_sigma_px) + 1
    return np.asarray(cv2.dilate(taken.astype(np.uint8), np.ones((grow, grow), np.uint8)) > 0, np.bool_)


def _free_place(
    scene: Scene, window: Window, cover: Field, taken: Mask, most_on_others: float, rng: np.random.Generator
) -> Window | None:
    """A window of the same shape in which what is covered is free, the plainest of some, or else the freest one; None where
    more than `most_on_others` of it would lie on others everywhere."""
    height, width = window.shape
    high, wide = taken.shape
    shown = cover > 0.5
    if height > high or width > wide or not shown.any():
        return None
    best: tuple[float, float, Window] | None = None
    free = 0
    for _ in range(_PLACES):
        y, x = int(rng.integers(high - height + 1)), int(rng.integers(wide - width + 1))
        place = Window(y, x, y + height, x + width)
        on_others = float(taken[place.slices][shown].mean())
        if on_others > most_on_others:
            continue
        crowded = on_others if on_others > _BARRED else 0.0
        if best is not None and crowded > best[0]:
            continue
        found = crowded, float(scene.luma[place.slices][shown].std()), place
        best = found if best is None or found[:2] < best[:2] else best
        free += crowded == 0.0
        if free == _FREE:
            break
    return None if best is None else best[2]
