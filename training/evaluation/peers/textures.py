"""Foreign textures for the recipes that ask for them (published: the Describable Textures Dataset).

Where the user gives no folder of textures they are drawn: grain, cloud, stripes, checks, dots and cells in random colours.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.training.evaluation.peers.base import Image, Material

__all__ = ["pick_texture"]

_KINDS = 6


def pick_texture(material: Material, rng: np.random.Generator) -> Image:
    """(S, S, 3) one of the user's textures, or a drawn one."""
    if len(material.textures):
        return material.textures[int(rng.integers(len(material.textures)))]
    return _draw_texture(material.normals.shape[1], rng)


def _draw_texture(size_px: int, rng: np.random.Generator) -> Image:
    """(S, S, 3) uint8, a pattern of random kind, scale and direction between two or three random colours."""
    pattern = _pattern(size_px, int(rng.integers(_KINDS)), rng)
    pattern = (pattern - pattern.min()) / max(float(np.ptp(pattern)), 1e-6)
    stops = rng.uniform(0, 255, (3, 3))
    position = pattern[..., None] * 2
    low, high = np.minimum(position, 1), np.maximum(position - 1, 0)
    colors = stops[0] + (stops[1] - stops[0]) * low + (stops[2] - stops[1]) * high
    return np.clip(colors + rng.normal(0, 4, colors.shape), 0, 255).astype(np.uint8)


def _pattern(size: int, kind: int, rng: np.random.Generator) -> NDArray[np.float32]:
    scale = size * 2 ** -rng.uniform(2, 5.5)
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    noise = rng.normal(0, 1, (size, size)).astype(np.float32)
    match kind:
        case 0:  # grain, drawn out in one direction
            pattern = cv2.GaussianBlur(noise, (0, 0), max(0.6, scale / 4), sigmaY=max(0.6, scale / 16))
        case 1:  # cloud
            pattern = sum(
                cv2.GaussianBlur(rng.normal(0, 1, (size, size)).astype(np.float32), (0, 0), sigma) * sigma
                for sigma in (scale, scale / 2, scale / 4, 1.0)
            )
        case 2:  # stripes
            pattern = np.sin(2 * np.pi * along / scale + cv2.GaussianBlur(noise, (0, 0), 8.0) * 6)
        case 3:  # checks
            pattern = np.sign(np.sin(np.pi * along / scale) * np.sin(np.pi * across / scale))
        case 4:  # dots
            pattern = np.cos(2 * np.pi * along / scale) + np.cos(2 * np.pi * across / scale)
        case _:  # cells: distance to the nearest of many points
            seeds = np.full((size, size), 255, np.uint8)
            points = rng.integers(0, size, (max(4, int((size / scale) ** 2 / 2)), 2))
            seeds[points[:, 0], points[:, 1]] = 0
            pattern = cv2.distanceTransform(seeds, cv2.DIST_L2, 5)
    return np.asarray(pattern, np.float32)
