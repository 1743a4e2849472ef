"""The `synthesize` tool: one whole trajectory in one MCP call, with progress, for assistants that want the result only.

It sits in this layer because it drives the graph, and is mounted on the server of all five tools by the command line.
The trajectory is run without checkpoints: a call that is cancelled leaves nothing behind but images named by content. One
that ends is written to `trajectories/` as in a run, unless the workspace is the folder of a run, which belongs to its own
request.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mcp.server.mcpserver import Context, Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ContentBlock, ResourceLink, TextContent, ToolAnnotations
from pydantic import BaseModel

from anomalyagent.configs.schema import Settings, ToolSettings
from anomalyagent.graph.mcp_shelves import address_of, shelves_of
from anomalyagent.graph.state import GraphState, initial_state
from anomalyagent.graph.trace import Task, Trajectory, Turn, write_trajectory
from anomalyagent.mcp_tools.answers import AnomalyType, ImageRef, ItemName, Preview, Seed, preview_of
from anomalyagent.mcp_tools.contracts import TOOL_NAMES, ToolName
from anomalyagent.mcp_tools.registry import is_embedded
from anomalyagent.mcp_tools.toolbox import Extension, contract_tool
from anomalyagent.mcp_tools.workspace import Workspace, uri_of

if TYPE_CHECKING:
    from anomalyagent.graph.build import Graph
    from anomalyagent.mcp_tools.imaging.photo import Photo

__all__ = ["SynthesisResult", "extend_with_synthesis"]

Report = Callable[[int, str], Awaitable[None]]


class SynthesisResult(BaseModel):
    """Result of synthesize; `image` is the best one made, also when none was accepted."""

    accepted: bool
    rounds: int
    reason: str
    image: str | None = None
    mask: str | None = None
    score: float | None = None
    trajectory: str | None = None


def extend_with_synthesis(settings: Settings, workspace: Workspace) -> Extension:
    """The tool, and what it keeps open while its server lives; nothing heavy is loaded before the first call."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncGenerator[_Loop]:
        async with AsyncExitStack() as stack:
            yield _Loop(settings, workspace, stack)

    async def synthesize(
        image: ImageRef,
        item_name: ItemName,
        anomaly_type: AnomalyType,
        ctx: Context[Any, Any],
        seed: Seed = 0,
        preview: Preview = False,
    ) -> Annotated[CallToolResult, SynthesisResult]:
        """All steps in one call: drawn, judged and refined until it passes, then masked."""
        loop: _Loop = ctx.request_context.lifespan_context

        async def report(step: int, text: str) -> None:
            await ctx.report_progress(step, None, text)

        photo = await asyncio.to_thread(workspace.read_photo, image)
        if await asyncio.to_thread(_is_blank, photo):
            raise ToolError(f"{image} is one colour all over, as from a covered lens. Give a photo of a good part.")
        path = workspace.path_of(image)
        auto = anomaly_type == "auto"
        if auto:
            anomaly_type = await asyncio.to_thread(_draw_type, settings, item_name, path, seed)
        normal = hashlib.sha256(await asyncio.to_thread(path.read_bytes)).hexdigest()
        asked = (normal, item_name, anomaly_type, seed, loop.config_sha256)
        task = Task(
            id=f"synthesize-{hashlib.sha256(repr(asked).encode()).hexdigest()[:16]}",
            index=0,
            normal_image=workspace.ref_of(path),
            normal_sha256=normal,
            item_name=item_name,
            anomaly_type=anomaly_type,
            seed=seed,
        )
        del photo  # it was read to refuse what is no image, or shows nothing, before anything else is done
        made = await loop.make(task, report)
        shown = await asyncio.to_thread(_preview, workspace, made) if preview else None
        unknown = await asyncio.to_thread(_unknown_kind, settings, item_name, anomaly_type)
        note = f"'auto' drew {anomaly_type!r}: that is its type for the other tools." if auto else unknown
        return _answer(made, await asyncio.to_thread(loop.keep, made), shown, note)

    chosen: list[tuple[ToolName, ToolSettings]] = [(name, getattr(settings.tools, name)) for name in TOOL_NAMES]
    local = all(one.server is None and is_embedded(name, one.backend) for name, one in chosen)
    local = local and settings.policy.name == "expert" and settings.knowledge.web_search is None
    hints = ToolAnnotations(destructive_hint=False, open_world_hint=not local)
    tool = contract_tool(synthesize, title="Make a defect", annotations=hints)
    return Extension([tool], lifespan, shelves_of(workspace.root))


class _Loop:
    """The graph and its tools, opened at the first call and kept by `stack`."""

    def __init__(self, settings: Settings, workspace: Workspace, stack: AsyncExitStack) -> None:
        self._settings, self._workspace, self._stack = settings, workspace, stack
        self._opening = asyncio.Lock()
        self._graph: Graph | None = None
        self._turns = asyncio.Semaphore(max(2, os.cpu_count() or 1))
        self._waiting = 0

    @cached_property
    def config_sha256(self) -> str:
        """Digest of the settings that shape results."""
        from anomalyagent.graph.runfile import decisive_settings, digest_of

        return digest_of(decisive_settings(self._settings))

    async def make(self, task: Task, report: Report) -> Trajectory:
        """One trajectory, when its turn has come; `report` is told of every turn of the agent.

        Raises:
            ToolError: too many wait already.
        """
        if self._turns.locked() and self._waiting >= self._settings.server.waiting_calls:
            raise ToolError(f"The server is busy: {self._waiting} calls wait already. Make the same call again later.")
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._make(task, report)
        finally:
            self._turns.release()

    def keep(self, made: Trajectory) -> str | None:
        """Write the trajectory into the workspace, unless that is a run's folder; its id, or None."""
        from anomalyagent.graph.runfile import RUN_FILE
        from anomalyagent.graph.worker import trajectory_path

        root = self._workspace.root
        folder = Path(os.path.realpath(root / "trajectories"))
        if (root / RUN_FILE).exists() or not folder.is_relative_to(root):
            return None
        write_trajectory(made, trajectory_path(root, made.id))
        return made.id

    async def _make(self, task: Task, report: Report) -> Trajectory:
        from langsmith import tracing_context

        from anomalyagent.graph.worker import WorkerSetup, summarize_state, versions

        graph = await self._opened()
        clock, steps = time.perf_counter(), 0
        state: Any = GraphState()
        config: Any = {"recursion_limit": 3 * self._settings.limits.turns + 10}
        start = initial_state(task, task.normal_sha256)
        with tracing_context(enabled=False):
            stream: AsyncIterator[Any] = graph.astream(start, config, stream_mode=["updates", "values"])
            async for kind, chunk in stream:
                if kind == "values":
                    state = chunk
                    continue
                for change in chunk.values():
                    for turn in (change or {}).get("turns", ()):
                        steps += 1
                        await report(steps, _describe(Turn.model_validate(turn)))
        digest = self.config_sha256
        setup = WorkerSetup(run_dir=self._workspace.root, run_id="mcp", config_sha256=digest, settings=self._settings)
        return summarize_state(state, setup, versions(), seconds=time.perf_counter() - clock)

    async def _opened(self) -> "Graph":
        async with self._opening:
            if self._graph is None:
                from anomalyagent.graph.build import build_graph
                from anomalyagent.graph.nodes import Services, compares
                from anomalyagent.graph.policies import make_policy
                from anomalyagent.mcp_tools.client import ToolClient

                settings, root = self._settings, self._workspace.root
                policy = make_policy(settings.policy, settings.prices)
                tools = await self._stack.enter_async_context(ToolClient(settings, self._workspace))
                self._graph = build_graph(Services(policy, tools, settings.limits, root, compares=compares(settings)))
            return self._graph


def _describe(turn: Turn) -> str:
    """A turn in one line."""
    name = turn.action.name if turn.action.kind == "tool_call" else turn.action.kind
    said = turn.observation.text if turn.observation else turn.thought
    return f"{name}: {said.strip().splitlines()[0][:200]}" if said.strip() else name


def _is_blank(photo: "Photo") -> bool:
    from anomalyagent.mcp_tools.imaging.normal_set import is_blank  # loads the arrays

    return is_blank(photo)


def _preview(workspace: Workspace, made: Trajectory) -> bytes | None:
    """The final image with the outline of its mask, small."""
    if made.final_image is None:
        return None
    photo = workspace.read_photo(made.final_image)
    return preview_of(photo, workspace.read_photo(made.mask).rgb[..., 0] > 0.5 if made.mask else None)


def _draw_type(settings: Settings, item_name: str, photo: Path, seed: int) -> str:
    """The type of this sample where `auto` was asked for."""
    from anomalyagent.graph.request import draw_type  # loads the arrays

    return draw_type(settings, item_name, photo, seed)


def _unknown_kind(settings: Settings, item_name: str, anomaly_type: str) -> str | None:
    """What to say of words that mean nothing here."""
    from anomalyagent.mcp_tools.unknown_kinds import unknown_kind  # loads the arrays

    return unknown_kind(settings, item_name, anomaly_type)


def _answer(made: Trajectory, kept: str | None, preview: bytes | None, note: str | None) -> CallToolResult:
    result = SynthesisResult(
        accepted=made.outcome == "accepted",
        image=made.final_image,
        mask=made.mask,
        score=made.score,
        rounds=made.rounds,
        reason=made.reason,
        trajectory=kept,
    )
    text = f"{made.outcome} after {made.rounds} round(s): {made.reason}"
    if not result.accepted:
        text += " Try another seed, or image_gen with a spec of your own."
    if note is not None:
        text += f" {note}"
    files = [f"{what} {ref}" for what, ref in (("image", result.image), ("mask", result.mask)) if ref is not None]
    if files:
        text += f"\nStored {' and '.join(files)}."
    content: list[ContentBlock] = [TextContent(type="text", text=text)]
    for title, ref in (("Photo with the defect", result.image), ("Mask of the defect", result.mask)):
        if ref is not None:
            name = ref.rpartition("/")[2]
            content.append(ResourceLink(type="resource_link", name=name, title=title, uri=uri_of(ref), mime_type="image/png"))
    if kept is not None:
        link = address_of(kept)
        content.append(
            ResourceLink(type="resource_link", name=kept, title="How it was made", uri=link, mime_type="application/json")
        )
    if preview is not None:
        content.append(Image(data=preview, format="jpeg").to_image_content())
    fields = result.model_dump(mode="json", exclude_none=True)
    return CallToolResult(content=content, structured_content=fields, is_error=made.outcome == "failed")
