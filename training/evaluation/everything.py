"""`evaluate all`: every table of the paper over a whole data set, its rows beside ours.

    <out>/README.md                 the tables
    <out>/results.json              all figures, per item and their means
    <out>/<item>/localize.md ...    what each item gave
    <out>/.work                     finished pieces: the same command again goes on where it stopped

A figure is the mean over items of the mean over seeds, as in the paper. The paper's rows are over MVTec AD; on another data
set they stand there for orientation only, and the page says so.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from anomalyagent.errors import ConfigError, ImageError
from anomalyagent.graph.files import write_atomically
from anomalyagent.training.datasets.files import GOOD
from anomalyagent.training.datasets.layouts import find_categories
from anomalyagent.training.evaluation.classify import ClassifyPreset
from anomalyagent.training.evaluation.compare import Comparison, compare
from anomalyagent.training.evaluation.contenders import ORACLE
from anomalyagent.training.evaluation.costs import Cost
from anomalyagent.training.evaluation.datasets import read_real
from anomalyagent.training.evaluation.generation import evaluate_generation, mean_of
from anomalyagent.training.evaluation.judged import GoodRate
from anomalyagent.training.evaluation.localize import Preset
from anomalyagent.training.evaluation.markdown import as_figure, as_table
from anomalyagent.training.evaluation.naming import Naming, compare_naming
from anomalyagent.training.evaluation.paper import ABLATION, PAPER, Reported
from anomalyagent.training.evaluation.tables import warn_of_weak_oracle
from anomalyagent.training.evaluation.weights import Weights

__all__ = ["MVTEC_ITEMS", "PARTS", "Everything", "evaluate_everything", "match_items"]

PARTS = ("generation", "classify", "localize")
MVTEC_ITEMS = (
    *("bottle", "cable", "capsule", "carpet", "grid", "hazelnut", "leather", "metal_nut"),
    *("pill", "screw", "tile", "toothbrush", "transistor", "wood", "zipper"),
)
_DETECTION = ("image_auroc", "image_ap", "image_f1", "pixel_auroc", "pixel_ap", "pixel_f1")


@dataclass(frozen=True)
class Everything:
    """What is evaluated.

    Attributes:
        real: a data set of several items, or one item.
        synthetic: name -> folder with a data set or a run for each item, under the item's name; or of the one item.
        parts: of PARTS.
        costs, good_rates: measured elsewhere (`evaluate cost`, `evaluate good-samples`).
    """

    real: Path
    synthetic: Mapping[str, Path]
    out: Path
    parts: Sequence[str]
    preset: Preset
    classify_preset: ClassifyPreset
    resnet: Weights
    inception: Weights | None
    vgg: Weights | None
    peers: Sequence[str] = ()
    oracle: bool = True
    seeds: int = 3
    count: int = 200
    costs: Sequence[Cost] = ()
    good_rates: Sequence[GoodRate] = ()
    work: Path | None = None


class _Item(NamedTuple):
    """One item: its real folder, that of each contender, and where finished pieces are kept."""

    name: str
    real: Path
    folders: Mapping[str, Path]
    work: Path


@dataclass
class _Figures:
    """Of one contender: metric -> item -> value."""

    values: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])

    def add(self, metric: str, item: str, value: float | None) -> None:
        if value is not None:
            self.values.setdefault(metric, {})[item] = value

    def mean(self, metric: str) -> float | None:
        return mean_of(list(self.values.get(metric, {}).values()))


def match_items(real: Path, synthetic: Mapping[str, Path]) -> dict[str, tuple[Path, dict[str, Path]]]:
    """Item -> its real folder and the folder of each contender.

    Raises:
        ImageError: a contender has no data for an item.
    """
    items = find_categories(real)
    matched: dict[str, tuple[Path, dict[str, Path]]] = {}
    for item in items:
        name = item.resolve().name
        folders: dict[str, Path] = {}
        for contender, root in synthetic.items():
            places = [root / name, root / "dataset" / name]
            found = next((path for place in places if place.is_dir() and (path := _one_of(place, name))), None)
            if found is None and len(items) == 1:
                found = _one_of(root, name)
            if found is None:
                raise ImageError(
                    f"'{contender}' has nothing for the item '{name}': expected a data set or a run in {places[0]}."
                )
            folders[contender] = found
        matched[name] = item, folders
    return matched


def evaluate_everything(wanted: Everything, say: Callable[[str], None]) -> Path:
    """Run all parts on all items, or what is left of them, and write the tables after each item.

    Raises:
        ConfigError: a part is unknown.
        ImageError: the oracle may see too little of an item.
        ImageError, RunError: see the modules of the parts.
    """
    if unknown := [part for part in wanted.parts if part not in PARTS]:
        raise ConfigError(f"unknown part {', '.join(unknown)}; known: {', '.join(PARTS)}.")
    matched = match_items(wanted.real, wanted.synthetic)
    if wanted.oracle:
        _require_examples([real for real, _ in matched.values()], wanted.parts)
    work = wanted.work or wanted.out / ".work"
    figures: dict[str, _Figures] = {}
    left_out: list[str] = []
    for number, (item, (real, folders)) in enumerate(matched.items(), 1):
        say(f"== {item}, {number} of {len(matched)}")
        one = _Item(item, real, folders, work)
        if "generation" in wanted.parts:
            _generation(wanted, one, figures, say)
        if "classify" in wanted.parts:
            left_out += _classify(wanted, one, figures, say)
        if "localize" in wanted.parts:
            _localize(wanted, one, figures, say)
        _write(wanted, list(matched)[:number], len(matched), figures, left_out)
    return wanted.out / "README.md"


def _require_examples(items: Sequence[Path], parts: Sequence[str]) -> None:
    """Refuse an oracle that would end the run in the middle, at an item of which it may see too little.

    Raises:
        ImageError: of a type that it must learn there is no image in the first third.
    """
    lacking: list[str] = []
    for item in items:
        split = read_real(item)
        shown = {file.anomaly_type for file in split.few_shot}
        types = {file.anomaly_type for file in split.test} - {GOOD}
        if "localize" in parts and not shown:
            lacking.append(item.resolve().name)
        elif "classify" in parts and len(types) > 1:
            lacking += [f"{item.resolve().name} ({kind})" for kind in sorted(types - shown)]
    if lacking:
        raise ImageError(
            f"the oracle needs at least three real images of each type, and these have fewer: {', '.join(lacking)}. Leave it "
            "out with --no-oracle, or take those types out of the data set."
        )


def _one_of(folder: Path, item: str) -> Path | None:
    """The category in a folder: itself, the only one, or the one of that name."""
    try:
        found = find_categories(folder)
    except ImageError:
        return None
    return found[0] if len(found) == 1 else next((path for path in found if path.name == item), None)


def _of(figures: dict[str, _Figures], name: str) -> _Figures:
    return figures.setdefault(name, _Figures())


def _generation(wanted: Everything, item: _Item, figures: dict[str, _Figures], say: Callable[[str], None]) -> None:
    for one in evaluate_generation(item.real, item.folders, wanted.inception, wanted.vgg, item.work, say):
        _of(figures, one.contender).add("inception_score", item.name, one.inception_score)
        _of(figures, one.contender).add("ic_lpips", item.name, one.ic_lpips)


def _classify(wanted: Everything, item: _Item, figures: dict[str, _Figures], say: Callable[[str], None]) -> list[str]:
    """Items with a single type have nothing to classify (toothbrush, in MVTec AD): left out, as in the paper."""
    out, preset = wanted.out / item.name / "classify.md", wanted.classify_preset
    naming = Naming(item.real, item.folders, wanted.oracle, wanted.seeds, preset, wanted.resnet, out, item.work)
    try:
        results = compare_naming(naming, say)
    except ImageError as error:
        if "only one type" not in str(error):
            raise
        say(f"{item.name}: {error}")
        return [item.name]
    for name in dict.fromkeys(one.contender for one in results):
        values = [100 * one.accuracy for one in results if one.contender == name]
        _of(figures, name).add("accuracy", item.name, mean(values))
    return []


def _localize(wanted: Everything, item: _Item, figures: dict[str, _Figures], say: Callable[[str], None]) -> None:
    out, count = wanted.out / item.name / "localize.md", wanted.count
    whole = Comparison(item.real, item.folders, wanted.peers, wanted.oracle, wanted.seeds, count, wanted.preset, out, item.work)
    results = compare(whole, say)
    for name in dict.fromkeys(one.contender for one in results):
        mine = [one for one in results if one.contender == name]
        for metric in (*_DETECTION, "pro"):
            _of(figures, name).add(metric, item.name, mean(100 * getattr(one.last, metric) for one in mine))
        _of(figures, name).add("best_on_test_pixel_ap", item.name, mean(100 * one.best_on_test.pixel_ap for one in mine))


def _write(wanted: Everything, items: Sequence[str], of: int, figures: Mapping[str, _Figures], left_out: Sequence[str]) -> None:
    parts = [_introduce(wanted, items, of, left_out)]
    if "generation" in wanted.parts:
        parts += ["## Quality and diversity", _against(figures, {"IS": "inception_score", "IC-LPIPS": "ic_lpips"}, 3)]
    if "classify" in wanted.parts:
        parts += ["## Classification, ResNet34", _against(figures, {"accuracy": "accuracy"}, 1)]
    if "localize" in wanted.parts:
        names = ("img AUROC", "img AP", "img F1", "px AUROC", "px AP", "px F1")
        extra = {"PRO": "pro", "best-on-test px AP": "best_on_test_pixel_ap"}
        parts += ["## Detection, UNet", _against(figures, dict(zip(names, _DETECTION, strict=True)) | extra, 1)]
        oracle = figures[ORACLE].values["pixel_ap"] if ORACLE in figures else {}
        if warning := warn_of_weak_oracle({item: value / 100 for item, value in oracle.items()}):
            parts.append(warning)
    parts += ["## Good samples and their cost", _goods(wanted)]
    parts += ["## The paper's ablation", _ablation()]
    for metric, heading in (
        ("accuracy", "Accuracy"),
        ("pixel_ap", "Pixel AP"),
        ("inception_score", "IS"),
        ("ic_lpips", "IC-LPIPS"),
    ):
        having = {name: one for name, one in figures.items() if metric in one.values}
        if having and len(items) > 1:
            digits = 1 if metric in ("accuracy", "pixel_ap") else 3
            rows = [(item, *(as_figure(one.values[metric].get(item), digits) for one in having.values())) for item in items]
            parts += [f"### {heading} of each item", as_table(("item", *having), rows)]
    write_atomically(wanted.out / "README.md", ("\n\n".join(parts) + "\n").encode())
    record = {"items": list(items), "figures": {name: one.values for name, one in figures.items()}}
    write_atomically(wanted.out / "results.json", (json.dumps(record, indent=2) + "\n").encode())


def _introduce(wanted: Everything, items: Sequence[str], of: int, left_out: Sequence[str]) -> str:
    text = f"# {wanted.real.resolve().name}: {len(items)} of {of} items\n\n"
    if set(items) != set(MVTEC_ITEMS):
        text += "**The paper's rows are means over the 15 items of MVTec AD; these are other items, so compare with care.** "
    text += (
        f"Means over items of means over seeds ({wanted.seeds}); the last weights are the result (the paper's scripts keep the "
        f"best on test)."
    )
    if "localize" in wanted.parts:
        preset = wanted.preset
        text += f" Detection: {preset.name}, {preset.steps} steps at {preset.size_px} px, {wanted.count} images."
    if "classify" in wanted.parts:
        naming = wanted.classify_preset
        text += f" Classification: {naming.name}, epochs: {naming.epochs}, at {naming.size_px} px, {wanted.resnet.note}."
    for weights in (wanted.inception, wanted.vgg):
        if weights is not None and "generation" in wanted.parts:
            text += f" {weights.note}." if weights.published else f" **{weights.note}.**"
    if "localize" in wanted.parts and wanted.preset.name != "paper":
        text += " **Not the paper's size of network and training.**"
    if left_out:
        text += f" Without classification, having one type only: {', '.join(left_out)}."
    return text


def _against(figures: Mapping[str, _Figures], metrics: Mapping[str, str], digits: int) -> str:
    """The paper's rows that have any of these metrics, then ours."""
    rows = [
        (row.method, *(as_figure(getattr(row, metric, None), 2 if digits > 1 else 1) for metric in metrics.values()))
        for row in PAPER
        if any(getattr(row, metric, None) is not None for metric in metrics.values())
    ]
    for name, one in figures.items():
        values = [one.mean(metric) for metric in metrics.values()]
        if any(value is not None for value in values):
            rows.append((f"**{name}**", *(as_figure(value, digits) for value in values)))
    return as_table(("method", *metrics), rows)


def _goods(wanted: Everything) -> str:
    rows = [_good_row(row) for row in PAPER if row.good_rate is not None]
    rates = {one.contender: one for one in wanted.good_rates}
    costs = {one.name: one for one in wanted.costs}
    for name in dict.fromkeys([*rates, *costs]):
        rate, cost = rates.get(name), costs.get(name)
        good = None if rate is None or rate.good is None else 100 * rate.good
        judged = None if rate is None or rate.judge_good is None else 100 * rate.judge_good
        seconds, dollars = (cost.seconds_per_good, cost.dollars_per_good) if cost else (None, None)
        rows.append((f"**{name}**", as_figure(good, 1), as_figure(judged, 1), as_figure(seconds, 2), as_figure(dollars, 4)))
    note = (
        "Seconds and dollars are for each sample that the experts, or where they rated none our judge, found good; else for "
        "each accepted one."
        if rates or costs
        else "Ours come from `evaluate good-samples` and `evaluate cost`: give --review and --run."
    )
    return as_table(("method", "good, experts, %", "good, our judge, %", "s per good", "$ per good"), rows) + f"\n\n{note}"


def _good_row(row: Reported) -> tuple[str, str, str, str, str]:
    return row.method, as_figure(row.good_rate, 1), "-", as_figure(row.seconds, 1), as_figure(row.dollars, 4)


def _ablation() -> str:
    rows = [
        (row.method, as_figure(row.inception_score), as_figure(row.ic_lpips), as_figure(row.accuracy, 1)) for row in ABLATION
    ]
    return (
        "Give each variant of a run as a contender of its own (`--synthetic full=... --synthetic without_loop=...`); its row "
        "stands above.\n\n" + as_table(("method", "IS", "IC-LPIPS", "accuracy"), rows)
    )
