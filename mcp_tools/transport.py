"""How a server is reached: stdio, or streamable HTTP bound to this machine unless told otherwise.

Over HTTP every request is checked before it reaches the protocol: how many there are (`http_guards`), bearer token (compared
in constant time), Host and Origin (a web page must not reach the tools through the browser), size of the body and the time
it takes. Stateless: each call stands alone.
"""

import ipaddress
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from anomalyagent.configs.paths import expand_home
from anomalyagent.configs.schema import ServerSettings
from anomalyagent.errors import ConfigError
from anomalyagent.mcp_tools.http_guards import LimitRequests, OnlyPath, RequireToken

__all__ = ["HTTP_PATH", "MAX_BODY_BYTES", "http_app", "listening", "read_token", "serve_http", "serve_stdio"]

HTTP_PATH = "/mcp"
MAX_BODY_BYTES = 1 << 20
"""Calls carry references and words, never pixels."""
CONNECTIONS_PER_REQUEST = 8
"""Open connections, most of them idle, for each request that may be answered at the same time."""
_SHORTEST_TOKEN = 16


def serve_stdio(server: MCPServer[Any]) -> None:
    """Serve until standard input closes."""
    anyio.run(server.run_stdio_async)


def serve_http(
    server: MCPServer[Any],
    *,
    host: str = "127.0.0.1",
    port: int = 8765,
    token: str | None = None,
    allowed_hosts: tuple[str, ...] = (),
    stateless: bool = True,
    limits: ServerSettings | None = None,
) -> None:
    """Serve until interrupted; the address is said on stderr once the port is open (port 0: any free one).

    The other arguments are those of `http_app`.

    Raises:
        ConfigError: the address cannot be bound, or others could reach it without a token.
    """
    import uvicorn

    if token is None and not _is_loopback(host):
        raise ConfigError(
            f"--host {host} can be reached from other machines, and no --token-file is given: anybody there could use the "
            "tools. Give a token file, or leave the host at 127.0.0.1."
        )
    limits = limits or ServerSettings()
    app = http_app(server, host=host, token=token, allowed_hosts=allowed_hosts, stateless=stateless, limits=limits)
    with listening(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        sys.stderr.write(f"serving {server.name} at http://{name}:{listener.getsockname()[1]}{HTTP_PATH}\n")
        sys.stderr.flush()
        # log_config None: uvicorn would otherwise write its access log to stdout
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            limit_concurrency=CONNECTIONS_PER_REQUEST * limits.concurrent_requests,
            timeout_graceful_shutdown=5,
        )
        anyio.run(uvicorn.Server(config).serve, [listener])


def http_app(
    server: MCPServer[Any],
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
    allowed_hosts: tuple[str, ...] = (),
    stateless: bool = True,
    limits: ServerSettings | None = None,
) -> ASGIApp:
    """The ASGI application of `server`, with all checks around it.

    Args:
        host: address it will be bound to; with `allowed_hosts`, the names by which clients may call it.
        token: bearer token that every request must carry; None: no check.
        stateless: False keeps a session for each client of the older protocol revisions.
        limits: how many requests there may be.
    """
    names = {"127.0.0.1", "localhost", "[::1]", *allowed_hosts}
    if host not in ("0.0.0.0", "::"):
        names.add(f"[{host}]" if ":" in host else host)
    else:
        names.add(socket.gethostname())
    ports = ("", ":*")
    security = TransportSecuritySettings(
        allowed_hosts=sorted(name + port for name in names for port in ports),
        allowed_origins=sorted(
            f"{scheme}://{name}{port}" for scheme in ("http", "https") for name in names for port in ("", ":*")
        ),
    )
    app = server.streamable_http_app(
        streamable_http_path=HTTP_PATH,
        stateless_http=stateless,
        max_request_body_size=MAX_BODY_BYTES,
        transport_security=security,
        host=host,
    )
    app = OnlyPath(app, HTTP_PATH)
    return LimitRequests(app if token is None else RequireToken(app, token), limits or ServerSettings())


def read_token(file: Path) -> str:
    """The bearer token in `file`, without surrounding white space.

    Raises:
        ConfigError: the file cannot be read, or the token is short or not printable ASCII.
    """
    try:
        token = expand_home(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"token file {str(file)!r} cannot be read: {error}. Write one line of ASCII to it.") from error
    if len(token) < _SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise ConfigError(
            f"token file {str(file)!r} must hold one token of at least {_SHORTEST_TOKEN} printable characters without spaces. "
            "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named asyncio sets TCP_NODELAY on what it accepts; without, answers wait 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigError(f"cannot listen on {host} port {port}: {error}. Choose another --port (0: any free one).") from error
    return listener
