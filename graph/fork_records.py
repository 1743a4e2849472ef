"""Forks under way, as files of a run: <run>/forks/<id>.json, and a lock beside it while a process works on one."""

import re
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ForkError
from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.runfile import now
from anomalyagent.graph.trace import Turn
from anomalyagent.graph.worker import trajectory_path, usable

__all__ = ["FORKS_FOLDER", "ForkRecord", "ForkRecords", "read_forks"]

FORKS_FOLDER = "forks"


class ForkRecord(BaseModel):
    """A fork under way.

    `waiting`: the turn whose call waits for approval; None when a process works on it or was killed while it did.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    parent_id: str
    at: int
    approve: list[str]
    settings: Settings
    started_at: str
    waiting: Turn | None = None
    problem: str | None = Field(default=None, description="What was wrong with the last ruling.")


class ForkRecords:
    """The records of one run's forks."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def claim(self, parent_id: str, at: int, settings: Settings, approve: list[str]) -> ForkRecord:
        """Take the next free id, for this process alone.

        Raises:
            ForkError: the parent has a million forks.
            RunError: the run folder cannot be written.
        """
        root = re.sub(r"-fork\d+$", "", parent_id)
        with usable(self._run_dir):
            (self._run_dir / FORKS_FOLDER).mkdir(exist_ok=True)
            for number in range(1, 1_000_000):
                record = ForkRecord(
                    id=f"{root}-fork{number}", parent_id=parent_id, at=at, approve=approve, settings=settings, started_at=now()
                )
                if trajectory_path(self._run_dir, record.id).exists():
                    continue
                try:
                    with self._path_of(record.id).open("x", encoding="utf-8") as file:
                        file.write(record.model_dump_json())
                except FileExistsError:
                    continue
                if not trajectory_path(self._run_dir, record.id).exists():
                    return record
                self.remove(record.id)  # another process finished it in between
        raise ForkError(f"{root} has too many forks. Delete some of {self._run_dir}/trajectories/{root}-fork*.json.")

    def get(self, fork_id: str) -> ForkRecord:
        """The record of a fork under way.

        Raises:
            ForkError: there is none.
        """
        found = {record.id: record for record in read_forks(self._run_dir)}
        if fork_id not in found:
            known = f"Under way are: {', '.join(found)}." if found else "None is under way."
            raise ForkError(f"no fork {fork_id!r} is under way in {self._run_dir}. {known}")
        return found[fork_id]

    def store(self, record: ForkRecord) -> None:
        """Write a record over its former self."""
        write_atomically(self._path_of(record.id), record.model_dump_json().encode())

    def remove(self, fork_id: str) -> None:
        """Forget a fork: it is finished, or given up."""
        self._path_of(fork_id).unlink(missing_ok=True)

    def hold(self, fork_id: str) -> "_Hold":
        """A context in which no other process works on the fork; ForkError where one does."""
        return _Hold(self._run_dir / FORKS_FOLDER / f".{fork_id}.lock", fork_id)

    def _path_of(self, fork_id: str) -> Path:
        return self._run_dir / FORKS_FOLDER / f"{fork_id}.json"


class _Hold:
    """One process at a time works on a fork."""

    def __init__(self, path: Path, fork_id: str) -> None:
        self._lock, self._path, self._fork_id = FileLock(path, timeout=0), path, fork_id

    def __enter__(self) -> None:
        try:
            self._lock.acquire()
        except Timeout:
            raise ForkError(f"another process works on the fork {self._fork_id}. Wait for it.") from None

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # Windows keeps a file that is open
            self._path.unlink(missing_ok=True)
        self._lock.release()


def read_forks(run_dir: Path) -> list[ForkRecord]:
    """The forks that are under way in a run: waiting for approval, worked on just now, or left by a process that was killed."""
    found: list[ForkRecord] = []
    for path in sorted((run_dir / FORKS_FOLDER).glob("*.json")):
        try:
            record = ForkRecord.model_validate_json(path.read_bytes())
            if record.id == path.stem:
                found.append(record)
        except (OSError, ValidationError):  # being written, or damaged: `discard` is what the file itself is for
            continue
    return found
