"""COCO instance segmentation: one annotation for each 8-connected part of a defect, run-length encoded, holes kept.

    images/{train,val}/<stem>.*
    annotations/instances_{train,val}.json
    manifest.jsonl

Good photos are images without annotations. Run lengths are the uncompressed kind, which pycocotools and all that builds
on it read. Source: the COCO data format (cocodataset.org) and pycocotools.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from anomalyagent.training.datasets.entries import Entry, types_of
from anomalyagent.training.datasets.files import GOOD
from anomalyagent.training.datasets.formats.common import (
    EmptyMasks,
    Mask,
    Problem,
    Progress,
    describe,
    load_mask,
    name_of,
    parts_of,
    place_image,
    read_json,
    write_manifest,
    write_text,
)

__all__ = ["check", "encode", "write"]

_SPLITS = ("train", "val")


def encode(mask: Mask) -> dict[str, Any]:
    """Run lengths down the columns, the first of pixels outside."""
    flat = mask.flatten(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if flat.size and flat[0] else runs}


def write(entries: Sequence[Entry], out: Path, licence: str, progress: Progress) -> list[str]:
    """Write images, annotations and manifest."""
    kinds = types_of(entries)
    several = len({entry.item for entry in entries}) > 1
    class_of = {kind: number for number, kind in enumerate(kinds, 1)}
    names = {(e.item, e.anomaly_type): name_of(e, several) for e in entries if e.anomaly_type != GOOD}
    categories = [{"id": class_of[kind], "name": names[kind], "supercategory": kind[0]} for kind in kinds]
    images: dict[str, list[dict[str, Any]]] = {split: [] for split in _SPLITS}
    annotations: dict[str, list[dict[str, Any]]] = {split: [] for split in _SPLITS}
    lines: list[dict[str, Any]] = []
    empty = EmptyMasks()
    for done, entry in enumerate(entries, 1):
        path = place_image(entry, out / "images" / entry.split)
        mask = load_mask(entry)
        empty.look_at(entry, mask)
        height, width = mask.shape
        images[entry.split].append({"id": done, "file_name": path.name, "width": width, "height": height, "license": 1})
        for part in parts_of(mask):
            annotations[entry.split].append(
                _annotation(part, done, class_of[entry.item, entry.anomaly_type], sum(map(len, annotations.values())) + 1)
            )
        lines.append(describe(entry, path.relative_to(out).as_posix(), None, licence) | {"image_id": done})
        progress(done, len(entries))
    for split in _SPLITS:
        content = {
            "info": {"description": "Exported by anomalyagent", "version": "1.0"},
            "licenses": [{"id": 1, "name": licence or "not stated", "url": ""}],
            "categories": categories,
            "images": images[split],
            "annotations": annotations[split],
        }
        write_text(out / "annotations" / f"instances_{split}.json", json.dumps(content, ensure_ascii=False) + "\n")
    write_manifest(out, lines)
    return empty.notes()


def check(folder: Path) -> list[Problem]:
    """What is wrong with a COCO folder of ours."""
    problems: list[Problem] = []
    for path in sorted((folder / "annotations").glob("instances_*.json")):
        name, content = path.relative_to(folder).as_posix(), read_json(path)
        split = path.stem.removeprefix("instances_")
        images: dict[int, dict[str, Any]] = {one["id"]: one for one in content["images"]}
        classes = {one["id"] for one in content["categories"]}
        problems += [Problem(name, f"two images have the id {key}") for key in _repeated([i["id"] for i in content["images"]])]
        repeated = _repeated([one["id"] for one in content["annotations"]])
        problems += [Problem(name, f"two annotations have the id {key}") for key in repeated]
        for one in images.values():
            if not (folder / "images" / split / one["file_name"]).is_file():
                problems.append(Problem(name, f"image {one['file_name']} is not in images/{split}"))
        for one in content["annotations"]:
            image, said = images.get(one["image_id"]), f"annotation {one['id']}"
            if image is None:
                problems.append(Problem(name, f"{said} is of image {one['image_id']}, which is not there"))
            elif one["segmentation"]["size"] != [image["height"], image["width"]]:
                problems.append(Problem(name, f"{said} has another size than its image"))
            elif sum(one["segmentation"]["counts"]) != image["height"] * image["width"]:
                problems.append(Problem(name, f"the run lengths of {said} do not fill its image"))
            elif sum(one["segmentation"]["counts"][1::2]) != one["area"]:
                problems.append(Problem(name, f"{said} says another area than its run lengths"))
            if one["category_id"] not in classes:
                problems.append(Problem(name, f"{said} is of class {one['category_id']}, which is not there"))
    return problems


def _annotation(part: Mask, image: int, category: int, number: int) -> dict[str, Any]:
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1],
        "area": int(np.count_nonzero(part)),
        "segmentation": encode(part),
        "iscrowd": 0,
    }


def _repeated(keys: Sequence[int]) -> list[int]:
    return [key for key, count in Counter(keys).items() if count > 1]
