"""MCP spoken by hand, without any SDK: newline-delimited JSON over stdio, and HTTP with the standard library."""

import contextlib
import http.client
import itertools
import json
import os
import subprocess
import sys
import urllib.parse
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

TESTS = Path(__file__).parents[1]
SERVER = [sys.executable, "-m", "anomalyagent.mcp_tools.server"]
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "by-hand", "version": "0"}}
Json = dict[str, Any]


def environment() -> dict[str, str]:
    """This process's environment, in which a server also finds `helpers`."""
    return {**os.environ, "PYTHONPATH": str(TESTS)}


class StdioByHand:
    """A server process and its two pipes."""

    def __init__(self, *arguments: str, module: str = "anomalyagent.mcp_tools.server") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment(),
        )
        self._ids = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def send_line(self, line: str) -> None:
        _pipe(self._process.stdin).write(line + "\n")
        _pipe(self._process.stdin).flush()

    def read(self) -> Json:
        return json.loads(_pipe(self._process.stdout).readline())

    def request(self, method: str, params: Json | None = None) -> Json:
        """The whole response to a request."""
        number = next(self._ids)
        self.send_line(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}))
        while (answer := self.read()).get("id") != number:
            pass
        return answer

    def shake_hands(self) -> Json:
        answer = self.request("initialize", HELLO)
        self.send_line(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        return answer["result"]

    def finish(self) -> tuple[int, str, str]:
        """Close stdin; exit code, what else came on stdout, and stderr."""
        out, err = self._process.communicate(timeout=240)
        return self._process.returncode, out, err


class Reply(NamedTuple):
    status: int
    body: str

    @property
    def message(self) -> Json:
        """The JSON-RPC message of the body, which is JSON or one server-sent event."""
        lines = [line.removeprefix("data:") for line in self.body.splitlines() if line.startswith("data:")]
        return json.loads("".join(lines) or self.body)


def post(url: str, payload: object, headers: dict[str, str] | None = None) -> Reply:
    """POST JSON as an MCP client does; an answer that comes before the body was sent whole is read all the same."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    accept = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    parts = urllib.parse.urlsplit(url)
    with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=240)) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", parts.path, data, {**accept, **(headers or {})})
        response = connection.getresponse()
        return Reply(response.status, response.read().decode())


@contextmanager
def http_server(*arguments: str, command: Sequence[str] = SERVER) -> Generator[str]:
    """URL of a server process on a free port."""
    with http_process([*command, *arguments, "--transport", "http", "--port", "0"]) as url:
        yield url


@contextmanager
def http_process(command: Sequence[str]) -> Generator[str]:
    """URL of the server that `command` starts, which says it on stderr."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment())
    try:
        said = _pipe(process.stderr).readline()
        assert " at http://" in said, said + _pipe(process.stderr).read()
        yield said.split(" at ")[1].strip()
    finally:
        process.kill()
        process.communicate()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
