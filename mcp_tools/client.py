"""The one way in which graph and training reach the tools: an MCP client for each server that the settings name.

    tools.<tool>.server unset      our own server, in this process (no JSON, no sockets)
    a list [program, arg, ...]     another server over stdio; `{workspace}` in it becomes the workspace folder
    a http(s) URL                  another server over streamable HTTP; options.token_file: file with its bearer token

Each connection is opened, kept and closed by a task of its own, so calls may come from any task (LangGraph runs
every node in another one) and no cancel scope leaves the task that entered it.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast, overload

from mcp.types import CallToolResult, TextContent
from pydantic import ValidationError

from anomalyagent.configs.faults import first_fault
from anomalyagent.configs.paths import expand_home
from anomalyagent.configs.schema import Settings, ToolSettings
from anomalyagent.errors import ConfigError, ToolCallError
from anomalyagent.mcp_tools.answers import META_COST, META_OUTAGE, META_TOKENS
from anomalyagent.mcp_tools.connection import Connection, InProcess, OverHttp, OverStdio, Place
from anomalyagent.mcp_tools.contracts import (
    RESULT_TYPES,
    TOOL_NAMES,
    ImageResult,
    KnowledgeResult,
    MaskResult,
    PromptResult,
    QualityResult,
    ToolName,
    ToolResult,
)
from anomalyagent.mcp_tools.server import build_server, create_tools
from anomalyagent.mcp_tools.toolbox import Toolbox
from anomalyagent.mcp_tools.workspace import Workspace

__all__ = ["ToolClient"]


class ToolClient:
    """All five tools, opened once: `async with ToolClient(settings, folder) as tools: await tools.call("mask_gen", {...})`.

    Args:
        workspace: folder that image references are relative to; outside servers must work on the same folder.
    Raises:
        ToolCallError: on entering, when a server cannot be reached or does not fit the contract.
        WorkspaceError: `workspace` is not a folder.
    """

    def __init__(self, settings: Settings, workspace: Path | Workspace) -> None:
        self._settings = settings
        self._workspace = workspace if isinstance(workspace, Workspace) else Workspace(workspace, settings.limits)
        self._connections: dict[ToolName, Connection] = {}

    async def __aenter__(self) -> Self:
        inside: list[ToolName] = [tool for tool in TOOL_NAMES if self._chosen(tool).server is None]
        outside: dict[Place, list[ToolName]] = {}
        for tool in TOOL_NAMES:
            if tool not in inside:
                outside.setdefault(self._place(tool), []).append(tool)
        connections = [self._connection(place, tools) for place, tools in outside.items()]
        if inside:
            server = build_server(inside, self._settings, self._workspace)
            connections.append(Connection(InProcess(server), {tool: {} for tool in inside}))
        self._connections = {tool: each for each in connections for tool in each.tools}
        try:
            outcomes = await asyncio.gather(*(each.open() for each in connections), return_exceptions=True)
        except asyncio.CancelledError:  # some are open by now
            await self._close()
            raise
        if failed := [each for each in outcomes if isinstance(each, BaseException)]:
            await self._close()
            raise failed[0]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    @overload
    async def call(
        self, tool: Literal["prompt_gen"], arguments: Mapping[str, object], timeout_s: float | None = None
    ) -> PromptResult: ...
    @overload
    async def call(
        self, tool: Literal["image_gen"], arguments: Mapping[str, object], timeout_s: float | None = None
    ) -> ImageResult: ...
    @overload
    async def call(
        self, tool: Literal["quality_eval"], arguments: Mapping[str, object], timeout_s: float | None = None
    ) -> QualityResult: ...
    @overload
    async def call(
        self, tool: Literal["knowledge_retrieval"], arguments: Mapping[str, object], timeout_s: float | None = None
    ) -> KnowledgeResult: ...
    @overload
    async def call(
        self, tool: Literal["mask_gen"], arguments: Mapping[str, object], timeout_s: float | None = None
    ) -> MaskResult: ...
    @overload
    async def call(self, tool: ToolName, arguments: Mapping[str, object], timeout_s: float | None = None) -> ToolResult: ...
    async def call(self, tool: ToolName, arguments: Mapping[str, object], timeout_s: float | None = None) -> ToolResult:
        """Call `tool` and return its checked result.

        Args:
            arguments: as in the tool's input schema, JSON values; images as references.
            timeout_s: unset: `limits.tool_timeout_s`.
        Raises:
            ToolCallError: `refused` with the tool's own text, `crashed`, `timeout` or `bad_result` (see its `kind`).
        """
        connection = self._connections.get(tool)
        if connection is None:
            raise ToolCallError(f"{tool} was called outside `async with ToolClient(...)`.", kind="crashed")
        limit = self._settings.limits.tool_timeout_s if timeout_s is None else timeout_s
        return _checked(tool, await connection.call(tool, arguments, limit))

    async def _close(self) -> None:
        connections, self._connections = set(self._connections.values()), {}
        closing = asyncio.gather(*(each.close() for each in connections))
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:  # servers that we started must not outlive us
            await closing
            raise

    def _chosen(self, tool: ToolName) -> ToolSettings:
        return cast(ToolSettings, getattr(self._settings.tools, tool))

    def _place(self, tool: ToolName) -> Place:
        chosen = self._chosen(tool)
        if isinstance(chosen.server, list) and chosen.server:
            return OverStdio(tuple(part.replace("{workspace}", str(self._workspace.root)) for part in chosen.server))
        if isinstance(chosen.server, str) and chosen.server.startswith(("http://", "https://")):
            token_file = chosen.options.get("token_file")
            return OverHttp(chosen.server, expand_home(str(token_file)) if token_file else None)
        raise ConfigError(
            f"tools.{tool}.server is {chosen.server!r}. Give an http(s) URL, or a command as a list [program, arg, ...]."
        )

    def _connection(self, place: Place, tools: list[ToolName]) -> Connection:
        ours = create_tools(tools, Toolbox(self._settings, self._workspace))
        return Connection(place, {tool: each.parameters for tool, each in zip(tools, ours, strict=True)})


def _checked(tool: ToolName, answer: CallToolResult) -> ToolResult:
    if answer.is_error:
        text = "\n".join(block.text for block in answer.content if isinstance(block, TextContent))
        told: Mapping[str, Any] = answer.meta or {}
        raise ToolCallError(
            text or f"{tool} failed and gave no reason.",
            kind="outage" if told.get(META_OUTAGE) is True else "refused",
            cost_usd=_amount(told.get(META_COST)),
            tokens=int(_amount(told.get(META_TOKENS))),
        )
    kind = RESULT_TYPES[tool]
    data: Any = answer.structured_content
    try:
        # Fields that another server adds for its own purposes are not ours to refuse.
        if isinstance(data, dict):
            data = {key: value for key, value in cast(dict[str, Any], data).items() if key in kind.model_fields}
        return kind.model_validate(data)
    except ValidationError as error:
        raise ToolCallError(
            f"{tool} answered outside its contract ({error.error_count()} problems): {first_fault(error, 'the result')}.",
            kind="bad_result",
        ) from error


def _amount(told: object) -> float:
    """What another server says was spent: a number from 0 on, or nothing."""
    return float(told) if isinstance(told, (int, float)) and 0 <= told < 1e9 else 0.0
