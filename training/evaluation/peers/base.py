"""What a peer gets and gives, and the loop around a recipe that makes one image at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import BackendError
from anomalyagent.training.evaluation.datasets import Images, Masks, Stack

__all__ = ["REFERENCE_PX", "Image", "Mask", "Material", "Peer", "make_each"]

Image = NDArray[np.uint8]
"""(S, S, 3) uint8 RGB."""
Mask = NDArray[np.bool_]
"""(S, S) bool."""

_ATTEMPTS = 100
# The resolution at which the recipes state their lengths in pixels.
REFERENCE_PX = 256


class Material(NamedTuple):
    """All that a peer may use.

    Attributes:
        normals: (N, S, S, 3) uint8, at least one.
        foregrounds: (N, S, S) bool, the object on each normal image; all true on surfaces.
        few_shot: real defects, only used by few-shot peers.
        textures: (T, S, S, 3) uint8 foreign textures; empty when the user has none: then they are drawn.
    """

    normals: Images
    foregrounds: Masks
    few_shot: Stack
    textures: Images


@dataclass(frozen=True)
class Peer:
    """A generator: `make(material, count, seed)` gives `count` anomaly images with masks, none of them empty."""

    name: str
    make: Callable[[Material, int, int], Stack]
    few_shot: bool = False


def make_each(
    name: str,
    material: Material,
    count: int,
    seed: int,
    make_one: Callable[[int, np.random.Generator], tuple[Image, Mask] | None],
) -> Stack:
    """`count` results of `make_one(index of the normal image, rng)`, over all normal images in turn.

    A result of None, or with an empty mask, is tried again with other random numbers.

    Raises:
        BackendError: a normal image gave nothing in many attempts.
    """
    order = np.random.default_rng([seed, len(material.normals)]).permutation(len(material.normals))
    images = np.empty((count, *material.normals.shape[1:]), np.uint8)
    masks = np.empty(images.shape[:3], np.bool_)
    for number in range(count):
        rng = np.random.default_rng([seed, number, 3])
        for _ in range(_ATTEMPTS):
            made = make_one(int(order[number % len(order)]), rng)
            if made is not None and made[1].any():
                images[number], masks[number] = made
                break
        else:
            raise BackendError(f"peer '{name}' made nothing of a normal image in {_ATTEMPTS} attempts; leave it out.")
    return Stack(images, masks, [name] * count)
