"""A fork from every checkpoint of a run's trajectories, and what must hold of each."""

import hashlib
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from anomalyagent.graph.fork import Forker
from anomalyagent.graph.locate import trajectory_ids
from anomalyagent.graph.trace import ToolCall, Trajectory, read_trajectory
from anomalyagent.graph.worker import CHECKPOINTS, trajectory_path
from anomalyagent.mcp_tools.client import ToolClient
from anomalyagent.mcp_tools.contracts import ToolName, ToolResult


@contextmanager
def counted_calls() -> Generator[list[str]]:
    """The names of all tool calls made inside."""
    calls: list[str] = []
    real = ToolClient.call

    async def counted(
        self: ToolClient, tool: ToolName, arguments: Mapping[str, object], timeout_s: float | None = None
    ) -> ToolResult:
        calls.append(tool)
        return await real(self, tool, arguments, timeout_s)

    ToolClient.call = counted  # type: ignore[method-assign, assignment]
    try:
        yield calls
    finally:
        ToolClient.call = real  # type: ignore[method-assign]


def stored_steps(run_dir: Path, thread: str) -> str:
    """A digest of everything that the checkpoint store holds of a trajectory."""
    digest = hashlib.sha256()
    if not (run_dir / CHECKPOINTS).is_file():
        return digest.hexdigest()
    with closing(sqlite3.connect(run_dir / CHECKPOINTS)) as store:
        for table in ("checkpoints", "writes"):
            for row in store.execute(f"SELECT * FROM {table} WHERE thread_id = ? ORDER BY 1, 2, 3, 4, 5", (thread,)):
                digest.update(repr(row).encode())
    return digest.hexdigest()


async def fork_everywhere(run_dir: Path, names: list[str] | None = None) -> int:
    """Fork each trajectory at each of its checkpoints: before each decision, and before each call.

    Returns:
        How many forks were made; each was checked.
    """
    made = 0
    async with Forker(run_dir, trust=True) as forker:
        for name in names or trajectory_ids(run_dir):
            file = trajectory_path(run_dir, name)
            parent, before = read_trajectory(file), (file.read_bytes(), stored_steps(run_dir, name))
            for at, turn in enumerate(parent.turns):
                for same_call in [False, True] if isinstance(turn.action, ToolCall) and turn.legal else [False]:
                    with counted_calls() as calls:
                        fork = await forker.fork(name, at, same_call=same_call)
                    assert isinstance(fork, Trajectory)
                    check_fork(parent, fork, at, calls)
                    assert read_trajectory(trajectory_path(run_dir, fork.id)) == fork
                    made += 1
            after = (file.read_bytes(), stored_steps(run_dir, name))
            assert after == before, "the parent was written to"
    return made


def check_fork(parent: Trajectory, fork: Trajectory, at: int, calls: list[str]) -> None:
    """The part before the fork is the parent's, and only what comes after it was called."""
    assert (fork.parent_id, fork.forked_at, fork.task, fork.run_id) == (parent.id, at, parent.task, parent.run_id)
    assert fork.id != parent.id
    assert fork.turns[:at] == parent.turns[:at], "the part before the fork differs"
    later = [turn.action.name for turn in fork.turns[at:] if isinstance(turn.action, ToolCall) and turn.legal]
    assert calls == later, "something before the fork was run again"
    assert [turn.index for turn in fork.turns] == list(range(len(fork.turns)))
    assert [image.number for image in fork.images] == list(range(1, len(fork.images) + 1))
