"""Forks and replays that the viewer makes in the background, and the calls that wait for a person (approve mode)."""

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import AnomalyAgentError, ForkError
from anomalyagent.graph.approval import Pause, Ruling
from anomalyagent.graph.edits import editable_paths
from anomalyagent.graph.fork import Forker
from anomalyagent.graph.fork_start import settings_of
from anomalyagent.graph.trace import Trajectory, Turn
from anomalyagent.graph.viewer.story import pretty

__all__ = ["Field", "Job", "Jobs", "chosen_settings", "fields_of", "read_changes", "ruling_of"]

_HIDDEN = ("arguments.", "result.", "action", "cards.")
"""Paths that repeat others, or that no form can show well; the command line takes them."""

_MOST_KEPT = 200


@dataclass(frozen=True)
class Field:
    """Something that can be changed in a turn, as a field of a form."""

    path: str
    text: str
    kind: Literal["line", "area", "number"]


@dataclass
class Job:
    """A fork that is made, waits or is done. `turns`: those that it made itself, so far."""

    id: int
    run_key: str
    parent: str
    words: str
    state: Literal["running", "waiting", "done", "failed"] = "running"
    turns: list[Turn] = field(default_factory=list[Turn])
    made: str = ""
    problem: str = ""


class Jobs:
    """Works in a thread of its own, one fork after another in each run."""

    def __init__(self, *, trust: bool = False) -> None:
        self._trust = trust
        self._jobs: dict[int, Job] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()

    def get(self, number: int) -> Job | None:
        """A job by its number."""
        return self._jobs.get(number)

    def start(
        self,
        run_dir: Path,
        key: str,
        parent: str,
        words: str,
        work: Callable[[Forker], Coroutine[Any, Any, Trajectory | Pause | None]],
    ) -> Job:
        """Begin; what happens is told by the job."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="trace-forks", daemon=True).start()
            job = Job(max(self._jobs, default=0) + 1, key, parent, words)
            self._jobs[job.id] = job
            for old in list(self._jobs)[:-_MOST_KEPT]:
                del self._jobs[old]
        asyncio.run_coroutine_threadsafe(self._work(job, run_dir, work), self._loop)
        return job

    async def _work(
        self, job: Job, run_dir: Path, work: Callable[[Forker], Coroutine[Any, Any, Trajectory | Pause | None]]
    ) -> None:
        try:
            async with Forker(run_dir, job.turns.append, trust=self._trust) as forker:
                made = await work(forker)
        except AnomalyAgentError as error:
            job.problem, job.state = str(error), "failed"
        except Exception as error:  # the page says so instead of waiting for ever
            job.problem, job.state = f"unexpected error: {type(error).__name__}: {error}", "failed"
        else:
            job.made = made.id if made else ""
            job.state = "waiting" if isinstance(made, Pause) else "done"


def fields_of(turn: Turn) -> list[Field]:
    """What a form offers to change in a turn."""
    fields: list[Field] = []
    for path, value in editable_paths(turn).items():
        if path.startswith(_HIDDEN) and not (path.startswith("arguments.") and turn.action.kind != "tool_call"):
            continue
        if isinstance(value, str):
            kind = "area" if path in ("prompt", "knowledge", "thought", "review") or len(value) > 80 else "line"
        else:
            kind = "number" if isinstance(value, int | float) and not isinstance(value, bool) else "line"
            if isinstance(value, list) and any(isinstance(one, dict) for one in cast("list[Any]", value)):
                kind = "area"
        fields.append(Field(path, _as_text(value), cast("Any", kind)))
    return fields


def read_changes(turn: Turn, form: Mapping[str, str]) -> dict[str, Any]:
    """What a form changed: fields are called `set:<path>`; equal to the old value means unchanged.

    Raises:
        ForkError: a field that holds numbers or JSON was filled with something else.
    """
    old = editable_paths(turn)
    changes: dict[str, Any] = {}
    for path, value in old.items():
        given = form.get(f"set:{path}")
        if given is None or given.replace("\r\n", "\n").strip() == _as_text(value).strip():
            continue
        text = given.replace("\r\n", "\n").strip()
        if isinstance(value, str) or path in ("prompt", "knowledge", "thought", "review", "note"):
            changes[path] = text
        elif not text:
            changes[path] = None
        else:
            changes[path] = _as_value(path, text)
    extra = form.get("more", "").strip()
    for line in extra.splitlines():
        path, equals, text = line.partition("=")
        if not equals:
            raise ForkError(f"{line!r} is not PATH=VALUE.")
        try:
            changes[path.strip()] = json.loads(text)
        except ValueError:
            changes[path.strip()] = text.strip()
    return changes


def chosen_settings(run_dir: Path, parent: Trajectory, form: Mapping[str, str]) -> Settings | None:
    """The parent's settings with another policy or backends (`policy`, `backend:<tool>`); None where none is chosen."""
    tree = settings_of(run_dir, parent).model_dump()
    changed = False
    policy = form.get("policy", "")
    if policy and policy != tree["policy"]["name"]:
        tree["policy"] = {"name": policy, "options": {}}
        changed = True
    for tool, chosen in tree["tools"].items():
        backend = form.get(f"backend:{tool}", "")
        if backend and backend != chosen["backend"]:
            tree["tools"][tool] = {**chosen, "backend": backend, "options": {}, "server": None}
            changed = True
    return Settings.model_validate(tree) if changed else None


def ruling_of(turn: Turn, form: Mapping[str, str]) -> Ruling:
    """What a person said about a call that waits.

    Raises:
        ForkError: as `read_changes`.
    """
    kind = form.get("ruling", "")
    if kind == "reject":
        return Ruling(kind="reject", reason=form.get("reason", "").strip())
    changes = read_changes(turn, form)
    return Ruling(kind="edit", changes=changes) if changes else Ruling(kind="approve")


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else pretty(value)


def _as_value(path: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        words: Sequence[str] = text.split()
        if len(words) == 1 and not text.startswith(("{", "[", '"')):
            return text  # a name, e.g. of a mechanism
        raise ForkError(f"{path} cannot be {text[:80]!r}: it takes a number, a name, or JSON like [0.3, 0.6].") from None
