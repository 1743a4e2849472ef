"""Labelme: one JSON file beside each image, outlines that can be moved by hand.

    {train,val}/<stem>.*, {train,val}/<stem>.json
    labels.txt                          for `labelme --labels`
    manifest.jsonl

Outlines have no holes: they are filled. Source: labelme's label file, version 5.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anomalyagent.training.datasets.entries import Entry
from anomalyagent.training.datasets.files import GOOD, decode_image
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
    read_json,
    write_manifest,
    write_text,
)

__all__ = ["check", "write"]

_VERSION = "5.5.0"


def write(entries: Sequence[Entry], out: Path, licence: str, progress: Progress) -> list[str]:
    """Write images, label files, the list of labels and the manifest."""
    several = len({entry.item for entry in entries}) > 1
    filled, empty = HolesFilled(), EmptyMasks()
    names: dict[str, None] = {}
    lines: list[dict[str, Any]] = []
    for done, entry in enumerate(entries, 1):
        path, mask = place_image(entry, out / entry.split), load_mask(entry)
        empty.look_at(entry, mask)
        shapes: list[dict[str, Any]] = []
        if entry.anomaly_type != GOOD:
            name = name_of(entry, several)
            names[name] = None
            shapes = [_shape(name, outline.tolist()) for outline in outlines_of(mask, filled)]
        content = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": path.name,
            "imageData": None,
            "imageHeight": mask.shape[0],
            "imageWidth": mask.shape[1],
        }
        write_text(path.with_suffix(".json"), json.dumps(content, ensure_ascii=False, indent=2) + "\n")
        lines.append(describe(entry, path.relative_to(out).as_posix(), None, licence))
        progress(done, len(entries))
    write_text(out / "labels.txt", "".join(f"{name}\n" for name in ["__ignore__", "_background_", *names]))
    write_manifest(out, lines)
    return [*filled.notes(), *empty.notes()]


def check(folder: Path) -> list[Problem]:
    """What is wrong with a folder of label files."""
    problems: list[Problem] = []
    for path in sorted(folder.glob("*/*.json")):
        name, content = path.relative_to(folder).as_posix(), read_json(path)
        image = path.parent / content["imagePath"]
        if not image.is_file():
            problems.append(Problem(name, f"its image {content['imagePath']} is not there"))
            continue
        height, width = decode_image(image).shape[:2]
        if (content["imageHeight"], content["imageWidth"]) != (height, width):
            problems.append(Problem(name, f"says {content['imageWidth']} x {content['imageHeight']}, is {width} x {height}"))
        for shape in content["shapes"]:
            if not all(0 <= x <= width and 0 <= y <= height for x, y in shape["points"]):
                problems.append(Problem(name, f"a shape of '{shape['label']}' leaves the image"))
    return problems


def _shape(label: str, points: list[list[float]]) -> dict[str, Any]:
    return {
        "label": label,
        "points": points,
        "group_id": None,
        "description": "",
        "shape_type": "polygon",
        "flags": {},
        "mask": None,
    }
