"""YOLO segmentation: the outline of each part of a defect, in shares of the image's size.

    images/{train,val}/<stem>.*
    labels/{train,val}/<stem>.txt       class x1 y1 x2 y2 ..., one line for each part; empty for good photos
    data.yaml                           folders and names of the classes
    manifest.jsonl

A pixel's place is its centre. Outlines have no holes: they are filled. Source: Ultralytics' data set documentation.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from anomalyagent.training.datasets.entries import Entry, types_of
from anomalyagent.training.datasets.files import GOOD, sorted_images
from anomalyagent.training.datasets.formats.common import (
    EmptyMasks,
    HolesFilled,
    Problem,
    Progress,
    describe,
    load_mask,
    name_of,
    outlines_of,
    place_image,
    write_manifest,
    write_text,
)

__all__ = ["check", "write"]


def write(entries: Sequence[Entry], out: Path, licence: str, progress: Progress) -> list[str]:
    """Write images, labels, data.yaml and manifest."""
    kinds = types_of(entries)
    several = len({entry.item for entry in entries}) > 1
    filled, empty = HolesFilled(), EmptyMasks()
    lines: list[dict[str, Any]] = []
    names: dict[int, str] = {}
    for done, entry in enumerate(entries, 1):
        path = place_image(entry, out / "images" / entry.split)
        mask = load_mask(entry)
        empty.look_at(entry, mask)
        height, width = mask.shape
        rows: list[str] = []
        if entry.anomaly_type != GOOD:
            number = kinds.index((entry.item, entry.anomaly_type))
            names[number] = name_of(entry, several)
            for outline in outlines_of(mask, filled):
                places = [f"{(x + 0.5) / width:.6f} {(y + 0.5) / height:.6f}" for x, y in outline.tolist()]
                rows.append(f"{number} {' '.join(places)}\n")
        write_text(out / "labels" / entry.split / f"{entry.stem}.txt", "".join(rows))
        lines.append(describe(entry, path.relative_to(out).as_posix(), None, licence))
        progress(done, len(entries))
    for split in ("train", "val"):
        (out / "images" / split).mkdir(parents=True, exist_ok=True)
    content = {"train": "images/train", "val": "images/val", "names": dict(sorted(names.items()))}
    write_text(out / "data.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    write_manifest(out, lines)
    return [*filled.notes(), *empty.notes()]


def check(folder: Path) -> list[Problem]:
    """What is wrong with a YOLO folder."""
    names: dict[int, str] = yaml.safe_load((folder / "data.yaml").read_text("utf-8"))["names"]
    problems: list[Problem] = []
    for split in ("train", "val"):
        images = {path.stem for path in sorted_images(folder / "images" / split)}
        labels = sorted((folder / "labels" / split).glob("*.txt"))
        problems += [
            Problem(path.relative_to(folder).as_posix(), f"has no image in images/{split}")
            for path in labels
            if path.stem not in images
        ]
        problems += [
            Problem(f"images/{split}/{stem}", "has no label file, and counts as good", severe=False)
            for stem in sorted(images - {path.stem for path in labels})
        ]
        for path in labels:
            name = path.relative_to(folder).as_posix()
            for number, row in enumerate(path.read_text("utf-8").splitlines(), 1):
                if text := _fault(row, names):
                    problems.append(Problem(name, f"line {number}: {text}"))
    return problems


def _fault(row: str, names: dict[int, str]) -> str | None:
    try:
        number, *places = row.split()
        values = [float(place) for place in places]
        known = int(number) in names
    except ValueError:
        return "is not a class and numbers"
    if not known:
        return f"class {number} has no name in data.yaml"
    if len(values) < 6 or len(values) % 2:
        return f"{len(values)} coordinates are no outline"
    return None if all(0 <= value <= 1 for value in values) else "a coordinate lies outside 0..1"
