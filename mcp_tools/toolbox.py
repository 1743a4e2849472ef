"""What the five tools share when they are served: settings, workspace, backends, and how a call runs and fails.

A call runs in a worker thread, so that one long call does not hold up the others. When its client gives up, the
thread finishes on its own and its answer is dropped: files are named by content, so nothing half-made is left. Such threads
are counted too, so that clients that keep giving up cannot fill the machine.
"""

import asyncio
import functools
import inspect
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from contextvars import copy_context
from typing import Any, NamedTuple

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import ConfigDict, ValidationError
from rapidfuzz import fuzz, process

from anomalyagent.configs.faults import Fault, faults_of
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import AnomalyAgentError, BackendError, RemoteOutageError
from anomalyagent.mcp_tools import registry
from anomalyagent.mcp_tools.answers import failed_answer
from anomalyagent.mcp_tools.contracts import TOOL_NAMES, ToolName
from anomalyagent.mcp_tools.listing import listed_input, listed_output
from anomalyagent.mcp_tools.resources import Shelf
from anomalyagent.mcp_tools.workspace import Workspace

__all__ = ["ContractTool", "Extension", "Toolbox", "contract_tool", "make_tool"]

log = logging.getLogger("anomalyagent.mcp_tools")

GRACE_S = 10.0
"""A server gives a call up this much later than our own client, which then knows that it was its own timeout."""

THREADS_PER_CALL = 4
"""Threads for each call that may run at once; more than one, so that calls nobody waits for any more do not stop the server."""

_NEAR = 80.0
"""Likeness (0..100) from which an unknown argument counts as another name of a known one."""


class Toolbox:
    """Settings, workspace and the backends, each made on its first call.

    Args:
        most_waiting: calls that may wait for a thread; more are refused. None: any number.
    """

    def __init__(self, settings: Settings, workspace: Workspace, most_waiting: int | None = None) -> None:
        self.settings = settings
        self.workspace = workspace
        self._most_waiting = most_waiting
        self._backends: dict[ToolName, Any] = {}
        self._locks = {tool: threading.Lock() for tool in TOOL_NAMES}
        self._at_once = max(2, os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(THREADS_PER_CALL * self._at_once, "tool-call")
        self._limiter: anyio.CapacityLimiter | None = None
        self._inside = 0
        """Calls that run or wait."""

    def backend(self, tool: ToolName) -> Any:
        """The backend of `tool` that the settings name.

        Raises:
            BackendUnavailableError: see `registry.create_backend`.
        """
        with self._locks[tool]:
            if tool not in self._backends:
                self._backends[tool] = registry.create_backend(tool, self.settings)
            return self._backends[tool]

    async def run(self, work: Callable[[], CallToolResult]) -> CallToolResult:
        """Run `work` in a thread; at most as many at once as there are cores, and a cancelled caller does not wait.

        Raises:
            ToolError: too many calls wait already, or this one takes too long.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._at_once)
        waiting = self._inside - self._at_once
        if self._most_waiting is not None and waiting >= self._most_waiting:
            raise ToolError(f"The server is busy: {waiting} calls wait already. Make the same call again in a few seconds.")
        limit_s = self.settings.limits.tool_timeout_s + GRACE_S
        self._inside += 1
        try:
            with anyio.move_on_after(limit_s):
                async with self._limiter:
                    # Cancelled, it does not wait for the thread, and a call that has not begun never does.
                    return await asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work)
        finally:
            self._inside -= 1
        raise ToolError(
            f"The call was given up after {limit_s:g} s. Try a smaller image; if calls always take so long, the user can raise "
            "limits.tool_timeout_s in the configuration."
        )


class Extension(NamedTuple):
    """More tools and resources for a server, from a layer above this one, and what they keep open while it lives."""

    tools: Sequence[Tool]
    lifespan: Callable[[MCPServer[Any]], AbstractAsyncContextManager[Any]]
    shelves: Sequence[Shelf] = ()


class ContractTool(Tool):
    """A tool that refuses unknown arguments and whose errors tell a language model what to do next."""

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """As `Tool.run`; errors carry the message alone, and of a crash only its kind (the traceback goes to the log)."""
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            cause = error.__cause__
            if isinstance(cause, BackendError) and (cause.cost_usd or cause.tokens or isinstance(cause, RemoteOutageError)):
                return failed_answer(cause)
            if isinstance(cause, AnomalyAgentError):
                raise ToolError(str(cause)) from cause
            if isinstance(error, UnexpectedToolError):
                raise UnexpectedToolError(
                    f"{self.name} failed unexpectedly ({type(cause).__name__}). This is a fault of the tool, not of the call: "
                    "try once with another seed or image, then report it with the server's log."
                ) from cause
            if isinstance(cause, ValidationError):
                raise ToolError(self._explain(cause)) from cause
            raise

    def _explain(self, error: ValidationError) -> str:
        listed: dict[str, Any] = self.parameters["properties"]
        faults = faults_of(error)[:8]
        told = "; ".join(f"{fault}{_hint(fault, list(listed))}" for fault in faults)
        text = f"the arguments do not fit. {told}. Arguments of {self.name}: {', '.join(listed)}."
        wrong = dict.fromkeys(str(fault.parts[0]) for fault in faults if fault.parts)
        helps = [
            f" {name} is an object: {listed[name]['description']}" for name in wrong if "properties" in listed.get(name, {})
        ]
        return text + "".join(helps)


def _hint(fault: Fault, known: Sequence[str]) -> str:
    """What the caller may have meant."""
    if fault.kind == "extra_forbidden" and len(fault.parts) == 1:
        close = process.extractOne(str(fault.parts[0]), known, scorer=fuzz.WRatio, score_cutoff=_NEAR)
        return f" (did you mean {close[0]}?)" if close else ""
    if fault.kind == "string_type" and isinstance(fault.received, list):
        return " (one, not a list: make a call for each)"
    return ""


def make_tool(
    toolbox: Toolbox, call: Callable[..., CallToolResult], *, title: str, annotations: ToolAnnotations
) -> ContractTool:
    """Wrap the synchronous `call` (its docstring and annotations are what clients see) as a tool that runs in a thread."""

    @functools.wraps(call)
    async def in_thread(**arguments: Any) -> CallToolResult:
        return await toolbox.run(functools.partial(call, **arguments))

    return contract_tool(in_thread, title=title, annotations=annotations)


def contract_tool(call: Callable[..., Awaitable[CallToolResult]], *, title: str, annotations: ToolAnnotations) -> ContractTool:
    """The tool of the coroutine function `call`; unknown arguments are refused, its schemas are listed short."""
    tool = ContractTool.from_function(
        call, title=title, description=inspect.cleandoc(call.__doc__ or ""), annotations=annotations
    )
    assert isinstance(tool, ContractTool)
    given = tool.fn_metadata.arg_model
    strict = type(given.__name__, (given,), {"__module__": __name__, "model_config": ConfigDict(extra="forbid")})
    tool.fn_metadata.arg_model = strict
    tool.parameters = listed_input(strict.model_json_schema(by_alias=True))
    if tool.fn_metadata.output_schema is not None:
        tool.fn_metadata.output_schema = listed_output(tool.fn_metadata.output_schema)
    return tool
