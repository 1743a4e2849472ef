"""Finding and reading trajectories by name, wherever they come from: a run may be live, damaged or hostile.

    RUN/ID                        e.g. runs/nuts/scratch-00003; also RUN/trajectories/ID.json
    RUN/trajectories/ID.json      tasks of the run, and forks of them (`<task>-fork<n>`)

A file that cannot be read is an error with its reason for who asked for it, and a `Damaged` entry for who reads the whole run.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError
from rapidfuzz import process

from anomalyagent.configs.faults import first_fault
from anomalyagent.configs.paths import expand_home, is_text
from anomalyagent.errors import TraceError
from anomalyagent.graph.progress import Progress, read_progress
from anomalyagent.graph.runfile import RUN_FILE
from anomalyagent.graph.trace import Trajectory, read_trajectory

__all__ = [
    "Damaged",
    "Found",
    "find_in_run",
    "find_run",
    "find_trajectory",
    "iterate_trajectories",
    "load_trajectory",
    "progress_of",
    "trajectory_ids",
]

_FORK = re.compile(r"(.+)-fork(\d+)")
_NO_ADDRESS = "names no trajectory. Give RUN/ID, e.g. runs/nuts/scratch-00003."


class Found(NamedTuple):
    """Where a trajectory lies: its run's folder, its id, its file."""

    run_dir: Path
    id: str
    path: Path


class Damaged(NamedTuple):
    """A trajectory file that cannot be read, and why."""

    id: str
    problem: str


def find_run(path: Path) -> Path:
    """The folder of a run.

    Raises:
        TraceError: there is none.
    """
    folder = expand_home(path)
    if folder.name == RUN_FILE:
        folder = folder.parent
    if not folder.is_dir():
        raise TraceError(f"{path} is not a folder. Give the folder of a run, as `synthesize --out` was given it.")
    if not _is_run(folder):
        raise TraceError(f"{path} holds no run: there is neither {RUN_FILE} nor trajectories/ in it.")
    return folder


def _is_run(folder: Path) -> bool:
    return (folder / RUN_FILE).is_file() or (folder / "trajectories").is_dir()


def find_trajectory(where: str | Path) -> Found:
    """The trajectory that `RUN/ID` names, or a path to its file.

    Raises:
        TraceError: there is no such run or no such trajectory; the nearest ids are named.
    """
    path = expand_home(where)
    if ".." in path.parts[-2:] or "\\" in path.name:
        raise TraceError(f"{str(where)!r} {_NO_ADDRESS}")
    name = path.name.removesuffix(".json")
    folder = path.parent.parent if path.parent.name == "trajectories" else path.parent
    if path.is_dir() and (path / RUN_FILE).is_file():
        raise TraceError(f"{where} is a whole run. Name one of its trajectories: {_some(path, '')}.")
    if len(path.parts) == 1 and not _is_run(folder):
        raise TraceError(f"{str(where)!r} {_NO_ADDRESS}")
    run_dir = find_run(folder)
    file = run_dir / "trajectories" / f"{name}.json"
    if name in ("", ".", "..") or not file.is_file():
        raise TraceError(f"there is no trajectory {name!r} in {run_dir}. Known are {_some(run_dir, name)}.")
    return Found(run_dir, name, file)


def find_in_run(run_dir: Path, name: str) -> Found:
    """The trajectory of a run by its id alone, which may come from anywhere.

    Raises:
        TraceError: there is no such trajectory, or `name` is a path.
    """
    if not name or name != Path(name).name or "\\" in name or name in (".", ".."):
        raise TraceError(f"{name[:100]!r} is no id of a trajectory. Known are {_some(run_dir, '')}.")
    return find_trajectory(run_dir / name)


def load_trajectory(where: str | Path) -> tuple[Found, Trajectory]:
    """The trajectory that `RUN/ID` names, read. What a file says of itself must be what it is called: ids become file names.

    Raises:
        TraceError: it is not there, cannot be read, or names another id.
    """
    found = find_trajectory(where)
    return found, _read(found.path)


def trajectory_ids(run_dir: Path) -> list[str]:
    """Ids of all trajectories of a run, each task followed by its forks in the order of their numbers."""
    names = [path.stem for path in (run_dir / "trajectories").glob("*.json") if is_text(path.stem)]
    return sorted(names, key=_order)


def iterate_trajectories(run_dir: Path) -> Iterator[Trajectory | Damaged]:
    """All trajectories of a run, one after another, so that a large run needs no memory."""
    for name in trajectory_ids(run_dir):
        try:
            yield _read(run_dir / "trajectories" / f"{name}.json")
        except TraceError as error:
            yield Damaged(name, str(error))


def progress_of(trajectory: Trajectory) -> Progress:
    """What happened in a trajectory, from a file that may have been edited.

    Raises:
        TraceError: its turns contradict each other or the tools' contracts.
    """
    try:
        return read_progress(trajectory.turns)
    except (ValidationError, LookupError, TypeError, ValueError) as error:
        first = first_fault(error).problem if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
        raise TraceError(
            f"the turns of trajectory {trajectory.id!r} do not fit together ({first}): the file was edited or damaged."
        ) from error


def _read(path: Path) -> Trajectory:
    read = read_trajectory(path)
    if read.id != path.stem:
        raise TraceError(f"{path} calls itself {read.id[:100]!r}: it was renamed or edited. Give the file its old name.")
    return read


def _order(name: str) -> tuple[str, int]:
    fork = _FORK.fullmatch(name)
    return (fork[1], int(fork[2])) if fork else (name, 0)


def _some(run_dir: Path, name: str) -> str:
    known = trajectory_ids(run_dir)
    if not known:
        return "none so far"
    near = [match for match, _, _ in process.extract(name, known, limit=5)] if name else known[:5]
    return ", ".join(near) + (f", ... ({len(known)} in all)" if len(known) > len(near) else "")
