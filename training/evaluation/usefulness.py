"""Does the judge's score tell what trains a detector? Generator settings, good and bad, each judged and each trained on.

    setting -> `count` images on the normal photos -> mean score of the judge
                                                   -> UNet trained on them, pixel AP on real defects (`compare`)
    result: Spearman correlation of the two over all settings

The settings spoil one thing at a time: strength, size, kind, place, how it meets the surface. The judge never sees a real
defect or a detector, so a high correlation means that its opinion can stand in for a training.

    <work>/settings/<item>-<digest>/<setting>/   MVTec layout, kept so that a comparison resumes and can be looked at
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple, cast

import numpy as np
from scipy.stats import spearmanr

import anomalyagent
from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.errors import BackendError, ConfigError, RunError
from anomalyagent.graph.files import write_atomically
from anomalyagent.knowledge.cards import Card, load_cards
from anomalyagent.knowledge.fitting import choose_cards
from anomalyagent.knowledge.sampling import sample_spec
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.features import FeatureJudge
from anomalyagent.mcp_tools.imaging.change import mask_of_change
from anomalyagent.mcp_tools.imaging.photo import Photo, read_photo, write_mask, write_photo
from anomalyagent.mcp_tools.imaging.scene import scene_of
from anomalyagent.mcp_tools.judge.cases import read_normals
from anomalyagent.mcp_tools.judge.expectation import COMPACT, THIN
from anomalyagent.mcp_tools.judge.ladder import Good, replace_mechanism, spoil
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.training.evaluation.compare import Comparison, compare
from anomalyagent.training.evaluation.datasets import read_labelled
from anomalyagent.training.evaluation.keeping import check_table
from anomalyagent.training.evaluation.markdown import as_figure

__all__ = ["SETTINGS", "SettingResult", "correlate", "measure_usefulness"]

SIDE_PX = 256
NORMALS = 60
THRESHOLD = 5.0
_TRIES = 8

Change = Callable[[DefectSpec, np.random.Generator], DefectSpec]


def _scaled(field: str, factor: float, low: float, high: float) -> Change:
    return lambda spec, _: spec.model_copy(update={field: float(np.clip(getattr(spec, field) * factor, low, high))})


def _other_kind(spec: DefectSpec, rng: np.random.Generator) -> DefectSpec:
    others = sorted(COMPACT if spec.mechanism in THIN else THIN)
    return replace_mechanism(spec, others[int(rng.integers(len(others)))])


@dataclass(frozen=True)
class _Setting:
    """How one setting draws: the spec changed, or the good example spoilt in a way that the ladder of faults knows."""

    change: Change | None = None
    fault: str | None = None


SETTINGS: dict[str, _Setting] = {
    "as the cards say": _Setting(),
    "fainter": _Setting(_scaled("severity", 0.4, 1.6, 60.0)),
    "barely visible": _Setting(_scaled("severity", 0.12, 1.0, 2.0)),
    "stronger": _Setting(_scaled("severity", 3.0, 0.5, 60.0)),
    "smaller": _Setting(_scaled("area_fraction", 0.25, 1e-5, 0.7)),
    "specks": _Setting(fault="undersized"),
    "larger": _Setting(fault="oversized"),
    "another kind": _Setting(_other_kind),
    "moved off the object or zone": _Setting(fault="off_object"),
    "scattered": _Setting(fault="fragmented"),
    "pasted patches": _Setting(fault="hard_cut"),
    "flat stickers": _Setting(fault="flat_interior"),
    "with a halo": _Setting(fault="halo"),
    "noisy": _Setting(fault="noise_mismatch"),
    "blurred": _Setting(fault="sharpness_mismatch"),
    "whole frame drifts": _Setting(fault="background_drift"),
}
"""Name -> how it draws. Faults are those of `mcp_tools.judge.ladder`, at a strength of 0.5 to 1."""


class SettingResult(NamedTuple):
    """One setting: mean score of the judge 0..10, share that passes 0..1, pixel AP 0..1 (mean over the seeds)."""

    setting: str
    images: int
    score: float
    passed: float
    pixel_ap: float


def correlate(results: Sequence[SettingResult]) -> float | None:
    """Spearman's rank correlation of judge score and pixel AP; None for fewer than three settings, or where all are equal."""
    scores, aps = [one.score for one in results], [one.pixel_ap for one in results]
    if len(results) < 3 or min(len(set(scores)), len(set(aps))) < 2:
        return None
    return float(cast(Any, spearmanr(scores, aps)).statistic)  # its stubs know no attributes


def measure_usefulness(
    comparison: Comparison, item: str, say: Callable[[str], None], settings: Sequence[str] = tuple(SETTINGS)
) -> list[SettingResult]:
    """Draw, judge and train every setting; writes `comparison.out` (Markdown) and a JSON file beside it.

    Args:
        comparison: real set, seeds, count, preset and folders; its contenders are replaced by the settings.
        item: name of the item, as the knowledge cards know it.
        settings: which of `SETTINGS`.
    Raises:
        ConfigError: a setting is unknown, or no card fits a type. ImageError, RunError: see `compare`.
    """
    if unknown := [name for name in settings if name not in SETTINGS]:
        raise ConfigError(f"unknown setting '{unknown[0]}'; known: {', '.join(SETTINGS)}.")
    check_table(comparison.out)
    types = sorted({one.anomaly_type for one in read_labelled(comparison.real, comparison.skip_types)})
    key = [anomalyagent.__version__, str(comparison.real.resolve()), item, types, comparison.count, SIDE_PX]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:8]
    root = comparison.work / "settings" / f"{item.replace(' ', '_')}-{digest}"
    normals = read_normals(comparison.real, NORMALS, SIDE_PX)
    judged: dict[str, list[float]] = {}
    folders: dict[str, Path] = {}
    for name in settings:
        folder = root / name.replace(" ", "_")
        judged[name] = _draw_setting(name, folder, normals, item, types, comparison.count)
        if not judged[name]:
            say(f"{name}: cannot be done on these photos, left out")
            continue
        folders[name.replace(" ", "_")] = folder
        say(f"{name}: {len(judged[name])} images, mean score {mean(judged[name]):.2f}")
    table = comparison.out.with_name(f"{comparison.out.stem}-trainings.md")
    trained = compare(replace(comparison, synthetic=folders, peers=[], oracle=False, out=table), say)
    results: list[SettingResult] = []
    for name, scores in judged.items():
        aps = [one.last.pixel_ap for one in trained if one.contender == name.replace(" ", "_")]
        if aps:
            passed = mean(score > THRESHOLD for score in scores)
            results.append(SettingResult(name, len(scores), mean(scores), passed, mean(aps)))
    write_atomically(comparison.out, _as_markdown(results, comparison, item).encode())
    record = {"spearman": correlate(results), "settings": [one._asdict() for one in results]}
    write_atomically(comparison.out.with_suffix(".json"), (json.dumps(record, indent=2) + "\n").encode())
    return results


def _draw_setting(
    name: str, folder: Path, normals: Sequence[Photo], item: str, types: Sequence[str], count: int
) -> list[float]:
    """Draw what is missing of a setting into `folder` and judge all of it; the judge's scores."""
    cards = load_cards()
    judge = FeatureJudge({}, KnowledgeSettings())
    images, masks = folder / "test", folder / "ground_truth"
    scores: list[float] = []
    missed = 0
    for index in range(count):
        rng = np.random.default_rng([list(SETTINGS).index(name), index])
        normal = normals[index % len(normals)]
        kind = types[index % len(types)]
        image, mask = images / kind / f"{index:04d}.png", masks / kind / f"{index:04d}_mask.png"
        if image.is_file() and mask.is_file():  # what a detector was trained on is what is judged, also after an update
            scores.append(judge.judge(normal, read_photo(image), item, kind, THRESHOLD).score)
            continue
        photo = _draw(SETTINGS[name], normal, item, kind, cards, rng)
        if photo is None:
            missed += 1
            if missed > 20 and not scores:
                return []
            continue
        scores.append(judge.judge(normal, photo, item, kind, THRESHOLD).score)
        for path in (image, mask):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RunError(f"cannot make {path.parent}: {error.strerror}. Choose another --work folder.") from error
        write_photo(photo, image)
        write_mask(mask_of_change(normal, photo), mask)
    return scores


def _draw(
    setting: _Setting, normal: Photo, item: str, kind: str, cards: Sequence[Card], rng: np.random.Generator
) -> Photo | None:
    """One image of a setting; None when it cannot be done here."""
    chosen = choose_cards(cards, item, kind).cards
    if not chosen:
        raise ConfigError(f"no knowledge card fits '{kind}' on a {item}. Add one with `anomalyagent knowledge add`.")
    for _ in range(_TRIES):
        card = chosen[int(rng.integers(len(chosen)))]
        spec = sample_spec(card, rng)
        try:
            drawn = render_defect(scene_of(normal), spec if setting.change is None else setting.change(spec, rng))
        except BackendError:
            continue
        if setting.fault is None:
            return drawn.photo
        good = Good(scene_of(normal), drawn.photo, drawn.mask, drawn.spec, card)
        for fault in (setting.fault, "wrong_zone") if setting.fault == "off_object" else (setting.fault,):
            spoilt = spoil(fault, good, float(rng.uniform(0.5, 1.0)), rng)
            if spoilt is not None and mask_of_change(normal, spoilt).any():
                return spoilt
    return None


def _as_markdown(results: Sequence[SettingResult], comparison: Comparison, item: str) -> str:
    lines = ["| setting | images | judge, 0-10 | passed | pixel AP |", "| --- | ---: | ---: | ---: | ---: |"]
    for one in sorted(results, key=lambda one: -one.score):
        lines.append(
            f"| {one.setting} | {one.images} | {one.score:.2f} | {100 * one.passed:.0f} % | {100 * one.pixel_ap:.1f} |"
        )
    head = (
        f"Judge and usefulness on {comparison.real.resolve().name} ({item}): {comparison.count} images a setting, "
        f"{comparison.seeds} seed(s), preset {comparison.preset.name} with {comparison.preset.steps} steps. Spearman "
        f"correlation of mean score and pixel AP over {len(results)} settings: **{as_figure(correlate(results))}**."
    )
    return head + "\n\n" + "\n".join(lines) + "\n"
