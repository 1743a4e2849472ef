"""Too little or too much of a liquid behind glass: its level lies elsewhere, with its meniscus, and the wall stays.

Where liquid is lacking one sees through as one does above the level of the photo; where there is too much it looks as it does
below. Labels, print and caps, which lie on the wall, are left as they are.
"""

import re

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.knowledge.words.quoted_type import quoted_type
from anomalyagent.mcp_tools.imaging.arrays import RGB
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target, Window
from anomalyagent.mcp_tools.procedural.geometry.warp import sample
from anomalyagent.mcp_tools.procedural.retouching.cutout import edit_of_drawn
from anomalyagent.mcp_tools.procedural.structure.liquid_level import Level, find_level

__all__ = ["FillLevel", "names_filling_fault"]

_LOW = re.compile(
    r"\b(?:under ?fill\w*|under filled|low fill\w*|low level|short fill\w*|half (?:full|empty)|not (?:full|filled)|"
    r"partly filled|insufficient (?:fill\w*|liquid)|missing (?:liquid|content|fill\w*)|too (?:little|low)|empty)\b"
)
_HIGH = re.compile(r"\b(?:over ?fill\w*|over filled|high fill\w*|high level|too (?:much|full|high))\b")
_EITHER = re.compile(
    r"\b(?:fill(?:ing)? (?:level|height|volume)|liquid level|fill level|level of (?:the )?(?:fill\w*|liquid))\b"
)
_LEAST = 0.03  # of the object's height that the level moves
_MOST = 0.9  # of the way that liquid, or the empty part, shows
_CLEAN, _NEAR = 0.8, 0.6  # of the way that it shows, and of the width: so far from the level its look is learnt
_ROWS, _COLUMNS = 25, 512  # at which that is looked at
_LOWERED = 0.65  # chance that it is too low where the words do not say it


class FillLevel:
    """Moves the level that `find_level` finds; its share of the object's area says how far."""

    def __init__(self, way: int) -> None:
        """`way`: 1 lower, -1 higher, 0 as it comes."""
        self._way = way

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """The middle of the level."""
        level = find_level(scene)
        assert level is not None
        return [Target((level.middle_x, level.y), max(spec.instance_px(scene.object_area_px), 1.0))]

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """The level lies lower or higher; None where there is no room for that."""
        del spec
        scene = site.scene
        level = find_level(scene)
        if level is None:
            return None
        x0, y0, x1, y1 = scene.box_xyxy
        room = {1: _MOST * level.filled_px - level.half_px, -1: _MOST * level.empty_px - level.half_px}
        least = _LEAST * (y1 - y0)
        ways = [way for way in ([self._way] if self._way else [1, -1]) if room[way] > least]
        if not ways:
            return None
        way = ways[0] if len(ways) == 1 or rng.random() < _LOWERED else ways[1]
        far = float(np.clip(site.area_px / level.width_px, least, room[way]))
        slack = level.slope * 0.5 * (x1 - x0)
        margin = abs(slack) + 2.0 * level.half_px + 4.0
        low, high = sorted((level.y, level.y + way * far))
        window = Window(max(int(low - margin), 0), x0, min(int(high + margin) + 1, scene.photo.shape[0]), x1)
        drawn = _moved(scene, level, window, way * far, rng)
        return edit_of_drawn(site, window, drawn, size_fixed=True)


def names_filling_fault(prompt: str) -> int | None:
    """1 where the words speak of too little liquid, -1 of too much, 0 of a wrong level; None of nothing like it."""
    words = plain(quoted_type(prompt) or prompt)
    if _LOW.search(words):
        return 1
    if _HIGH.search(words):
        return -1
    return 0 if _EITHER.search(words) else None


def _moved(scene: Scene, level: Level, window: Window, by_px: float, rng: np.random.Generator) -> RGB:
    """(h, w, 3): the photo with its level moved down by `by_px`, or up where that is negative."""
    rows = np.arange(window.y0, window.y1)
    columns = np.arange(window.x0, window.x1, dtype=np.float32)
    tilt = np.float32(level.slope) * (columns - level.middle_x)
    height = (rows[:, None] - tilt[None] - np.float32(level.y)).astype(np.float32)  # below the level of the photo
    left, wide = level.left[rows][:, None], np.maximum(level.right - level.left, 1.0)
    share = (columns[None] - left) / wide[rows][:, None]
    map_y = height - np.float32(by_px) + np.float32(level.y) + tilt[None]
    at = np.clip(np.rint(map_y).astype(int), 0, len(level.left) - 1)
    meniscus = sample(scene.photo.rgb, (level.left[at] + share * wide[at]).astype(np.float32), map_y.astype(np.float32))
    look = _look_beside(scene, level, above=by_px > 0.0)
    places = np.linspace(0.0, 1.0, len(look))
    plain = np.stack([np.interp(share, places, look[:, channel]) for channel in range(3)], axis=2)
    plain += rng.normal(0.0, scene.noise_sigma, share.shape)[..., None]
    beyond = (height - np.float32(by_px)) * np.sign(by_px)  # the new level, on the side that stays as it was
    near = np.clip(3.0 + 2.0 * beyond / level.half_px, 0.0, 1.0)[..., None]  # the meniscus and what lies beyond it
    drawn = plain + (meniscus - plain) * near
    between = (beyond < 1.5 * level.half_px) & (height * np.sign(by_px) > -1.5 * level.half_px)
    shows = level.shows[window.slices]
    soft = np.asarray(cv2.GaussianBlur((shows & between).astype(np.float32), (0, 0), max(0.3 * level.half_px, 1.0)), np.float32)
    soft = soft * cv2.GaussianBlur(shows.astype(np.float32), (0, 0), 0.8)
    rgb = scene.photo.rgb[window.slices]
    return np.clip(rgb + (drawn - rgb) * soft[..., None], 0.0, 1.0).astype(np.float32)


def _look_beside(scene: Scene, level: Level, *, above: bool) -> RGB:
    """(n, 3): what is seen above the level, or below it, from side to side; what stands in single rows is left out."""
    room = _CLEAN * min(level.empty_px if above else level.filled_px, _NEAR * level.width_px)
    away = np.linspace(2.0 * level.half_px, max(room, 2.0 * level.half_px + 1.0), _ROWS)
    across = np.linspace(0.0, 1.0, _COLUMNS)
    rows = np.clip(np.rint(level.y + (-away if above else away)).astype(int), 0, len(level.left) - 1)
    map_x = level.left[rows][:, None] + across[None] * (level.right - level.left)[rows][:, None]
    map_y = rows[:, None] + level.slope * (map_x - level.middle_x)
    seen = sample(scene.photo.rgb, map_x.astype(np.float32), map_y.astype(np.float32))
    return np.asarray(np.median(seen, axis=0), np.float32)
