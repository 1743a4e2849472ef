"""Local HTTP servers that answer as hosted services do: real-shaped bodies, one after another, on the loopback interface.

Bodies were written after what the services send (field names, nesting, codes, messages), so that the real SDKs read them.
"""

import base64
import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

import cv2
import numpy as np

__all__ = [
    "Asked",
    "Reply",
    "Service",
    "chat_reply",
    "gemini_error",
    "gemini_picture",
    "gemini_words",
    "openai_error",
    "openai_picture",
    "passing_openai_faults",
    "picture_sent",
    "png",
]


class Asked(NamedTuple):
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> Any:
        """The JSON of the body."""
        return json.loads(self.body)


class Reply(NamedTuple):
    """What goes back. `cut`: so many bytes of the body are sent, then the connection is closed."""

    body: bytes
    status: int = 200
    headers: dict[str, str] | None = None
    cut: int | None = None
    wait: threading.Event | None = None


Script = Reply | Callable[[Asked], Reply]


class Service:
    """Answers with the entries of a script, the last one for ever: `with Service([...]) as service: service.url`."""

    def __init__(self, script: Sequence[Script]) -> None:
        self.script: Sequence[Script] = script
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                service.answer(self)

            def log_message(self, format: str, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        asked = Asked(handler.path, {name.lower(): value for name, value in handler.headers.items()}, body)
        with self._lock:
            entry = self.script[min(len(self.asked), len(self.script) - 1)]
            self.asked.append(asked)
        reply = entry if isinstance(entry, Reply) else entry(asked)
        if reply.wait is not None:
            reply.wait.wait(240)
        try:
            handler.send_response(reply.status)
            for name, value in ({"content-type": "application/json"} | (reply.headers or {})).items():
                handler.send_header(name, value)
            handler.send_header("content-length", str(len(reply.body)))
            handler.end_headers()
            handler.wfile.write(reply.body[: reply.cut])
            if reply.cut is not None:
                handler.close_connection = True
        except OSError:  # the client gave up
            handler.close_connection = True


def png(rgb: Any) -> bytes:
    """PNG of (h, w, 3) float 0..1 or uint8."""
    values = rgb if rgb.dtype == np.uint8 else np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)
    return cv2.imencode(".png", values[..., ::-1])[1].tobytes()


def picture_sent(asked: Asked) -> Any:
    """(h, w, 3) float32 0..1: the first PNG inside a request, multipart or JSON."""
    if asked.headers["content-type"].startswith("application/json"):
        found = _find_base64(asked.fields)
        assert found is not None
        data = base64.urlsafe_b64decode(found.replace("+", "-").replace("/", "_") + "=" * (-len(found) % 4))
    else:
        data = asked.body[asked.body.index(b"\x89PNG") :]
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return (decoded[..., ::-1] / 255.0).astype(np.float32)


def _find_base64(value: Any) -> str | None:
    if isinstance(value, dict):
        inline = value.get("inlineData") or value.get("inline_data")
        if inline:
            return str(inline["data"])
        value = list(value.values())
    if isinstance(value, list):
        return next((found for each in value if (found := _find_base64(each))), None)
    return None


def openai_picture(picture: bytes, *, usage: bool = True) -> Reply:
    """An answer of POST /v1/images/edits."""
    body: dict[str, Any] = {
        "created": 1764068400,
        "background": "opaque",
        "data": [{"b64_json": base64.b64encode(picture).decode()}],
        "output_format": "png",
        "quality": "medium",
        "size": "1024x1024",
    }
    if usage:
        body["usage"] = {
            "input_tokens": 412,
            "input_tokens_details": {"image_tokens": 323, "text_tokens": 89},
            "output_tokens": 1056,
            "output_tokens_details": {"image_tokens": 1056, "text_tokens": 0},
            "total_tokens": 1468,
        }
    return Reply(json.dumps(body).encode())


def openai_error(status: int, code: str | None, message: str, kind: str = "invalid_request_error", **headers: str) -> Reply:
    """An error of the OpenAI API."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return Reply(json.dumps(body).encode(), status, {name.replace("_", "-"): value for name, value in headers.items()})


def passing_openai_faults(good: Reply) -> list[Script]:
    """Four faults that pass by being tried again (limit, server, JSON cut short, dropped connection), then `good`."""
    return [
        openai_error(429, "rate_limit_exceeded", "Rate limit reached.", retry_after="0"),
        openai_error(500, None, "The server had an error.", "server_error"),
        good._replace(body=good.body[:60]),
        good._replace(cut=40),
        good,
    ]


def gemini_picture(picture: bytes) -> Reply:
    """An answer of POST /v1beta/models/...:generateContent with a picture."""
    inline = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(picture).decode()}}
    return _gemini({"content": {"parts": [inline], "role": "model"}, "finishReason": "STOP", "index": 0}, image_tokens=1120)


def gemini_words(words: str | None, reason: str) -> Reply:
    """The same without one."""
    candidate: dict[str, Any] = {"finishReason": reason, "index": 0}
    if words is not None:
        candidate["content"] = {"parts": [{"text": words}], "role": "model"}
    return _gemini(candidate, text_tokens=0 if words is None else 21)


def _gemini(candidate: dict[str, Any], image_tokens: int = 0, text_tokens: int = 0) -> Reply:
    prompt_details = [{"modality": "TEXT", "tokenCount": 84}, {"modality": "IMAGE", "tokenCount": 258}]
    usage: dict[str, Any] = {"promptTokenCount": 342, "totalTokenCount": 342 + image_tokens + text_tokens}
    usage["promptTokensDetails"] = prompt_details
    if image_tokens or text_tokens:
        usage["candidatesTokenCount"] = image_tokens + text_tokens
    if image_tokens:
        usage["candidatesTokensDetails"] = [{"modality": "IMAGE", "tokenCount": image_tokens}]
    body = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-3.1-flash-image", "responseId": "r"}
    return Reply(json.dumps(body).encode())


def gemini_error(code: int, status: str, message: str, retry_delay: str | None = None) -> Reply:
    """An error of the Gemini API."""
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry_delay}] if retry_delay else []
    return Reply(json.dumps({"error": {"code": code, "message": message, "status": status, "details": details}}).encode(), code)


def chat_reply(
    content: str | None,
    *,
    tool_calls: Sequence[tuple[str, str]] = (),
    finish: str | None = None,
    refusal: str | None = None,
    tokens: tuple[int, int] = (900, 60),
) -> Reply:
    """An answer of POST /v1/chat/completions; `tool_calls` are (name, arguments as JSON text)."""
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": refusal}
    if tool_calls:
        message["tool_calls"] = [
            {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for number, (name, arguments) in enumerate(tool_calls)
        ]
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1764068400,
        "model": "some-model",
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": finish or ("tool_calls" if tool_calls else "stop"),
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "total_tokens": sum(tokens),
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "system_fingerprint": "fp_1",
    }
    return Reply(json.dumps(body).encode())
