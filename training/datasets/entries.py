"""What an export writes: every image of the sources with its type, its split and what is known of it.

Held out is a share of the good photos, and with them all that was drawn on them: a detector must not be checked on a
background that it was trained on. Images of unknown origin are held out one by one, evenly over each type. Good images that
a real data set keeps for tests or validation are always held out.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from anomalyagent.errors import ImageError
from anomalyagent.graph.dataset import photo_behind
from anomalyagent.graph.names import choose_folders, safe_name
from anomalyagent.training.datasets.files import GOOD, Labelled
from anomalyagent.training.datasets.layouts import Category, find_categories, read_category

__all__ = [
    "FROM_REAL",
    "MANIFEST",
    "Entry",
    "Split",
    "gather_entries",
    "place_of",
    "read_manifest",
    "shows_a_real_defect",
    "types_of",
]

MANIFEST = "manifest.jsonl"
FROM_REAL = "from-real"
"""Policy of trajectories that end in the photo of a real defect."""
Split = Literal["train", "val"]
_MIN_DIGITS = 3


@dataclass(frozen=True)
class Entry:
    """One image of an export.

    Attributes:
        item: name of the part, as the user gave it; `folder`: a safe name of it.
        anomaly_type: `good` without a defect; `type_folder`: a safe name of it.
        number: counts the images of one item, type and split, or of one item and type; see `stem`.
        stem: unique in an export; zero-padded, so that names sort as numbers do.
        record: the line of the source's manifest; empty when there is none.
    """

    source: Labelled
    item: str
    folder: str
    anomaly_type: str
    type_folder: str
    split: Split
    stem: str
    record: dict[str, Any] = field(default_factory=dict[str, Any])


def gather_entries(sources: Sequence[Path], holdout: float, item: str | None = None) -> list[Entry]:
    """Every image of the sources: data sets in any known layout, or folders of runs.

    Args:
        holdout: share of the good photos that is held out, 0..1.
        item: name of the part, instead of what the source calls it; for a single category.
    Raises:
        ImageError: a source is no data set, or holds no images.
    """
    folders = [folder for source in sources for folder in find_categories(source)]
    if item is not None and len(folders) > 1:
        raise ImageError(f"one name was given for {len(folders)} items: {', '.join(folder.name for folder in folders)}.")
    found: list[Entry] = []
    taken: set[str] = set()
    for folder in folders:
        category, records = read_category(folder), read_manifest(folder)
        name = item or next((str(one["item"]) for one in records.values() if one.get("item")), category.name)
        safe = safe_name(name)
        if safe.casefold() in taken:
            raise ImageError(f"two sources hold an item '{name}'; export them one by one, with --item for one of them.")
        taken.add(safe.casefold())
        entries = _of_category(folder, category, records, holdout, name, safe)
        if not entries:
            raise ImageError(f"{folder} holds no images (layout {category.layout}).")
        found += entries
    if clash := next((stem for stem, count in Counter(entry.stem for entry in found).items() if count > 1), None):
        raise ImageError(f"two images would be called '{clash}': items and types are named alike. Export the items apart.")
    return found


def types_of(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    """(item, anomaly type) of every kind of defect, in their order."""
    return list(dict.fromkeys((one.item, one.anomaly_type) for one in entries if one.anomaly_type != GOOD))


def shows_a_real_defect(record: Mapping[str, Any]) -> bool:
    """True of a line about a real photo with its own mask: its `normal` is that photo, repaired a little beyond the mask."""
    return record.get("policy") == FROM_REAL


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Path of an image relative to the folder -> its line in manifest.jsonl; empty without one.

    Raises:
        ImageError: a line is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    found: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            record: dict[str, Any] = json.loads(line)
            found[str(record["image"])] = record
        except (ValueError, KeyError, TypeError) as error:
            raise ImageError(
                f"{path}, line {number}, is no line of a manifest: {error}. Run the same synthesis again."
            ) from error
    return found


def place_of(image: Path) -> str:
    """Where a good photo lies in MVTec layout, as manifests name it: `train/good/000.png`."""
    return "/".join(image.parts[-3:])


def _of_category(
    folder: Path, category: Category, records: dict[str, dict[str, Any]], holdout: float, item: str, safe: str
) -> list[Entry]:
    photos = [file.image for file in category.train_good if photo_behind(file.image) is None]
    held_good = {photos[index].with_suffix("") for index in _held(len(photos), 0.0 if category.test_good else holdout)}
    kinds = list(dict.fromkeys(file.anomaly_type for file in category.anomalies))
    names = {GOOD: GOOD, **dict(zip(kinds, choose_folders(kinds), strict=True))}
    piles: list[tuple[Labelled, Split, dict[str, Any]]] = []
    for file in category.train_good:
        held_out = file.image.with_name(photo_behind(file.image) or file.image.stem) in held_good
        piles.append((file, "val" if held_out else "train", {}))
    for file in [*category.test_good, *category.validation_good]:
        piles.append((file, "val", {}))
    splits: dict[str, Split] = {place_of(file.image): split for file, split, _ in piles}
    for kind in kinds:
        pile = [file for file in category.anomalies if file.anomaly_type == kind]
        held = _held(len(pile), holdout)
        for index, file in enumerate(pile):
            record = records.get(file.image.relative_to(folder).as_posix(), {}) if records else {}
            alone: Split = "val" if index in held else "train"
            piles.append((file, splits.get(str(record.get("normal")), alone), record))
    digits = max(_MIN_DIGITS, len(str(len(piles) - 1)) if piles else 0)
    counts: dict[str, int] = {}
    entries: list[Entry] = []
    for file, split, record in piles:
        number = counts[file.anomaly_type] = counts.get(file.anomaly_type, -1) + 1
        stem = f"{safe}-{names[file.anomaly_type]}-{number:0{digits}d}"
        # What a user called the type, when its folder had to be named otherwise.
        kind = str(record.get("anomaly_type") or file.anomaly_type)
        entries.append(Entry(file, item, safe, kind, names[file.anomaly_type], split, stem, record))
    return entries


def _held(count: int, share: float) -> set[int]:
    """Indices of the images that are held out, evenly spread; of two and more at least one."""
    found = {index for index in range(count) if int((index + 1) * share + 1e-9) > int(index * share + 1e-9)}
    return found or ({count - 1} if share and count > 1 else set())
