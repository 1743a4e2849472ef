"""Resources of the layer above the tools: what a workspace holds of a run.

run://current               run.json in brief, if the workspace is a run folder, and how many trajectories there are
trajectory://<id>           one trajectory: what the agent thought, called and saw; long texts are cut
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mcp.types import Resource

from anomalyagent.errors import TraceError
from anomalyagent.graph.trace import Trajectory, read_trajectory
from anomalyagent.mcp_tools.resources import Shelf

__all__ = ["RUN_ADDRESS", "address_of", "shelves_of"]

RUN_ADDRESS = "run://current"
_NEWEST = 20
_MOST_BYTES = 32 * 2**20
_TEXT_CHARS = (4000, 1000, 200)
"""Longest text in a trajectory as it is read; the first that makes it small enough is taken."""
_MOST_CHARS = 30_000


def address_of(trajectory_id: str) -> str:
    """Address of a trajectory as an MCP resource."""
    return f"trajectory://{trajectory_id}"


def shelves_of(workspace: Path) -> list[Shelf]:
    """The run and the trajectories of a workspace."""

    def run(_: str) -> str:
        return _told(workspace, lambda: _compact(_run(workspace)))

    def trajectory(id: str) -> str:
        return _told(workspace, lambda: _readable(_trajectory(workspace, id)))

    def listed() -> list[Resource]:
        return [Resource(uri=address_of(id), name=id, mime_type="application/json") for id in _ids(workspace)]

    words = "How one sample was made: every thought, call and answer of the agent."
    return [
        # without a variable in its address it is listed by itself
        Shelf(RUN_ADDRESS, "The current run", "What has been made in this workspace so far.", run, _nothing, _nothing),
        Shelf("trajectory://{+id}", "Trajectory", words, trajectory, listed, lambda: _ids(workspace)),
    ]


def _nothing() -> list[Any]:
    return []


def _told(workspace: Path, read: Callable[[], str]) -> str:
    """What `read` gives; an error does not say where the workspace is."""
    try:
        return read()
    except TraceError as error:
        raise TraceError(str(error).replace(f"{workspace}/", "")) from error


def _ids(workspace: Path) -> list[str]:
    from anomalyagent.graph.locate import trajectory_ids

    return trajectory_ids(workspace)


def _run(workspace: Path) -> dict[str, Any]:
    from anomalyagent.graph.runfile import RUN_FILE, read_run_file

    ids = _ids(workspace)
    newest = sorted(ids, key=lambda id: -(workspace / "trajectories" / f"{id}.json").lstat().st_mtime)[:_NEWEST]
    said: dict[str, Any] = {"trajectories": len(ids), "newest": [address_of(id) for id in newest]}
    run = read_run_file(workspace) if _confined(workspace, RUN_FILE) else None
    if run is None:
        return {"run": None, **said}
    summary = run.summary.model_dump(mode="json", exclude={"run_dir"}) if run.summary else None
    return {"run": run.run_id, "item": run.item, "seed": run.seed, "created_at": run.created_at, "summary": summary, **said}


def _trajectory(workspace: Path, id: str) -> Trajectory:
    name = f"trajectories/{id}.json"
    if id not in _ids(workspace) or not _confined(workspace, name):  # a name in the list, never a path
        raise TraceError(f"no trajectory {id[:200]!r} in this workspace. {RUN_ADDRESS} names the newest ones.")
    return read_trajectory(workspace / name)


def _confined(workspace: Path, name: str) -> bool:
    """Is it a file of the workspace, links followed, of a size that a person's program writes?"""
    path = Path(os.path.realpath(workspace / name))  # `resolve` raises at a loop of links
    return path.is_relative_to(workspace) and path.is_file() and path.stat().st_size <= _MOST_BYTES


def _readable(trajectory: Trajectory) -> str:
    record = trajectory.model_dump(mode="json", exclude={"versions", "config_sha256", "schema_version"}, exclude_none=True)
    for turn in record["turns"]:
        turn.pop("started_at")
        turn.get("observation", {}).pop("structured", None)  # the text says the same
    texts = (_compact(_cut(record, longest)) for longest in _TEXT_CHARS)
    return next((text for text in texts if len(text) <= _MOST_CHARS), _compact(_cut(record, _TEXT_CHARS[-1])))


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, dict):
        return {key: _cut(each, longest) for key, each in value.items()}
    if isinstance(value, list):
        return [_cut(each, longest) for each in value]
    if isinstance(value, str) and len(value) > longest:
        return f"{value[:longest]} ... ({len(value) - longest} more characters in the file)"
    return value


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
