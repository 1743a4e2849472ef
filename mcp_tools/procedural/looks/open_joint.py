"""Mortar or grout that has come out of a joint.

Where the filling is gone, the joint is a hollow of its own width between the stones, in the dark, and ends raggedly where the
filling still holds.
"""

import re
from dataclasses import dataclass, replace

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.mechanisms import hole
from anomalyagent.mcp_tools.procedural.structure.joints import Joints

__all__ = ["OpenJoint", "names_filling"]

_FILLING = re.compile(
    r"\b(?:mortar|grout\w*|pointing|(?:open|empty|missing|eroded|washed out) joints?|joint (?:loss|erosion|filler|filling))\b"
)
_TARGETS = 80
_SLENDER = (1.5, 12.0)  # length to width of a piece that is gone


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
