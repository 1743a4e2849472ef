"""What an error of a remote service means, and retries with backoff.

The official clients (OpenAI, Google, and what LangChain wraps) raise types of their own; what they have in common is an HTTP
status, a body with a code, and names. So errors are read by that, without loading any client:

    transient   connection, timeout, 408, 409, 429, 5xx, an answer that is cut off       tried again, after a pause
    refused     moderation or safety said no                                            told: other words may pass
    key         401, 403                                                                told: which variable to set
    credit      429 with insufficient_quota, 402                                        told: waiting does not help
    request     any other 4xx                                                           told: what the service said
"""

import asyncio
import json
import random
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

import tenacity

from anomalyagent.errors import AnomalyAgentError, BackendError, BackendUnavailableError, RemoteOutageError
from anomalyagent.mcp_tools.remote.options import RemoteOptions, redacted

__all__ = ["BrokenAnswerError", "Failure", "RefusedError", "Remote", "read_failure"]

LONGEST_PAUSE_S = 60.0
MOST_CHARACTERS = 400
_TRANSIENT_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_TRANSIENT_TYPES = frozenset(
    {
        "APIConnectionError",
        "APITimeoutError",
        "TransportError",
        "TimeoutException",
        "TimeoutError",
        "ConnectionError",
        "ServiceUnavailable",
        "ResourceExhausted",
        "DeadlineExceeded",
    }
)
_BROKEN_TYPES = frozenset(
    {"JSONDecodeError", "APIResponseValidationError", "UnknownApiResponseError", "ValidationError", "BrokenAnswerError"}
)
_REFUSAL_CODES = frozenset(
    {"moderation_blocked", "content_policy_violation", "content_filter", "safety", "responsible_ai_policy_violation"}
)
_CREDIT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})

Kind = Literal["transient", "refused", "key", "credit", "request", "unknown"]
Result = TypeVar("Result")


class BrokenAnswerError(Exception):
    """An answer came that cannot be read (cut off, empty, no picture in it): worth another attempt."""


class RefusedError(Exception):
    """The service answered that it will not do this: asking again in the same words does not help."""


@dataclass(frozen=True)
class Failure:
    """What went wrong, in words for a person; how long the service asks to wait."""

    kind: Kind
    text: str
    wait_s: float | None = None


def read_failure(error: BaseException) -> Failure:
    """The meaning of an error that a client raised."""
    chain = list(_chain(error))
    for one in chain:
        if isinstance(one, RefusedError):
            return Failure("refused", str(one))
    for one in chain:
        status = _status(one)
        if status is not None:
            return _of_status(status, one)
    names = {kind.__name__ for one in chain for kind in type(one).__mro__}
    if names & _TRANSIENT_TYPES:
        timed_out = any("timeout" in name.lower() for name in names)
        return Failure("transient", "no answer in time" if timed_out else f"no connection ({_plain(error)})")
    if names & _BROKEN_TYPES:
        return Failure("transient", f"an answer that cannot be read ({_plain(error)})")
    return Failure("unknown", f"{type(error).__name__}: {_plain(error)}")


class Remote:
    """Calls of one service: paced, repeated after transient failures, with errors that say what to do.

    Args:
        who: for messages, e.g. "image_gen backend 'openai'".
        key: taken out of every message.
        key_names: environment variables that may hold it.
    """

    def __init__(self, options: RemoteOptions, who: str, key: str, key_names: tuple[str, ...]) -> None:
        self._options, self._who, self._key = options, who, key
        self._key_names = (options.api_key_env,) if options.api_key_env else key_names
        if options.base_url and not options.api_key_env:
            self._key_names = ("that option api_key_env names",)
        self._lock = threading.Lock()
        self._next_at = 0.0

    def call(self, request: Callable[[], Result]) -> Result:
        """Make a request, again where that helps.

        Raises:
            RemoteOutageError: every attempt failed.
            BackendUnavailableError: the key or the account is refused.
            BackendError: the request is.
        """
        try:
            for attempt in tenacity.Retrying(**self._retrying()):
                with attempt:
                    time.sleep(self._wait_turn())
                    return request()
        except Exception as error:
            raise self._told(error) from error
        raise AssertionError("tenacity returns or raises")

    async def acall(self, request: Callable[[], Awaitable[Result]]) -> Result:
        """As `call`, for coroutines."""
        try:
            async for attempt in tenacity.AsyncRetrying(**self._retrying()):
                with attempt:
                    await asyncio.sleep(self._wait_turn())
                    return await request()
        except Exception as error:
            raise self._told(error) from error
        raise AssertionError("tenacity returns or raises")

    def _retrying(self) -> dict[str, Any]:
        return {
            "stop": tenacity.stop_after_attempt(self._options.attempts),
            "wait": self._pause,
            "retry": tenacity.retry_if_exception(_is_transient),
            "reraise": True,
        }

    def _pause(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = read_failure(error).wait_s if error else None
        # A fifth of chance, so that many clients do not come back at the same moment.
        own = min(LONGEST_PAUSE_S, self._options.pause_s * 2 ** (state.attempt_number - 1)) * random.uniform(1.0, 1.2)
        return min(LONGEST_PAUSE_S, max(own, asked or 0.0))

    def _wait_turn(self) -> float:
        """Seconds to wait so that no more than requests_per_minute go out."""
        if self._options.requests_per_minute is None:
            return 0.0
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next_at)
            self._next_at = turn + 60.0 / self._options.requests_per_minute
            return turn - now

    def _told(self, error: Exception) -> AnomalyAgentError:
        if isinstance(error, AnomalyAgentError):
            return error
        failure = read_failure(error)
        said = redacted(failure.text, self._key)
        model = self._options.model
        if failure.kind == "transient":
            tries = f"{self._options.attempts} attempts" if self._options.attempts > 1 else "the attempt"
            return RemoteOutageError(
                f"{self._who}: {model} failed in {tries}, the last time with: {said}. "
                "Try again later, or raise its options attempts, pause_s or timeout_s."
            )
        if failure.kind == "refused":
            return BackendError(f"{self._who}: {model} refused: {said}. Try other words or another seed.")
        if failure.kind == "key":
            return BackendUnavailableError(
                f"{self._who}: the key was refused: {said}. Put a valid one into the environment variable "
                f"{' or '.join(self._key_names)}."
            )
        if failure.kind == "credit":
            return BackendUnavailableError(f"{self._who}: the account is out of credit: {said}. Add credit, then go on.")
        if failure.kind == "request":
            return BackendError(f"{self._who}: {model} did not take the request: {said}. Check its options and the prompt.")
        return BackendError(f"{self._who}: {model} failed: {said}.")


def _is_transient(error: BaseException) -> bool:
    return not isinstance(error, AnomalyAgentError) and read_failure(error).kind == "transient"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _status(error: BaseException) -> int | None:
    for name in ("status_code", "code"):
        value = getattr(error, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return value
    return None


def _of_status(status: int, error: BaseException) -> Failure:
    body = _body(error)
    code = str(body.get("code") or body.get("status") or "")
    said = str(body.get("message") or _plain(error))
    text = f"HTTP {status}{f' {code}' if code and code != str(status) else ''}: {_shortened(said)}".rstrip(".")
    if code in _REFUSAL_CODES or (status == 400 and "safety system" in said):
        return Failure("refused", text)
    if status == 402 or code in _CREDIT_CODES:
        return Failure("credit", text)
    if status in (401, 403) or (status == 400 and re.search(r"api key (not valid|expired)", said, re.IGNORECASE)):
        return Failure("key", text)
    if status in _TRANSIENT_STATUS or status >= 500:
        return Failure("transient", text, _asked_wait(error, body))
    return Failure("request", text)


def _body(error: BaseException) -> dict[str, Any]:
    """The service's own description: {"error": {...}} or its inside."""
    for name in ("body", "details"):
        value: Any = getattr(error, name, None)
        if isinstance(value, list) and value:
            value = cast("list[Any]", value)[0]
        if isinstance(value, dict):
            fields = cast("dict[str, Any]", value)
            inside = fields.get("error")
            return cast("dict[str, Any]", inside) if isinstance(inside, dict) else fields
    return {}


def _asked_wait(error: BaseException, body: dict[str, Any]) -> float | None:
    """Seconds that the service asks to wait: the Retry-After header, or Google's RetryInfo."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    if headers is not None:
        try:
            return max(0.0, float(headers.get("retry-after")))
        except (TypeError, ValueError):
            pass
    details: Any = body.get("details")
    for detail in cast("list[Any]", details) if isinstance(details, list) else []:
        delay = str(cast("dict[str, Any]", detail).get("retryDelay", "")) if isinstance(detail, dict) else ""
        if found := re.fullmatch(r"(\d+(?:\.\d+)?)s", delay):
            return float(found[1])
    return None


def _plain(error: BaseException) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg}"
    return _shortened(str(error)) or type(error).__name__


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 3] + "..."
