"""Runs that are killed, interrupted, run by several processes, or owned by another one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from filelock import FileLock
from helpers.photos import make_photos
from helpers.run_backends import run_settings
from helpers.runs import TESTS, command, hashes, interrupt, request, run_killed, start

from anomalyagent.errors import RunError
from anomalyagent.graph.events import Event, Note
from anomalyagent.graph.run import synthesize


@pytest.fixture
def normals(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos", count=3, size=64)


@pytest.fixture(autouse=True)
def _workers_find_the_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


def test_two_processes_make_the_same_bytes_as_one(normals: Path, tmp_path: Path) -> None:
    synthesize(request(normals, tmp_path / "one", count=5), run_settings())
    events: list[Event] = []
    summary = synthesize(request(normals, tmp_path / "two", count=5, jobs=2), run_settings(), events.append)
    assert summary.status == "complete"
    assert not [event for event in events if isinstance(event, Note)]
    assert hashes(tmp_path / "one" / "dataset") == hashes(tmp_path / "two" / "dataset")
    assert {path.name for path in (tmp_path / "one" / "trajectories").iterdir()} == {
        path.name for path in (tmp_path / "two" / "trajectories").iterdir()
    }


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_killed_at_random_moments_leaves_no_process_and_ends_with_the_same_bytes(
    normals: Path, tmp_path: Path, jobs: int
) -> None:
    synthesize(request(normals, tmp_path / "calm", count=8), run_settings())
    rng = np.random.default_rng(jobs)
    arguments = command(run_settings(), normals, tmp_path / "killed", count=8, jobs=jobs)
    deaths = [run_killed(arguments, rng, most_events=14, most_delay_s=0.05) for _ in range(2)]
    assert any(death.alive for death in deaths)
    _, left = psutil.wait_procs([child for death in deaths for child in death.children], timeout=240)
    assert not left
    synthesize(request(normals, tmp_path / "killed", count=8), run_settings())
    assert hashes(tmp_path / "killed" / "dataset") == hashes(tmp_path / "calm" / "dataset")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_leaves_a_run_that_can_be_continued(normals: Path, tmp_path: Path, jobs: int) -> None:
    out = tmp_path / "run"
    process = start(command(run_settings(), normals, out, count=15, jobs=jobs))
    assert process.stdout is not None
    while "TaskFinished" not in process.stdout.readline():
        pass
    interrupt(process)
    process.stdout.read()
    process.stdout.close()
    assert process.wait(timeout=240) == 130
    stored = json.loads((out / "run.json").read_text())
    assert stored["summary"]["status"] == "interrupted"
    assert stored["summary"]["accepted"] < 30
    finished = len(list((out / "trajectories").iterdir()))
    assert synthesize(request(normals, out, count=15), run_settings()).accepted == 30
    assert len(list((out / "trajectories").iterdir())) > finished


def test_a_worker_that_dies_is_replaced_and_its_task_tried_once_more(normals: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    settings = run_settings("DyingImage", {"file": str(tmp_path / "deaths"), "deaths": 2}, share=1.0)
    summary = synthesize(request(normals, tmp_path / "run", types=["scratch"], count=1, jobs=2), settings, events.append)
    assert (summary.status, summary.accepted, summary.failed) == ("complete", 1, 1)
    assert "died" in next(iter(summary.types[0].reasons))
    notes = [event.text for event in events if isinstance(event, Note)]
    assert ["tried again" in text for text in notes] == [True, False]


def test_a_worker_whose_run_is_gone_before_it_heard_of_it_leaves_without_a_word() -> None:
    command = [sys.executable, "-P", "-m", "anomalyagent.graph.worker"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=240)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_worker_that_cannot_start_ends_the_run(normals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(RunError, match="could not start"):
        synthesize(request(normals, tmp_path / "run", jobs=2), run_settings())


@pytest.mark.parametrize("jobs", [1, 2])
def test_damaged_checkpoints_are_told_and_the_run_goes_on_without_them(normals: Path, tmp_path: Path, jobs: int) -> None:
    out = tmp_path / "run"
    synthesize(request(normals, out, count=1), run_settings())
    for file in out.glob("checkpoints.sqlite*"):
        file.unlink()
    (out / "checkpoints.sqlite").write_bytes(b"this is no database at all" * 100)
    with pytest.raises(RunError, match=r"checkpoints\.sqlite is damaged .* Move it away"):
        synthesize(request(normals, out, jobs=jobs), run_settings())
    (out / "checkpoints.sqlite").unlink()
    synthesize(request(normals, out, jobs=jobs), run_settings())
    synthesize(request(normals, tmp_path / "calm"), run_settings())
    assert hashes(out / "dataset") == hashes(tmp_path / "calm" / "dataset")


def test_a_run_folder_has_one_owner(normals: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    with FileLock(out / "run.lock"), pytest.raises(RunError, match="in use by another process"):
        synthesize(request(normals, out), run_settings())


def test_a_run_folder_that_becomes_unwritable_ends_in_an_error_and_continues_later(normals: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "run.lock").touch()  # without it the folder would be somebody else's
    (out / "trajectories").write_text("in the way")
    with pytest.raises(RunError, match="cannot write"):
        synthesize(request(normals, out), run_settings())
    assert json.loads((out / "run.json").read_text())["summary"]["status"] == "stopped"
    (out / "trajectories").unlink()
    synthesize(request(normals, out), run_settings())
    synthesize(request(normals, tmp_path / "calm"), run_settings())
    assert hashes(out / "dataset") == hashes(tmp_path / "calm" / "dataset")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX resource limits")
def test_a_run_that_finds_no_more_room_ends_in_an_error_and_continues_later(
    normals: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    arguments = command(run_settings(), normals, out, count=3)
    # Files that may not grow stand for a disk that is full: the checkpoints soon hit this limit.
    script = f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({2**18}, {2**18})); "
    script += f"sys.argv = {arguments[2:]!r}; runpy.run_module('helpers.runs', run_name='__main__')"
    process = start([arguments[0], "-c", script])
    assert process.stdout is not None
    process.stdout.read()
    process.stdout.close()
    assert process.wait(240) != 0
    error = capfd.readouterr().err
    assert "RunError" in error
    assert "give the same command again" in error
    synthesize(request(normals, out), run_settings())
    synthesize(request(normals, tmp_path / "calm"), run_settings())
    assert hashes(out / "dataset") == hashes(tmp_path / "calm" / "dataset")


def test_signals_and_time_stay_as_they_were(normals: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    clock = time.monotonic()
    summary = synthesize(request(normals, tmp_path / "run", count=1), run_settings())
    assert signal.getsignal(signal.SIGINT) is before
    assert 0 < summary.wall_seconds <= time.monotonic() - clock
