"""The tool servers: a factory for one tool or all five, and the two transports, stdio and streamable HTTP.

    python -m anomalyagent.mcp_tools.server TOOL|all --workspace DIR [--transport stdio|http ...]

Logs go to stderr only. Backends, codecs and arrays load on the first call, so that a server is there at once.
"""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib import import_module

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

import anomalyagent
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ImageError, WorkspaceError
from anomalyagent.mcp_tools.contracts import ToolName
from anomalyagent.mcp_tools.toolbox import ContractTool, Toolbox
from anomalyagent.mcp_tools.workspace import Workspace

__all__ = ["build_server", "create_tools"]

_INSTRUCTIONS = """\
Makes realistic defects on photos of good industrial parts, with pixel masks. Images are named by their path inside one \
workspace folder. Usual order: prompt_gen -> image_gen -> quality_eval; if it did not pass, change the spec as the findings \
say (knowledge_retrieval helps) and call image_gen again on the original photo; when it passed, mask_gen."""


def create_tools(tools: Sequence[ToolName], toolbox: Toolbox) -> list[ContractTool]:
    """The served form of each tool."""
    return [import_module(f"anomalyagent.mcp_tools.{tool}").create_tool(toolbox) for tool in tools]


def build_server(tools: Sequence[ToolName], settings: Settings, workspace: Workspace) -> MCPServer:
    """A server of the given tools (one, or all five) on one workspace; nothing heavy is loaded yet."""
    with _root_logger_untouched():
        server = MCPServer(
            name=tools[0] if len(tools) == 1 else "anomalyagent",
            title=f"AnomalyAgent {tools[0]}" if len(tools) == 1 else "AnomalyAgent",
            version=anomalyagent.__version__,
            instructions=_INSTRUCTIONS,
            tools=[*create_tools(tools, Toolbox(settings, workspace))],
            log_level="WARNING",
        )

    @server.resource("image://{+path}", name="image", title="Image of the workspace", mime_type="image/png")
    def image(path: str) -> bytes:  # pyright: ignore[reportUnusedFunction]
        """An image or mask of the workspace, by reference, as PNG."""
        try:
            return workspace.read_png(path)
        except WorkspaceError as error:
            raise ResourceNotFoundError(str(error)) from error
        except ImageError as error:
            raise ResourceError(str(error)) from error

    return server


@contextmanager
def _root_logger_untouched() -> Generator[None]:
    """The SDK configures the root logger when a server is made, unless it has a handler; a library must not."""
    root, placeholder = logging.getLogger(), logging.NullHandler()
    root.addHandler(placeholder)
    try:
        yield
    finally:
        root.removeHandler(placeholder)
