"""What stands between the viewer and everything that is not its own page in this machine's browser.

Host       a name by which the loopback address can be called; a foreign name that was made to point here is refused
Origin     every request that could change something must come from a page of the viewer itself
methods    GET, HEAD and POST; the body of a POST is small
headers    no script but the viewer's own files, no frame, no address outside, nothing of it usable by another site's page
"""

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CONTENT_SECURITY_POLICY", "MAX_BODY_BYTES", "Guard"]

MAX_BODY_BYTES = 256 * 1024
"""Forms carry a prompt and a spec, never pixels."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # no-referrer would turn the Origin of the viewer's own forms into "null"
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """ASGI middleware around the viewer.

    Args:
        port: the viewer's own port; None in tests that know none: any port, or none.
        names: host names by which it may be called.
    """

    def __init__(self, app: ASGIApp, port: int | None = None, names: Iterable[str] = _LOOPBACK) -> None:
        self._app = app
        self._port = port
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope["method"], Headers(scope=scope))

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        if refusal is not None:
            status, text = refusal
            await PlainTextResponse(text, status)(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return 421, "The viewer answers to 127.0.0.1 and localhost only. Open the address that it printed."
        if method not in ("GET", "HEAD", "POST"):
            return 405, f"{method} is not used here."
        if method == "POST":
            origins = headers.getlist("origin")
            if len(origins) != 1 or origins[0] != f"http://{hosts[0]}":
                return 403, "This would change something, and it does not come from a page of the viewer itself."
            length = headers.get("content-length", "")
            if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
                return 413, f"A form has at most {MAX_BODY_BYTES} bytes and says how many."
        return None

    def _is_own(self, host: str) -> bool:
        name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        if not colon and not host.endswith("]"):
            name = host
        if name.lower() not in self._names:
            return False
        return self._port is None or (port or "80") == str(self._port)
