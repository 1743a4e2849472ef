"""One trajectory through the wired graph: checkpoints, failing tools, tracing."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import cv2
import pytest
from helpers.photos import make_photo
from helpers.run_backends import run_settings
from langsmith.utils import tracing_is_enabled

from anomalyagent.errors import ToolCallError
from anomalyagent.graph.build import build_graph, graph, open_checkpoints, run_trajectory
from anomalyagent.graph.nodes import Services
from anomalyagent.graph.policies.base import Decision
from anomalyagent.graph.policies.expert import ExpertPolicy
from anomalyagent.graph.progress import View
from anomalyagent.graph.state import GraphState, initial_state, read_turns
from anomalyagent.graph.trace import Task
from anomalyagent.mcp_tools.client import ToolClient
from anomalyagent.mcp_tools.contracts import ToolName, ToolResult

SETTINGS = run_settings(share=1.0)


class WatchedTools:
    """Real tools that note each call, and fail as told: tool -> errors to raise, first call first."""

    def __init__(self, tools: ToolClient, faults: dict[str, list[BaseException | None]] | None = None) -> None:
        self._tools = tools
        self._faults = faults or {}
        self.calls: list[str] = []

    async def call(self, tool: ToolName, arguments: Mapping[str, object], timeout_s: float | None = None) -> ToolResult:
        self.calls.append(tool)
        fault = self._faults[tool].pop(0) if self._faults.get(tool) else None
        if fault is not None:
            raise fault
        return await self._tools.call(tool, arguments, timeout_s)


@pytest.fixture
def start(tmp_path: Path) -> GraphState:
    data = cv2.imencode(".png", make_photo(size=64))[1].tobytes()
    (tmp_path / "normal.png").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    task = Task(
        id="t", index=0, normal_image="normal.png", normal_sha256=digest, item_name="nut", anomaly_type="scratch", seed=5
    )
    return initial_state(task, digest)


async def test_a_trajectory_goes_on_at_the_call_it_was_killed_in(tmp_path: Path, start: GraphState) -> None:
    async with ToolClient(SETTINGS, tmp_path) as tools, open_checkpoints(tmp_path / "c.sqlite") as store:
        watched = WatchedTools(tools, {"quality_eval": [RuntimeError("killed")]})
        wired = build_graph(Services(ExpertPolicy({}), watched, SETTINGS.limits, tmp_path), store)
        with pytest.raises(RuntimeError, match="killed"):
            await run_trajectory(wired, "t", start, 24)
    async with ToolClient(SETTINGS, tmp_path) as tools, open_checkpoints(tmp_path / "c.sqlite") as store:
        resumed = WatchedTools(tools)
        wired = build_graph(Services(ExpertPolicy({}), resumed, SETTINGS.limits, tmp_path), store)
        state = await run_trajectory(wired, "t", start, 24)
        assert state.get("outcome") == "accepted"
        assert resumed.calls == ["quality_eval", "mask_gen"]
        again = await run_trajectory(wired, "t", start, 24)
        assert resumed.calls == ["quality_eval", "mask_gen"]
        assert again.get("turns") == state.get("turns")


async def test_a_trajectory_with_a_failed_call_starts_anew_in_a_later_session(tmp_path: Path, start: GraphState) -> None:
    faults: list[BaseException | None] = [ToolCallError("disk full")]
    async with ToolClient(SETTINGS, tmp_path) as tools, open_checkpoints(tmp_path / "c.sqlite") as store:
        watched = WatchedTools(tools, {"image_gen": faults, "mask_gen": [RuntimeError("killed")]})
        wired = build_graph(Services(ExpertPolicy({}), watched, SETTINGS.limits, tmp_path), store)
        with pytest.raises(RuntimeError, match="killed"):
            await run_trajectory(wired, "t", start, 24)
        undisturbed = await run_trajectory(wired, "t", start, 24)
    assert [turn.legal and not (turn.observation and turn.observation.error) for turn in read_turns(undisturbed)] == [True] * 5


@pytest.mark.parametrize(
    ("kind", "calls", "retries"), [("crashed", 2, 1), ("bad_result", 2, 1), ("refused", 1, 0), ("timeout", 1, 0)]
)
async def test_a_broken_call_is_retried_once_and_a_refusal_is_told_at_once(
    tmp_path: Path, start: GraphState, kind: str, calls: int, retries: int
) -> None:
    error = ToolCallError("no", kind=kind)  # type: ignore[arg-type]
    async with ToolClient(SETTINGS, tmp_path) as tools:
        watched = WatchedTools(tools, {"prompt_gen": [error] * calls})
        wired = build_graph(Services(ExpertPolicy({}), watched, SETTINGS.limits, tmp_path))
        state = await run_trajectory(wired, "t", start, 24)
    turns = read_turns(state)
    assert state.get("outcome") == "accepted"
    assert (turns[0].retries, turns[0].observation and turns[0].observation.error) == (retries, f"{kind}: no")
    assert turns[1].legal


async def test_nothing_is_traced_whatever_the_environment_says(
    tmp_path: Path, start: GraphState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_API_KEY", "key")
    seen: list[object] = []

    class Looking(ExpertPolicy):
        async def decide(self, view: View) -> Decision:
            seen.append(tracing_is_enabled())
            return await super().decide(view)

    async with ToolClient(SETTINGS, tmp_path) as tools:
        await run_trajectory(build_graph(Services(Looking({}), tools, SETTINGS.limits, tmp_path)), "t", start, 24)
    assert seen == [False] * 5


async def test_the_factory_for_langgraph_dev_gives_a_graph_without_checkpoints(tmp_path: Path) -> None:
    async with graph({"configurable": {"workspace": str(tmp_path)}}) as wired:
        assert wired.checkpointer is None
        assert {"agent", "finish", "prompt_gen", "mask_gen"} <= set(wired.get_graph().nodes)
