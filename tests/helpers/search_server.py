"""An MCP server with a web-search tool, for tests: python -m helpers.search_server [good|error|plain|hang]."""

import sys
import threading
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel


class Found(BaseModel):
    """What the tool answers with."""

    results: list[dict[str, Any]]


def build(kind: str) -> MCPServer[Any]:
    """The server; `kind` says how its tool behaves."""
    server: MCPServer[Any] = MCPServer("search", log_level="ERROR")

    @server.tool()
    def web_search(q: str, language: str = "en") -> Annotated[CallToolResult, Found]:  # pyright: ignore[reportUnusedFunction]
        if kind == "error":
            raise ToolError("the quota is used up")
        if kind == "hang":
            threading.Event().wait(60)
        page = {"title": "Oil stains", "url": "https://example.org/stains", "content": f"About {q}\n\x1b[31mred " + "x" * 900}
        found: dict[str, Any] = {"results": [page, {"title": "Second", "snippet": f"in {language}"}, {"title": "Third"}]}
        return CallToolResult(content=[TextContent(type="text", text="see results")], structured_content=found)

    return server


if __name__ == "__main__":
    build(sys.argv[1]).run()
