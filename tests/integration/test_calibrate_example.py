"""examples/calibrate_anomalib.py, whole and small: anomalib trains on our export, and its threshold comes from our defects."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.defects import make_mvtec
from helpers.shapes import make_run_dataset

torch.set_num_threads(1)
EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "calibrate_anomalib.py"), run_name="example")


@pytest.mark.filterwarnings("ignore")
def test_each_threshold_is_tried_on_the_same_real_images(tmp_path: Path) -> None:
    run = make_run_dataset(tmp_path / "run", photos=6)
    real = make_mvtec(tmp_path / "real", {"hole": 6, "spot": 6}, good=6, size=64)
    rows, auroc = EXAMPLE["calibrate"](real, run, tmp_path / "work", "resnet18", False, 0)
    assert [row.source.split(" (")[0] for row in rows] == [
        *("good photos alone", "Perlin", "ours", "real defects", "the test set itself"),
    ]
    assert 0 <= auroc <= 1
    best = rows[-1].f1
    assert all(0 <= row.f1 <= best + 1e-9 for row in rows)
    assert all(0 <= row.found <= 1 and 0 <= row.false_alarms <= 1 for row in rows)


def test_the_best_threshold_is_that_of_the_best_f1() -> None:
    assert EXAMPLE["best_threshold"](np.array([0.1, 0.2, 0.5]), np.array([0.4, 0.8, 0.9])) == pytest.approx(0.4)
    row = EXAMPLE["rate"]("x", np.array([0.1, 0.6, 0.7, 0.2]), np.array([False, False, True, True]), 0.5)
    assert (row.f1, row.found, row.false_alarms) == (0.5, 0.5, 0.5)
