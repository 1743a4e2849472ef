"""One MCP connection and the task that owns it.

`mcp.Client` enters cancel scopes that must be left by the task that entered them. Here a task of its own opens the
client, checks the contract, waits until it is told to stop and closes it, so anybody may call and anybody may close.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeVar

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import CONNECTION_CLOSED, REQUEST_TIMEOUT, CallToolResult
from pydantic import ValidationError

from anomalyagent.errors import ToolCallError
from anomalyagent.mcp_tools.contract_check import accepted_arguments, contract_problems
from anomalyagent.mcp_tools.contracts import ToolName

__all__ = ["Connection", "InProcess", "OverHttp", "OverStdio", "Place", "innermost", "telling"]

CONNECT_TIMEOUT_S = 30.0
START_TIMEOUT_S = 120.0
"""A program may have to be fetched first (`uvx`), or to load libraries from a slow disk; one that ends is noticed at once."""
PROBE_TIMEOUT_S = 5.0
_STDERR_CHARS = 1500
_CHECK = "Check the `server` of that tool in your config."
_GONE = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream, OSError, httpx2.HTTPError)

_T = TypeVar("_T")


@dataclass(frozen=True)
class InProcess:
    """Our own server in this process; calls go straight to its handlers."""

    server: MCPServer[Any]

    def __str__(self) -> str:
        return "the server in this process"


@dataclass(frozen=True)
class OverStdio:
    """A program to start; it gets this process's environment, as from a shell."""

    command: tuple[str, ...]

    def __str__(self) -> str:
        return f"the server `{' '.join(self.command)}`"


@dataclass(frozen=True)
class OverHttp:
    """A streamable HTTP endpoint, with the file that holds its bearer token if it needs one."""

    url: str
    token_file: Path | None = None

    def __str__(self) -> str:
        return f"the server at {self.url}"


Place = InProcess | OverStdio | OverHttp


@asynccontextmanager
async def telling(transport: AbstractAsyncContextManager[_T], started: Callable[[], object]) -> AsyncGenerator[_T]:
    """The same transport, which calls `started` once its program runs.

    Until then nothing may cancel it: asyncio, cancelled while it starts a process, leaves its pipes open and it to nobody.
    """
    async with transport as streams:
        started()
        yield streams


class Connection:
    """An open connection to the server of one or more tools.

    Args:
        place: where the server is.
        expected: input schema of our own tool of each name; an outside server is compared with it.
    """

    def __init__(self, place: Place, expected: Mapping[ToolName, Mapping[str, Any]]) -> None:
        self.place = place
        self.tools = tuple(expected)
        self._expected = expected
        self._accepted: dict[ToolName, frozenset[str] | None] = {}
        self._client: Client | None = None
        self._owner: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()
        self._started = asyncio.Event()
        self._scope = anyio.CancelScope()
        self._stderr: TextIO | None = None
        self._opening = asyncio.Lock()
        self._suspect = False
        self._refusal = ""

    async def open(self) -> None:
        """Connect and check that the server's tools fit.

        Raises:
            ToolCallError: kind `crashed` or `timeout` when it cannot be reached, `bad_result` when it does not fit.
        """
        self._stop, self._started = asyncio.Event(), asyncio.Event()
        self._suspect = False
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._scope = anyio.CancelScope()
        self._owner = asyncio.create_task(self._own(ready, self._stop, self._scope), name=f"mcp connection to {self.place}")
        self._owner.add_done_callback(lambda _, started=self._started: started.set())
        limit_s = START_TIMEOUT_S if isinstance(self.place, OverStdio) else CONNECT_TIMEOUT_S
        try:
            async with asyncio.timeout(limit_s):
                await ready
        except TimeoutError:
            await self._abandon()
            raise ToolCallError(
                f"{self.place} did not answer within {limit_s:g} s of being opened.{self._last_words()}",
                kind="timeout",
            ) from None
        except BaseException:
            await self._abandon()
            raise

    async def close(self) -> None:
        """Close the connection; a server that we started ends."""
        try:
            await self._abandon()
        finally:
            self._owner = None
            if self._stderr is not None:
                self._stderr.close()
                self._stderr = None

    async def call(self, tool: ToolName, arguments: Mapping[str, object], timeout_s: float) -> CallToolResult:
        """The server's answer; after a crash it is connected to once more and the call repeated.

        Raises:
            ToolCallError: `crashed` a second time, `timeout`, `refused` by the protocol, or `bad_result`.
        """
        if self._suspect:
            await self._check_alive()
        used = self._owner
        try:
            return await self._call_once(tool, arguments, timeout_s)
        except ToolCallError as error:
            if error.kind != "crashed" or isinstance(self.place, InProcess):
                raise
            await self._reopen(used)
            return await self._call_once(tool, arguments, timeout_s)

    async def _call_once(self, tool: ToolName, arguments: Mapping[str, object], timeout_s: float) -> CallToolResult:
        accepted = self._accepted.get(tool)
        sent = {name: value for name, value in arguments.items() if accepted is None or name in accepted}
        client = self._client
        if client is None:
            raise ToolCallError(f"{self.place} is not connected; {tool} cannot be called.{self._last_words()}", kind="crashed")
        # The client's own timeout tells the server; the outer one covers transports that never answer it.
        grace_s = None if isinstance(self.place, InProcess) else timeout_s + PROBE_TIMEOUT_S
        try:
            async with asyncio.timeout(grace_s):
                return await client.call_tool(tool, sent, read_timeout_seconds=timeout_s)
        except MCPError as error:
            if error.code == REQUEST_TIMEOUT:
                raise self._timed_out(tool, timeout_s) from error
            if error.code == CONNECTION_CLOSED:
                raise self._crashed(tool) from error
            raise ToolCallError(f"{self.place} refused the call of {tool}: {error.message}", kind="refused") from error
        except TimeoutError as error:
            raise self._timed_out(tool, timeout_s) from error
        except _GONE as error:
            raise self._crashed(tool) from error
        except (RuntimeError, ValidationError) as error:  # what the client raises for an answer outside the tool's own schema
            detail = str(error).splitlines()[0]
            raise ToolCallError(f"{self.place} answered {tool} outside its contract: {detail}", kind="bad_result") from error

    async def _own(self, ready: "asyncio.Future[None]", stop: asyncio.Event, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                async with self._opened() as client:
                    await self._check_contract(client)
                    self._client = client
                    if not ready.done():
                        ready.set_result(None)
                    await stop.wait()
                    self._client = None
        except Exception as error:
            self._client = None
            if ready.done():  # it was open, or nobody waits any more: the next call finds that it is gone
                return
            cause = innermost(error)
            if not isinstance(cause, ToolCallError):
                text = f"{self.place} cannot be reached: {_in_words(cause)}.{self._last_words()} {_CHECK}"
                cause = ToolCallError(text, kind="crashed")
            ready.set_exception(cause)

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[Client]:
        if isinstance(self.place, InProcess):
            self._started.set()
            async with Client(self.place.server) as client:
                yield client
        elif isinstance(self.place, OverStdio):
            if self._stderr is None:  # kept off the terminal, quoted when the server dies
                self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  closed in `close`
            program, *args = self.place.command
            server = StdioServerParameters(command=program, args=args, env=dict(os.environ))
            async with Client(telling(stdio_client(server, errlog=self._stderr), self._started.set)) as client:
                yield client
        else:
            self._started.set()
            headers = {}
            if self.place.token_file is not None:
                headers["Authorization"] = f"Bearer {self.place.token_file.read_text(encoding='utf-8').strip()}"
            timeout = httpx2.Timeout(CONNECT_TIMEOUT_S, read=None)
            hooks = {"response": [self._note_refusal]}
            async with (
                httpx2.AsyncClient(headers=headers, timeout=timeout, event_hooks=hooks) as http,
                Client(streamable_http_client(self.place.url, http_client=http)) as client,
            ):
                yield client

    async def _note_refusal(self, response: httpx2.Response) -> None:
        """The MCP error of a refused request does not say why; the HTTP status does."""
        self._refusal = f" HTTP {response.status_code} {response.reason_phrase}." if response.is_client_error else ""
        if response.status_code in (401, 403) and isinstance(self.place, OverHttp):
            self._refusal += " Put the file with the server's bearer token into options.token_file of the tool."

    async def _check_contract(self, client: Client) -> None:
        if isinstance(self.place, InProcess):
            return
        offered = {each.name: each for each in (await client.list_tools()).tools}
        for tool, expected in self._expected.items():
            if tool not in offered:
                raise ToolCallError(
                    f"{self.place} has no tool {tool!r}; it has {', '.join(offered) or 'none'}. {_CHECK}",
                    kind="bad_result",
                )
            if problems := contract_problems(tool, expected, offered[tool]):
                raise ToolCallError(
                    f"{tool} of {self.place} does not fit: {'; '.join(problems)}. {_CHECK}",
                    kind="bad_result",
                )
            self._accepted[tool] = accepted_arguments(offered[tool])

    async def _check_alive(self) -> None:
        """After a timeout: a server that still answers is kept, one that hangs is started anew."""
        used, client = self._owner, self._client
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                if client is not None:
                    await client.list_tools(cache_mode="bypass")
                    self._suspect = False
                    return
        except (TimeoutError, MCPError, *_GONE):
            pass
        await self._reopen(used)

    async def _reopen(self, used: "asyncio.Task[None] | None") -> None:
        async with self._opening:
            if self._owner is used:  # else another call has done it meanwhile
                await self._abandon()
                await self.open()

    async def _abandon(self) -> None:
        """Let the owner close the connection, and wait for it even when cancelled.

        Only its own scope may cancel the owner, and only before it is open: asyncio's cancellation would break into the
        transport's shutdown, which ends the server's process and takes a bounded time. Nor may its scope while it starts
        a process (see `telling`).
        """
        owner, was_open, self._client = self._owner, self._client is not None, None
        self._stop.set()
        cancelled: asyncio.CancelledError | None = None
        while owner is not None and not owner.done():
            try:
                await self._started.wait()
                if not was_open:
                    self._scope.cancel()
                await asyncio.wait([owner])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled

    def _timed_out(self, tool: ToolName, timeout_s: float) -> ToolCallError:
        self._suspect = not isinstance(self.place, InProcess)
        return ToolCallError(
            f"{tool} did not answer within {timeout_s:g} s ({self.place}). Raise limits.tool_timeout_s or use a smaller image.",
            kind="timeout",
        )

    def _crashed(self, tool: ToolName) -> ToolCallError:
        return ToolCallError(f"{self.place} went away during {tool}.{self._last_words()}", kind="crashed")

    def _last_words(self) -> str:
        if self._stderr is None:
            return self._refusal
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - _STDERR_CHARS))
        said = self._stderr.read().strip()
        return f" It last said: {said}" if said else ""


def innermost(error: BaseException) -> BaseException:
    """The first real error inside the groups that task groups make."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # pyright: ignore[reportUnknownVariableType]
    return error


def _in_words(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{error.filename or 'the program'} was not found"
    return f"{type(error).__name__}: {error}".rstrip(": ")
