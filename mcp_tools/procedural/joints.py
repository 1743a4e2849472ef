"""Joints between bricks, tiles and stones: where they lie, and mortar or grout that has come out of them.

Joints are the narrow light or dark bands that run through the photo in a net or side by side. Where the filling is gone, the
joint is a hollow of its own width between the stones, in the dark, and ends raggedly where the filling still holds.
"""

import re
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.procedural.components import around
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target, Window
from anomalyagent.mcp_tools.procedural.mechanisms import hole
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene
from anomalyagent.mcp_tools.procedural.shapes import fractal_noise, pixel_grid

__all__ = ["OpenJoint", "find_joints", "names_filling"]

_FILLING = re.compile(
    r"\b(?:mortar|grout\w*|pointing|(?:open|empty|missing|eroded|washed out) joints?|joint (?:loss|erosion|filler|filling))\b"
)
_SIZE_PX = 384  # longest side of the copy that is searched
_WIDEST = (9, 15, 25)  # pixels of that copy
_STANDS_OUT = (6.0, 0.45)  # L of CIELAB, and share of what the clearest bands stand out by
_CLEAREST = 98.0  # percentile
_RUNS_ON = 0.6  # of the photo's width or height that a net or a band runs over
_MOST_OF = 0.55  # of what stands out that belongs to such nets and bands
_SHARE = (0.01, 0.4)  # of the photo
_TARGETS = 80
_SLENDER = (1.5, 12.0)  # length to width of a piece that is gone


@dataclass(frozen=True)
class Joints:
    """Joints of a photo.

    Attributes:
        depth: (H, W) float32, pixels from the border of the joint that a pixel lies in, negative beside joints.
        middle_xy: (n, 2) float32, points of their middle lines, photo pixels.
    """

    depth: Field
    middle_xy: NDArray[np.float32]


@once_per_scene
def find_joints(scene: Scene) -> Joints | None:
    """The joints of a surface; None where no narrow bands run through the photo."""
    if not scene.fills_frame:
        return None
    lightness = reduced(np.ascontiguousarray(scene.lab[..., 0]), _SIZE_PX)
    lightness = np.asarray(cv2.GaussianBlur(lightness, (0, 0), 1.0), np.float32)
    best: Mask | None = None
    for size in _WIDEST:
        brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
            bands = _running(np.asarray(cv2.morphologyEx(lightness, kind, brush), np.float32))
            if bands is not None and (best is None or np.count_nonzero(bands) > 1.3 * np.count_nonzero(best)):
                best = bands
    if best is None:
        return None
    height, width = scene.photo.shape
    soft = cv2.resize(best.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    inside, outside = (cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 5) for part in (soft > 0.5, soft <= 0.5))
    depth = np.asarray(inside - outside, np.float32)
    ridge = (depth > 1.0) & (depth >= cv2.dilate(depth, np.ones((5, 5), np.uint8)) - 0.01)
    ys, xs = np.nonzero(ridge)
    return Joints(depth, np.stack([xs, ys], 1).astype(np.float32)) if len(xs) else None


def _running(stands_out: Field) -> Mask | None:
    """(h, w) bool: bands that run on through the picture; None where what stands out does not."""
    clear = max(_STANDS_OUT[0], _STANDS_OUT[1] * float(np.percentile(stands_out, _CLEAREST)))
    found = (stands_out > clear).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    height, width = found.shape
    runs = (stats[:, cv2.CC_STAT_WIDTH] > _RUNS_ON * width) | (stats[:, cv2.CC_STAT_HEIGHT] > _RUNS_ON * height)
    runs[0] = False
    bands = np.asarray(runs[labels], np.bool_)
    share = float(bands.mean())
    return bands if _SHARE[0] < share < _SHARE[1] and np.count_nonzero(bands) > _MOST_OF * int(found.sum()) else None


def names_filling(prompt: str) -> bool:
    """True when the words speak of what fills joints."""
    return bool(_FILLING.search(plain(prompt)))


@dataclass(frozen=True)
class OpenJoint:
    """A mechanism that takes the filling out of `joints`."""

    joints: Joints

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """Places on the middle lines."""
        area = spec.instance_px(scene.object_area_px)
        points = self.joints.middle_xy[:: max(1, len(self.joints.middle_xy) // _TARGETS)]
        allowed = scene.allowed
        return [Target((float(x), float(y)), area) for x, y in points if allowed[int(y), int(x)]]

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One stretch of joint without filling. None where the nearest joint is too narrow to be seen."""
        away = np.hypot(*(self.joints.middle_xy - np.asarray(site.center_xy)).T)
        x, y = (float(value) for value in self.joints.middle_xy[int(away.argmin())])
        half = float(self.joints.depth[int(y), int(x)])
        if half < 1.0:
            return None
        length = float(np.clip(site.area_px / (2.0 * half), _SLENDER[0] * 2.0 * half, _SLENDER[1] * 2.0 * half))
        shape = self.joints.depth.shape
        window = around(Window(int(y), int(x), int(y) + 1, int(x) + 1), 0.5 * length + 4.0 * half + 6.0, shape)
        site = replace(site, center_xy=(x, y), window=window)
        grid_x, grid_y = pixel_grid(window)
        ragged = fractal_noise(window.shape, max(1.5 * half, 3.0), rng, octaves=3, gain=0.7)
        within = 0.5 * length - np.hypot(grid_x - x, grid_y - y) + 0.5 * half * ragged
        walls = self.joints.depth[window.slices] - 0.5 + 0.12 * half * ragged
        hollow = _at(np.minimum(within, walls).astype(np.float32), round(x) - window.x0, round(y) - window.y0)
        if not (hollow > 0.5).any():
            return None
        # that light mortar is gone is a change already, but makes no hollow
        return replace(hole.dig(site, spec, rng, hollow), strength_fixed=True)


def _at(distance: Field, column: int, row: int) -> Field:
    """The level set with only that inside left which holds a pixel: no other joint nearby."""
    labels = np.asarray(cv2.connectedComponents((distance > 0).astype(np.uint8), connectivity=4)[1])
    own = labels[row, column]
    return np.where((labels == 0) | (labels == own), distance, -1.0).astype(np.float32) if own else distance
