"""Every answer of a server is small enough for its host: lists come in pages, results under 1 MiB and 20,000 tokens.

Claude Desktop refuses results over 1 MiB, Claude Code those over about 25,000 tokens. Both rules stand here, around all
methods, so that no tool, prompt, resource or error text can forget them.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS

__all__ = ["MAX_ANSWER_BYTES", "MAX_ANSWER_CHARS", "MAX_ERROR_CHARS", "keep_answers_small"]

MAX_ANSWER_BYTES = 1_000_000
"""Pictures included, as base64; the rest of 1 MiB is for the envelope."""
MAX_ANSWER_CHARS = 40_000
"""Of words and numbers: 20,000 tokens where a token has two characters, as in lists of numbers."""
MAX_ERROR_CHARS = 4_000
_PAGE_ENTRIES = 100
_PAGE_CHARS = 30_000

_LISTS = {
    "tools/list": ("tools", "name"),
    "prompts/list": ("prompts", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
}

Json = dict[str, Any]


async def keep_answers_small(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Middleware of the server: cuts lists into pages, and refuses or shortens what is too large."""
    try:
        result = await call_next(ctx)
    except MCPError as error:
        if len(error.error.message) <= MAX_ERROR_CHARS and len(str(error.error.data)) <= MAX_ERROR_CHARS:
            raise
        raise MCPError(code=error.error.code, message=_shortened(error.error.message)) from error
    if not isinstance(result, dict):
        return result
    answer: Json = result
    if ctx.method in _LISTS:
        return _page(answer, *_LISTS[ctx.method], (ctx.params or {}).get("cursor"))
    if ctx.method == "tools/call":
        return _small_result(answer)
    if ctx.method in ("resources/read", "prompts/get", "completion/complete"):
        words, size = _extent(answer.get("contents") or answer.get("messages") or [answer.get("completion")])
        if words > MAX_ANSWER_CHARS or size > MAX_ANSWER_BYTES:
            raise MCPError(code=INTERNAL_ERROR, message=f"This is too large for one answer: {_measured(words, size)}")
    return answer


def _shortened(text: str) -> str:
    """`text`, or its beginning and a note that the rest was left out."""
    more = len(text) - MAX_ERROR_CHARS
    return text if more <= 0 else f"{text[:MAX_ERROR_CHARS]} ... ({more:,} more characters left out)"


def _small_result(answer: Json) -> Json:
    content = cast(list[Json], answer.get("content", []))
    if answer.get("isError"):
        blocks = [{**block, "text": _shortened(block["text"])} if "text" in block else block for block in content]
        return {**answer, "content": blocks}
    words, size = _extent([*content, answer.get("structuredContent")])
    if words <= MAX_ANSWER_CHARS and size <= MAX_ANSWER_BYTES:
        return answer
    text = f"The tool has worked, but its answer is too large: {_measured(words, size)} Call it again without preview."
    return {key: value for key, value in answer.items() if key != "structuredContent"} | {
        "content": [{"type": "text", "text": text}],
        "isError": True,
    }


def _measured(words: int, size: int) -> str:
    return (
        f"{words:,} characters of text and {size:,} bytes in all, of at most {MAX_ANSWER_CHARS:,} and {MAX_ANSWER_BYTES:,}. "
        "Ask for less, or open the file in the workspace."
    )


def _extent(parts: Sequence[Any]) -> tuple[int, int]:
    """Characters of words and numbers, and bytes with the pictures."""
    words = pictures = 0
    for part in parts:
        data = part.get("data") or part.get("blob") if isinstance(part, Mapping) else None
        if isinstance(data, str):
            pictures += len(data)
        else:
            words += len(json.dumps(part, ensure_ascii=False, separators=(",", ":")))
    return words, words + pictures


def _page(answer: Json, name: str, key: str, cursor: object) -> Json:
    entries = cast(list[Json], answer.get(name, []))
    start = _start_of(entries, key, cursor) if cursor is not None else 0
    end, chars = start, 0
    while end < len(entries) and end - start < _PAGE_ENTRIES:
        chars += len(json.dumps(entries[end], ensure_ascii=False))
        if chars > _PAGE_CHARS and end > start:
            break
        end += 1
    page = {**answer, name: entries[start:end]}
    if end < len(entries):
        page["nextCursor"] = base64.urlsafe_b64encode(f"{end}:{entries[end - 1][key]}".encode()).decode()
    return page


def _start_of(entries: Sequence[Json], key: str, cursor: object) -> int:
    """Behind the entry that ended the page before, also when the list has grown or shrunk in front of it."""
    try:
        place, _, last = base64.urlsafe_b64decode(str(cursor).encode("ascii")).decode("utf-8").partition(":")
        expected = int(place)
    except ValueError:
        expected, last = -1, ""
    if 0 < expected <= len(entries) and entries[expected - 1][key] == last:
        return expected
    for index, entry in enumerate(entries):
        if entry[key] == last:
            return index + 1
    raise MCPError(code=INVALID_PARAMS, message="This cursor is not known (any more). List again without a cursor.")
