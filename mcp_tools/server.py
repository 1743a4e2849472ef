"""The tool servers: a factory for one tool or all five, and the command that starts one.

    python -m anomalyagent.mcp_tools.server TOOL|all --workspace DIR [--transport stdio|http ...]

Logs go to stderr only. Backends, codecs and arrays load on the first call, so that a server is there at once.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from mcp.server import MCPServer

import anomalyagent
from anomalyagent.configs.loading import load_settings
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import AnomalyAgentError
from anomalyagent.mcp_tools.answer_limits import keep_answers_small
from anomalyagent.mcp_tools.contracts import TOOL_NAMES, ToolName
from anomalyagent.mcp_tools.logs import log_to_stderr
from anomalyagent.mcp_tools.prompts import add_prompts, explain_wrong_prompts
from anomalyagent.mcp_tools.resources import Cards, ShelvedServer, add_resources
from anomalyagent.mcp_tools.toolbox import ContractTool, Extension, Toolbox
from anomalyagent.mcp_tools.transport import read_token, serve_http, serve_stdio
from anomalyagent.mcp_tools.workspace import Workspace

__all__ = ["build_server", "create_tools", "main"]

_INSTRUCTIONS = """\
Makes realistic defects on photos of good industrial parts, with pixel masks. Images are named by their path inside one \
workspace folder. Usual order: prompt_gen -> image_gen -> quality_eval; if it did not pass, change the spec as the findings \
say (knowledge_retrieval helps) and call image_gen again on the original photo; when it passed, mask_gen."""


def create_tools(tools: Sequence[ToolName], toolbox: Toolbox) -> list[ContractTool]:
    """The served form of each tool."""
    return [import_module(f"anomalyagent.mcp_tools.{tool}").create_tool(toolbox) for tool in tools]


def build_server(
    tools: Sequence[ToolName],
    settings: Settings,
    workspace: Workspace,
    extension: Extension | None = None,
    *,
    most_waiting: int | None = None,
) -> MCPServer[Any]:
    """A server of the given tools (one, or all five) on one workspace; nothing heavy is loaded yet.

    Args:
        most_waiting: see `Toolbox`.
    """
    toolbox = Toolbox(settings, workspace, most_waiting)
    with _root_logger_untouched():
        server = ShelvedServer(
            name=tools[0] if len(tools) == 1 else "anomalyagent",
            title=f"AnomalyAgent {tools[0]}" if len(tools) == 1 else "AnomalyAgent",
            version=anomalyagent.__version__,
            instructions=_INSTRUCTIONS,
            tools=[*create_tools(tools, toolbox), *(extension.tools if extension else ())],
            middleware=[keep_answers_small, explain_wrong_prompts(lambda: server.list_prompts())],
            lifespan=extension.lifespan if extension else None,
            log_level="WARNING",
        )

    cards = Cards(settings.knowledge)
    shelves = extension.shelves if extension else ()
    add_resources(server, workspace, cards if "knowledge_retrieval" in tools else None, shelves)
    if len(tools) == len(TOOL_NAMES):
        add_prompts(server, cards, workspace, shelves)
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


def main(
    arguments: Sequence[str] | None = None,
    extend: Callable[[Settings, Workspace], Extension] | None = None,
    *,
    program: str = "python -m anomalyagent.mcp_tools.server",
    tool: str | None = None,
) -> int:
    """Start the server that the command line asks for; returns the exit code.

    Args:
        extend: makes what a server of all tools has beside them.
        program: what the user typed, for messages.
        tool: what `program` serves, where that is no argument of it.
    """
    parser = argparse.ArgumentParser(prog=program, description="Serve the tools to any MCP client.")
    if tool is None:
        parser.add_argument("tool", type=_tools_named, metavar="TOOL", help=f"all, or one of {', '.join(TOOL_NAMES)}")
    else:
        parser.set_defaults(tool=_tools_named(tool))
    parser.add_argument("--workspace", type=Path, required=True, help="folder of the images; nothing outside it is touched")
    parser.add_argument("--transport", choices=("stdio", "http"), default="stdio")
    parser.add_argument("--host", default="127.0.0.1", help="HTTP: address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="HTTP: port, 0 for any free one (default: %(default)s)")
    parser.add_argument("--allow-host", action="append", default=[], help="HTTP: another name by which clients may call")
    parser.add_argument("--token-file", type=Path, help="HTTP: file with the bearer token that clients must send")
    parser.add_argument("--log-details", action="store_true", help="log to stderr what clients said, too; to find faults")
    parser.add_argument("--config", type=Path, help="settings file (YAML)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets", help="one setting")
    given = parser.parse_args(arguments)
    try:
        settings = load_settings(given.config, given.sets)
        workspace = Workspace(given.workspace, settings.limits)
        extension = extend(settings, workspace) if extend and given.tool == TOOL_NAMES else None
        server = build_server(given.tool, settings, workspace, extension, most_waiting=settings.server.waiting_calls)
        log_to_stderr(details=given.log_details)
        if given.transport == "stdio":
            serve_stdio(server)
        else:
            token = read_token(given.token_file) if given.token_file else None
            allowed = tuple(given.allow_host)
            serve_http(server, host=given.host, port=given.port, token=token, allowed_hosts=allowed, limits=settings.server)
    except AnomalyAgentError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _tools_named(text: str) -> tuple[ToolName, ...]:
    name = text.replace("-", "_")
    if name == "all":
        return TOOL_NAMES
    found: tuple[ToolName, ...] = tuple(tool for tool in TOOL_NAMES if tool == name)
    if not found:
        raise argparse.ArgumentTypeError(f"unknown tool {text!r}; known: all, {', '.join(TOOL_NAMES)}")
    return found


if __name__ == "__main__":
    sys.exit(main())
