"""Makes one trajectory after another with tools, policy and checkpoints that are opened once: here, or in a process of its own.

A worker process is `python -m anomalyagent.graph.worker`. It speaks JSON lines: the setup, then tasks, come on stdin; an
answer for each goes to stdout. End of stdin means that the run is over or its process is gone, and the worker leaves at
once, in the middle of a call if need be: what it was doing is resumed from its checkpoint.
"""

import asyncio
import hashlib
import json
import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import AnomalyAgentError, RunError
from anomalyagent.graph.progress import read_progress
from anomalyagent.graph.state import GraphState, initial_state, read_edits, read_images, read_turns, spent
from anomalyagent.graph.trace import Task, Trajectory, write_trajectory

if TYPE_CHECKING:
    from anomalyagent.graph.approval import Approver

__all__ = [
    "CHECKPOINTS",
    "Worker",
    "WorkerSetup",
    "failed_trajectory",
    "main",
    "summarize_state",
    "trajectory_path",
    "usable",
    "versions",
]

CHECKPOINTS = "checkpoints.sqlite"

log = logging.getLogger("anomalyagent.graph")

_SHAPING = ("numpy", "opencv-python-headless", "pillow")


class WorkerSetup(BaseModel):
    """What a worker is told once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_dir: Path
    run_id: str
    config_sha256: str
    settings: Settings
    approve: tuple[str, ...] = ()


def trajectory_path(run_dir: Path, task: str) -> Path:
    """File of a task's trajectory."""
    return run_dir / "trajectories" / f"{task}.json"


def versions() -> dict[str, str]:
    """anomalyagent, Python and the libraries that shape the pixels."""
    found = {"anomalyagent": metadata.version("anomalyagent"), "python": ".".join(map(str, sys.version_info[:3]))}
    return found | {name: metadata.version(name) for name in _SHAPING}


@contextmanager
def usable(run_dir: Path) -> Generator[None]:
    """Say what to do where the run folder or its checkpoints cannot be used.

    Raises:
        RunError: the disk is full, something cannot be written, or the checkpoints are damaged.
    """
    mend = "Make room or fix the permissions, then give the same command again: it goes on where it stopped."
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise RunError(f"the checkpoints of {run_dir} cannot be used: {error}. {mend}") from error
        raise RunError(
            f"{run_dir / CHECKPOINTS} is damaged ({error}). Move it away, with -wal and -shm beside it, and try again: what is "
            "finished lies in files of its own."
        ) from error
    except (sqlite3.Error, OSError) as error:
        raise RunError(f"the run folder {run_dir} cannot be used: {error}. {mend}") from error


class Worker:
    """`async with Worker(setup) as worker: trajectory = await worker.make(task)`.

    Args:
        approver: asked before the calls of the tools in `setup.approve`.
    Raises:
        ToolCallError, PolicyError, BackendError: on entering, when tools or policy cannot be had.
    """

    def __init__(self, setup: WorkerSetup, approver: "Approver | None" = None) -> None:
        self._setup = setup
        self._approver = approver
        self._versions = versions()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        from anomalyagent.graph.build import open_graph

        setup = self._setup
        opened = open_graph(setup.settings, setup.run_dir, setup.run_dir / CHECKPOINTS)
        with usable(setup.run_dir):
            self._graph = await self._stack.enter_async_context(opened)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def make(self, task: Task) -> Trajectory:
        """Run a task to its end, from its last checkpoint if it has one, and store its trajectory.

        Raises:
            RunError: the run folder cannot be written.
        """
        from anomalyagent.graph.build import run_trajectory

        setup, clock = self._setup, time.perf_counter()
        try:
            with usable(setup.run_dir):
                normal = hashlib.sha256((setup.run_dir / task.normal_image).read_bytes()).hexdigest()
                start, most_turns = initial_state(task, normal), setup.settings.limits.turns
                state = await run_trajectory(self._graph, task.id, start, most_turns, setup.approve, self._approver)
        except AnomalyAgentError:
            raise
        except Exception as error:  # a fault of this program spoils one task, not the run; the log says where it is
            log.exception("task %s ended in an unexpected error", task.id)
            trajectory = failed_trajectory(task, setup, f"unexpected error: {type(error).__name__}: {error}")
            write_trajectory(trajectory, trajectory_path(setup.run_dir, task.id))
            return trajectory
        trajectory = summarize_state(state, setup, self._versions, seconds=time.perf_counter() - clock)
        write_trajectory(trajectory, trajectory_path(setup.run_dir, task.id))
        return trajectory


def summarize_state(state: GraphState, setup: WorkerSetup, made_with: dict[str, str], *, seconds: float) -> Trajectory:
    """The Trajectory of a final state. `seconds`: of this session; turns of earlier sessions count with their own time."""
    task = Task.model_validate(state.get("task"))
    turns = read_turns(state)
    cost_usd, tokens = spent(state)
    progress = read_progress(turns)
    outcome = state.get("outcome", "failed")
    answer = progress.answer
    final = progress.round_of(answer.final_image_index) if answer else None
    mask = progress.mask_of(final.number) if final else None
    evaluation = final.evaluation if final else None
    return Trajectory(
        id=task.id,
        run_id=setup.run_id,
        task=task,
        policy=setup.settings.policy.name,
        turns=turns,
        images=read_images(state),
        outcome=outcome,
        reason=state.get("reason", "it did not reach its end."),
        final_image=final.result.image if final else None,
        mask=mask.result.mask if mask else None,
        location_score=evaluation.location_score if evaluation else None,
        quality_score=evaluation.quality_score if evaluation else None,
        score=evaluation.score if evaluation else None,
        rounds=len(progress.rounds),
        seconds=max(seconds, sum(turn.seconds for turn in turns)),
        cost_usd=cost_usd,
        tokens=tokens,
        config_sha256=setup.config_sha256,
        versions=made_with,
        edits=read_edits(state),
    )


def failed_trajectory(task: Task, setup: WorkerSetup, reason: str) -> Trajectory:
    """The record of a task of which nothing else is left."""
    return Trajectory(
        id=task.id,
        run_id=setup.run_id,
        task=task,
        policy=setup.settings.policy.name,
        turns=[],
        images=[],
        outcome="failed",
        reason=reason,
        rounds=0,
        seconds=0.0,
        cost_usd=0.0,
        config_sha256=setup.config_sha256,
        versions=versions(),
    )


def main() -> None:
    """Serve tasks from stdin until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which then closes stdin
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", newline="\n")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a stray print must not become an answer
    told = sys.stdin.buffer.readline()
    if not told.endswith(b"\n"):  # its run was killed while it started
        return
    asyncio.run(_serve(WorkerSetup.model_validate(json.loads(told)), answers))


async def _serve(setup: WorkerSetup, answers: IO[str]) -> None:
    loop = asyncio.get_running_loop()
    tasks: asyncio.Queue[Task] = asyncio.Queue()
    threading.Thread(target=_read_tasks, args=(loop, tasks), daemon=True).start()
    try:
        async with Worker(setup) as worker:
            _say(answers, {"ready": os.getpid()})
            while True:
                task = await tasks.get()
                await worker.make(task)
                _say(answers, {"done": task.id})
    except AnomalyAgentError as error:
        _say(answers, {"error": str(error), "type": type(error).__name__})


def _read_tasks(loop: asyncio.AbstractEventLoop, tasks: "asyncio.Queue[Task]") -> None:
    try:
        for line in sys.stdin.buffer:  # bytes: which encoding the system has for text does not matter
            loop.call_soon_threadsafe(tasks.put_nowait, Task.model_validate(json.loads(line)))
    except Exception:  # a worker that hears nothing any more would stay for ever
        log.exception("what came is no task")
        os._exit(1)
    os._exit(0)


def _say(answers: IO[str], message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
