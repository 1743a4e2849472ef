"""What the clients of hosted services share: costs, keys, the meaning of errors, pauses."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from anomalyagent.configs.schema import ModelPrice
from anomalyagent.errors import BackendError, BackendUnavailableError, RemoteOutageError
from anomalyagent.mcp_tools.remote.costs import Usage, cost_of, find_price
from anomalyagent.mcp_tools.remote.failures import BrokenAnswerError, RefusedError, Remote, read_failure
from anomalyagent.mcp_tools.remote.options import NO_KEY, RemoteOptions, is_on_this_machine, read_key, redacted


@pytest.mark.parametrize(
    ("usage", "price", "usd"),
    [
        (Usage(1_000_000, 0, 0, 500_000), ModelPrice(input=2, output=8), 2 + 4),
        (Usage(1_000_000, 400_000, 0, 0), ModelPrice(input=2, cached_input=0.5), 0.6 * 2 + 0.4 * 0.5),
        (Usage(1_000_000, 0, 300_000, 0), ModelPrice(input=2, image_input=8), 0.7 * 2 + 0.3 * 8),
        (Usage(0, 0, 0, 1_000_000, 900_000), ModelPrice(output=10, image_output=30), 0.1 * 10 + 0.9 * 30),
        (Usage(1000, 800, 600, 0), ModelPrice(input=1, cached_input=0, image_input=10), 200 * 10 / 1e6),
        (Usage(images=2, requests=3), ModelPrice(per_image=0.04, per_request=0.01), 0.11),
        (Usage(10, 5, 5, 10, 5, 1, 1), ModelPrice(), 0.0),
    ],
)
def test_costs_are_those_of_the_table(usage: Usage, price: ModelPrice, usd: float) -> None:
    assert cost_of(usage, price) == pytest.approx(usd, abs=1e-15)


def test_usages_add_up() -> None:
    assert Usage(1, 2, 3, 4, 5, 6, 7) + Usage(1, 1, 1, 1, 1, 1, 1) == Usage(2, 3, 4, 5, 6, 7, 8)


def test_a_price_is_found_by_name_without_provider_or_by_the_longest_pattern() -> None:
    prices = {name: ModelPrice(input=number) for number, name in enumerate(("a", "b-*", "b-big-*", "openai:c"), 1)}
    found = {name: find_price(prices, name, None, "w").input for name in ("openai:a", "b-1", "x:b-big-2", "openai:c")}
    assert found == {"openai:a": 1, "b-1": 2, "x:b-big-2": 3, "openai:c": 4}
    with pytest.raises(BackendUnavailableError, match="price of 'd' is not known"):
        find_price(prices, "openai:d", "http://192.168.1.2/v1", "w")
    assert find_price(prices, "openai:d", "http://127.0.0.1:1/v1", "w") == ModelPrice()


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:9/", True),
        ("http://10.0.0.1/", False),
        ("https://127.0.0.1.evil.example/", False),
        ("https://localhost.example.com", False),
        (None, False),
    ],
)
def test_only_the_loopback_interface_is_this_machine(url: str | None, here: bool) -> None:
    assert is_on_this_machine(url) is here


def test_the_usual_key_goes_to_the_usual_service_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USUAL", "secret-one")
    monkeypatch.setenv("OTHER", "secret-two")
    assert read_key(RemoteOptions(model="m"), ("MISSING", "USUAL"), "w") == "secret-one"
    assert read_key(RemoteOptions(model="m", base_url="http://host/v1"), ("USUAL",), "w") == NO_KEY
    assert read_key(RemoteOptions(model="m", base_url="http://host/v1", api_key_env="OTHER"), ("USUAL",), "w") == "secret-two"


def test_keys_are_taken_out_of_texts() -> None:
    text = "Incorrect API key: my-own-key-123, sk-proj-abcdefgh12345, AIzaSyA1234567890abcdefghij, Bearer abcdefghijk."
    clean = redacted(text, "my-own-key-123")
    for secret in ("my-own-key", "abcdefgh12345", "AIzaSy", "abcdefghijk"):
        assert secret not in clean
    assert redacted("there is none", NO_KEY) == "there is none"


class ServiceError(Exception):
    """As the SDKs raise them: a status, a body, a response."""

    def __init__(self, status: int, code: str | None = None, message: str = "said", **headers: str) -> None:
        super().__init__(f"Error code: {status}")
        self.status_code = status
        self.body: dict[str, Any] = {"error": {"code": code, "message": message}}
        self.response = SimpleNamespace(headers=headers)


def wrapped(error: Exception) -> Exception:
    """As LangChain wraps the errors of a client."""
    outer = RuntimeError("the model failed")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServiceError(429, "rate_limit_exceeded"), "transient"),
        (wrapped(ServiceError(503)), "transient"),
        (ServiceError(408), "transient"),
        (ServiceError(529), "transient"),
        (ServiceError(429, "insufficient_quota"), "credit"),
        (ServiceError(402), "credit"),
        (ServiceError(401), "key"),
        (ServiceError(403), "key"),
        (ServiceError(400, None, "API key not valid. Please pass a valid API key."), "key"),
        (ServiceError(400, "moderation_blocked"), "refused"),
        (ServiceError(400, "content_filter"), "refused"),
        (ServiceError(400, "invalid_value"), "request"),
        (ServiceError(404, "model_not_found"), "request"),
        (TimeoutError(), "transient"),
        (ConnectionResetError("reset"), "transient"),
        (json.JSONDecodeError("x", "y", 0), "transient"),
        (BrokenAnswerError("cut off"), "transient"),
        (RefusedError("no"), "refused"),
        (KeyError("a fault of ours"), "unknown"),
    ],
)
def test_errors_mean_what_their_service_says(error: Exception, kind: str) -> None:
    assert read_failure(error).kind == kind


def test_the_pause_that_the_service_asks_for_is_kept() -> None:
    assert read_failure(ServiceError(429, **{"retry-after": "7"})).wait_s == 7.0
    google = ServiceError(429)
    google.body = {"error": {"code": 429, "message": "m", "details": [{"retryDelay": "12.5s"}]}}
    assert read_failure(google).wait_s == 12.5
    assert read_failure(ServiceError(429, **{"retry-after": "soon"})).wait_s is None


@pytest.mark.parametrize(
    ("asked", "pauses"), [(None, (1.0, 2.0, 4.0)), ("30", (30.0, 30.0, 30.0)), ("900", (60.0, 60.0, 60.0))]
)
def test_pauses_double_and_heed_the_service_up_to_a_minute(
    asked: str | None, pauses: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
    headers = {} if asked is None else {"retry-after": asked}
    remote = Remote(RemoteOptions(model="m", attempts=4, pause_s=1.0), "w", "", ())

    def fail() -> Any:
        raise ServiceError(429, **headers)

    with pytest.raises(RemoteOutageError, match="m failed in 4 attempts"):
        remote.call(fail)
    waits = [each for each in slept if each > 0]
    assert len(waits) == 3
    for wait, least in zip(waits, pauses, strict=True):
        assert least <= wait <= min(60.0, 1.2 * least) + 1e-9


def test_requests_are_paced(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: 100.0)
    monkeypatch.setattr("anomalyagent.mcp_tools.remote.failures.time", clock)
    remote = Remote(RemoteOptions(model="m", requests_per_minute=6), "w", "", ())
    for _ in range(3):
        assert remote.call(lambda: "done") == "done"
    assert slept == [0.0, 10.0, 20.0]


def test_a_fault_of_ours_is_told_once_and_errors_of_ours_pass_through() -> None:
    remote = Remote(RemoteOptions(model="m", pause_s=0), "w", "", ())
    tried: list[int] = []

    def fault() -> Any:
        tried.append(1)
        raise KeyError("fault")

    with pytest.raises(BackendError, match="w: m failed: KeyError"):
        remote.call(fault)
    assert len(tried) == 1

    def ours() -> Any:
        raise BackendUnavailableError("no extra")

    with pytest.raises(BackendUnavailableError, match=r"^no extra$"):
        remote.call(ours)
