"""DRAEM: a foreign texture inside a Perlin mask.

The texture is changed by three of ten augmentations and laid over the image with an opacity of 1 - U(0, 0.8).
Mask: the whole Perlin mask. Needs foreign textures; without them they are drawn (see textures.py), which is ours.
Source: Zavrtanik, Kristan, Skocaj: DRAEM, ICCV 2021, section 3.3.
"""

import numpy as np

from anomalyagent.training.evaluation.datasets import Stack
from anomalyagent.training.evaluation.peers.augment import augment, blend
from anomalyagent.training.evaluation.peers.base import Image, Mask, Material, make_each
from anomalyagent.training.evaluation.peers.perlin_noise import perlin_mask
from anomalyagent.training.evaluation.peers.textures import pick_texture

__all__ = ["make"]


def make(material: Material, count: int, seed: int) -> Stack:
    """`count` anomaly images with masks; see the module docstring."""

    def make_one(index: int, rng: np.random.Generator) -> tuple[Image, Mask]:
        normal = material.normals[index]
        _, mask = perlin_mask(normal.shape[0], rng)
        foreign = augment(pick_texture(material, rng), rng)
        return blend(normal, foreign, mask, 1 - float(rng.uniform(0, 0.8))), mask

    return make_each("draem", material, count, seed, make_one)
