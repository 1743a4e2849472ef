"""MVTec layout, as strict as its readers want it.

    <item>/train/good/000.png                    good photos to train on
    <item>/train/good/000_harmless_000.png       the same with harmless differences, where the source has some
    <item>/test/good/000.png                     good photos that were held out
    <item>/test/<type>/000.png                   every anomaly image
    <item>/ground_truth/<type>/000_mask.png      0 or 255
    <item>/manifest.jsonl

Readers pair images and masks by sorted order and take PNG only: all names are zero-padded, all images become PNG, and
nothing else lies among them. Detectors that learn from good photos use all anomalies for validation and test.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anomalyagent.graph.dataset import photo_behind
from anomalyagent.training.datasets.entries import Entry, place_of
from anomalyagent.training.datasets.files import GOOD
from anomalyagent.training.datasets.formats.common import (
    Progress,
    describe,
    place_png,
    place_truth,
    write_manifest,
)

__all__ = ["write"]


def write(entries: Sequence[Entry], out: Path, licence: str, progress: Progress) -> list[str]:
    """Write one folder for each item."""
    lines: dict[str, list[dict[str, Any]]] = {}
    numbers: dict[tuple[str, str, str], int] = {}
    moved: dict[tuple[str, str], str] = {}  # a good photo of the source -> where it is now
    stems: dict[tuple[str, Path], str] = {}  # the same without suffixes -> its name now
    for done, entry in enumerate(entries, 1):
        part = "test" if entry.anomaly_type != GOOD or entry.split == "val" else "train"
        source, root = entry.source.image, out / entry.folder
        behind = photo_behind(source) if entry.anomaly_type == GOOD else None
        photo = stems.get((entry.folder, source.with_name(behind))) if behind else None
        if behind and photo:
            name = photo + source.stem.removeprefix(behind)
        else:
            key = (entry.folder, part, entry.type_folder)
            number = numbers[key] = numbers.get(key, -1) + 1
            name = f"{number:0{len(entry.stem.rpartition('-')[2])}d}"
        image, mask = f"{part}/{entry.type_folder}/{name}.png", None
        place_png(source, root / image)
        if entry.anomaly_type != GOOD:
            mask = f"ground_truth/{entry.type_folder}/{name}_mask.png"
            place_truth(entry, root / mask)
        else:
            moved[entry.folder, place_of(source)] = image
            stems[entry.folder, source.with_suffix("")] = name
        normal = moved.get((entry.folder, str(entry.record.get("normal"))))
        line = describe(entry, image, mask, licence) | {"normal": normal, "image_sha256": _sha256(root / image)}
        lines.setdefault(entry.folder, []).append(line | {"mask_sha256": _sha256(root / mask) if mask else None})
        progress(done, len(entries))
    for folder, one in lines.items():
        write_manifest(out / folder, one)
    without = [folder for folder in lines if (folder, "test", GOOD) not in numbers]
    return [
        f"{', '.join(without)}: no good photo was held out, so nothing can be told apart at image level; raise --holdout."
    ] * bool(without)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
