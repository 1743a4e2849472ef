"""Hugging Face image folder: columns `image`, `mask` and what is known of them.

    load_dataset("imagefolder", data_dir=DIR)

    {train,validation}/<stem>.*, <stem>_mask.png      every image has a mask; that of a good photo is black
    {train,validation}/metadata.jsonl                 file_name, mask_file_name, item, anomaly_type, score, spec (JSON), ...
    README.md                                         the data card
    manifest.jsonl                                    all that is known; the loader passes it over

Source: the Hub's image data set documentation (`*_file_name` columns become images).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anomalyagent.training.datasets.entries import Entry, shows_a_real_defect, types_of
from anomalyagent.training.datasets.files import GOOD
from anomalyagent.training.datasets.formats.common import (
    Problem,
    Progress,
    describe,
    load_mask,
    place_image,
    place_mask,
    write_manifest,
    write_text,
)

__all__ = ["check", "write"]

_SPLITS = {"train": "train", "val": "validation"}
_WORDS = ("prompt", "trajectory", "source", "source_sha256")
_NUMBERS = ("location_score", "quality_score", "score", "rounds", "seed")


def write(entries: Sequence[Entry], out: Path, licence: str, progress: Progress) -> list[str]:
    """Write images, masks, metadata and the data card."""
    lines: dict[str, list[dict[str, Any]]] = {}
    manifest: list[dict[str, Any]] = []
    splits = {entry.split for entry in entries}
    numbers = [key for key in _NUMBERS if {one.split for one in entries if one.record.get(key) is not None} == splits]
    for done, entry in enumerate(entries, 1):
        folder = out / _SPLITS[entry.split]
        path, mask = place_image(entry, folder), load_mask(entry)
        place_mask(mask, folder / f"{entry.stem}_mask.png")
        lines.setdefault(_SPLITS[entry.split], []).append(_row(entry, path.name, float(mask.mean()), licence, numbers))
        truth = f"{folder.name}/{entry.stem}_mask.png"
        manifest.append(describe(entry, path.relative_to(out).as_posix(), truth, licence))
        progress(done, len(entries))
    for split, rows in lines.items():
        write_text(out / split / "metadata.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_manifest(out, manifest)
    write_text(out / "README.md", _card(entries, licence))
    return []


def check(folder: Path) -> list[Problem]:
    """What is wrong with an image folder of ours."""
    problems: list[Problem] = []
    for path in sorted(folder.glob("*/metadata.jsonl")):
        name = path.relative_to(folder).as_posix()
        for number, text in enumerate(path.read_bytes().splitlines(), 1):
            try:
                row: dict[str, Any] = json.loads(text)
                files = [str(row["file_name"]), str(row["mask_file_name"])]
            except (ValueError, KeyError) as error:
                problems.append(Problem(name, f"line {number} is damaged: {error}"))
                continue
            problems += [
                Problem(name, f"line {number}: {file} is not there") for file in files if not (path.parent / file).is_file()
            ]
    return problems


def _row(entry: Entry, name: str, area: float, licence: str, numbers: Sequence[str]) -> dict[str, Any]:
    spec = entry.record.get("spec")
    return {
        "file_name": name,
        "mask_file_name": f"{entry.stem}_mask.png",
        "item": entry.item,
        "anomaly_type": entry.anomaly_type,
        "anomalous": entry.anomaly_type != GOOD,
        "area_fraction": round(area, 6),
        # The type of a column is read off its values, in each split anew: never nothing but nulls.
        **{key: str(entry.record.get(key) or "") for key in _WORDS},
        **{key: entry.record.get(key) for key in numbers},
        # Specs differ in their fields; a column must not.
        "spec": json.dumps(spec, ensure_ascii=False) if spec else "",
        "licence": licence,
    }


def _card(entries: Sequence[Entry], licence: str) -> str:
    kinds = types_of(entries)
    anomalies = sum(entry.anomaly_type != GOOD for entry in entries)
    real = any(shows_a_real_defect(entry.record) for entry in entries)
    twins = "Some defects and masks are real: their photo without the defect is the same one, repaired (`traces from-real`)."
    head = ["---", "task_categories:", "- image-segmentation", "tags:", "- anomaly-detection", "- industrial-inspection"]
    head += ["size_categories:", f"- {_size(len(entries))}", "---"]
    body = [
        f"# Defects on {', '.join(dict.fromkeys(entry.item for entry in entries))}",
        "",
        f"{len(entries)} images, {anomalies} of them with a defect: {', '.join(dict.fromkeys(kind for _, kind in kinds))}.",
        "Exported by anomalyagent. Images with a `trajectory` are synthetic: drawn on photos of good parts, identical to them",
        "outside the mask. The mask is what visibly changed. `validation` holds good photos that `train` does not show, and",
        "what was drawn on them.",
        *([twins] if real else []),
        "",
        f"Licence of the images: {licence or 'not stated; that of the photos that they were made from'}.",
        "",
        "```python",
        'datasets.load_dataset("imagefolder", data_dir="<this folder>")   # image, mask, item, anomaly_type, score, spec, ...',
        "```",
    ]
    return "\n".join([*head, "", *body]) + "\n"


def _size(images: int) -> str:
    """The Hub's name of a size."""
    limits = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    return next((name for limit, name in limits.items() if images < limit), "n>1M")
