"""Cells that the mechanisms share: a field broken into planar facets (Voronoi cells with slightly curved borders)."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.procedural.edit import Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise

__all__ = ["Facets", "borders_of", "facet_planes", "mosaic"]


class Facets(NamedTuple):
    """A field broken into planar facets.

    Attributes:
        label: (h, w) int32, which facet, 0 .. n - 1.
        slope: (n, 2) float32, dh/dx and dh/dy of every facet.
        border: (h, w) 0..1, 1 on the ridges between facets.
    """

    label: NDArray[np.int32]
    slope: NDArray[np.float32]
    border: Field


def facet_planes(
    window: Window,
    center_xy: tuple[float, float],
    size_px: float,
    rng: np.random.Generator,
    *,
    count: int = 8,
    slope: float = 0.5,
    warp: float = 0.15,
) -> Facets:
    """Facets of broken material: Voronoi cells with slightly curved borders, each tilted its own way.

    Args:
        size_px: radius of the region in which the cells have their centres.
        slope: standard deviation of dh/dx and dh/dy.
        warp: how far borders depart from straight lines, relative to `size_px`.
    """
    height, width = window.shape
    seeds = np.asarray(center_xy) - (window.x0, window.y0) + rng.normal(0.0, 0.6 * size_px, (count, 2))
    columns = np.clip(np.rint(seeds[:, 0]).astype(np.intp), 0, width - 1)
    rows = np.clip(np.rint(seeds[:, 1]).astype(np.intp), 0, height - 1)
    label, border = _cells((height, width), rows, columns, warp * size_px, max(size_px * 0.8, 3.0), rng)
    return Facets(label, rng.normal(0.0, slope, (count, 2)).astype(np.float32), border)


def mosaic(inside: Mask, count: int, warp_px: float, rng: np.random.Generator) -> Facets:
    """Voronoi cells whose centres are random pixels of a mask; slopes as steep as the cells are tilted, standard deviation 1.

    Args:
        inside: (h, w) bool, at least one pixel.
        warp_px: how far borders depart from straight lines.
    """
    rows, columns = np.nonzero(inside)
    chosen = rng.integers(0, len(rows), count)
    label, border = _cells(inside.shape, rows[chosen], columns[chosen], warp_px, max(4.0 * warp_px, 3.0), rng)
    return Facets(label, rng.normal(0.0, 1.0, (count, 2)).astype(np.float32), border)


def borders_of(label: NDArray[np.int32]) -> Mask:
    """(h, w) bool: the first pixels of each cell to the right of or below another one."""
    border = np.zeros(label.shape, np.bool_)
    border[:, 1:] = label[:, 1:] != label[:, :-1]
    border[1:] |= label[1:] != label[:-1]
    return border


def _cells(
    shape: tuple[int, ...],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    warp_px: float,
    scale_px: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int32], Field]:
    """(h, w) which of the centres is nearest, with bent borders, and (h, w) 0..1, 1 on the borders."""
    height, width = shape
    free = np.ones((height, width), np.uint8)
    free[rows, columns] = 0
    # The distance transform labels every pixel with its nearest seed in one pass, however many seeds there are.
    nearest = np.asarray(cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1], np.intp)
    names = np.zeros(int(nearest.max()) + 1, np.int32)
    names[nearest[rows, columns]] = np.arange(len(rows), dtype=np.int32)
    bend = np.float32(warp_px)
    map_x = np.arange(width, dtype=np.float32)[None, :] + bend * fractal_noise(
        (height, width), scale_px, rng, octaves=3, gain=0.4
    )
    map_y = np.arange(height, dtype=np.float32)[:, None] + bend * fractal_noise(
        (height, width), scale_px, rng, octaves=3, gain=0.4
    )
    label = cv2.remap(
        names[nearest].astype(np.float32), map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.int32)
    ridge = borders_of(label).astype(np.float32)
    return label, np.clip(1.8 * cv2.GaussianBlur(ridge, (0, 0), 0.7), 0.0, 1.0).astype(np.float32)
