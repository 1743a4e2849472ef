"""Reading data sets in MVTec layout for evaluation.

    <dir>/train/good/*.png                         normal images
    <dir>/test/good/*.png                          normal test images
    <dir>/test/<type>/<stem>.png                   anomaly images
    <dir>/ground_truth/<type>/<stem>_mask.png      masks (0 or 255), same stems

Split of the paper: of each anomaly type, sorted by name, the first third may be looked at (`few_shot`), the last two
thirds and all good test images are the test set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import ImageError

__all__ = [
    "GOOD",
    "Images",
    "Labelled",
    "Masks",
    "RealSet",
    "Stack",
    "choose",
    "list_images",
    "load_stack",
    "read_labelled",
    "read_real",
]

GOOD = "good"
"""The type of images without a defect."""
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_MIN_COVERED = 1 / 3  # of a pixel of the smaller mask: thin defects survive, and do not get fat

Images = NDArray[np.uint8]
"""(N, S, S, 3) uint8 RGB."""
Masks = NDArray[np.bool_]
"""(N, S, S) bool."""


class Labelled(NamedTuple):
    """An image file with its mask file and anomaly type; mask is None for good images."""

    image: Path
    mask: Path | None
    anomaly_type: str


class Stack(NamedTuple):
    """Decoded images, masks and types, all of one size."""

    images: Images
    masks: Masks
    types: list[str]


@dataclass(frozen=True)
class RealSet:
    """A real data set, split as in the module docstring."""

    train_good: list[Labelled]
    few_shot: list[Labelled]
    test: list[Labelled]


def read_real(root: Path, skip_types: Sequence[str] = ()) -> RealSet:
    """The split of a real data set.

    Raises:
        ImageError: a folder of the layout is missing or empty, an anomaly has no mask, or a type to skip is unknown.
    """
    few_shot: list[Labelled] = []
    test: list[Labelled] = []
    for one_type in _group(read_labelled(root, skip_types)).values():
        third = len(one_type) // 3
        few_shot += one_type[:third]
        test += one_type[third:]
    return RealSet(_good(root / "train" / GOOD), few_shot, test + _good(root / "test" / GOOD))


def read_labelled(root: Path, skip_types: Sequence[str] = ()) -> list[Labelled]:
    """Anomaly images with masks of a folder in MVTec layout, sorted by type and name.

    Raises:
        ImageError: there are none, one has no mask, or a type to skip is unknown.
    """
    folders = sorted(path for path in (root / "test").glob("*") if path.is_dir() and path.name != GOOD)
    if unknown := set(skip_types) - {folder.name for folder in folders}:
        known = ", ".join(folder.name for folder in folders) or "none"
        raise ImageError(f"{root} has no anomaly type {', '.join(sorted(unknown))} to skip; it has: {known}.")
    found: list[Labelled] = []
    for folder in folders:
        if folder.name in skip_types:
            continue
        for image in list_images(folder):
            mask = root / "ground_truth" / folder.name / f"{image.stem}_mask.png"
            if not mask.is_file():
                raise ImageError(f"{image} has no mask: expected {mask}.")
            found.append(Labelled(image, mask, folder.name))
    if not found:
        raise ImageError(f"{root} has no anomaly images: expected {root}/test/<type>/*.png (MVTec layout).")
    return found


def choose(files: Sequence[Labelled], count: int, seed: int) -> list[Labelled]:
    """`count` files drawn at random, as evenly over the types as they allow; all files when there are no more."""
    rng = np.random.default_rng([seed, 11])
    piles = [[pile[i] for i in rng.permutation(len(pile))] for pile in _group(files).values()]
    rounds = max((len(pile) for pile in piles), default=0)
    dealt = [pile[turn] for turn in range(rounds) for pile in piles if turn < len(pile)]
    return sorted(dealt[:count])


def load_stack(files: Sequence[Labelled], size_px: int) -> Stack:
    """Decode and resize to (size_px, size_px), each pixel the mean of the area that it covers.

    Raises:
        ImageError: a file cannot be decoded, or image and mask differ in size.
    """
    images = np.empty((len(files), size_px, size_px, 3), np.uint8)
    masks = np.zeros((len(files), size_px, size_px), np.bool_)
    for index, file in enumerate(files):
        image = _decode(file.image, cv2.IMREAD_COLOR_RGB)
        images[index] = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)
        if file.mask is not None:
            mask = _decode(file.mask, cv2.IMREAD_GRAYSCALE)
            if mask.shape != image.shape[:2]:
                raise ImageError(
                    f"{file.mask} is {mask.shape[1]} x {mask.shape[0]}, its image {image.shape[1]} x {image.shape[0]}."
                )
            covered = cv2.resize((mask > 127).astype(np.float32), (size_px, size_px), interpolation=cv2.INTER_AREA)
            masks[index] = np.asarray(covered) >= _MIN_COVERED
    return Stack(images, masks, [file.anomaly_type for file in files])


def list_images(folder: Path, *, deep: bool = False) -> list[Path]:
    """Image files of a folder, sorted; `deep`: of its subfolders too.

    Raises:
        ImageError: there are none.
    """
    found = sorted(path for path in folder.glob("**/*" if deep else "*") if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise ImageError(f"{folder} holds no images.")
    return found


def _good(folder: Path) -> list[Labelled]:
    return [Labelled(path, None, GOOD) for path in list_images(folder)]


def _group(files: Sequence[Labelled]) -> dict[str, list[Labelled]]:
    groups: dict[str, list[Labelled]] = {}
    for file in files:
        groups.setdefault(file.anomaly_type, []).append(file)
    return groups


def _decode(path: Path, flags: int) -> NDArray[np.uint8]:
    data = np.fromfile(path, np.uint8)
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise ImageError(f"{path} cannot be decoded as an image.")
    return np.asarray(image, np.uint8)
