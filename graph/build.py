"""The wiring of the graph, its checkpoints, and one trajectory from start or checkpoint to end.

    agent -> prompt_gen | image_gen | quality_eval | knowledge_retrieval | mask_gen -> agent -> ... -> finish
    agent -> agent            the action was illegal: the reason is the next observation
    agent -> finish           an answer, or a limit was reached

The graph is flat: time travel into subgraphs of LangGraph still has open bugs. Every step is stored before the next one
begins (durability "sync"), so a killed run goes on at the call that it was in.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Required, TypedDict, cast

import aiosqlite
from filelock import AsyncFileLock
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command
from langsmith import tracing_context

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import RunError
from anomalyagent.graph.approval import REJECTED, Approver, read_pause
from anomalyagent.graph.nodes import Nodes, Services, compares
from anomalyagent.graph.policies.base import Policy
from anomalyagent.graph.state import GraphState, initial_state, spent
from anomalyagent.graph.trace import Task
from anomalyagent.mcp_tools.contracts import TOOL_NAMES

__all__ = ["Graph", "build_graph", "graph", "open_checkpoints", "open_graph", "run_trajectory", "thread_config"]

BUSY_TIMEOUT_S = 60.0
"""How long a writer waits for another process that is writing a checkpoint."""

Graph = CompiledStateGraph[GraphState, None, GraphState, GraphState]


def build_graph(services: Services, checkpointer: BaseCheckpointSaver[str] | None = None) -> Graph:
    """Wire the graph."""
    wiring = _wire(Nodes(services), GraphState)
    wiring.add_edge(START, "agent")
    return wiring.compile(checkpointer=checkpointer, name="anomalyagent")


def _wire(nodes: Nodes, takes: type[Any]) -> StateGraph[GraphState, None, Any, GraphState]:
    """Everything but the start."""
    wiring: StateGraph[GraphState, None, Any, GraphState] = StateGraph(GraphState, input_schema=takes)
    wiring.add_node("agent", nodes.agent)
    wiring.add_node("finish", nodes.finish)
    for name in TOOL_NAMES:
        wiring.add_node(name, nodes.call_tool)
        wiring.add_edge(name, "agent")
    wiring.add_conditional_edges("agent", nodes.route, ["agent", "finish", *TOOL_NAMES])
    wiring.add_edge("finish", END)
    return wiring


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


@asynccontextmanager
async def open_graph(settings: Settings, run_dir: Path, checkpoints: Path) -> AsyncGenerator[Graph]:
    """The graph of a run, with its policy, its tools and its checkpoints open.

    Args:
        checkpoints: file of the store; made if missing.
    Raises:
        ToolCallError, PolicyError, BackendError: tools or policy cannot be had.
    """
    from anomalyagent.graph.policies import make_policy
    from anomalyagent.mcp_tools.client import ToolClient

    policy = make_policy(settings.policy, settings.prices)
    async with ToolClient(settings, run_dir) as tools, open_checkpoints(checkpoints) as store:
        yield build_graph(Services(policy, tools, settings.limits, run_dir, compares=compares(settings)), store)


def thread_config(thread_id: str, most_turns: int, approve: Iterable[str] = ()) -> RunnableConfig:
    """How LangGraph is asked for one trajectory, which pauses before calls of the tools in `approve`."""
    return {"configurable": {"thread_id": thread_id, "approve": list(approve)}, "recursion_limit": 3 * most_turns + 10}


async def run_trajectory(
    wired: Graph,
    thread_id: str,
    start: GraphState,
    most_turns: int,
    approve: Iterable[str] = (),
    approver: Approver | None = None,
) -> GraphState:
    """Run a trajectory to its end: from `start`, or from its last checkpoint if it has one.

    A trajectory of an earlier session that failed, or in which a tool call failed, starts anew: the failure may have been
    the session's (a full disk, a server that was taken down with it), and a resumed run must equal an undisturbed one.

    Args:
        approve: tools before whose calls the graph pauses; then `approver` is asked.
    Returns:
        The final state.
    """
    config = thread_config(thread_id, most_turns, approve)
    with tracing_context(enabled=False):  # whatever the environment says, no trace of a run leaves the machine
        if not isinstance(wired.checkpointer, BaseCheckpointSaver):
            return cast("GraphState", await wired.ainvoke(start, config))
        first: GraphState | None = start
        saved = await wired.aget_state(config)
        values = cast("GraphState", saved.values)
        if values and _failed(values):
            await wired.checkpointer.adelete_thread(thread_id)
            cost_usd, tokens = spent(values)
            first = {**start, "earlier_cost_usd": cost_usd, "earlier_tokens": tokens}
        elif values and "outcome" in values:
            return values
        elif saved.next:
            first = None
        given: GraphState | Command[Any] | None = first
        while True:
            state: dict[str, Any] = await wired.ainvoke(given, config, durability="sync")
            pauses = state.pop("__interrupt__", None)
            if not pauses:
                return cast("GraphState", state)
            if approver is None:
                raise RunError(f"the trajectory {thread_id} waits for approval, and nobody is there to give it.")
            given = Command(resume=approver(read_pause(thread_id, pauses[0].value)).model_dump())


def _failed(state: GraphState) -> bool:
    calls = [turn["observation"] for turn in state.get("turns", []) if turn["legal"] and turn["observation"]]
    errors = [observation["error"] for observation in calls if observation["error"]]
    return state.get("outcome") == "failed" or any(not error.startswith(REJECTED) for error in errors)


class SynthesisRequest(TypedDict, total=False):
    """What a client of `langgraph dev` sends to make one sample.

    Attributes:
        normal_image: reference of a photo of a good part in the workspace.
        item_name, anomaly_type: in words. seed: 0 when left out.
    """

    normal_image: Required[str]
    item_name: Required[str]
    anomaly_type: Required[str]
    seed: int


@asynccontextmanager
async def graph(config: RunnableConfig | None = None) -> AsyncGenerator[CompiledStateGraph[Any, Any, Any, Any]]:
    """The graph for `langgraph dev`, which brings its own checkpoints; see langgraph.json and docs/traces.md.

    Its input is a SynthesisRequest. Settings come from the environment. `configurable.workspace` is the folder that the photo
    lies in, else the working folder; `configurable.approve` names tools before whose calls to pause.
    """
    from anomalyagent.configs.loading import load_settings
    from anomalyagent.graph.policies import make_policy
    from anomalyagent.mcp_tools.client import ToolClient
    from anomalyagent.mcp_tools.workspace import Workspace

    chosen = ((config or {}).get("configurable") or {}).get("workspace") or "."

    def prepare() -> tuple[Settings, Workspace, Policy]:  # reads files, which a server does not like in its loop
        settings = load_settings()
        return settings, Workspace(Path(chosen), settings.limits), make_policy(settings.policy, settings.prices)

    settings, workspace, policy = await asyncio.to_thread(prepare)

    async def start(state: SynthesisRequest) -> GraphState:
        normal = await asyncio.to_thread(lambda: workspace.path_of(state["normal_image"]).read_bytes())
        digest = hashlib.sha256(normal).hexdigest()
        told = {"id": "synthesize", "index": 0, "seed": 0, "normal_sha256": digest, **state}
        return initial_state(Task.model_validate(told), digest)

    async with ToolClient(settings, workspace) as tools:
        wiring = _wire(
            Nodes(Services(policy, tools, settings.limits, workspace.root, compares=compares(settings))), SynthesisRequest
        )
        wiring.add_node("start", start)
        wiring.add_edge(START, "start")
        wiring.add_edge("start", "agent")
        yield wiring.compile(name="anomalyagent")
