"""The runs that a viewer shows: run.json, the index, verdicts, and single trajectories, all read when asked for.

Nothing here is trusted: a run may be live, damaged or hostile. Long texts of a trajectory are cut for the page; the whole
text can be had by itself.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request

from anomalyagent.configs.paths import FileStamp
from anomalyagent.errors import RunError, TraceError
from anomalyagent.graph.fork_records import FORKS_FOLDER
from anomalyagent.graph.locate import find_run
from anomalyagent.graph.names import safe_name
from anomalyagent.graph.review import REVIEWS_FILE, Review, read_reviews
from anomalyagent.graph.run_index import MOST_BYTES, Entry, RunIndex
from anomalyagent.graph.runfile import RUN_FILE, RunFile, read_run_file
from anomalyagent.graph.trace import Trajectory, read_trajectory
from anomalyagent.mcp_tools.workspace import Workspace

__all__ = ["MOST_CHARACTERS", "OpenRun", "OpenRuns", "Opened", "Stand", "shorten"]

MOST_CHARACTERS = 12_000
"""Of one text on a page. A prompt has at most 4,000 (rules.py), so this cuts what no honest run writes."""
MOST_ITEMS = 400
"""Of one list or mapping on a page."""
_KEPT_OPEN = 12


class Opened(NamedTuple):
    """A trajectory as read, and as shown: with long texts cut."""

    whole: Trajectory
    shown: Trajectory


@dataclass(frozen=True)
class RunState:
    """run.json as far as it can be read; `problem` says why not."""

    file: RunFile | None
    problem: str | None


class Stand(NamedTuple):
    """What a page of a run stands for.

    Attributes:
        version: changes whenever a page of this run would look different.
        reading: some trajectories are still being read.
    """

    version: str
    reading: bool


class OpenRun:
    """One run folder, looked at. Safe to share between threads.

    Args:
        key: what addresses call it.
        patience_s: how long a look waits for trajectories that were not read yet, in seconds.
    Raises:
        TraceError: the folder holds no run.
    """

    def __init__(self, run_dir: Path, key: str, cache_dir: Path | None = None, patience_s: float = 0.25) -> None:
        self.run_dir = find_run(run_dir).resolve()
        self.key = key
        self.index = RunIndex(self.run_dir, cache_dir)
        self.workspace = Workspace(self.run_dir)
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._scan: threading.Thread | None = None
        self._state: tuple[FileStamp | None, RunState] | None = None
        self._reviews: tuple[FileStamp | None, dict[str, Review]] | None = None
        self._opened: OrderedDict[str, tuple[FileStamp, Opened]] = OrderedDict()

    def look(self, *, whole: bool = False) -> tuple[Entry, ...]:
        """Bring the index up to date. What takes longer than `patience_s` goes on in the background, unless `whole`."""
        with self._lock:
            if self._scan is None or not self._scan.is_alive():
                self._scan = threading.Thread(target=self.index.refresh, name="trace-index", daemon=True)
                self._scan.start()
            scan = self._scan
        scan.join(None if whole else self._patience_s)
        return self.index.entries

    def stand(self) -> Stand:
        """To be asked for before what it stands for is read: what changes meanwhile is then shown by the next look."""
        reading = self._scan is not None and self._scan.is_alive()
        stamps = [_stamp_of(self.run_dir / name) for name in (RUN_FILE, REVIEWS_FILE, FORKS_FOLDER)]
        return Stand(hashlib.sha256(repr([self.index.version, stamps, reading]).encode()).hexdigest()[:32], reading)

    @property
    def state(self) -> RunState:
        """run.json."""
        stamp = _stamp_of(self.run_dir / RUN_FILE)
        if self._state is None or self._state[0] != stamp:
            try:
                file = read_run_file(self.run_dir)
                problem = None if file else f"{RUN_FILE} is missing: only what the trajectories say is shown."
            except TraceError as error:
                file, problem = None, str(error).replace(f"{self.run_dir}/", "")
            self._state = stamp, RunState(file, problem)
        return self._state[1]

    @property
    def reviews(self) -> dict[str, Review]:
        """The verdict that counts for each reviewed trajectory."""
        stamp = _stamp_of(self.run_dir / REVIEWS_FILE)
        if self._reviews is None or self._reviews[0] != stamp:
            try:
                self._reviews = stamp, read_reviews(self.run_dir)
            except RunError:
                self._reviews = stamp, {}
        return self._reviews[1]

    @property
    def title(self) -> str:
        """What the run is of."""
        file = self.state.file
        return file.item if file else self.run_dir.name

    def open(self, name: str) -> Opened:
        """Read one trajectory.

        Raises:
            TraceError: there is none of that name, or it cannot be read.
        """
        path = self.run_dir / "trajectories" / f"{name}.json"
        stamp = _stamp_of(path) if _is_plain(name) and not path.is_symlink() else None
        if stamp is None:
            raise TraceError(f"the run has no trajectory {name[:200]!r}.")
        if stamp.size > MOST_BYTES:
            raise TraceError(f"{name}.json has {stamp.size / 2**20:.0f} MiB; up to {MOST_BYTES >> 20} are read.")
        with self._lock:
            held = self._opened.get(name)
            if held is not None and held[0] == stamp:
                self._opened.move_to_end(name)
                return held[1]
        try:
            whole = read_trajectory(path)
        except TraceError as error:
            raise TraceError(str(error).replace(f"{self.run_dir}/trajectories/", "")) from error
        try:
            opened = Opened(whole, Trajectory.model_validate(shorten(whole.model_dump())))
        except (ValueError, RecursionError) as error:
            raise TraceError(f"{name}.json is nested too deeply to be shown ({type(error).__name__}).") from error
        if stamp.size < 4 * 2**20:
            with self._lock:
                self._opened[name] = stamp, opened
                while len(self._opened) > _KEPT_OPEN:
                    self._opened.popitem(last=False)
        return opened


class OpenRuns:
    """All runs of one viewer, by key: the names of their folders, numbered where two are equal.

    Raises:
        TraceError: a folder holds no run.
    """

    def __init__(self, run_dirs: Sequence[Path], cache_dir: Path | None = None, patience_s: float = 0.25) -> None:
        self.by_key: dict[str, OpenRun] = {}
        for run_dir in run_dirs:
            folder = find_run(run_dir).resolve()
            try:
                base = re.sub(r"[^\w.-]", "_", safe_name(folder.name))
            except RunError:  # no letter or digit in it
                base = "run"
            key, number = base, 1
            while key in self.by_key:
                number += 1
                key = f"{base}-{number}"
            self.by_key[key] = OpenRun(folder, key, cache_dir, patience_s)

    def of(self, request: Request) -> OpenRun:
        """The run that an address names; 404 where there is none."""
        return self.named(request.path_params["key"])

    def named(self, key: str) -> OpenRun:
        """The run of a key; 404 where there is none."""
        run = self.by_key.get(key)
        if run is None:
            raise HTTPException(404, "There is no such run here.")
        return run

    def __iter__(self) -> Iterator[OpenRun]:
        return iter(self.by_key.values())

    def __len__(self) -> int:
        return len(self.by_key)


def shorten(value: Any, most: int = MOST_CHARACTERS) -> Any:
    """Plain data with long texts cut in the middle of nowhere, long lists after their first items; both say so."""
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[:most]} … ({len(value) - most:,} more characters)"
    if isinstance(value, dict):
        items = list(cast("dict[str, Any]", value).items())
        kept = {shorten(key, 200): shorten(one, most) for key, one in items[:MOST_ITEMS]}
        return kept if len(items) <= MOST_ITEMS else {**kept, "…": f"{len(items) - MOST_ITEMS:,} more"}
    if isinstance(value, list | tuple):
        return [shorten(one, most) for one in cast("Sequence[Any]", value)[:MOST_ITEMS]]
    return value


def _is_plain(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not any(char in name for char in "/\\\0")


def _stamp_of(path: Path) -> FileStamp | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return FileStamp.of(status)
