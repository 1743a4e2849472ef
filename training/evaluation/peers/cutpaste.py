"""CutPaste: a rectangle of the image, its colours jittered, pasted elsewhere on the same image.

Half are patches of 2 to 15 % of the area with an aspect of 0.3 to 3.3, half are scars: strips of 2-16 x 10-25 px (at 256 px)
turned by up to 45 degrees. Mask: what was pasted.
Source: Li, Sohn, Yoon, Pfister: CutPaste, CVPR 2021, section 2.2 and appendix.
"""

import cv2
import numpy as np

from anomalyagent.training.evaluation.datasets import Stack
from anomalyagent.training.evaluation.peers.augment import jitter
from anomalyagent.training.evaluation.peers.base import REFERENCE_PX, Image, Mask, Material, make_each

__all__ = ["make"]

_JITTER = 0.1


def make(material: Material, count: int, seed: int) -> Stack:
    """`count` anomaly images with masks; see the module docstring."""

    def make_one(index: int, rng: np.random.Generator) -> tuple[Image, Mask]:
        normal = material.normals[index]
        return _paste_patch(normal, rng) if rng.random() < 0.5 else _paste_scar(normal, rng)

    return make_each("cutpaste", material, count, seed, make_one)


def _paste_patch(normal: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    side = normal.shape[0]
    area = rng.uniform(0.02, 0.15) * side**2
    aspect = rng.uniform(0.3, 1) if rng.random() < 0.5 else rng.uniform(1, 3.3)
    height, width = (min(side, max(1, round(float(length)))) for length in (np.sqrt(area / aspect), np.sqrt(area * aspect)))
    patch = jitter(_cut(normal, height, width, rng), _JITTER, rng)
    return _paste(normal, patch, np.ones((height, width), np.bool_), rng)


def _paste_scar(normal: Image, rng: np.random.Generator) -> tuple[Image, Mask]:
    scale = normal.shape[0] / REFERENCE_PX
    width, height = (max(1, round(float(rng.uniform(*bounds)) * scale)) for bounds in ((2, 16), (10, 25)))
    scar = jitter(_cut(normal, height, width, rng), _JITTER, rng)
    angle = np.deg2rad(rng.uniform(-45, 45))
    cos, sin = abs(np.cos(angle)), abs(np.sin(angle))
    box = int(np.ceil(width * cos + height * sin)) + 1, int(np.ceil(width * sin + height * cos)) + 1
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), float(np.rad2deg(angle)), 1.0)
    turn[:, 2] += (box[0] - width) / 2, (box[1] - height) / 2
    turned = cv2.warpAffine(scar, turn, box, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    shape = cv2.warpAffine(np.ones((height, width), np.uint8), turn, box, flags=cv2.INTER_NEAREST)
    return _paste(normal, np.asarray(turned, np.uint8), np.asarray(shape, np.bool_), rng)


def _cut(normal: Image, height: int, width: int, rng: np.random.Generator) -> Image:
    top, left = (int(rng.integers(normal.shape[0] - length + 1)) for length in (height, width))
    return np.ascontiguousarray(normal[top : top + height, left : left + width])


def _paste(normal: Image, patch: Image, shape: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    top, left = (int(rng.integers(normal.shape[0] - length + 1)) for length in shape.shape)
    image, mask = normal.copy(), np.zeros(normal.shape[:2], np.bool_)
    mask[top : top + shape.shape[0], left : left + shape.shape[1]] = shape
    image[mask] = patch[shape]
    return image, mask
