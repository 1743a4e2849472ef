"""`evaluate ablation`: what each part of the engine is worth, by switching it off once and training on what is then made.

    all                 everything on, `auto`
    no-<family>         renderers of one family off; anomaly types that only they draw are left out
    no-placement        anywhere in the frame, in any direction
    loose-masks         convex hulls of the defects, a little wider, instead of what visibly changed
    no-judge            the first image is taken, whatever its score
    one-round           an image that did not pass is not tried again

Data sets lie under `<work>/ablation/<variant>` and are made once; trainings are those of `evaluate localize`.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anomalyagent.configs.paths import temporary_beside
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ConfigError, RunError
from anomalyagent.graph.names import safe_name
from anomalyagent.graph.run import Request, synthesize
from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.fitting import choose_cards
from anomalyagent.knowledge.planning import plan_kinds
from anomalyagent.knowledge.spec import Mechanism
from anomalyagent.training.datasets.entries import MANIFEST
from anomalyagent.training.evaluation.compare import Comparison, compare
from anomalyagent.training.evaluation.keeping import check_table
from anomalyagent.training.evaluation.results import Result

__all__ = ["FAMILIES", "VARIANTS", "ablate", "make_variant"]

FAMILIES: Mapping[str, tuple[Mechanism, ...]] = {
    "lines": ("scratch", "crack", "cut", "fibre"),
    "relief": ("dent", "hole", "chip", "abrasion"),
    "matter": ("stain", "discoloration", "contamination", "print"),
    "structure": ("bend", "missing", "swap"),
}
_OTHERS: Mapping[str, Mapping[str, Any]] = {
    "all": {},
    "no-placement": {"tools": {"image_gen": {"options": {"placement": "anywhere"}}}},
    "loose-masks": {},
    "no-judge": {"tools": {"quality_eval": {"threshold": 0.0}}, "limits": {"rounds": 1}},
    "one-round": {"limits": {"rounds": 1}},
}
VARIANTS = ("all", *(f"no-{family}" for family in FAMILIES), *(name for name in _OTHERS if name != "all"))
_WIDER = 0.03  # of a defect's size


@dataclass(frozen=True)
class _Left:
    types: list[str]
    dropped: list[str]


def ablate(
    comparison: Comparison, item: str, normals: Sequence[Path], variants: Sequence[str], say: Callable[[str], None]
) -> list[Result]:
    """Make the data set of each variant, train on it, and write the table.

    Args:
        comparison: its `synthetic` is replaced by the variants.
        normals: photos of good parts, as for `synthesize`.
    Raises:
        ConfigError: a variant is unknown.
        RunError: see `synthesize`.
    """
    for variant in variants:
        if variant not in VARIANTS:
            raise ConfigError(f"unknown variant '{variant}'; known: {', '.join(VARIANTS)}.")
    check_table(comparison.out)
    folders: dict[str, Path] = {}
    for variant in variants:
        folder = make_variant(variant, item, normals, comparison.count, comparison.work / "ablation", say)
        if folder is not None:
            folders[variant] = folder
    return compare(replace(comparison, synthetic=folders), say)


def make_variant(
    variant: str, item: str, normals: Sequence[Path], count: int, work: Path, say: Callable[[str], None]
) -> Path | None:
    """The data set of a variant, about `count` images in all; None when the variant changes nothing for this item.

    Raises:
        RunError: see `synthesize`.
    """
    if variant == "loose-masks":
        tight = make_variant("all", item, normals, count, work, say)
        return None if tight is None else _loosen(tight, work / variant / tight.name)
    settings = Settings.model_validate(_merged(Settings().model_dump(), _OTHERS.get(variant, {})))
    left = _types_left(settings, item, FAMILIES.get(variant.removeprefix("no-"), ()))
    if variant.removeprefix("no-") in FAMILIES:
        if left is None:
            say(f"{variant}: the cards of '{item}' use none of these renderers")
            return None
        if not left.types:
            say(f"{variant}: nothing would be left of '{item}'")
            return None
        without = {"tools": {"prompt_gen": {"options": {"without": list(FAMILIES[variant.removeprefix("no-")])}}}}
        settings = Settings.model_validate(_merged(settings.model_dump(), without))
    kinds = len(plan_kinds(load_cards(()), item))
    types: Any = "auto" if left is None or not left.dropped else left.types
    each = max(1, round(count / (kinds if types == "auto" else len(types))))
    summary = synthesize(Request(list(normals), item, types, each, work / variant), settings)
    if summary.accepted == 0:
        raise RunError(f"variant '{variant}' made no image of '{item}': see {work / variant}/report.html.")
    say(f"{variant}: {summary.accepted} images")
    return work / variant / "dataset" / safe_name(item)


def _types_left(settings: Settings, item: str, without: Sequence[Mechanism]) -> _Left | None:
    """Types of `auto` that can be drawn without some mechanisms; None when no card uses them."""
    cards = load_cards(settings.knowledge.folders)
    left, dropped, used = list[str](), list[str](), False
    for kind in plan_kinds(cards, item):
        mechanisms = {v.mechanism for card in choose_cards(cards, item, kind.anomaly_type).cards for v in card.variants}
        used |= bool(mechanisms & set(without))
        (left if not mechanisms or mechanisms - set(without) else dropped).append(kind.anomaly_type)
    return _Left(left, dropped) if used else None


def _loosen(dataset: Path, out: Path) -> Path:
    """A copy of a data set whose masks are convex hulls, a little wider; of one that has grown since, a new copy."""
    manifests = [folder / MANIFEST for folder in (dataset, out)]
    if out.is_dir() and manifests[0].read_bytes() == manifests[1].read_bytes():
        return out
    half_made = temporary_beside(out)
    try:
        _copy_loosened(dataset, half_made)
        shutil.rmtree(out, ignore_errors=True)
        half_made.rename(out)
    finally:
        shutil.rmtree(half_made, ignore_errors=True)
    return out


def _copy_loosened(dataset: Path, half_made: Path) -> None:
    shutil.copytree(dataset, half_made)
    for path in sorted((half_made / "ground_truth").glob("*/*.png")):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        assert mask is not None
        path.unlink()  # the copy may be a hard link
        cv2.imwrite(str(path), _hulls(np.asarray(mask, np.uint8)))


def _hulls(mask: "np.ndarray[Any, np.dtype[np.uint8]]") -> "np.ndarray[Any, np.dtype[np.uint8]]":
    loose = np.zeros_like(mask)
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    for contour in cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
        cv2.fillConvexPoly(loose, cv2.convexHull(contour), 255)
    reach = max(1, round(_WIDER * float(np.sqrt(np.count_nonzero(loose)))))
    return np.asarray(cv2.dilate(loose, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), np.uint8)


def _merged(tree: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(tree)
    for key, value in changes.items():
        merged[key] = _merged(tree[key], value) if isinstance(value, dict) and isinstance(tree.get(key), dict) else value
    return merged
