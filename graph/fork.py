"""Forks: a finished trajectory goes on from any of its turns in another way, as a trajectory of its own.

    async with Forker(run_dir) as forker:
        made = await forker.fork("scratch-00003", 1, {"spec.severity": 2})

    <run>/trajectories/<task>-fork<n>.json    the result: parent_id, forked_at, edits; turns before `forked_at` are the parent's
    <run>/forks/<id>.json                     while it is under way, or waits for approval (`fork_records.py`)

At turn `at` either the agent decides anew (a replay, perhaps with another policy), or the call of that turn is made again
(changed, or with another backend), or its answer is exchanged for a changed one. Nothing before it is run again. The parent's
checkpoints up to that point are copied to a thread of the fork's own, so the parent's thread, which a resumed run reads, is
never written; where they are gone, the state is rebuilt from the trajectory file, which holds the same.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from langgraph.types import Command
from langsmith import tracing_context

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ForkError, TraceError, WorkspaceError
from anomalyagent.graph.approval import Pause, Ruling, apply_ruling, read_pause, tools_to_approve
from anomalyagent.graph.build import Graph, open_checkpoints, open_graph, thread_config
from anomalyagent.graph.fork_records import ForkRecord, ForkRecords
from anomalyagent.graph.fork_start import settings_of, start_at, write_start
from anomalyagent.graph.locate import find_in_run, find_run, load_trajectory, progress_of
from anomalyagent.graph.progress import View
from anomalyagent.graph.runfile import decisive_settings, digest_of, read_run_file
from anomalyagent.graph.state import GraphState, read_images, read_turns
from anomalyagent.graph.trace import ImageEntry, Task, Trajectory, Turn, write_trajectory
from anomalyagent.graph.worker import CHECKPOINTS, WorkerSetup, summarize_state, trajectory_path, usable, versions
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.registry import create_backend, is_embedded
from anomalyagent.mcp_tools.workspace import Workspace

__all__ = ["Forker"]

_HARMLESS_POLICIES = ("expert", "scripted")

TellTurn = Callable[[Turn], None]


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
        self._records = ForkRecords(self._run_dir)
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
        start = start_at(self._run_dir, parent, at, changes or {}, ours, same_call=same_call)
        self._require_images(start.images)
        graph = await self._open(ours)
        record = self._records.claim(parent.id, at, ours, wanted)
        with self._records.hold(record.id), tracing_context(enabled=False):
            try:
                with usable(self._run_dir):
                    await write_start(graph, self._thread(record), parent, start)
            except BaseException:
                self._records.remove(record.id)
                raise
            return await self._drive(graph, record, None)

    async def rule(self, fork_id: str, ruling: Ruling, turn: int | None = None) -> Trajectory | Pause:
        """Say what is to happen with the call that a fork waits with.

        Args:
            turn: index of the turn whose call was looked at; unset: of the one that waits now.
        Raises:
            ForkError: there is no such fork, it does not wait or no longer with that call, or the ruling does not fit the
                call; it waits on.
            others: as `fork`.
        """
        record = self._records.get(fork_id)
        if record.waiting is None:
            raise ForkError(f"the fork {fork_id} waits for nobody. Resume it, or discard it.")
        shown = record.waiting.index if turn is None else turn
        self._require_trust(record.settings, record.settings)
        graph = await self._open(record.settings)
        with self._records.hold(fork_id), tracing_context(enabled=False):
            record = self._records.get(fork_id)  # while the tools were opened, somebody else may have ruled
            if record.waiting is None or record.waiting.index != shown:
                raise ForkError(f"the fork {fork_id} went on meanwhile and no longer waits with that call. Look at it again.")
            with usable(self._run_dir):
                state = cast("GraphState", (await graph.aget_state(self._thread(record))).values)
            apply_ruling(_view(state, record.settings), record.waiting, ruling)
            return await self._drive(graph, record, Command(resume=ruling.model_dump()))

    async def resume(self, fork_id: str) -> Trajectory | Pause:
        """Go on with a fork whose process was killed; one that waits for approval waits on.

        Raises:
            as `rule`.
        """
        record = self._records.get(fork_id)
        self._require_trust(record.settings, record.settings)
        graph = await self._open(record.settings)
        with self._records.hold(fork_id), tracing_context(enabled=False):
            record = self._records.get(fork_id)
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
        self._records.get(fork_id)
        with self._records.hold(fork_id):
            self._records.get(fork_id)
            with usable(self._run_dir):
                async with open_checkpoints(self._run_dir / CHECKPOINTS) as saver:
                    await saver.adelete_thread(fork_id)
            self._records.remove(fork_id)

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
            self._records.store(record)
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
        self._records.remove(record.id)
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


def _view(state: GraphState, settings: Settings) -> View:
    return View(Task.model_validate(state.get("task")), read_turns(state), read_images(state), settings.limits.rounds)
