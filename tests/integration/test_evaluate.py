"""`evaluate localize`: whole, small, through the command line; and what a kill leaves behind."""

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.defects import make_mvtec
from typer.testing import CliRunner

from anomalyagent.cli.evaluate import app
from anomalyagent.errors import BackendError, BackendUnavailableError, ConfigError, ImageError, RunError
from anomalyagent.training.datasets.harmless import add_harmless
from anomalyagent.training.evaluation import localize
from anomalyagent.training.evaluation.compare import Comparison, compare
from anomalyagent.training.evaluation.localize import Preset
from anomalyagent.training.evaluation.usefulness import SettingResult, correlate, measure_usefulness

torch.set_num_threads(1)
TINY = Preset("tiny", 32, 2, 2, 30, 4, 5e-3, average=0.9, checks=2)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mvtec(tmp_path_factory.mktemp("sets") / "widget", {"hole": 4, "spot": 3})


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_mvtec(tmp_path_factory.mktemp("sets") / "ours", {"spot": 8})


def comparison(real: Path, ours: Path, folder: Path) -> Comparison:
    return Comparison(
        real=real,
        synthetic={"ours": ours},
        peers=["cutpaste", "croppaste"],
        oracle=True,
        seeds=2,
        count=6,
        preset=TINY,
        out=folder / "table.md",
        work=folder / "work",
    )


def test_a_whole_comparison_through_the_command_line(real: Path, ours: Path, tmp_path: Path) -> None:
    out = tmp_path / "table.md"
    command = ["evaluate", "localize", "--real", str(real), "--synthetic", f"ours={ours}", "--peers", "nsa", "--seeds", "1"]
    command += ["--count", "6", "--fast", "--steps", "1", "--skip-type", "hole", "--out", str(out), "--sheets", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "anomalyagent", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "ours, seed 0: pixel AP" in done.stdout
    assert "to go, about" in done.stdout
    table = out.read_text("utf-8")
    assert table in done.stdout
    assert "| oracle (few-shot) | 1 | 1 |" in table
    assert "| ours | 6 | 1 |" in table
    assert "Left out: hole." in table
    assert "hole |" not in table
    rows = list(csv.DictReader(out.with_suffix(".csv").read_text("utf-8").splitlines()))
    assert [row["contender"] for row in rows] == ["oracle", "ours", "nsa"]
    record = json.loads(out.with_suffix(".json").read_text("utf-8"))
    assert record["setting"]["preset"]["size_px"] == 128
    assert len(list((tmp_path / ".work").glob("*.json"))) == 3
    assert cv2.imread(str(tmp_path / "ours-spot.png")) is not None


def test_a_comparison_that_was_killed_goes_on_and_trains_nothing_twice(real: Path, ours: Path, tmp_path: Path) -> None:
    wanted = comparison(real, ours, tmp_path)

    class KilledError(Exception):
        pass

    def die_after_the_second(line: str) -> None:
        if line.startswith("ours, seed 0: pixel AP"):
            raise KilledError

    with pytest.raises(KilledError):
        compare(wanted, die_after_the_second)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").glob("*.json")}
    assert len(kept) == 2

    lines: list[str] = []
    results = compare(wanted, lines.append)
    assert sum("kept from an earlier run" in line for line in lines) == 2
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert [(one.contender, one.seed) for one in results] == [
        (name, seed) for seed in (0, 1) for name in ("oracle", "ours", "cutpaste", "croppaste")
    ]

    fresh = compare(replace(wanted, work=tmp_path / "other", out=tmp_path / "other.md"), lines.append)
    assert [one.last for one in fresh] == [one.last for one in results]
    assert (tmp_path / "other.md").read_bytes() == (tmp_path / "table.md").read_bytes()


def test_new_images_in_a_data_set_are_trained_on_anew(real: Path, tmp_path: Path) -> None:
    mine = make_mvtec(tmp_path / "mine", {"spot": 3})
    wanted = replace(comparison(real, mine, tmp_path), peers=[], oracle=False, seeds=1, preset=replace(TINY, steps=2))
    first = compare(wanted, lambda _line: None)
    image = mine / "test" / "spot" / "000.png"
    pixels = cv2.imread(str(image))
    assert pixels is not None
    cv2.imwrite(str(image), 255 - pixels)
    again = compare(wanted, lambda _line: None)
    assert first[0].key != again[0].key


def test_images_of_another_item_than_the_real_one_are_told(real: Path, ours: Path, tmp_path: Path) -> None:
    mine = make_mvtec(tmp_path / "mine", {"spot": 3})
    for path in (mine / "test" / "spot").iterdir():
        pixels = cv2.imread(str(path))
        assert pixels is not None
        cv2.imwrite(str(path), 255 - pixels)
    lines: list[str] = []
    wanted = replace(comparison(real, ours, tmp_path), peers=[], seeds=2, preset=replace(TINY, steps=2))
    compare(replace(wanted, synthetic={"ours": ours, "mine": mine}), lines.append)
    (note,) = [line for line in lines if line.startswith("note:")]
    assert "'mine' look unlike the good photos of widget" in note
    assert f"--normals {real}" in note


def test_good_photos_with_harmless_differences_are_trained_with(real: Path, tmp_path: Path) -> None:
    mine = make_mvtec(tmp_path / "mine", {"spot": 8})
    add_harmless(mine, 5, 0)
    alone = replace(comparison(real, mine, tmp_path), oracle=False, peers=["cutpaste"], seeds=1)
    one, peer = compare(alone, lambda _: None)
    assert (one.harmless, peer.harmless) == (5, 0)
    table = alone.out.read_text("utf-8")
    assert "| ours | 6 + 5 good | 1 |" in table
    assert "| cutpaste | 6 | 1 |" in table
    for_all = replace(alone, out=tmp_path / "all.md", harmless=mine)
    again, with_it = compare(for_all, lambda _: None)
    assert again == one  # trained once
    assert with_it.harmless == 5
    assert with_it.key != peer.key
    with pytest.raises(ImageError, match="dataset harmless"):
        compare(replace(alone, harmless=real), lambda _: None)


def test_the_oracle_learns_from_no_part_that_is_tested(real: Path, ours: Path, tmp_path: Path) -> None:
    (tmp_path / "parts.csv").write_text("image,part\ntest/hole/000.png,A\ntest/hole/002.png,A\n")
    plain = replace(comparison(real, ours, tmp_path), peers=[], seeds=1, preset=replace(TINY, steps=2))
    apart = replace(plain, out=tmp_path / "apart.md", parts=tmp_path / "parts.csv")
    (seen, _), (other, _) = compare(plain, lambda _: None), compare(apart, lambda _: None)
    assert (seen.contender, other.contender) == ("oracle", "oracle")
    assert seen.key != other.key
    text = apart.out.read_text("utf-8")
    assert "5 real defects (the last two thirds of each type, all photos of a part on one side)" in text
    assert "all photos of a part" not in plain.out.read_text("utf-8")


def test_the_table_is_there_before_the_last_contender_is_done(real: Path, ours: Path, tmp_path: Path) -> None:
    wanted = replace(comparison(real, ours, tmp_path), peers=[], seeds=1, preset=replace(TINY, steps=2))
    seen: list[str] = []

    def look(line: str) -> None:
        if line.startswith("ours, seed 0"):
            seen.append(wanted.out.read_text("utf-8"))

    compare(wanted, look)
    assert "oracle" in seen[0]
    assert "| ours |" not in seen[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peers": ["cutpast"]}, "unknown peer 'cutpast'; did you mean 'cutpaste'"),
        ({"synthetic": {"oracle": Path()}}, "used twice: oracle"),
        ({"synthetic": {}, "peers": [], "oracle": False}, "nothing to evaluate"),
    ],
)
def test_contenders_that_make_no_sense_are_refused_before_any_training(
    real: Path, ours: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        compare(replace(comparison(real, ours, tmp_path), **change), lambda _line: None)


def test_a_table_that_would_be_a_folder_is_refused_before_any_training(real: Path, ours: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(RunError, match="is a folder; the table is a file"):
        compare(replace(comparison(real, ours, tmp_path), out=tmp_path), lines.append)
    assert lines == []


def test_a_missing_torch_names_the_extra(real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("anomalyagent.training.evaluation")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = CliRunner().invoke(app, ["localize", "--real", str(real), "--out", str(tmp_path / "table.md")])
    assert isinstance(result.exception, BackendUnavailableError)
    assert "pip install 'anomalyagent[eval]'" in str(result.exception)


@pytest.mark.parametrize("option", ["ours", "=dir", "ours=", "a/b=dir"])
def test_a_contender_without_name_or_folder_is_wrong_usage(real: Path, tmp_path: Path, option: str) -> None:
    arguments = ["localize", "--real", str(real), "--out", str(tmp_path / "table.md"), "--synthetic", option]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "NAME=DIR" in result.output


def test_usefulness_draws_judges_and_trains_each_setting(real: Path, tmp_path: Path) -> None:
    out = tmp_path / "useful.md"
    command = ["usefulness", "--real", str(real), "--item", "widget", "--out", str(out), "--count", "2", "--steps", "1"]
    command += [part for name in ("as the cards say", "flat stickers", "whole frame drifts") for part in ("--setting", name)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    record = json.loads(out.with_suffix(".json").read_text("utf-8"))
    scores = {one["setting"]: one["score"] for one in record["settings"]}
    assert scores["as the cards say"] > scores["flat stickers"]
    assert -1.0 <= record["spearman"] <= 1.0
    assert "| as the cards say | 2 |" in out.read_text("utf-8")


def test_the_rank_correlation_of_a_case_done_by_hand() -> None:
    # ranks of the scores 1 2 3 4, of the pixel AP 2 1 3 4: 1 - 6 * (1 + 1) / (4 * 15) = 0.8
    results = [
        SettingResult(str(i), 1, score, 1.0, ap) for i, (score, ap) in enumerate([(2, 0.2), (4, 0.1), (6, 0.5), (8, 0.9)])
    ]
    assert correlate(results) == pytest.approx(0.8)
    assert correlate(results[:2]) is None
    assert correlate([one._replace(pixel_ap=0.5) for one in results]) is None


def test_an_unknown_setting_is_named_with_those_that_exist(real: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="flat stickers"):
        measure_usefulness(comparison(real, real, tmp_path), "widget", print, ["stickers"])


def test_a_result_kept_under_other_names_of_the_types_is_not_taken(real: Path, ours: Path, tmp_path: Path) -> None:
    mine = tmp_path / "widget"
    shutil.copytree(real, mine)
    wanted = replace(comparison(mine, ours, tmp_path), peers=[], oracle=False, seeds=1, preset=replace(TINY, steps=2))
    compare(wanted, lambda _line: None)
    for part in ("test", "ground_truth"):
        (mine / part / "hole").rename(mine / part / "hole_large")
    lines: list[str] = []
    (result,) = compare(wanted, lines.append)
    assert set(result.pixel_ap_by_type) == {"hole_large", "spot"}
    assert not any("kept from an earlier run" in line for line in lines)


def test_a_set_without_good_photos_or_with_empty_masks_is_told_before_anything_is_trained(
    real: Path, ours: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "widget"
    shutil.copytree(real, mine)
    for mask in mine.glob("ground_truth/*/*.png"):
        cv2.imwrite(str(mask), np.zeros((96, 96), np.uint8))
    lines: list[str] = []
    with pytest.raises(ImageError, match=r"no mask of .*widget marks anything at 32 x 32 pixels"):
        compare(comparison(mine, ours, tmp_path), lines.append)
    shutil.rmtree(mine / "test" / "good")
    with pytest.raises(ImageError, match="widget holds no good test images"):
        compare(comparison(mine, ours, tmp_path), lines.append)
    assert lines == []


def test_nobody_learns_from_a_defect_that_vanished_when_it_was_made_smaller(real: Path, tmp_path: Path) -> None:
    mine = tmp_path / "widget"
    shutil.copytree(real, mine)
    speck = np.zeros((96, 96), np.uint8)
    speck[40, 40] = 255
    cv2.imwrite(str(mine / "ground_truth" / "hole" / "000_mask.png"), speck)
    wanted = replace(comparison(mine, mine, tmp_path), peers=[], seeds=1, count=100, preset=replace(TINY, steps=2))
    oracle, theirs = compare(wanted, lambda _line: None)
    assert (oracle.images, theirs.images) == (2 - 1, 7 - 1)


def test_a_training_that_breaks_down_says_so(real: Path, ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        return (logits * float("nan")).mean() + masks.sum()

    monkeypatch.setattr(localize, "focal_loss", broken)
    wanted = replace(comparison(real, ours, tmp_path), peers=[], oracle=False, seeds=1, preset=replace(TINY, steps=2))
    with pytest.raises(BackendError, match=r"broke down by step 1: no numbers are left\. Use a smaller learning rate"):
        compare(wanted, lambda _line: None)
