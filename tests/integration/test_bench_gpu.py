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
    assert BENCH["main"](["--sizes", "64", "--count", "1", "--steps", "1"]) == 0
    said = capsys.readouterr().out
    assert "NO GPU" in said
    assert "tiny random pipeline, 1 steps, CPU, 1 threads" in said
    assert "| 64 |" in said


def test_overhead_is_a_share_of_the_bare_time() -> None:
    assert BENCH["Timing"](512, 1.03, 1.0).overhead == pytest.approx(0.03)
