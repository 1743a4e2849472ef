"""What a web-search tool of another MCP server finds, added to knowledge_retrieval when the user configures one.

    knowledge:
      web_search:
        server: [npx, -y, some-search-mcp]     # or an http(s) URL
        tool: web_search

The search leaves the machine, so it is off unless configured. Only item, anomaly type and question are sent, never a photo.
What it finds is unverified text by strangers: it is cut short, marked as such, and changes no number by itself.
"""

import asyncio
import math
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import anyio
import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, TextContent

from anomalyagent.configs.paths import expand_home
from anomalyagent.configs.schema import WebSearchSettings
from anomalyagent.mcp_tools.connection import innermost, telling

__all__ = ["WebFound", "search_web"]

MOST_CHARACTERS = 600
ATTEMPTS = 2


class WebFound(NamedTuple):
    """Short texts, and why there are none."""

    texts: list[str]
    problem: str = ""


def search_web(settings: WebSearchSettings, item_name: str, anomaly_type: str, query: str) -> WebFound:
    """Ask the configured server; called in a worker thread. A failure is told, it is no error of knowledge_retrieval."""
    question = f"{anomaly_type} defect on {item_name}: appearance, cause, typical place and size. {query}".strip()
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            answer = asyncio.run(_ask(settings, question))
        except TimeoutError:
            problem = f"no answer within {settings.timeout_s:g} s"
            continue
        except (Exception, BaseExceptionGroup) as error:  # the other server and its transport may fail in any way
            problem = _in_words(error)
            continue
        texts = _texts(answer)[: settings.results]
        if answer.is_error:
            return WebFound([], f"it answered: {' '.join(texts)[:200] or 'an error without a reason'}")
        return WebFound(texts, "" if texts else "it found nothing")
    return WebFound([], problem)


async def _ask(settings: WebSearchSettings, question: str) -> CallToolResult:
    with anyio.fail_after(settings.timeout_s) as limit:
        async with _opened(settings, limit) as client:
            return await client.call_tool(settings.tool, {**settings.arguments, settings.query_argument: question})


@asynccontextmanager
async def _opened(settings: WebSearchSettings, limit: anyio.CancelScope) -> AsyncGenerator[Client]:
    if isinstance(settings.server, list):
        end, limit.deadline = limit.deadline, math.inf  # not while the process starts
        program, *args = settings.server
        server = StdioServerParameters(command=program, args=args, env=dict(os.environ))
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            transport = telling(stdio_client(server, errlog=nowhere), lambda: setattr(limit, "deadline", end))
            async with Client(transport) as client:
                yield client
        return
    headers: dict[str, str] = {}
    if settings.token_file is not None:
        headers["Authorization"] = f"Bearer {expand_home(settings.token_file).read_text(encoding='utf-8').strip()}"
    async with (
        httpx2.AsyncClient(headers=headers, timeout=settings.timeout_s) as http,
        Client(streamable_http_client(settings.server, http_client=http)) as client,
    ):
        yield client


def _texts(answer: CallToolResult) -> list[str]:
    """One text for each result, where they are told apart; else one for each block of text."""
    data: Any = answer.structured_content
    if isinstance(data, dict):
        for value in cast("dict[str, Any]", data).values():
            if isinstance(value, list) and value and all(isinstance(one, dict) for one in cast("list[Any]", value)):
                return [text for one in cast("list[dict[str, Any]]", value) if (text := _of_record(one))]
    blocks = [block.text for block in answer.content if isinstance(block, TextContent)]
    return [text for block in blocks if (text := _short(block))]


def _of_record(record: dict[str, Any]) -> str:
    title, url = str(record.get("title") or ""), str(record.get("url") or record.get("link") or "")
    body = str(record.get("content") or record.get("snippet") or record.get("text") or record.get("description") or "")
    return _short(". ".join(part for part in (title, body) if part)) + (f" ({url})" if url else "")


def _short(text: str) -> str:
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 3] + "..."


def _in_words(error: BaseException) -> str:
    error = innermost(error)
    if isinstance(error, MCPError):
        return f"the server refused: {_short(error.message)}"
    if isinstance(error, FileNotFoundError):
        return f"its program cannot be started ({error.filename or error})"
    return _short(f"{type(error).__name__}: {error}")
