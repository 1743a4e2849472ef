"""A short summary of every trajectory of a run, fast enough for 10,000 of them, and kept up to date while the run goes on.

    index = RunIndex(run_dir)
    for entry in index.refresh(): ...

A trajectory's file is read again only when its size, time or inode has changed. What was read is kept between processes in the
user's cache folder, never in the run; the cache can be deleted at any time. A file that cannot be read (cut off, unknown
version, no trajectory at all) is an entry of outcome `unreadable` whose reason says what is wrong with it.
"""

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from anomalyagent.configs.paths import FileStamp, expand_home, is_text, user_folder
from anomalyagent.errors import RunError, TraceError
from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.trace import SCHEMA_VERSION, Trajectory, final_verdict, read_trajectory

__all__ = ["MOST_BYTES", "Entry", "RunIndex", "summarize_trajectory"]

CACHE_VERSION = 3
MOST_BYTES = 512 * 2**20
"""Larger trajectory files are not read."""
_SAVE_EVERY = 2000
"""Entries read anew after which the cache is stored, so that a killed first look is not lost."""

_HEAD = len(FileStamp._fields)
"""Columns of a cached row before those of the entry."""

_SCAN_EVERY_S = 20.0
"""Time after which every file is looked at again, also where the folder's own time says that nothing came or went."""
_GIVE_WAY_S = 0.005
"""Pause before each file that is read while somebody waits (`first`)."""
_FRESH_NS = 2_000_000_000
"""Age below which a folder's time may hide a later change: file systems round their times, the coarsest to two seconds."""

EntryOutcome = Literal["accepted", "rejected", "failed", "unreadable"]


class Entry(NamedTuple):
    """One trajectory, in short.

    Attributes:
        name: file name without `.json`; what addresses use. The id inside the file should be the same.
        reason: one sentence, of the trajectory, or why its file cannot be read.
        findings: names of the findings about the final image, else the last judged one, most serious first.
        normal, image, mask: references in the run folder; image and mask are the final ones, else the newest ones.
        started_at: UTC, ISO 8601, of the first turn.
        parent: trajectory that this one was forked from.
    """

    name: str
    outcome: EntryOutcome
    reason: str
    item: str = ""
    anomaly_type: str = ""
    policy: str = ""
    rounds: int = 0
    turns: int = 0
    location_score: float | None = None
    quality_score: float | None = None
    score: float | None = None
    findings: tuple[str, ...] = ()
    seconds: float = 0.0
    cost_usd: float = 0.0
    retries: int = 0
    errors: int = 0
    started_at: str = ""
    normal: str | None = None
    image: str | None = None
    mask: str | None = None
    parent: str | None = None


class RunIndex:
    """The entries of one run folder. Safe to share between threads.

    Args:
        run_dir: the run folder; its `trajectories/` need not exist yet.
        cache_dir: where summaries are kept between processes; None: the user's cache folder.
    """

    def __init__(self, run_dir: Path, cache_dir: Path | None = None) -> None:
        self.run_dir = expand_home(run_dir).absolute()
        folder = cache_dir or user_folder("cache") / "traces"
        digest = hashlib.sha256(os.fsencode(self.run_dir.resolve())).hexdigest()
        self._cache = folder / f"{digest[:32]}.json"
        self._lock = threading.Lock()
        self._known: dict[str, tuple[FileStamp, Entry]] = {}
        self._sorted: tuple[Entry, ...] = ()
        self._version = 0
        self._loaded = False
        self._waiting = 0
        self._settled_ns: int | None = None
        self._scanned_s = 0.0
        self.total = 0

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What the last `refresh` found, by name; during the first one, what it has read so far."""
        return self._sorted

    @property
    def version(self) -> int:
        """Grows whenever an entry came, changed or went."""
        return self._version

    def entry(self, name: str) -> Entry | None:
        """The entry of one trajectory."""
        found = self._known.get(name)
        return found[1] if found else None

    @contextlib.contextmanager
    def first(self) -> Generator[None]:
        """While somebody works with what there is, a `refresh` in another thread gives way."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def refresh(self, progress: Callable[[int, int], None] | None = None) -> tuple[Entry, ...]:
        """Read what is new or changed, forget what is gone.

        Args:
            progress: called with (read, to read) now and then.
        Returns:
            All entries by name.
        """
        with self._lock:
            if not self._loaded:
                self._known = self._load()
                self._loaded = True
            if self._is_as_it_was():
                return self._sorted
            present = dict(_files(self.run_dir / "trajectories"))
            self.total = len(present)
            known = self._known
            wanted = [name for name, stamp in present.items() if name not in known or known[name][0] != stamp]
            gone = [name for name in known if name not in present]
            for name in gone:
                del known[name]
            if wanted or gone or len(self._sorted) != len(known):
                self._publish()
            for number, name in enumerate(wanted, 1):
                if self._waiting:
                    time.sleep(_GIVE_WAY_S)
                known[name] = present[name], self._read(name, present[name])
                if number % 250 == 0:
                    self._publish()
                    if progress:
                        progress(number, len(wanted))
                if number % _SAVE_EVERY == 0:
                    self._save()
            if wanted or gone:
                self._publish()
                self._save()
            return self._sorted

    def _is_as_it_was(self) -> bool:
        """No file came, went or was replaced since the last scan, as far as the folder's own time says.

        Trajectories are written under another name and renamed, which changes that time. A time that was too fresh to be
        told from a later one does not count; files that were edited in place are found by the scan made now and then.
        """
        try:
            changed_ns = (self.run_dir / "trajectories").stat().st_mtime_ns
        except OSError:
            return False
        now_s = time.monotonic()
        if changed_ns == self._settled_ns and now_s - self._scanned_s < _SCAN_EVERY_S:
            return True
        self._settled_ns = changed_ns if time.time_ns() - changed_ns > _FRESH_NS else None
        self._scanned_s = now_s
        return False

    def _publish(self) -> None:
        self._sorted = tuple(entry for _, (_, entry) in sorted(self._known.items()))
        self._version += 1

    def _read(self, name: str, stamp: FileStamp) -> Entry:
        if stamp.size > MOST_BYTES:
            return Entry(name, "unreadable", f"the file has {stamp.size / 2**20:.0f} MiB; up to {MOST_BYTES >> 20} are read.")
        try:
            return summarize_trajectory(name, read_trajectory(self.run_dir / "trajectories" / f"{name}.json"))
        except TraceError as error:
            return Entry(name, "unreadable", str(error).replace(f"{self.run_dir}{os.sep}", ""))

    def _load(self) -> dict[str, tuple[FileStamp, Entry]]:
        try:
            stored = cast("dict[str, Any]", json.loads(self._cache.read_bytes()))
            if stored["version"] != [CACHE_VERSION, SCHEMA_VERSION, list(Entry._fields)]:
                return {}
            rows = cast("list[list[Any]]", stored["rows"])
            return {row[_HEAD]: (FileStamp(*row[:_HEAD]), _entry_of(row[_HEAD:])) for row in rows}
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return {}  # no cache, or one that another version wrote: everything is read again

    def _save(self) -> None:
        rows = [[*stamp, *entry] for stamp, entry in self._known.values()]
        stored = {"version": [CACHE_VERSION, SCHEMA_VERSION, list(Entry._fields)], "run": str(self.run_dir), "rows": rows}
        with contextlib.suppress(RunError, UnicodeEncodeError):  # without a cache the next look is slower, nothing else
            write_atomically(self._cache, json.dumps(stored, ensure_ascii=False).encode("utf-8"))


def summarize_trajectory(name: str, trajectory: Trajectory) -> Entry:
    """The entry of a trajectory that lies in the file `<name>.json`."""
    turns, images = trajectory.turns, trajectory.images
    anomaly = [image.ref for image in images if image.role == "anomaly"]
    masks = [image.ref for image in images if image.role == "mask"]
    scores = final_verdict(trajectory)
    return Entry(
        name=name,
        outcome=trajectory.outcome,
        reason=trajectory.reason,
        item=trajectory.task.item_name,
        anomaly_type=trajectory.task.anomaly_type,
        policy=trajectory.policy,
        rounds=trajectory.rounds,
        turns=len(turns),
        location_score=_first(trajectory.location_score, scores.get("location_score")),
        quality_score=_first(trajectory.quality_score, scores.get("quality_score")),
        score=_first(trajectory.score, scores.get("score")),
        findings=_finding_names(scores),
        seconds=trajectory.seconds,
        cost_usd=trajectory.cost_usd,
        retries=sum(turn.retries for turn in turns),
        errors=sum(1 for turn in turns if turn.observation is not None and turn.observation.error is not None),
        started_at=turns[0].started_at if turns else "",
        normal=trajectory.task.normal_image,
        image=trajectory.final_image or (anomaly[-1] if anomaly else None),
        mask=trajectory.mask or (masks[-1] if masks else None),
        parent=trajectory.parent_id,
    )


def _files(folder: Path) -> Iterator[tuple[str, FileStamp]]:
    """Names (without `.json`) and stamps of the regular files; links, hidden files and names that are no text are left out."""
    try:
        with os.scandir(folder) as found:
            for one in found:
                if not one.name.endswith(".json") or one.name.startswith(".") or not is_text(one.name):
                    continue
                if one.is_file(follow_symlinks=False):
                    with contextlib.suppress(FileNotFoundError):
                        status = one.stat(follow_symlinks=False)
                        yield one.name.removesuffix(".json"), FileStamp.of(status)
    except (FileNotFoundError, NotADirectoryError):
        return


def _finding_names(result: Mapping[str, Any]) -> tuple[str, ...]:
    findings = result.get("findings")
    if not isinstance(findings, Sequence) or isinstance(findings, str):
        return ()
    named = [cast("dict[str, Any]", one).get("name") for one in cast("Sequence[Any]", findings) if isinstance(one, dict)]
    return tuple(name for name in named if isinstance(name, str))


def _first(*values: Any) -> float | None:
    return next((float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)), None)


def _entry_of(row: Sequence[Any]) -> Entry:
    entry = Entry(*row)
    return entry._replace(findings=tuple(entry.findings))
