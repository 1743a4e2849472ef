"""Tables of a comparison: Markdown for people, CSV with one line for each training, JSON with everything.

    | contender | images | img AUROC | img AP | img F1 | px AUROC | px AP | px F1 | PRO | px AP of oracle | best-on-test px AP |

All values in percent, mean and standard deviation over the seeds. The result is that of the LAST weights; the best
check on the test set is shown beside it under that name, because published scripts report that one.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from anomalyagent.graph.files import write_atomically
from anomalyagent.training.evaluation.contenders import ORACLE
from anomalyagent.training.evaluation.localize import Preset
from anomalyagent.training.evaluation.markdown import as_table
from anomalyagent.training.evaluation.metrics import Scores
from anomalyagent.training.evaluation.results import Result

__all__ = ["Setting", "Summary", "as_csv", "as_json", "as_markdown", "summarize", "warn_of_weak_oracle", "write_tables"]

_METRICS = [field.name for field in fields(Scores)]
_HEADINGS = ("img AUROC", "img AP", "img F1", "px AUROC", "px AP", "px F1", "PRO")
# Below this pixel AP of the oracle the training is too short to tell contenders apart.
_MIN_ORACLE = 0.5


@dataclass(frozen=True)
class Setting:
    """What was compared on what.

    Attributes:
        real: name of the data set.
        count: images asked of each contender.
        parts_apart: no part is on both sides of the split.
    """

    real: str
    preset: Preset
    count: int
    seeds: int
    normals: int
    test_anomalous: int
    test_good: int
    skipped_types: list[str]
    parts_apart: bool = False


class Spread(NamedTuple):
    """Mean and sample standard deviation (None of a single value) over the seeds, 0..1."""

    mean: float
    std: float | None


@dataclass(frozen=True)
class Summary:
    """One contender over its seeds. `share_of_oracle`: its mean pixel AP over the oracle's; None without an oracle."""

    contender: str
    few_shot: bool
    seeds: int
    images: int
    harmless: int
    metrics: dict[str, Spread]
    best_on_test_pixel_ap: Spread
    pixel_ap_by_type: dict[str, Spread]
    share_of_oracle: float | None


def summarize(results: Sequence[Result]) -> list[Summary]:
    """One summary for each contender, in the order in which they first appear."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.contender, []).append(result)
    oracle = mean(one.last.pixel_ap for one in groups[ORACLE]) if ORACLE in groups else None
    return [_summarize_one(group, oracle) for group in groups.values()]


def write_tables(out: Path, setting: Setting, results: Sequence[Result]) -> None:
    """Write `out` (Markdown) and the CSV and JSON beside it."""
    write_atomically(out, as_markdown(setting, results).encode())
    write_atomically(out.with_suffix(".csv"), as_csv(results).encode())
    write_atomically(out.with_suffix(".json"), as_json(setting, results).encode())


def as_markdown(setting: Setting, results: Sequence[Result]) -> str:
    """The table with what one must know to read it."""
    summaries = summarize(results)
    heading = ("contender", "images", "seeds", *_HEADINGS, "px AP of oracle", "best-on-test px AP")
    body = [
        (
            one.contender + (" (few-shot)" if one.few_shot else ""),
            str(one.images) + (f" + {one.harmless} good" if one.harmless else ""),
            str(one.seeds),
            *(_percent(one.metrics[name]) for name in _METRICS),
            "-" if one.share_of_oracle is None else f"{one.share_of_oracle:.2f}",
            _percent(one.best_on_test_pixel_ap),
        )
        for one in summaries
    ]
    types = list(dict.fromkeys(name for one in summaries for name in one.pixel_ap_by_type))
    by_type = [(one.contender, *(_percent(one.pixel_ap_by_type[name]) for name in types)) for one in summaries]
    parts = [_introduce(setting), as_table(heading, body)]
    oracle = [one.metrics["pixel_ap"].mean for one in summaries if one.contender == ORACLE]
    if warning := warn_of_weak_oracle(dict(zip([setting.real], oracle, strict=False))):
        parts.append(warning)
    parts += ["Pixel AP of each anomaly type against the good images:", as_table(("contender", *types), by_type)]
    return "\n\n".join(parts) + "\n"


def warn_of_weak_oracle(pixel_ap: Mapping[str, float]) -> str | None:
    """What must stand beside a table whose training says little; None when it says enough.

    Args:
        pixel_ap: of the oracle, mean over seeds, 0..1, for each data set or item; empty without an oracle.
    """
    weak = [f"{100 * value:.1f} on {name}" for name, value in pixel_ap.items() if value < _MIN_ORACLE]
    if not weak:
        return None
    return (
        f"**The oracle itself reaches a pixel AP of only {', '.join(weak)}: this training is too short, its learning "
        "rate too high, or its images are too small, to compare contenders; or the real defects that the oracle learned from "
        "are too few, or unlike those that are tested.**"
    )


def as_csv(results: Sequence[Result]) -> str:
    """One line for each training, values 0..1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["contender", "few_shot", "seed", "images", "mask_share", *_METRICS, "best_on_test_pixel_ap", "seconds", "key"]
    )
    for one in results:
        values = [one.mask_share, *asdict(one.last).values(), one.best_on_test.pixel_ap]
        rounded = [f"{value:.5f}" for value in values]
        writer.writerow([one.contender, int(one.few_shot), one.seed, one.images, *rounded, f"{one.seconds:.1f}", one.key])
    return text.getvalue()


def as_json(setting: Setting, results: Sequence[Result]) -> str:
    """Setting, summaries and all results."""
    record: dict[str, Any] = {
        "setting": asdict(setting),
        "contenders": [
            {**asdict(one), "metrics": _spreads(one.metrics), "pixel_ap_by_type": _spreads(one.pixel_ap_by_type)}
            | {"best_on_test_pixel_ap": one.best_on_test_pixel_ap._asdict()}
            for one in summarize(results)
        ],
        "results": [one.model_dump(mode="json") for one in results],
    }
    return json.dumps(record, indent=2) + "\n"


def _summarize_one(group: Sequence[Result], oracle: float | None) -> Summary:
    metrics = {name: _spread([getattr(one.last, name) for one in group]) for name in _METRICS}
    return Summary(
        contender=group[0].contender,
        few_shot=group[0].few_shot,
        seeds=len(group),
        images=group[0].images,
        harmless=group[0].harmless,
        metrics=metrics,
        best_on_test_pixel_ap=_spread([one.best_on_test.pixel_ap for one in group]),
        pixel_ap_by_type={name: _spread([one.pixel_ap_by_type[name] for one in group]) for name in group[0].pixel_ap_by_type},
        share_of_oracle=metrics["pixel_ap"].mean / oracle if oracle else None,
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(mean(values), stdev(values) if len(values) > 1 else None)


def _spreads(spreads: dict[str, Spread]) -> dict[str, dict[str, float | None]]:
    return {name: spread._asdict() for name, spread in spreads.items()}


def _percent(spread: Spread) -> str:
    return f"{100 * spread.mean:.1f}" + ("" if spread.std is None else f" ± {100 * spread.std:.1f}")


def _introduce(setting: Setting) -> str:
    preset = setting.preset
    averaged = f", weights averaged ({preset.average:g})" if preset.average else ""
    left_out = f" Left out: {', '.join(setting.skipped_types)}." if setting.skipped_types else ""
    whole = ", all photos of a part on one side" if setting.parts_apart else ""
    return (
        f"Localisation on {setting.real}: UNet from scratch (base {preset.base}, depth {preset.depth}), {preset.size_px} px, "
        f"{preset.steps} steps of {preset.batch} images, Adam {preset.learning_rate:g}{averaged}; {setting.count} anomaly "
        f"images of each contender and {setting.normals} normal ones. Test: {setting.test_anomalous} real defects (the last "
        f"two thirds of each type{whole}) and {setting.test_good} good images.{left_out} In percent, mean ± standard "
        "deviation over the seeds; the last weights are the result. The oracle is trained on the first third of the real "
        "defects; few-shot contenders have seen them."
    )
