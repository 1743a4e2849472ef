"""CropPaste (few-shot): real defects, cut out along their masks and pasted onto normal images.

The defects are those of the first third of each type; they are flipped at random and pasted at a random place on the
object. Mask: the real one, moved along.
Source: Lin, Cao, Zhu, Li: Few-shot defect segmentation leveraging abundant normal training samples through normal
background regularization and crop-and-paste operation, 2020.
"""

import numpy as np

from anomalyagent.errors import ImageError
from anomalyagent.training.evaluation.datasets import Stack
from anomalyagent.training.evaluation.peers.base import Image, Mask, Material, make_each

__all__ = ["make"]


def make(material: Material, count: int, seed: int) -> Stack:
    """`count` anomaly images with masks; see the module docstring.

    Raises:
        ImageError: no real defects are given.
    """
    real = [index for index in range(len(material.few_shot.masks)) if material.few_shot.masks[index].any()]
    if not real:
        raise ImageError("'croppaste' needs real defects: at least three images of an anomaly type.")

    def make_one(index: int, rng: np.random.Generator) -> tuple[Image, Mask]:
        chosen = real[int(rng.integers(len(real)))]
        flips = tuple(axis for axis in (0, 1) if rng.random() < 0.5)
        defect, shape = (np.flip(array[chosen], flips) for array in (material.few_shot.images, material.few_shot.masks))
        rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        defect, shape = defect[box], shape[box]
        places = np.argwhere(material.foregrounds[index])
        middle = places[int(rng.integers(len(places)))]
        side = material.normals.shape[1]
        top, left = (int(np.clip(m - length // 2, 0, side - length)) for m, length in zip(middle, shape.shape, strict=True))
        image, mask = material.normals[index].copy(), np.zeros((side, side), np.bool_)
        mask[top : top + shape.shape[0], left : left + shape.shape[1]] = shape
        image[mask] = defect[shape]
        return image, mask

    return make_each("croppaste", material, count, seed, make_one)
