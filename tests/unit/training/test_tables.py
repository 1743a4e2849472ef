"""Tables: golden files, and what is said in words."""

import csv
import json
from dataclasses import astuple
from pathlib import Path

import pytest

from anomalyagent.training.evaluation.localize import Preset
from anomalyagent.training.evaluation.metrics import Scores
from anomalyagent.training.evaluation.results import Result
from anomalyagent.training.evaluation.tables import (
    Setting,
    as_csv,
    as_json,
    as_markdown,
    summarize,
    warn_of_weak_oracle,
    write_tables,
)

GOLDEN = Path(__file__).parent / "golden"
SETTING = Setting("widget", Preset("small", 64, 4, 3, 100, 8, 1e-3, average=0.9), 200, 2, 30, 12, 8, ["uneven"])


def make_result(contender: str, seed: int, pixel_ap: float, few_shot: bool = False) -> Result:
    last = Scores(0.9, 0.95, 0.85, 0.97, pixel_ap, 0.5 + pixel_ap / 4, 0.8)
    return Result(
        contender=contender,
        few_shot=few_shot,
        seed=seed,
        key=f"{contender[:4]:0<4}{seed:012d}",
        images=20 if few_shot else 200,
        mask_share=0.05,
        last=last,
        best_on_test=Scores(*(value + 0.01 for value in astuple(last))),
        pixel_ap_by_type={"crack": pixel_ap / 2, "hole": pixel_ap},
        losses=[0.5, 0.1],
        seconds=12.5,
        torch="2.9.0",
        device="CPU, 1 threads",
    )


RESULTS = [
    make_result("oracle", 0, 0.8, few_shot=True),
    make_result("ours", 0, 0.7),
    make_result("cutpaste", 0, 0.3),
    make_result("oracle", 1, 0.9, few_shot=True),
    make_result("ours", 1, 0.66),
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("table.md", as_markdown(SETTING, RESULTS)),
        ("table.csv", as_csv(RESULTS)),
        ("table.json", as_json(SETTING, RESULTS)),
    ],
)
def test_a_table_looks_like_its_golden_file(name: str, text: str) -> None:
    assert text == (GOLDEN / name).read_text("utf-8")


def test_mean_spread_and_share_of_the_oracle_are_those_worked_out_by_hand() -> None:
    oracle, ours, cutpaste = summarize(RESULTS)
    assert oracle.metrics["pixel_ap"] == (pytest.approx(0.85), pytest.approx(0.1 / 2**0.5))
    assert ours.metrics["pixel_ap"] == (pytest.approx(0.68), pytest.approx(0.04 / 2**0.5))
    assert ours.share_of_oracle == pytest.approx(0.8)
    assert cutpaste.metrics["pixel_ap"].std is None
    assert (ours.seeds, cutpaste.seeds) == (2, 1)


def test_a_weak_oracle_is_said_aloud() -> None:
    assert "**The oracle itself reaches a pixel AP of only 8.0" in as_markdown(SETTING, [make_result("oracle", 0, 0.08)])
    assert "itself reaches" not in as_markdown(SETTING, RESULTS)


def test_weak_oracles_are_named_one_by_one_and_good_ones_are_not() -> None:
    warning = warn_of_weak_oracle({"bottle": 0.499, "cable": 0.5, "pill": 0.08})
    assert warning is not None
    assert "a pixel AP of only 49.9 on bottle, 8.0 on pill: this training is too short" in warning
    assert warn_of_weak_oracle({"cable": 0.5}) is None
    assert warn_of_weak_oracle({}) is None


def test_without_an_oracle_no_share_is_claimed() -> None:
    assert summarize(RESULTS[1:3])[0].share_of_oracle is None
    assert "| - |" in as_markdown(SETTING, RESULTS[1:3])


def test_csv_and_json_are_written_beside_the_table(tmp_path: Path) -> None:
    write_tables(tmp_path / "deep" / "table.md", SETTING, RESULTS)
    rows = list(csv.DictReader((tmp_path / "deep" / "table.csv").read_text("utf-8").splitlines()))
    assert [row["contender"] for row in rows] == [one.contender for one in RESULTS]
    assert float(rows[1]["pixel_ap"]) == pytest.approx(0.7)
    record = json.loads((tmp_path / "deep" / "table.json").read_text("utf-8"))
    assert [Result.model_validate(one) for one in record["results"]] == RESULTS
