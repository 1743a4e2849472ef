"""What every HTTP request passes before it reaches the protocol: how many there may be, how slow, and the bearer token.

A refusal is JSON, `{"error": name, "error_description": what to do}`, with the status that HTTP has for it: 401 without
the right token, 404 for another path than that of the tools, 429 for too many requests of one address, 503 for too many at
once.
"""

import hmac
import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anomalyagent.configs.schema import ServerSettings

__all__ = ["LimitRequests", "OnlyPath", "RequireToken"]

_MOST_ADDRESSES = 4096


class RequireToken:
    """Answers 401 to every HTTP request without the right bearer token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._carries_token(scope):
            await _refuse(
                send,
                401,
                "invalid_token",
                "send the header Authorization: Bearer <token>, with the token from the server's token file",
                (b"www-authenticate", b'Bearer error="invalid_token"'),
            )
            return
        await self._app(scope, receive, send)

    def _carries_token(self, scope: Scope) -> bool:
        values = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(values) != 1:
            return False
        scheme, _, given = values[0].partition(b" ")
        return hmac.compare_digest(given.strip(), self._token) and scheme.lower() == b"bearer"


class OnlyPath:
    """Answers 404 to every HTTP request for another path than `path`, and names that one."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].rstrip("/") != self._path:
            await _refuse(send, 404, "not_found", f"the tools are at {self._path}: give the client the address with it")
            return
        await self._app(scope, receive, send)


class LimitRequests:
    """Bounds on requests: of one address in a minute, of all at once, and on the time in which a body must arrive.

    Args:
        now: seconds, for tests.
    """

    def __init__(self, app: ASGIApp, limits: ServerSettings, now: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._limits = limits
        self._now = now
        self._open = 0
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address -> (requests not yet paid off, when that was)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wait_s = self._wait_of(str((scope.get("client") or ("", 0))[0]))
        if wait_s > 0:
            after = (b"retry-after", str(math.ceil(wait_s)).encode())
            most = f"{self._limits.requests_per_minute} requests a minute are answered; come back in {math.ceil(wait_s)} s"
            await _refuse(send, 429, "too_many_requests", most, after)
        elif self._open >= self._limits.concurrent_requests:
            most = f"{self._open} requests are being answered, more cannot be; come back in a second"
            await _refuse(send, 503, "too_many_at_once", most, (b"retry-after", b"1"))
        else:
            self._open += 1
            try:
                await self._app(scope, self._in_time(receive), send)
            finally:
                self._open -= 1

    def _wait_of(self, address: str) -> float:
        """Seconds until `address` may ask again; 0: now, and it is counted."""
        rate = self._limits.requests_per_minute / 60
        now = self._now()
        spent, then = self._spent.pop(address, (0.0, now))
        spent = max(0.0, spent - (now - then) * rate)
        over = spent + 1 - self._limits.requests_per_minute
        self._spent[address] = (spent if over > 0 else spent + 1, now)
        if len(self._spent) > _MOST_ADDRESSES:
            self._spent.popitem(last=False)
        return max(0.0, over / rate)

    def _in_time(self, receive: Receive) -> Receive:
        """`receive`, which takes a body that does not come for a client that went away."""
        deadline = anyio.current_time() + self._limits.body_timeout_s
        whole = False

        async def received() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            with anyio.move_on_at(deadline):
                message = await receive()
                whole = message["type"] != "http.request" or not message.get("more_body", False)
                return message
            return {"type": "http.disconnect"}

        return received


async def _refuse(send: Send, status: int, name: str, what: str, *more: tuple[bytes, bytes]) -> None:
    body = json.dumps({"error": name, "error_description": what}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
