"""`anomalyagent mcp`: the tools for any MCP client."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from anomalyagent.cli.options import ConfigOption, SetOption
from anomalyagent.configs.paths import expand_home

__all__ = ["app"]

app = typer.Typer(help="Serve the tools to any MCP client, or install them in one.", no_args_is_help=True)


@app.callback()
def _group() -> None:  # pyright: ignore[reportUnusedFunction]
    """Serve the tools to any MCP client, or install them in one."""


@app.command()
def serve(
    tool: Annotated[
        str,
        typer.Argument(metavar="TOOL", help="all | prompt-gen | image-gen | quality-eval | knowledge-retrieval | mask-gen"),
    ],
    workspace: Annotated[Path, typer.Option(help="Folder that holds the images; nothing outside it is read or written.")],
    transport: Annotated[Literal["stdio", "http"], typer.Option(help="How clients reach it.")] = "stdio",
    host: Annotated[str, typer.Option(help="HTTP: address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="HTTP: port, 0 for any free one.")] = 8765,
    token_file: Annotated[Path | None, typer.Option(help="HTTP: file with the bearer token that clients must send.")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="HTTP: another name by which clients may call it.")] = None,
    log_details: Annotated[bool, typer.Option("--log-details", help="Log to stderr what clients said, too.")] = False,
    config: ConfigOption = None,
    sets: SetOption = None,
) -> None:
    """Start one tool server, or one server with all five tools and `synthesize`, the whole loop in one call."""
    from anomalyagent.graph.mcp_synthesize import extend_with_synthesis
    from anomalyagent.mcp_tools import server

    arguments = [tool, "--workspace", str(workspace), "--transport", transport, "--host", host, "--port", str(port)]
    arguments += ["--token-file", str(token_file)] if token_file else []
    arguments += [part for name in allow_host or () for part in ("--allow-host", name)]
    arguments += ["--log-details"] if log_details else []
    arguments += ["--config", str(config)] if config else []
    arguments += [part for pair in sets or () for part in ("--set", pair)]
    sys.exit(server.main(arguments, extend_with_synthesis, program="anomalyagent mcp serve"))


@app.command()
def install(
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="claude-desktop | claude-code | cursor | vscode | codex")],
    workspace: Annotated[
        Path | None,
        typer.Option(help="Folder that holds the images; nothing else is opened to the client. Unset: this folder."),
    ] = None,
    only_print: Annotated[bool, typer.Option("--print", help="Show the change and write nothing.")] = False,
    config_file: Annotated[Path | None, typer.Option(help="The client's settings file, if it is in an odd place.")] = None,
) -> None:
    """Enter the tools into the settings of an MCP client: the change is shown, the old file is kept beside the new one."""
    from anomalyagent.errors import ConfigError
    from anomalyagent.mcp_tools.installing import CLIENTS, plan_install, write_change

    if client not in CLIENTS:
        raise ConfigError(f"unknown client {client!r}; known: {', '.join(CLIENTS)}. For others: anomalyagent mcp serve --help")
    here = Path.cwd()
    if workspace is None and here in (expand_home("~"), Path(here.anchor)):
        raise ConfigError(
            f"without --workspace the whole of {here} would be opened to {client}. Name the folder of the images."
        )
    change = plan_install(client, workspace or here, config_file)
    if not change.needed:
        typer.echo(f"Already installed in {change.file}; nothing to do.")
        return
    typer.echo(change.diff)
    if only_print:
        return
    backup = write_change(change)
    typer.echo(f"\nWritten to {change.file}." + (f" As it was: {backup}." if backup else ""))
    typer.echo(f"Restart {client}, then ask it to list the tools of anomalyagent.")
