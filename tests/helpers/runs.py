"""Whole runs in tests and benchmarks: in this process, in one of their own, killed at random moments and resumed.

python -m helpers.runs <settings.json> <normals> <out> <count> <jobs> [type ...]      prints one line for each event
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from anomalyagent.configs.schema import Settings
from anomalyagent.graph.events import Event
from anomalyagent.graph.run import Request, synthesize


class Death(NamedTuple):
    """How a run was killed: while it was alive, and with which children."""

    alive: bool
    children: list[psutil.Process]


TESTS = Path(__file__).parents[1]
TYPES = ("scratch", "dent")


def request(normals: Path, out: Path, *, types: Sequence[str] = TYPES, count: int = 3, jobs: int = 1) -> Request:
    """A small request."""
    return Request([normals], "metal nut", list(types), count, out, jobs=jobs)


def command(
    settings: Settings, normals: Path, out: Path, *, types: Sequence[str] = TYPES, count: int = 3, jobs: int = 1
) -> list[str]:
    """The same request as a process."""
    file = out.with_suffix(".settings.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(settings.model_dump_json())
    return [sys.executable, "-m", "helpers.runs", str(file), str(normals), str(out), str(count), str(jobs), *types]


def start(arguments: Sequence[str]) -> "subprocess.Popen[str]":
    """Start a run as a process; its stdout has one line for each event.

    The pipe is small, so that a run of `command` that has more to tell waits for its reader: however late this process is, the
    run cannot be over before it is killed or interrupted.
    """
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        pipesize=4096,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


def run_killed(arguments: Sequence[str], rng: np.random.Generator, most_events: int, most_delay_s: float) -> Death:
    """Start a run and kill -9 it after a random number of events and a random delay."""
    process = start(arguments)
    assert process.stdout is not None
    for _ in range(int(rng.integers(1, most_events + 1))):
        if not process.stdout.readline():
            break
    time.sleep(float(rng.uniform(0, most_delay_s)))  # the moment of death is what is drawn at random
    alive = process.poll() is None
    children = psutil.Process(process.pid).children(recursive=True) if alive else []
    process.kill()
    process.stdout.close()
    process.wait()
    return Death(alive, children)


def kill_and_resume(
    arguments: Sequence[str], *, kills: int, seed: int, most_events: int = 6, most_delay_s: float = 0.08
) -> int:
    """Kill a run up to `kills` times at random moments, then let it end.

    Returns:
        How many times it was really killed.
    """
    rng = np.random.default_rng(seed)
    killed = 0
    for _ in range(kills):
        if not run_killed(arguments, rng, most_events, most_delay_s).alive:
            break
        killed += 1
    process = start(arguments)
    assert process.stdout is not None
    output = process.stdout.read()
    process.stdout.close()
    if process.wait() != 0:
        raise AssertionError(f"the resumed run ended with {process.returncode}:\n{output}")
    return killed


def interrupt(process: "subprocess.Popen[str]") -> None:
    """Ctrl-C."""
    process.send_signal(signal.SIGINT)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    settings, normals, out, count, jobs, *types = sys.argv[1:]

    def tell(event: Event) -> None:
        sys.stdout.write(f"{event!s:2047}\n")  # two fill the pipe
        sys.stdout.flush()

    wanted = request(Path(normals), Path(out), types=types, count=int(count), jobs=int(jobs))
    summary = synthesize(wanted, Settings.model_validate_json(Path(settings).read_text()), tell)
    sys.exit(130 if summary.status == "interrupted" else 0)


if __name__ == "__main__":
    main()
