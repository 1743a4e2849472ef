"""The wiring of the graph, its checkpoints, and one trajectory from start or checkpoint to end.

    agent -> prompt_gen | image_gen | quality_eval | knowledge_retrieval | mask_gen -> agent -> ... -> finish
    agent -> agent            the action was illegal: the reason is the next observation
    agent -> finish           an answer, or a limit was reached

The graph is flat: time travel into subgraphs of LangGraph still has open bugs. Every step is stored before the next one
begins (durability "sync"), so a killed run goes on at the call that it was in.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiosqlite
from filelock import AsyncFileLock
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langsmith import tracing_context

from anomalyagent.graph.nodes import Nodes, Services
from anomalyagent.graph.state import GraphState
from anomalyagent.mcp_tools.contracts import TOOL_NAMES

__all__ = ["Graph", "build_graph", "graph", "open_checkpoints", "run_trajectory"]

BUSY_TIMEOUT_S = 60.0
"""How long a writer waits for another process that is writing a checkpoint."""

Graph = CompiledStateGraph[GraphState, None, GraphState, GraphState]


def build_graph(services: Services, checkpointer: BaseCheckpointSaver[str] | None = None) -> Graph:
    """Wire the graph."""
    nodes = Nodes(services)
    wiring: StateGraph[GraphState, None, GraphState, GraphState] = StateGraph(GraphState)
    wiring.add_node("agent", nodes.agent)
    wiring.add_node("finish", nodes.finish)
    for name in TOOL_NAMES:
        wiring.add_node(name, nodes.call_tool)
        wiring.add_edge(name, "agent")
    wiring.add_edge(START, "agent")
    wiring.add_conditional_edges("agent", nodes.route, ["agent", "finish", *TOOL_NAMES])
    wiring.add_edge("finish", END)
    return wiring.compile(checkpointer=checkpointer, name="anomalyagent")


@asynccontextmanager
async def open_checkpoints(path: Path) -> AsyncGenerator[AsyncSqliteSaver]:
    """The checkpoint store of a run, made for several processes: WAL, patient with other writers.

    synchronous=NORMAL survives a killed process at once and a power cut up to the last few steps.
    """
    async with aiosqlite.connect(path, timeout=BUSY_TIMEOUT_S) as connection:
        # SQLite answers "locked" at once, without its timeout, to two processes that turn a new file to WAL together
        async with AsyncFileLock(path.with_name(f".{path.name}.lock"), timeout=BUSY_TIMEOUT_S):
            await connection.execute("PRAGMA journal_mode=WAL")
            await connection.execute("PRAGMA synchronous=NORMAL")
            saver = AsyncSqliteSaver(connection)
            await saver.setup()
        yield saver


async def run_trajectory(wired: Graph, thread_id: str, start: GraphState, most_turns: int) -> GraphState:
    """Run a trajectory to its end: from `start`, or from its last checkpoint if it has one.

    A trajectory of an earlier session that failed, or in which a tool call failed, starts anew: the failure may have been
    the session's (a full disk, a server that was taken down with it), and a resumed run must equal an undisturbed one.

    Returns:
        The final state.
    """
    config: RunnableConfig = {"configurable": {"thread_id": thread_id}, "recursion_limit": 3 * most_turns + 10}
    with tracing_context(enabled=False):  # whatever the environment says, no trace of a run leaves the machine
        if not isinstance(wired.checkpointer, BaseCheckpointSaver):
            return cast("GraphState", await wired.ainvoke(start, config))
        first: GraphState | None = start
        saved = await wired.aget_state(config)
        values = cast("GraphState", saved.values)
        if values and _failed(values):
            await wired.checkpointer.adelete_thread(thread_id)
        elif values and "outcome" in values:
            return values
        elif saved.next:
            first = None
        return cast("GraphState", await wired.ainvoke(first, config, durability="sync"))


def _failed(state: GraphState) -> bool:
    calls = [turn["observation"] for turn in state.get("turns", []) if turn["legal"] and turn["observation"]]
    return state.get("outcome") == "failed" or any(observation["error"] for observation in calls)


@asynccontextmanager
async def graph(config: RunnableConfig | None = None) -> AsyncGenerator[CompiledStateGraph[Any, Any, Any, Any]]:
    """The graph for `langgraph dev`, which brings its own checkpoints: `"path": "./graph/build.py:graph"`.

    Settings come from the environment; the workspace is `configurable.workspace`, else the working folder.
    """
    from anomalyagent.configs.loading import load_settings
    from anomalyagent.graph.policies import make_policy
    from anomalyagent.mcp_tools.client import ToolClient

    settings = load_settings()
    chosen = ((config or {}).get("configurable") or {}).get("workspace")
    workspace = Path(chosen or ".")
    async with ToolClient(settings, workspace) as tools:
        yield build_graph(Services(make_policy(settings.policy), tools, settings.limits, workspace))
