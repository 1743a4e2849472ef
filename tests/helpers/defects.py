"""Tiny real-looking data sets in MVTec layout, made on the spot: parts with dark spots of two kinds, and their masks."""

from pathlib import Path

import cv2
import numpy as np
from helpers.photos import make_photo
from numpy.typing import NDArray

__all__ = ["make_defect", "make_mvtec"]


def make_defect(seed: int, size: int = 96, radius: int = 8) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A part with one dark disc on it: (size, size, 3) uint8 RGB, and its mask (size, size) uint8 of 0 and 255."""
    image = make_photo("part", seed, size)
    center = np.random.default_rng([seed, 5]).integers(size // 4, 3 * size // 4, 2).tolist()
    mask = np.zeros((size, size), np.uint8)
    cv2.circle(mask, center, radius, 255, -1)
    image[mask > 0] //= 4
    return image, mask


def make_mvtec(root: Path, types: dict[str, int], train: int = 4, good: int = 3, size: int = 96) -> Path:
    """Write a data set with so many images of each type into `root`, and return it. Later types have larger defects."""
    for part, count, first in (("train", train, 0), ("test", good, 1000)):
        for number in range(count):
            _write(root / part / "good" / f"{number:03d}.png", make_photo("part", first + number, size))
    for place, (name, count) in enumerate(types.items()):
        for number in range(count):
            image, mask = make_defect(2000 + 100 * place + number, size, radius=6 + 4 * place)
            _write(root / "test" / name / f"{number:03d}.png", image)
            _write(root / "ground_truth" / name / f"{number:03d}_mask.png", mask)
    return root


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)
