"""`make bench-gpu` runs without a GPU, and says so; its bare pipeline really is asked the same."""

import runpy
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
BENCH = runpy.run_path(str(Path(__file__).parents[1] / "bench" / "gpu.py"), run_name="bench_gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run make bench-gpu")
@pytest.mark.filterwarnings("ignore")
def test_the_measurement_runs_on_the_cpu_and_says_that_it_means_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--sizes", "64", "--shown-sizes", "64", "--count", "2", "--steps", "1", "--waits", "0.01"]
    assert BENCH["main"](given) == 0
    said = capsys.readouterr().out
    assert "NO GPU" in said
    assert "tiny random pipeline, 1 steps, 2 pairs, CPU, 1 threads" in said
    assert "NO MODEL, a stand-in that leaves the processor alone" in said
    for row in ("| random | 64 |", "| inpaint, 0.01 s | 64 |", "| edit, 0.01 s | 64 |"):
        assert row in said


def test_overhead_is_that_of_the_pairs_so_that_a_drift_of_the_machine_does_not_count() -> None:
    slower = [1.0, 2.0, 4.0, 8.0]  # the machine slows down by eight times
    timing = BENCH["Timing"](512, [1.03 * each for each in slower], [0.0] * 4, slower, [1.0])
    assert timing.alone == pytest.approx((0.03, 0.03, 0.03))


def test_the_interval_of_the_overhead_is_wide_when_the_pairs_differ() -> None:
    middle, least, most = BENCH["Timing"](512, [1.0, 1.02, 1.02, 1.5, 1.02], [0.0] * 5, [1.0] * 5, [1.0]).alone
    assert middle == pytest.approx(0.02)
    assert least < 0.02 < most


def test_the_worst_round_with_two_under_way_is_told() -> None:
    timing = BENCH["Timing"](512, [1.5] * 3, [0.0] * 3, [1.0] * 3, [1.01, 1.0, 1.04])
    assert timing.together == pytest.approx((0.01, 0.04))
