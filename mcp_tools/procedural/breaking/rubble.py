"""The broken inside of concrete, mortar and asphalt: stones of several sizes, held in a binder of sand.

Physics: the break goes round most stones, which stand out of the floor as blunt lumps, or leave the socket they sat in, and
through some, which are flat. Every stone has its own tone; the binder between them is rough as its sand is.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.procedural.geometry.facets import borders_of, mosaic
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise

__all__ = ["Rubble", "lay_rubble"]

_STONE: Final = (0.16, 0.32)  # diameter of the largest stones, of the radius of the hollow
_STONE_PX: Final = (4.0, 30.0)
_SIEVES: Final = 3  # each with stones of 0.55 times the size of those before
_FINER: Final = 0.55
_SOCKETS: Final = 0.2  # of the stones are gone
_GAP: Final = 0.5
_WARP: Final = 0.18  # of its diameter: how far the outline of a stone is from a polygon's


class Rubble(NamedTuple):
    """What stones and sand add to the floor of a hollow.

    Attributes:
        height: (h, w) pixels, zero in the mean of the binder.
        tone: (h, w) about -1..1, how much lighter or darker each stone is.
    """

    height: Field
    tone: Field


def lay_rubble(inside: Mask, radius_px: float, rng: np.random.Generator) -> Rubble:
    """Stones all over a mask, (h, w) bool with at least one pixel, of a hollow about `radius_px` wide to either side."""
    sand = fractal_noise(inside.shape, 2.2, rng, octaves=2, gain=0.9)
    height, tone = (0.22 * sand).astype(np.float32), (0.25 * sand).astype(np.float32)
    size = float(np.clip(rng.uniform(*_STONE) * radius_px, *_STONE_PX))
    area = int(np.count_nonzero(inside))
    sizes = [size * _FINER**sieve for sieve in range(_SIEVES)]
    for size in reversed([one for one in sizes if one >= 2.5] or sizes[:1]):  # the large ones lie over the small ones
        stones = mosaic(inside, int(np.clip(1.3 * area / size**2, 3, 20_000)), _WARP * size, rng)
        label, count = stones.label, int(stones.label.max()) + 1
        apart = cv2.distanceTransform((~borders_of(label)).astype(np.uint8), cv2.DIST_L2, 5)
        reach = size * rng.uniform(0.3, 0.6, count) * (rng.random(count) > rng.uniform(0.25, 0.55))
        within = np.minimum(reach[label] - _from_middle(label, count, 0.1 * size, rng), apart - 0.04 * size)
        out = np.clip(within / (size * rng.uniform(0.1, 0.3, count))[label], 0.0, 1.0)
        dome = np.sqrt(np.maximum(out * (2.0 - out), 0.0))
        rise = size * rng.uniform(0.1, 0.26, count) * np.where(rng.random(count) < _SOCKETS, -1.0, 1.0)
        own = np.clip(rng.normal(0.0, 0.6, count), -1.2, 1.2) * (rise > 0)
        height += (dome * rise[label]).astype(np.float32)
        tone += (np.minimum(2.0 * out, 1.0) * (own[label] - tone)).astype(np.float32)
        foot = np.exp(-np.square(within / max(0.06 * size, 0.8)))  # little of the sky is seen from the gap
        tone -= (_GAP * foot * (rise[label] > 0) * (reach[label] > 0)).astype(np.float32)
    return Rubble(height.astype(np.float32), tone.astype(np.float32))


def _from_middle(label: NDArray[np.int32], count: int, wavy_px: float, rng: np.random.Generator) -> Field:
    """(h, w) distance of each pixel to the middle of its cell, `wavy_px` more or less, so that no stone is a ball."""
    y, x = np.indices(label.shape, np.float32)
    pixels = np.maximum(np.bincount(label.ravel(), minlength=count), 1)
    mean_x, mean_y = (np.bincount(label.ravel(), one.ravel(), count) / pixels for one in (x, y))
    wavy = wavy_px * fractal_noise((label.shape[0], label.shape[1]), max(4.0 * wavy_px, 2.0), rng, octaves=2)
    return (np.hypot(x - mean_x[label], y - mean_y[label]) + wavy).astype(np.float32)
