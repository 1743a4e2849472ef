"""Meshes, gratings and nets: strands that cross at an even pitch, and the cells between them.

The pitch is read from the autocorrelation of the photo. Strands are that class of pixels, the brighter, the darker or the
busier ones, which encloses the others in pieces of a cell's size.
"""

import re
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.color import axis_of_steps
from anomalyagent.mcp_tools.imaging.repetition import autocorrelation, find_shifts
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.procedural.edit import Window

__all__ = ["Mesh", "find_mesh", "names_mesh"]

_NAMES = re.compile(
    r"\b(?:grids?|mesh|grating|lattice|sieve|grille|grill|netting|fence|strands?|gauze"
    r"|(?:wire|insect|window|filter|metal|perforated) (?:net|screen|cloth))\b"
)
_LARGEST_PX = 1024  # longest side of the copy on which a mesh is looked for
_LEAST_PITCH_PX = 5.0  # on that copy
_LEAST_TINT = 12.0  # CIELAB: less colour than this between strands and ground is noise
_FEWEST_CELLS = 12
_CORRELATED = 0.2  # least height of a peak, the middle one being 1
_AS_HIGH = 0.75  # of the highest peak: lower ones are no pitch
_COMPLETE = 0.5  # least share of the cells that the pitches promise
_CELL_SIZE = (0.08, 1.0)  # of the parallelogram that the two pitches span
_ENCLOSED = 0.6  # least share of the pixels between the strands that lie in such pieces
_JOINED = 0.5  # least share of the strands' pixels that hang together


class Mesh(NamedTuple):
    """A mesh as it was found.

    Attributes:
        pitches: (2, 2) float32, from one cell to the next in both directions, photo pixels (x, y).
        centers_xy: (n, 2) float32, the middle of each cell, photo pixels.
        labels: (h, w) int32 of a reduced copy of the photo: 1 + the index of the cell, 0 on strands and incomplete cells.
        scale: pixels of that copy for a pixel of the photo.
        seen: (H, W) float32, what of the photo shows it: its luma, or where strands differ by colour alone that.
    """

    pitches: NDArray[np.float32]
    centers_xy: NDArray[np.float32]
    labels: NDArray[np.int32]
    scale: float
    seen: Field

    def nearest(self, xy: NDArray[np.float32]) -> int:
        """Index of the cell whose middle is nearest to (x, y)."""
        return int(np.square(self.centers_xy - xy).sum(axis=1).argmin())

    def beside(self, cell: int, pitch: NDArray[np.float32]) -> int | None:
        """The cell that lies `pitch` away from another one; None where there is none."""
        at = self.centers_xy[cell] + pitch
        found = self.nearest(at)
        near = float(np.linalg.norm(self.centers_xy[found] - at)) < 0.3 * float(np.linalg.norm(pitch))
        return found if near and found != cell else None

    def cells_in(self, window: Window) -> NDArray[np.int32]:
        """(h, w) over a window of the photo: 1 + the index of the cell that a pixel lies in, 0 on strands."""
        rows, columns = np.arange(window.y0, window.y1), np.arange(window.x0, window.x1)
        y = np.minimum((rows * self.scale).astype(int), self.labels.shape[0] - 1)
        x = np.minimum((columns * self.scale).astype(int), self.labels.shape[1] - 1)
        return self.labels[np.ix_(y, x)]


def names_mesh(prompt: str) -> bool:
    """True when the words speak of a mesh or of its strands."""
    return bool(_NAMES.search(plain(prompt)))


def find_mesh(scene: Scene) -> Mesh | None:
    """The mesh that the object is; None when it is no mesh, or one too fine to be seen."""
    found = _mesh_in(scene, scene.luma)
    return found if found is not None or scene.photo.is_grey else _mesh_in(scene, _tint(scene))


def _tint(scene: Scene) -> Field:
    """(H, W) 0..1, colour without lightness along the direction in which it changes from pixel to pixel most."""
    colour = cv2.GaussianBlur(scene.lab[..., 1:], (0, 0), 1.0)
    tint = colour @ axis_of_steps(np.asarray(colour, np.float32))
    return ((tint - tint.min()) / max(float(np.ptp(tint)), _LEAST_TINT)).astype(np.float32)


def _mesh_in(scene: Scene, seen: Field) -> Mesh | None:
    """The mesh that the lighter and darker places of `seen` make."""
    x0, y0, x1, y1 = scene.box_xyxy
    copy = reduced(np.ascontiguousarray(seen), _LARGEST_PX)
    scale = copy.shape[1] / seen.shape[1]
    box = tuple(slice(round(low * scale), round(high * scale)) for low, high in ((y0, y1), (x0, x1)))
    pitches = _pitches(copy[box])
    if pitches is None:
        return None
    reach = float(np.linalg.norm(pitches, axis=1).max())
    even = copy - cv2.GaussianBlur(copy, (0, 0), reach, borderType=cv2.BORDER_REFLECT)
    inside = np.zeros(copy.shape, np.bool_)
    inside[box] = True
    detail = np.hypot(cv2.Sobel(copy, cv2.CV_32F, 1, 0), cv2.Sobel(copy, cv2.CV_32F, 0, 1))
    busy = cv2.GaussianBlur(detail, (0, 0), 0.07 * reach)
    looks = even, -even, busy - cv2.GaussianBlur(busy, (0, 0), reach, borderType=cv2.BORDER_REFLECT)
    size_px = abs(float(np.linalg.det(pitches)))
    found = [_cells(look.astype(np.float32), inside, size_px) for look in looks]
    expected = inside.sum() / size_px
    labels, centers = min(found, key=lambda cells: abs(np.log(max(len(cells[1]), 1) / expected)))
    if len(centers) < max(_FEWEST_CELLS, _COMPLETE * expected):
        return None
    return Mesh((pitches / scale).astype(np.float32), (centers / scale).astype(np.float32), labels, scale, seen)


def _pitches(luma: Field) -> NDArray[np.float32] | None:
    """(2, 2): the two shortest shifts (x, y) by which the picture falls on itself; None when there are no two."""
    if min(luma.shape) < 8 * _LEAST_PITCH_PX:
        return None
    fine = luma - cv2.GaussianBlur(luma, (0, 0), 0.1 * min(luma.shape), borderType=cv2.BORDER_REFLECT)
    correlation = autocorrelation(fine).astype(np.float32)
    correlation /= max(float(correlation[correlation.shape[0] // 2, correlation.shape[1] // 2]), 1e-12)
    shifts, heights = find_shifts(np.asarray(cv2.GaussianBlur(correlation, (0, 0), 1.0), np.float32), _CORRELATED)
    lengths = np.linalg.norm(shifts, axis=1)
    near = (lengths >= _LEAST_PITCH_PX) & (lengths < 0.25 * min(luma.shape)) & (shifts[:, 1] >= 0)  # the other half mirrors it
    if not near.any():
        return None
    heights = heights[near]
    order = [index for index in np.argsort(lengths[near]) if heights[index] >= _AS_HIGH * heights.max()]
    shifts = shifts[near][order]
    first = shifts[0]
    across = np.abs(first[0] * shifts[:, 1] - first[1] * shifts[:, 0]) / (
        np.linalg.norm(first) * np.linalg.norm(shifts, axis=1)
    )
    others = np.flatnonzero(across > 0.5)
    return np.stack([first, shifts[others[0]]]) if others.size else None


def _cells(look: Field, inside: Mask, size_px: float) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Label map and middles of the cells, if the higher values of a map of about even mean are strands."""
    level = np.clip(128.0 + look * (40.0 / max(float(look[inside].std()), 1e-6)), 0, 255).astype(np.uint8)
    between, _ = cv2.threshold(level[inside], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    strands = (level > between) & inside
    nothing = np.zeros(look.shape, np.int32), np.zeros((0, 2), np.float32)
    count, _, stats, _ = cv2.connectedComponentsWithStats(strands.astype(np.uint8), connectivity=8)
    if count < 2 or stats[1:, cv2.CC_STAT_AREA].max() < _JOINED * max(int(strands.sum()), 1):
        return nothing
    count, labels, stats, middles = cv2.connectedComponentsWithStats((~strands & inside).astype(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.float64)
    fitting = (areas >= _CELL_SIZE[0] * size_px) & (areas <= _CELL_SIZE[1] * size_px)
    fitting[0] = False
    if areas[fitting].sum() < _ENCLOSED * max(areas[1:].sum(), 1.0):
        return nothing
    renumbered = np.cumsum(fitting).astype(np.int32) * fitting
    return renumbered.astype(np.int32)[np.asarray(labels, np.int32)], middles[fitting].astype(np.float32)
