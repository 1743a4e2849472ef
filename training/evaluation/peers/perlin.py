"""Perlin: anomalib's generator without outside textures.

A Perlin noise picture, its brightness stretched and three of ten augmentations applied, is laid over the image where the
same noise exceeds 0.5, with an opacity of 0.2 to 1. Mask: where the noise exceeds 0.5.
Source: anomalib (Akcay 2022), generate_perlin_noise and PerlinAnomalyGenerator; after DRAEM.
"""

import numpy as np

from anomalyagent.training.evaluation.datasets import Stack
from anomalyagent.training.evaluation.peers.augment import augment, blend
from anomalyagent.training.evaluation.peers.base import Image, Mask, Material, make_each
from anomalyagent.training.evaluation.peers.perlin_noise import perlin_mask

__all__ = ["make"]


def make(material: Material, count: int, seed: int) -> Stack:
    """`count` anomaly images with masks; see the module docstring."""

    def make_one(index: int, rng: np.random.Generator) -> tuple[Image, Mask]:
        normal = material.normals[index]
        noise, mask = perlin_mask(normal.shape[0], rng)
        grey = np.clip((noise * 0.5 + 0.25) * 255, 0, 255).astype(np.uint8)
        foreign = augment(np.repeat(grey[..., None], 3, axis=2), rng)
        return blend(normal, foreign, mask, float(rng.uniform(0.2, 1.0))), mask

    return make_each("perlin", material, count, seed, make_one)
