"""`anomalyagent mcp`: the tools for any MCP client."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from anomalyagent.cli.options import ConfigOption, SetOption

__all__ = ["app"]

app = typer.Typer(help="Serve the tools to any MCP client.", no_args_is_help=True)


@app.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction]
    """Serve the tools to any MCP client."""


@app.command()
def serve(
    tool: Annotated[
        str,
        typer.Argument(metavar="TOOL", help="all | prompt-gen | image-gen | quality-eval | knowledge-retrieval | mask-gen"),
    ],
    workspace: Annotated[Path, typer.Option(help="Folder that holds the images; nothing outside it is read or written.")],
    transport: Annotated[str, typer.Option(help="stdio | http")] = "stdio",
    host: Annotated[str, typer.Option(help="HTTP: address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="HTTP: port.")] = 8765,
    token_file: Annotated[Path | None, typer.Option(help="HTTP: file with the bearer token that clients must send.")] = None,
    config: ConfigOption = None,
    sets: SetOption = None,
) -> None:
    """Start one tool server, or one server with all five tools."""
    from anomalyagent.mcp_tools import server

    arguments = [tool, "--workspace", str(workspace), "--transport", transport, "--host", host, "--port", str(port)]
    arguments += ["--token-file", str(token_file)] if token_file else []
    arguments += ["--config", str(config)] if config else []
    arguments += [part for pair in sets or () for part in ("--set", pair)]
    sys.exit(server.main(arguments))
