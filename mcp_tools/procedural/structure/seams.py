"""Seams between the boards, tiles or cells of a surface: a crack in one of them ends there, a scratch leaves out the gap.

Stones laid in bond are another matter: mortar holds them together, so that a crack goes on along its joints.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.measures import solidity
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene
from anomalyagent.mcp_tools.procedural.structure.joints import find_joints

__all__ = ["Seams", "find_seams"]

_LEAST_CELL, _LARGEST_CELL = 0.003, 0.8  # of the photo
_CRUMBS = 0.05  # of the photo, that smaller cells hold at the most: the ribs of a cloth are no boards
_CONVEX = 0.85  # of its convex hull that a board, tile or stone fills, by the middle of their areas
_STRAIGHT = 0.85  # of a row or a column of the photo, that a joint takes
_GAPS = 0.15  # of the photo, that gaps cover at the most: wider dark bands are the pattern of a surface


class Seams(NamedTuple):
    """How a surface is put together.

    Attributes:
        cells: (H, W) int32, the board, tile or stone that a pixel belongs to, from 1 on; 0 in the seams.
        gaps: (H, W) bool, the inside of dark seams, in which no surface lies that could be scratched; of light ones, which
            are filled, nothing.
        bonded: light joints that do not cross in line: masonry.
        cell_px: usual area of one.
    """

    cells: NDArray[np.int32]
    gaps: Mask
    bonded: bool
    cell_px: float

    def beyond(self, x: float, y: float) -> Mask:
        """(H, W) bool: all but the board, tile or stone at a place, or nearest to it."""
        height, width = self.cells.shape
        own = self.cells[min(max(round(y), 0), height - 1), min(max(round(x), 0), width - 1)]
        if own == 0:
            ys, xs = np.nonzero(self.cells)
            nearest = int(((xs - x) ** 2 + (ys - y) ** 2).argmin())
            own = self.cells[ys[nearest], xs[nearest]]
        return np.asarray(self.cells != own, np.bool_)


@once_per_scene
def find_seams(scene: Scene) -> Seams | None:
    """The seams of a surface that fills the photo; None where its joints do not part it into boards, tiles or stones."""
    joints = find_joints(scene)
    if joints is None:
        return None
    solid = joints.depth <= 0.0
    labels, stats = cv2.connectedComponentsWithStats(solid.astype(np.uint8), connectivity=4)[1:3]
    labels, areas = np.asarray(labels, np.int32), stats[:, cv2.CC_STAT_AREA].astype(np.float64) / solid.size
    areas[0] = 0.0
    cells = areas >= _LEAST_CELL
    if np.count_nonzero(cells) < 2 or areas.max() > _LARGEST_CELL or float(areas[~cells].sum()) > _CRUMBS:
        return None
    convex = sum(areas[one] * (solidity(labels == one) > _CONVEX) for one in np.flatnonzero(cells))
    if convex < 0.5 * areas[cells].sum():
        return None
    kept = np.where(cells[labels], labels, 0).astype(np.int32)
    inside, beside = (float(np.median(scene.lab[..., 0][one])) for one in (~solid, solid))
    dark = inside < beside
    gaps = ~solid & (scene.lab[..., 0] < 0.5 * (inside + beside))
    if not dark or np.count_nonzero(~solid) > _GAPS * solid.size:
        gaps = np.zeros_like(solid)
    usual = float(np.median(areas[cells])) * solid.size
    return Seams(kept, np.asarray(gaps, np.bool_), not dark and not _in_line(~solid), usual)


def _in_line(joints: Mask) -> bool:
    """Whether joints run straight through the photo both ways, as those of tiles and solar cells do."""
    return all(float(joints.mean(axis=axis).max()) > _STRAIGHT for axis in (0, 1))
