"""`dataset validate`: would the tools that read this folder read what is meant?

In MVTec layout every image and mask is opened, and where a manifest says on which photo a sample was drawn, both promises are
checked: pixels outside the mask are those of the photo, and the files are those that were made. Other formats are recognised
by their files; what they say of each other is checked.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import AnomalyAgentError, ImageError
from anomalyagent.training.datasets.entries import MANIFEST, read_manifest, shows_a_real_defect
from anomalyagent.training.datasets.files import GOOD, SUFFIXES, Labelled, decode_image, decode_mask
from anomalyagent.training.datasets.formats import coco, hf, labelme, yolo
from anomalyagent.training.datasets.formats.common import Problem
from anomalyagent.training.datasets.layouts import Category, find_categories, read_category, tell_layout

__all__ = ["Verdict", "validate_dataset"]


class Verdict(NamedTuple):
    """What was found in a folder. `samples`: images that were looked at."""

    folder: Path
    format: str
    samples: int
    problems: list[Problem]

    @property
    def sound(self) -> bool:
        """Nothing severe was found."""
        return not any(problem.severe for problem in self.problems)


def validate_dataset(folder: Path, progress: Callable[[int, int], None] = lambda _done, _all: None) -> list[Verdict]:
    """Look at a data set, one verdict for each category or export.

    Raises:
        ImageError: the folder is of no known format.
    """
    for name, (mark, check) in _EXPORTS.items():
        if any(folder.glob(mark)):
            lines = _count_lines(folder)
            try:
                problems = check(folder)
            except (KeyError, TypeError, ValueError, AnomalyAgentError) as error:
                problems = [Problem(".", f"is no sound {name} export: {type(error).__name__}: {error}")]
            return [Verdict(folder, name, lines, problems)]
    return [_validate_category(one, progress) for one in find_categories(folder)]


_EXPORTS: dict[str, tuple[str, Callable[[Path], list[Problem]]]] = {
    "coco": ("annotations/instances_*.json", coco.check),
    "yolo-seg": ("data.yaml", yolo.check),
    "hf": ("*/metadata.jsonl", hf.check),
    "labelme": ("labels.txt", labelme.check),
}


def _count_lines(folder: Path) -> int:
    path = folder / MANIFEST
    return len(path.read_bytes().splitlines()) if path.is_file() else 0


def _validate_category(folder: Path, progress: Callable[[int, int], None]) -> Verdict:
    layout = str(tell_layout(folder))
    problems = _stray_files(folder) if layout == "mvtec" else []
    try:
        category = read_category(folder)
        records = read_manifest(folder)
    except ImageError as error:
        return Verdict(folder, layout, 0, [*problems, Problem(".", str(error))])
    if layout == "mvtec":
        problems += _names(folder, category)
        known = {file.image.relative_to(folder).as_posix() for file in [*category.anomalies, *category.train_good]}
        known |= {file.image.relative_to(folder).as_posix() for file in category.test_good}
        problems += [Problem(name, f"is in {MANIFEST}, and not there") for name in records if name not in known]
    if not category.train_good:
        problems.append(Problem("train/good", "holds no good photos: nothing to learn from", severe=False))
    if not category.test_good:
        text = "holds no good photos: image-level scores cannot be told apart. `dataset export --format mvtec` holds some out"
        problems.append(Problem("test/good", text, severe=False))
    files = [*category.train_good, *category.test_good, *category.validation_good, *category.anomalies]
    seen: dict[str, str] = {}
    for done, file in enumerate(files, 1):
        name = file.image.relative_to(folder).as_posix() if file.image.is_relative_to(folder) else str(file.image)
        problems += [Problem(name, text, severe) for text, severe in _look_at(folder, file, records.get(name, {}), layout)]
        digest = hashlib.sha256(file.image.read_bytes()).hexdigest() if file.image.is_file() else name
        if (twin := seen.setdefault(digest, name)) != name:
            problems.append(Problem(name, f"is the same file as {twin}", severe=False))
        progress(done, len(files))
    return Verdict(folder, layout, len(files), problems)


def _stray_files(folder: Path) -> list[Problem]:
    """What readers would take for images, or would stumble over."""
    problems: list[Problem] = []
    for part in ("train", "test", "ground_truth"):
        for path in sorted((folder / part).rglob("*")):
            if path.is_file() and path.suffix.lower() not in SUFFIXES:
                problems.append(Problem(path.relative_to(folder).as_posix(), "is no image, and readers stumble over it"))
            elif path.is_file() and path.parent == folder / part:
                problems.append(Problem(path.relative_to(folder).as_posix(), "lies beside the folders of the types"))
    defects = [path for path in sorted((folder / "train").glob("*")) if path.is_dir() and path.name != GOOD]
    problems += [
        Problem(f"train/{path.name}", "is a defect among the training images, which readers refuse") for path in defects
    ]
    if (folder / "ground_truth" / GOOD).is_dir():
        problems.append(Problem(f"ground_truth/{GOOD}", "good images have no masks"))
    return problems


def _names(folder: Path, category: Category) -> list[Problem]:
    """Readers pair images and masks by sorted order, and read PNG alone."""
    problems: list[Problem] = []
    other = [file for file in [*category.train_good, *category.test_good, *category.anomalies] if file.image.suffix != ".png"]
    if other:
        name = other[0].image.relative_to(folder).as_posix()
        text = f"is no .png ({len(other)} such images): anomalib's MVTecAD leaves them out. Export with --format mvtec"
        problems.append(Problem(name, text, severe=False))
    kinds: dict[str, list[Labelled]] = {}
    for file in category.anomalies:
        kinds.setdefault(file.anomaly_type, []).append(file)
    for kind, files in kinds.items():
        by_mask = sorted(files, key=lambda file: str(file.mask))
        if [file.image for file in by_mask] != [file.image for file in files]:
            text = "sorted by name, images and masks come in different orders (names are not zero-padded): readers pair them "
            problems.append(Problem(f"test/{kind}", text + "wrongly. Export with --format mvtec, which numbers anew"))
        masks = {file.mask for file in files}
        for mask in sorted((folder / "ground_truth" / kind).glob("*")):
            if mask not in masks and mask.suffix.lower() in SUFFIXES:
                problems.append(Problem(mask.relative_to(folder).as_posix(), "is a mask without an image"))
    return problems


def _look_at(folder: Path, file: Labelled, record: dict[str, Any], layout: str) -> list[tuple[str, bool]]:
    """(what is wrong, severe) with one image."""
    try:
        image, mask = decode_image(file.image), decode_mask(file)
    except ImageError as error:
        return [(str(error), True)]
    found: list[tuple[str, bool]] = []
    if mask is None:
        return found
    if mask.shape != image.shape[:2]:
        height, width = mask.shape
        return [(f"has a mask of {width} x {height}, and is {image.shape[1]} x {image.shape[0]}", True)]
    if not mask.any():
        found.append(("has an empty mask: its pixels count as good", True))
    if layout == "mvtec" and file.mask is not None:
        values = set(np.unique(_grey(file.mask)).tolist()) - {0, 255}
        if values:
            found.append((f"has a mask with values other than 0 and 255, such as {min(values)}", True))
    for key, path in (("image_sha256", file.image), ("mask_sha256", file.mask)):
        wanted = record.get(key)
        if wanted and path is not None and hashlib.sha256(path.read_bytes()).hexdigest() != wanted:
            found.append((f"{path.name} is not the file that {MANIFEST} speaks of: it was changed", True))
    normal = folder / str(record.get("normal", ""))
    if record.get("normal") and normal.is_file() and not shows_a_real_defect(record):
        found += _beside_its_photo(image, decode_image(normal), mask)
    return found


def _beside_its_photo(image: NDArray[np.uint8], normal: NDArray[np.uint8], mask: NDArray[np.bool_]) -> list[tuple[str, bool]]:
    if normal.shape != image.shape:
        return [("has another size than the photo that it was drawn on", True)]
    outside = int(np.count_nonzero((image != normal).any(axis=2) & ~mask))
    return [(f"differs from its photo in {outside} pixels outside the mask", True)] if outside else []


def _grey(path: Path) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.zeros(0, np.uint8) if image is None else np.asarray(image, np.uint8)
