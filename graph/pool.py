"""Who makes the trajectories of a run: a worker in this process, or several processes.

Where a tool has a model of its own or asks a service, several trajectories share one process: a model is loaded once, and while
it works for one of them, others prepare and finish. The embedded tools keep the processor busy, so each job has a process.
A process that dies (killed for its memory, say) is replaced and its task is tried once more; a second death is recorded as
a failed trajectory. The processes leave by themselves when this one is gone (see worker.py).
"""

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from pydantic import BaseModel

from anomalyagent import errors
from anomalyagent.configs.schema import Settings, ToolSettings
from anomalyagent.errors import AnomalyAgentError, RunError
from anomalyagent.graph.trace import Task, Trajectory, read_trajectory, write_trajectory
from anomalyagent.graph.worker import Worker, WorkerSetup, failed_trajectory, trajectory_path
from anomalyagent.mcp_tools.contracts import TOOL_NAMES, ToolName
from anomalyagent.mcp_tools.registry import waits_for_a_model

if TYPE_CHECKING:
    from anomalyagent.graph.approval import Approver

__all__ = ["Maker", "ProcessPool", "SinglePool", "shares_a_process"]

MOST_DEATHS = 2
"""Deaths of a worker process over one task until the task counts as failed."""
LEAVE_TIMEOUT_S = 5.0
MOST_ANSWER_BYTES = 2**20


class Maker(Protocol):
    """Makes trajectories, `size` at once."""

    size: int

    async def make(self, task: Task) -> Trajectory: ...


def shares_a_process(settings: Settings) -> bool:
    """True when several trajectories should be made in one process: a tool in it waits for a model."""
    chosen: dict[ToolName, ToolSettings] = {tool: getattr(settings.tools, tool) for tool in TOOL_NAMES}
    return any(one.server is None and waits_for_a_model(tool, one.backend) for tool, one in chosen.items())


class SinglePool:
    """One worker in this process, for `size` tasks at once; the only kind that can ask a person (`approver`, of size 1)."""

    def __init__(self, setup: WorkerSetup, approver: "Approver | None" = None, size: int = 1) -> None:
        self.size = size
        self._worker = Worker(setup, approver)

    async def __aenter__(self) -> Self:
        await self._worker.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._worker.__aexit__(kind, error, traceback)

    async def make(self, task: Task) -> Trajectory:
        """See `Worker.make`."""
        return await self._worker.make(task)


class _DiedError(Exception):
    """A worker process ended without an answer; its exit code."""


class ProcessPool:
    """`size` worker processes, each started when it is first needed.

    Args:
        warn: told about processes that died.
    """

    def __init__(self, setup: WorkerSetup, size: int, warn: Callable[[str], None]) -> None:
        self.size = size
        self._setup = setup
        self._warn = warn
        self._idle: list[Process] = []
        self._all: set[Process] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._all:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._all:
            try:
                async with asyncio.timeout(LEAVE_TIMEOUT_S):
                    await process.communicate()
            except TimeoutError:
                process.kill()
                await process.communicate()

    async def make(self, task: Task) -> Trajectory:
        """Have a process make the trajectory.

        Raises:
            AnomalyAgentError: what the worker reported.
        """
        last = ""
        for death in range(1, MOST_DEATHS + 1):
            try:
                return await self._make_once(task)
            except _DiedError as died:
                self._warn(f"the process working on {task.id} died (exit code {died}), {_after(death)}.")
                last = str(died)
        reason = f"its process died {MOST_DEATHS} times (exit code {last}); is there enough memory?"
        failed = failed_trajectory(task, self._setup, reason)
        write_trajectory(failed, trajectory_path(self._setup.run_dir, task.id))
        return failed

    async def _make_once(self, task: Task) -> Trajectory:
        process = self._idle.pop() if self._idle else await self._start()
        answer = await self._ask(process, task)
        if answer.get("done") != task.id:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            kind = getattr(errors, str(answer.get("type")), RunError)
            assert issubclass(kind, AnomalyAgentError)
            raise kind(str(answer.get("error")))
        self._idle.append(process)
        return read_trajectory(trajectory_path(self._setup.run_dir, task.id))

    async def _start(self) -> Process:
        # A session of its own, so that Ctrl-C in the terminal reaches this process only; -P, so that nothing in the working
        # folder shadows a library.
        apart: dict[str, Any] = (
            {"creationflags": 0x200}  # CREATE_NEW_PROCESS_GROUP
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "anomalyagent.graph.worker", stdin=PIPE, stdout=PIPE, limit=MOST_ANSWER_BYTES, **apart
        )
        self._all.add(process)
        try:
            answer = await self._ask(process, self._setup)
        except _DiedError as died:
            raise RunError(
                f"a worker process could not start (exit code {died}); what it said is above. Try with 1 job."
            ) from died
        if "ready" not in answer:
            kind = getattr(errors, str(answer.get("type")), RunError)
            raise kind(str(answer.get("error")))
        return process

    async def _ask(self, process: Process, message: BaseModel) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        line = json.dumps(message.model_dump(mode="json"))  # ASCII: paths may be no text
        answer = b""
        with contextlib.suppress(ConnectionError):
            process.stdin.write(line.encode() + b"\n")
            await process.stdin.drain()
            answer = await process.stdout.readline()
        if not answer.endswith(b"\n"):
            raise _DiedError(await process.wait())
        result: dict[str, Any] = json.loads(answer)
        return result


def _after(death: int) -> str:
    return "it is tried again" if death < MOST_DEATHS else "it counts as failed"
