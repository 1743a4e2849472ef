"""Perlin noise and masks made of it, as DRAEM and its followers use them."""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.training.evaluation.peers.base import Mask

__all__ = ["perlin_mask", "perlin_noise"]

_THRESHOLD = 0.5
_MAX_EXPONENT = 6  # exclusive: 1 to 32 cells along a side
_MAX_TURN_DEG = 90.0


def perlin_noise(size_px: int, cells: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """(S, S) float32 gradient noise, about -1..1, with `cells` (rows, columns) of the lattice over the frame.

    Source: Perlin 2002 ("Improving noise"), in two dimensions.
    """
    angles = rng.uniform(0, 2 * np.pi, (cells[0] + 1, cells[1] + 1))
    gradients = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    y, x = (np.arange(size_px) * count / size_px for count in cells)
    row, column = y.astype(np.int64), x.astype(np.int64)
    v, u = (y - row)[:, None], (x - column)[None, :]

    def corner(down: int, right: int) -> NDArray[np.float64]:
        gradient = gradients[row[:, None] + down, column[None, :] + right]
        return gradient[..., 0] * (v - down) + gradient[..., 1] * (u - right)

    fade_v, fade_u = (6 * t**5 - 15 * t**4 + 10 * t**3 for t in (v, u))
    top = corner(0, 0) * (1 - fade_u) + corner(0, 1) * fade_u
    bottom = corner(1, 0) * (1 - fade_u) + corner(1, 1) * fade_u
    return (np.sqrt(2) * (top * (1 - fade_v) + bottom * fade_v)).astype(np.float32)


def perlin_mask(size_px: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], Mask]:
    """Noise of random coarseness along each axis, turned by up to 90 degrees, and where it is above 0.5."""
    down, right = (int(2**exponent) for exponent in rng.integers(0, _MAX_EXPONENT, 2))
    noise = perlin_noise(size_px, (down, right), rng)
    center = (size_px - 1) / 2
    turn = cv2.getRotationMatrix2D((center, center), float(rng.uniform(-_MAX_TURN_DEG, _MAX_TURN_DEG)), 1.0)
    turned = np.asarray(cv2.warpAffine(noise, turn, (size_px, size_px), flags=cv2.INTER_LINEAR), np.float32)
    return turned, np.asarray(turned > _THRESHOLD, np.bool_)
