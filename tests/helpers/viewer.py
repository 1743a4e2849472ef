"""The viewer, served from a thread of the test for as long as the test needs it; and a browser, where there is one."""

import http.client
import os
import shutil
import socket
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn

from anomalyagent.graph.viewer.app import Options, make_app

__all__ = ["NORMALS", "Answer", "Serve", "ask", "find_chromium", "serving"]

NORMALS = Path(__file__).parents[2] / "examples" / "normals"
Serve = Callable[..., AbstractContextManager[str]]
"""The fixture `serve` of tests/browser: run folders, options -> address of a viewer."""
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Answer(NamedTuple):
    """Status, headers (names in small letters) and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


@contextmanager
def serving(run_dirs: Sequence[Path], cache: Path, options: Options | None = None, patience_s: float = 60) -> Generator[str]:
    """The address of a viewer, e.g. `http://127.0.0.1:40123`; its pages wait for all trajectories, also on a slow machine."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    port = int(listener.getsockname()[1])
    app = make_app(run_dirs, replace(options or Options(), port=port, cache_dir=cache, patience_s=patience_s))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def ask(
    address: str, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: str | None = None
) -> Answer:
    """One request, sent as it is written: no path is tidied, no header is added but Host where none is given."""
    host = address.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=240)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        sent = {"Host": host, **(headers or {})}
        if body is not None:
            sent |= {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body.encode()))}
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body.encode() if body is not None else None)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def find_chromium() -> str:
    """Path of a Chromium of this machine; the test is skipped where there is none, and fails where nothing may be skipped."""
    found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if found is None:
        message = "no Chromium: `apt-get install chromium` on Debian, elsewhere put one of these on the PATH: " + ", ".join(
            CHROMIUMS
        )
        if os.environ.get("TEST_EVERYTHING"):
            pytest.fail(message)
        pytest.skip(message)
    return found
