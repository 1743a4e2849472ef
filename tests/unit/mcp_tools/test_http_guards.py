"""What a request passes before the protocol sees it."""

import asyncio
import hmac
import logging
from typing import Any

import pytest
from starlette.types import Message

from anomalyagent.configs.schema import ServerSettings
from anomalyagent.mcp_tools.http_guards import LimitRequests, RequireToken
from anomalyagent.mcp_tools.logs import DiscreetFormatter

SCOPE: dict[str, Any] = {"type": "http", "client": ("10.0.0.1", 1), "headers": []}


async def whole() -> Message:
    return {"type": "http.request", "body": b"{}", "more_body": False}


async def status(app: Any, scope: dict[str, Any] = SCOPE, receive: Any = whole) -> int:
    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    return said[0]["status"]


async def answering(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    code = 200 if message["type"] == "http.request" else 499
    await send({"type": "http.response.start", "status": code, "headers": []})


async def test_an_address_that_asks_too_often_waits_and_others_do_not() -> None:
    clock = [0.0]
    app = LimitRequests(answering, ServerSettings(requests_per_minute=60), lambda: clock[0])
    assert [await status(app) for _ in range(61)] == [200] * 60 + [429]
    assert await status(app, {**SCOPE, "client": ("10.0.0.2", 1)}) == 200
    clock[0] += 1.01
    assert [await status(app), await status(app)] == [200, 429]


async def test_more_requests_at_once_than_allowed_are_refused_until_one_is_done() -> None:
    go = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await answering(scope, receive, send)

    app = LimitRequests(slow, ServerSettings(concurrent_requests=2))
    waiting = [asyncio.create_task(status(app)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await status(app) == 503
    go.set()
    assert [await each for each in waiting] == [200, 200]
    assert await status(app) == 200


async def test_a_body_that_does_not_come_is_given_up() -> None:
    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    app = LimitRequests(answering, ServerSettings(body_timeout_s=0.01))
    assert await status(app, receive=never) == 499


async def test_the_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []

    def watched(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return original(one, other)

    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", watched)
    app = RequireToken(answering, "the-right-token-0123456789")
    for given, expected in ((b"the-right-token-0123456789", 200), (b"the-wrong-token-0123456789", 401), (b"t", 401)):
        assert await status(app, {**SCOPE, "headers": [(b"authorization", b"Bearer " + given)]}) == expected
    assert [one for one, _ in compared] == [b"the-right-token-0123456789", b"the-wrong-token-0123456789", b"t"]


def test_the_log_says_where_and_not_what() -> None:
    try:
        try:
            raise KeyError("secret-value-4711")
        except KeyError as error:
            raise RuntimeError("the prompt of the client") from error
    except RuntimeError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("mcp.server", logging.ERROR, __file__, 1, "Tool %r failed", ("client-word",), info)
    text = DiscreetFormatter("%(message)s").format(record)
    assert "Tool %r failed" in text
    assert "RuntimeError" in text
    assert "KeyError" in text
    assert "test_http_guards.py" in text
    loose = logging.LogRecord("mcp.server", logging.WARNING, __file__, 1, "Invalid Host header: client-word", (), None)
    text += DiscreetFormatter("%(message)s").format(loose)
    assert not any(word in text for word in ("4711", "prompt", "client-word"))
