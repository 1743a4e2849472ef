"""What evaluation needs of a data set: its split, and decoded stacks. The layouts are read by `training/datasets/layouts.py`.

Split of the paper: of each anomaly type, sorted by name, the first third may be looked at (`few_shot`), the last two
thirds and all good test images are the test set. Where a part was photographed more than once, the paper's split shows the
same defect on both sides; with a list of the parts all photos of one stay together.
"""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import ConfigError, ImageError
from anomalyagent.graph.dataset import photo_behind
from anomalyagent.training.datasets.files import GOOD, Labelled, decode_pair, list_images
from anomalyagent.training.datasets.layouts import read_category

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
    "read_harmless",
    "read_labelled",
    "read_parts",
    "read_real",
]

_MIN_COVERED = 1 / 3  # of a pixel of the smaller mask: thin defects survive, and do not get fat

Images = NDArray[np.uint8]
"""(N, S, S, 3) uint8 RGB."""
Masks = NDArray[np.bool_]
"""(N, S, S) bool."""


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


def read_real(root: Path, skip_types: Sequence[str] = (), parts: Path | None = None) -> RealSet:
    """The split of a real data set; good images may be missing.

    Args:
        parts: see `read_parts`; None: every image shows a part of its own.
    Raises:
        ImageError: there are no anomaly images, one has no mask, or a type to skip is unknown.
        ConfigError: the list of parts cannot be used.
    """
    few_shot: list[Labelled] = []
    test: list[Labelled] = []
    part_of = {} if parts is None else read_parts(parts, root)
    for one_type in _group(read_labelled(root, skip_types)).values():
        seen, tested = _split(one_type, part_of)
        few_shot += seen
        test += tested
    category = read_category(root)
    return RealSet(category.train_good, few_shot, test + category.test_good)


def read_parts(table: Path, root: Path) -> dict[Path, str]:
    """Which part each image shows: a CSV file with the columns `image` (path below `root`) and `part` (any name).

    Images that it does not list show parts of their own.

    Raises:
        ConfigError: the file cannot be read, lacks a column, or names an image that is not there.
    """
    try:
        rows = list(csv.DictReader(table.read_text("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read the list of parts {table}: {error}.") from error
    part_of: dict[Path, str] = {}
    for number, row in enumerate(rows, start=2):
        image, part = row.get("image"), row.get("part")
        if not image or not part:
            raise ConfigError(f"line {number} of {table} needs the columns 'image' and 'part'; it has {row}.")
        if not (root / image).is_file():
            raise ConfigError(f"line {number} of {table} names {image}, which is not in {root}: give paths below that folder.")
        part_of[(root / image).resolve()] = part
    if not part_of:
        raise ConfigError(f"{table} lists no images: it needs the columns 'image' (path below {root}) and 'part'.")
    return part_of


def _split(files: Sequence[Labelled], part_of: Mapping[Path, str]) -> tuple[list[Labelled], list[Labelled]]:
    """The first third of one type and the rest. A part that no longer fits into the third is tested whole."""
    part = {file: part_of.get(file.image.resolve(), file.image) for file in files}
    seen: set[str | Path] = set()
    room = len(files) // 3
    for one, photos in Counter(part.values()).items():  # in the order of their first photos
        if photos <= room:
            room -= photos
            seen.add(one)
    return [file for file in files if part[file] in seen], [file for file in files if part[file] not in seen]


def read_labelled(root: Path, skip_types: Sequence[str] = ()) -> list[Labelled]:
    """Anomaly images with masks of one category, sorted by type and name.

    Raises:
        ImageError: there are none, one has no mask, or a type to skip is unknown.
    """
    category = read_category(root)
    known = sorted({file.anomaly_type for file in category.anomalies})
    if unknown := set(skip_types) - set(known):
        raise ImageError(
            f"{root} has no anomaly type {', '.join(sorted(unknown))} to skip; it has: {', '.join(known) or 'none'}."
        )
    found = [file for file in category.anomalies if file.anomaly_type not in skip_types]
    if not found:
        skipped = f": all of its types ({', '.join(known)}) are to be skipped" if known else ""
        raise ImageError(f"{root} has no anomaly images (layout {category.layout}){skipped}.")
    return found


def read_harmless(root: Path) -> list[Labelled]:
    """Good photos with harmless differences of one category (see datasets/harmless.py), sorted by name."""
    return [file for file in read_category(root).train_good if photo_behind(file.image) is not None]


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
        image, mask = decode_pair(file)
        images[index] = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)
        if mask is not None:
            covered = cv2.resize(mask.astype(np.float32), (size_px, size_px), interpolation=cv2.INTER_AREA)
            masks[index] = np.asarray(covered) >= _MIN_COVERED
    return Stack(images, masks, [file.anomaly_type for file in files])


def _group(files: Sequence[Labelled]) -> dict[str, list[Labelled]]:
    groups: dict[str, list[Labelled]] = {}
    for file in files:
        groups.setdefault(file.anomaly_type, []).append(file)
    return groups
