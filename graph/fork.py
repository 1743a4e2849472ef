"""Forks: a finished trajectory goes on from any of its turns in another way, as a trajectory of its own.

    async with Forker(run_dir) as forker:
        made = await forker.fork("scratch-00003", 1, {"spec.severity": 2})

    <run>/trajectories/<task>-fork<n>.json    the result: parent_id, forked_at, edits; turns before `forked_at` are the parent's
    <run>/forks/<id>.json                     while it is under way: waiting for approval, or left by a process that was killed

At turn `at` either the agent decides anew (a replay, perhaps with another policy), or the call of that turn is made again
(changed, or with another backend), or its answer is exchanged for a changed one. Nothing before it is run again. The parent's
checkpoints up to that point are copied to a thread of the fork's own, so the parent's thread, which a resumed run reads, is
never written; where they are gone, the state is rebuilt from the trajectory file, which holds the same.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

from filelock import FileLock, Timeout
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command
from langsmith import tracing_context
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ForkError, TraceError, WorkspaceError
from anomalyagent.graph.approval import Pause, Ruling, apply_ruling, read_pause, tools_to_approve
from anomalyagent.graph.build import Graph, open_checkpoints, open_graph, thread_config
from anomalyagent.graph.compare import changes_between
from anomalyagent.graph.edits import Edited, edit_call, edit_turn
from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.locate import find_in_run, find_run, load_trajectory, progress_of
from anomalyagent.graph.progress import View
from anomalyagent.graph.rules import check
from anomalyagent.graph.runfile import FREE_SETTINGS, decisive_settings, digest_of, now, read_run_file
from anomalyagent.graph.state import GraphState, read_images, read_turns
from anomalyagent.graph.trace import Edit, ImageEntry, Task, ToolCall, Trajectory, Turn, write_trajectory
from anomalyagent.graph.worker import CHECKPOINTS, WorkerSetup, summarize_state, trajectory_path, usable, versions
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.registry import create_backend, is_embedded
from anomalyagent.mcp_tools.workspace import Workspace

__all__ = ["FORKS_FOLDER", "ForkRecord", "Forker", "read_forks", "settings_of"]

FORKS_FOLDER = "forks"

_HARMLESS_POLICIES = ("expert", "scripted")

TellTurn = Callable[[Turn], None]


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


class _Start(NamedTuple):
    """The turns taken over, and what the first node is taken to have returned; None: the agent decides anew."""

    turns: list[Turn]
    images: list[ImageEntry]
    edits: list[Edit]
    update: GraphState | None
    node: str


class Forker:
    """Makes forks of one run's trajectories, with tools and policies that are opened once.

    Args:
        run_dir: the run folder.
        on_turn: told of every turn that a fork makes.
        trust: also use servers, backends and policies beyond the embedded ones that the folder itself names. Whoever wrote the
            folder could have it start any program; leave this off for a folder that somebody sent you.
    Raises:
        TraceError: there is no such run.
    """

    def __init__(self, run_dir: Path, on_turn: TellTurn | None = None, *, trust: bool = False) -> None:
        self._run_dir = find_run(run_dir).absolute()
        self._on_turn = on_turn
        self._trust = trust
        self._stack = AsyncExitStack()
        self._graphs: dict[str, Graph] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._graphs.clear()
        await self._stack.aclose()

    async def fork(
        self,
        parent_id: str,
        at: int,
        changes: Mapping[str, Any] | None = None,
        *,
        same_call: bool = False,
        settings: Settings | None = None,
        approve: Iterable[str] = (),
    ) -> Trajectory | Pause:
        """Go on from turn `at` of a trajectory, as a new one.

        Args:
            at: index of the turn, from 0; that many turns are taken over. The number of turns: go on where it stopped.
            changes: path -> value in turn `at` (see edits.py). Without any the agent decides turn `at` anew.
            same_call: make the call of turn `at` again as it was, e.g. with another backend.
            settings: other policy, backends, limits; unset: those that the parent was made with.
            approve: tools before whose calls to pause.
        Returns:
            The new trajectory, stored; or the call that waits for `rule`.
        Raises:
            ForkError: there is no such turn, or what is asked for does not fit it.
            TraceError: the parent cannot be read, or images that it needs are gone.
            RunError: the run folder cannot be written.
            ToolCallError, PolicyError, BackendError, ConfigError: tools or policy cannot be had.
        """
        _, parent = load_trajectory(find_in_run(self._run_dir, parent_id).path)
        progress_of(parent)
        wanted = tools_to_approve(approve)
        theirs = settings_of(self._run_dir, parent)
        ours = settings or theirs
        self._require_trust(theirs, ours)
        for tool in TOOL_NAMES:
            if (chosen := getattr(ours.tools, tool)) != getattr(theirs.tools, tool) and chosen.server is None:
                create_backend(tool, ours)  # one that is not there is told before anything is made
        start = _begin(parent, at, changes or {}, ours, same_call=same_call)
        self._require_images(start.images)
        before = settings_of(self._run_dir, parent.model_copy(update={"edits": _kept_edits(parent, at)}))
        other = changes_between(_leaves(before), _leaves(ours))
        edits = [*start.edits, *(Edit(turn=at, path=one.path, before=one.before, after=one.after) for one in other)]
        graph = await self._open(ours)
        record = self._claim(parent, at, ours, wanted)
        with self._hold(record.id), tracing_context(enabled=False):
            try:
                await self._prepare(graph, record, parent, start._replace(edits=edits))
            except BaseException:
                self._record_path(record.id).unlink(missing_ok=True)
                raise
            return await self._drive(graph, record, None)

    async def rule(self, fork_id: str, ruling: Ruling) -> Trajectory | Pause:
        """Say what is to happen with the call that a fork waits with.

        Raises:
            ForkError: there is no such fork, it does not wait, or the ruling does not fit the call; it waits on.
            others: as `fork`.
        """
        record = self._record(fork_id)
        if record.waiting is None:
            raise ForkError(f"the fork {fork_id} waits for nobody. Resume it, or discard it.")
        self._require_trust(record.settings, record.settings)
        graph = await self._open(record.settings)
        with self._hold(fork_id), tracing_context(enabled=False):
            with usable(self._run_dir):
                state = cast("GraphState", (await graph.aget_state(self._thread(record))).values)
            apply_ruling(_view(state, record.settings), record.waiting, ruling)
            return await self._drive(graph, record, Command(resume=ruling.model_dump()))

    async def resume(self, fork_id: str) -> Trajectory | Pause:
        """Go on with a fork whose process was killed; one that waits for approval waits on.

        Raises:
            as `rule`.
        """
        record = self._record(fork_id)
        self._require_trust(record.settings, record.settings)
        graph = await self._open(record.settings)
        with self._hold(fork_id), tracing_context(enabled=False):
            with usable(self._run_dir):
                begun = bool((await graph.aget_state(self._thread(record))).next)
            if not begun:
                raise ForkError(f"the fork {fork_id} was killed before its first step. Discard it and fork again.")
            return await self._drive(graph, record, None)

    async def discard(self, fork_id: str) -> None:
        """Give up a fork that is under way, with its checkpoints.

        Raises:
            ForkError: there is no such fork, or a process works on it.
        """
        self._record(fork_id)
        with self._hold(fork_id):
            with usable(self._run_dir):
                async with open_checkpoints(self._run_dir / CHECKPOINTS) as saver:
                    await saver.adelete_thread(fork_id)
            self._record_path(fork_id).unlink(missing_ok=True)

    async def _prepare(self, graph: Graph, record: ForkRecord, parent: Trajectory, start: _Start) -> None:
        """Give the fork's thread the state that it starts from."""
        saver, thread = _saver(graph), self._thread(record)
        with usable(self._run_dir):
            await saver.adelete_thread(record.id)
            if not await _copy_checkpoints(graph, parent, record, start):
                whole: GraphState = {
                    "task": parent.task.model_dump(mode="json"),
                    "turns": [turn.model_dump(mode="json") for turn in start.turns],
                    "images": [image.model_dump(mode="json") for image in start.images],
                    "pending": None,
                    "stop": None,
                }
                await graph.aupdate_state(thread, whole, as_node="__start__")
            known = cast("GraphState", (await graph.aget_state(thread)).values).get("edits", [])
            edits = [edit.model_dump(mode="json") for edit in [*_kept_edits(parent, record.at), *start.edits]]
            told: GraphState = {"edits": [edit for edit in edits if edit not in known]}
            if start.update is not None:
                await graph.aupdate_state(thread, {**start.update, **told}, as_node=start.node)
            elif told.get("edits"):
                await graph.aupdate_state(thread, told, as_node="__start__")

    async def _drive(self, graph: Graph, record: ForkRecord, given: Command[Any] | None) -> Trajectory | Pause:
        """Run a fork until it ends or pauses."""
        clock, state, pause = time.perf_counter(), GraphState(), None
        with usable(self._run_dir):
            stream = graph.astream(given, self._thread(record), stream_mode=["updates", "values"], durability="sync")
            async for kind, chunk in cast("Any", stream):
                if kind == "values":
                    state = cast("GraphState", chunk)
                elif "__interrupt__" in chunk:
                    pause = read_pause(record.id, chunk["__interrupt__"][0].value)
                elif self._on_turn is not None:
                    for turn in (turn for change in chunk.values() for turn in (change or {}).get("turns", ())):
                        self._on_turn(Turn.model_validate(turn))
        record.waiting, record.problem = (pause.turn, pause.problem) if pause else (None, None)
        if pause is not None:
            self._store(record)
            return pause
        settings = record.settings
        setup = WorkerSetup(
            run_dir=self._run_dir,
            run_id=self._run_id(),
            config_sha256=digest_of(decisive_settings(settings)),
            settings=settings,
        )
        made = summarize_state(state, setup, versions(), seconds=time.perf_counter() - clock)
        made = made.model_copy(update={"id": record.id, "parent_id": record.parent_id, "forked_at": record.at})
        write_trajectory(made, trajectory_path(self._run_dir, record.id))
        self._record_path(record.id).unlink(missing_ok=True)
        return made

    def _require_trust(self, theirs: Settings, ours: Settings) -> None:
        """Refuse what only the run's folder asks for and what could do anything: another server, any backend, any policy."""
        if self._trust:
            return
        asked: list[str] = []
        if ours.policy.name == theirs.policy.name not in _HARMLESS_POLICIES:
            asked.append(f"the policy {ours.policy.name}")
        if ours.knowledge.cache_dir is not None and ours.knowledge.cache_dir == theirs.knowledge.cache_dir:
            asked.append(f"the folder {ours.knowledge.cache_dir} to write its index to")
        for tool in TOOL_NAMES:
            used, named = getattr(ours.tools, tool), getattr(theirs.tools, tool)
            if used.server is not None and used.server == named.server:
                asked.append(f"the server {used.server} for {tool}")
            elif used.backend == named.backend and not is_embedded(tool, used.backend):
                asked.append(f"the backend {used.backend} for {tool}")
        if asked:
            raise ForkError(
                f"the settings in {self._run_dir} ask for {'; '.join(asked)[:500]}. If the run is your own, or you trust who "
                "made it, say so (--trust), or name policy and backends yourself."
            )

    async def _open(self, settings: Settings) -> Graph:
        key = digest_of(settings.model_dump(mode="json"))
        if key not in self._graphs:
            opened = open_graph(settings, self._run_dir, self._run_dir / CHECKPOINTS)
            with usable(self._run_dir):
                self._graphs[key] = await self._stack.enter_async_context(opened)
        return self._graphs[key]

    def _thread(self, record: ForkRecord) -> Any:
        return thread_config(record.id, record.settings.limits.turns, record.approve)

    def _run_id(self) -> str:
        run = read_run_file(self._run_dir)
        return run.run_id if run else ""

    def _require_images(self, images: Iterable[ImageEntry]) -> None:
        workspace = Workspace(self._run_dir)
        for image in images:
            try:
                workspace.path_of(image.ref)
            except WorkspaceError as error:
                raise TraceError(f"an image that the fork needs is gone from {self._run_dir}: {error}") from error

    def _claim(self, parent: Trajectory, at: int, settings: Settings, approve: list[str]) -> ForkRecord:
        """Take the next free id, for this process alone."""
        root = re.sub(r"-fork\d+$", "", parent.id)
        with usable(self._run_dir):
            (self._run_dir / FORKS_FOLDER).mkdir(exist_ok=True)
            for number in range(1, 1_000_000):
                record = ForkRecord(
                    id=f"{root}-fork{number}", parent_id=parent.id, at=at, approve=approve, settings=settings, started_at=now()
                )
                if trajectory_path(self._run_dir, record.id).exists():
                    continue
                try:
                    with self._record_path(record.id).open("x", encoding="utf-8") as file:
                        file.write(record.model_dump_json())
                except FileExistsError:
                    continue
                if not trajectory_path(self._run_dir, record.id).exists():
                    return record
                self._record_path(record.id).unlink()  # another process finished it in between
        raise ForkError(f"{root} has too many forks. Delete some of {self._run_dir}/trajectories/{root}-fork*.json.")

    def _record_path(self, fork_id: str) -> Path:
        return self._run_dir / FORKS_FOLDER / f"{fork_id}.json"

    def _record(self, fork_id: str) -> ForkRecord:
        found = {record.id: record for record in read_forks(self._run_dir)}
        if fork_id not in found:
            known = f"Under way are: {', '.join(found)}." if found else "None is under way."
            raise ForkError(f"no fork {fork_id!r} is under way in {self._run_dir}. {known}")
        return found[fork_id]

    def _store(self, record: ForkRecord) -> None:
        write_atomically(self._record_path(record.id), record.model_dump_json().encode())

    def _hold(self, fork_id: str) -> "_Hold":
        return _Hold(self._run_dir / FORKS_FOLDER / f".{fork_id}.lock", fork_id)


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


def settings_of(run_dir: Path, trajectory: Trajectory) -> Settings:
    """The settings that a trajectory was made with: the run's, and what was changed for a fork.

    Raises:
        TraceError: the run's settings are gone or damaged.
    """
    run = read_run_file(run_dir)
    if run is None:
        raise TraceError(f"{run_dir} has no run.json, so the settings of its trajectories are not known. Restore it.")
    tree = run.settings.model_dump(mode="json")
    try:
        for edit in trajectory.edits:
            if edit.path.startswith("settings."):
                _, *parents, last = edit.path.split(".")
                here = tree
                for part in parents:
                    here = here[part]
                here[last] = json.loads(edit.after) if last == "options" else edit.after
        return Settings.model_validate(tree)
    except (LookupError, TypeError, ValueError) as error:
        raise TraceError(f"the settings that {trajectory.id!r} was made with cannot be read: {error}.") from error


def _begin(parent: Trajectory, at: int, changes: Mapping[str, Any], settings: Settings, *, same_call: bool) -> _Start:
    length = len(parent.turns)
    if not 0 <= at <= length:
        raise ForkError(f"{parent.id} has the turns 0 to {length - 1}; received {at}.")
    turns = parent.turns[:at]
    made = {image.number for turn in turns if turn.observation for image in turn.observation.images}
    images = [image for image in parent.images if image.role == "normal" or image.number in made]
    start = _Start(turns, images, [], None, "agent")
    if not changes and not same_call:
        if turns and turns[-1].legal and turns[-1].action.kind == "answer":
            raise ForkError(f"{parent.id} ended with the answer of turn {at - 1}: fork at a turn before it.")
        return start
    if at == length:
        raise ForkError(f"{parent.id} has no turn {at} to change; its last one is {length - 1}.")
    turn = parent.turns[at]
    if same_call and changes:
        raise ForkError("either the call of the turn is made again as it was, or something in it is changed: not both.")
    edited = edit_call(parent.task, turn, {}) if same_call else edit_turn(parent.task, turn, changes)
    if not edited.again:
        assert isinstance(turn.action, ToolCall)
        return _exchanged(start, edited, turn.action.name)
    action = edited.turn.action
    problem = check(View(parent.task, turns, images, settings.limits.rounds), action)
    if problem:
        raise ForkError(f"turn {at} cannot be so: {problem}")
    fresh = {"legal": True, "seconds": 0.0, "cost_usd": 0.0, "tokens": 0, "retries": 0, "started_at": _clock()}
    record = edited.turn.model_copy(update=fresh).model_dump(mode="json")
    update: GraphState = {"pending": record} if isinstance(action, ToolCall) else {"turns": [record]}
    return start._replace(edits=edited.edits, update=update)


def _exchanged(start: _Start, edited: Edited, node: str) -> _Start:
    observation = edited.turn.observation
    images = observation.images if observation else []
    update: GraphState = {
        "turns": [edited.turn.model_dump(mode="json")],
        "images": [image.model_dump(mode="json") for image in images],
        "pending": None,
    }
    return start._replace(edits=edited.edits, update=update, node=node)


async def _copy_checkpoints(graph: Graph, parent: Trajectory, record: ForkRecord, start: _Start) -> bool:
    """Copy the parent's checkpoints up to the one at which the agent was about to decide turn `at`.

    Returns:
        False when there is none that says what the trajectory's file says.
    """
    saver = _saver(graph)
    turns = [turn.model_dump(mode="json") for turn in start.turns]
    images = [image.model_dump(mode="json") for image in start.images]
    last = None
    async for snapshot in graph.aget_state_history(thread_config(parent.id, 1)):
        values = snapshot.values
        same = (
            values.get("turns") == turns and values.get("images") == images and values.get("task") == parent.task.model_dump()
        )
        if snapshot.next == ("agent",) and same:
            last = snapshot.config
            break
    chain: list[Any] = []
    while last is not None:
        found = await saver.aget_tuple(last)
        if found is None:
            break
        chain.append(found)
        last = found.parent_config
    for found in reversed(chain):
        inside = {"thread_id": record.id, "checkpoint_ns": ""}
        if found.parent_config:
            inside["checkpoint_id"] = found.parent_config["configurable"]["checkpoint_id"]
        # the versions of its channels are in the checkpoint; its writes are left out, so that the next node runs anew
        await saver.aput({"configurable": inside}, found.checkpoint, found.metadata, {})
    return bool(chain)


def _kept_edits(parent: Trajectory, at: int) -> list[Edit]:
    """The edits that a fork at a turn takes over with the turns before it."""
    return [edit for edit in parent.edits if edit.turn < at or (edit.turn == at and edit.path.startswith("settings."))]


def _leaves(settings: Settings) -> dict[str, Any]:
    """Settings that shape a result, by path; the options of a backend or policy are one value."""
    flat: dict[str, Any] = {}

    def walk(tree: Mapping[str, Any], prefix: str) -> None:
        for key, value in tree.items():
            path = f"{prefix}.{key}"
            if isinstance(value, dict) and key != "options":
                walk(cast("dict[str, Any]", value), path)
            elif path.removeprefix("settings.") not in FREE_SETTINGS:
                flat[path] = json.dumps(value) if key == "options" else value

    walk(settings.model_dump(mode="json"), "settings")
    return flat


def _saver(graph: Graph) -> BaseCheckpointSaver[str]:
    assert isinstance(graph.checkpointer, BaseCheckpointSaver)
    return cast("BaseCheckpointSaver[str]", graph.checkpointer)


def _view(state: GraphState, settings: Settings) -> View:
    return View(Task.model_validate(state.get("task")), read_turns(state), read_images(state), settings.limits.rounds)


def _clock() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
