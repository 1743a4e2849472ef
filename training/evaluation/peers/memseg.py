"""MemSeg: a Perlin mask cut to the object, filled with a foreign texture or with the image itself in shuffled tiles.

Both fillings are changed by three of ten augmentations, come equally often, and are laid over the image with an opacity
of 0.15 to 1. Mask: Perlin mask and foreground.
Source: Yang et al.: MemSeg, 2022, section 3.2.
"""

import numpy as np

from anomalyagent.training.evaluation.datasets import Stack
from anomalyagent.training.evaluation.peers.augment import augment, blend
from anomalyagent.training.evaluation.peers.base import Image, Mask, Material, make_each
from anomalyagent.training.evaluation.peers.perlin_noise import perlin_mask
from anomalyagent.training.evaluation.peers.textures import pick_texture

__all__ = ["make"]

_TILES = 8  # along a side


def make(material: Material, count: int, seed: int) -> Stack:
    """`count` anomaly images with masks; see the module docstring."""

    def make_one(index: int, rng: np.random.Generator) -> tuple[Image, Mask]:
        normal = material.normals[index]
        _, mask = perlin_mask(normal.shape[0], rng)
        mask &= material.foregrounds[index]
        own = rng.random() < 0.5
        changed = augment(normal if own else pick_texture(material, rng), rng)
        foreign = _shuffle_tiles(changed, rng) if own else changed
        return blend(normal, foreign, mask, float(rng.uniform(0.15, 1.0))), mask

    return make_each("memseg", material, count, seed, make_one)


def _shuffle_tiles(image: Image, rng: np.random.Generator) -> Image:
    side = image.shape[0] // _TILES
    whole = image.copy()
    tiles = image[: side * _TILES, : side * _TILES].reshape(_TILES, side, _TILES, side, 3).swapaxes(1, 2)
    tiles = tiles.reshape(_TILES**2, side, side, 3)[rng.permutation(_TILES**2)]
    tiles = tiles.reshape(_TILES, _TILES, side, side, 3).swapaxes(1, 2)
    whole[: side * _TILES, : side * _TILES] = tiles.reshape(side * _TILES, side * _TILES, 3)
    return whole
