"""The viewer at an address of this machine, and that address opened in the browser."""

import contextlib
import sys
import threading
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvicorn

from anomalyagent.graph.viewer.app import Options, make_app
from anomalyagent.mcp_tools.transport import listening

__all__ = ["serve"]

HOST = "127.0.0.1"


def serve(run_dirs: Sequence[Path], options: Options, *, port: int = 0, open_browser: bool = True) -> None:
    """Serve until interrupted. Bound to this machine alone; the address goes to stdout.

    Args:
        port: 0: any free one.
    Raises:
        TraceError: a folder holds no run.
        ConfigError: the port cannot be had.
    """
    with listening(HOST, port) as listener:
        real = int(listener.getsockname()[1])
        app = make_app(run_dirs, replace(options, port=real))
        address = f"http://{HOST}:{real}/"
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        if open_browser:
            threading.Thread(target=_open, args=(address,), daemon=True).start()
        config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1, lifespan="off")
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _open(address: str) -> None:
    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(address)
