"""The command line: `anomalyagent COMMAND`. Each module here is one command or group; all heavy imports happen inside them.

Exit codes: 0 done; 1 done in part, or a failure without a code of its own; 2 wrong usage, settings or a missing backend;
3 images or workspace; 4 a tool or policy failed; 5 knowledge or trace; 6 the run; 130 interrupted (run again to resume).
"""

import io
import re
import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from anomalyagent.cli import config, dataset, doctor, evaluate_policy, knowledge, mcp, synthesize, trace, traces, train
from anomalyagent.configs.paths import expand_home
from anomalyagent.errors import AnomalyAgentError

__all__ = ["app", "main"]


class _Commands(TyperGroup):
    """All commands; typer by itself ends one that was interrupted without a word."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(130) from None


app = typer.Typer(
    name="anomalyagent",
    cls=_Commands,
    help="Realistic industrial defects (image + pixel mask) on photos of good parts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("synthesize")(synthesize.command)
app.command("doctor")(doctor.command)
app.add_typer(evaluate_policy.app, name="evaluate")  # evaluate.app with all of its commands
app.add_typer(dataset.app, name="dataset")
app.add_typer(train.app, name="train")
app.add_typer(config.app, name="config")
app.add_typer(knowledge.app, name="knowledge")
app.add_typer(mcp.app, name="mcp")
app.add_typer(trace.app, name="trace")
app.add_typer(traces.app, name="traces")


def _show_version(wanted: bool) -> None:
    if wanted:
        import anomalyagent

        typer.echo(f"anomalyagent {anomalyagent.__version__}")
        raise typer.Exit


@app.callback()
def _root(  # pyright: ignore[reportUnusedFunction]
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version and leave."),
) -> None:
    pass


def _with_home(argument: str) -> str:
    """`--out=~/runs` with the user's folder: shells replace ~ at the start of a word only, and those of Windows nowhere."""
    return re.sub(r"^(--[\w-]+=)?~(?=[/\\])", lambda found: (found[1] or "") + str(expand_home("~")), argument)


def _has_working_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def main() -> None:
    """Entry point of the console script."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that a pipe's encoding lacks must not end a run
    try:
        app([_with_home(argument) for argument in sys.argv[1:]])
    except AnomalyAgentError as error:
        from anomalyagent.cli.trace.screen import clean

        typer.echo(f"error: {clean(str(error), None)}", err=True)  # it may quote a file that steers terminals
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except FileNotFoundError:
        if _has_working_folder():
            raise
        typer.echo("error: the folder that you are in was deleted. Change into another one, then try again.", err=True)
        sys.exit(2)
    except BrokenPipeError:  # `anomalyagent ... | head`
        sys.stderr.close()
        sys.exit(0)
    except (
        OSError
    ) as error:  # a path below a folder that may not be entered, or with too long a name: even to look for it fails
        if error.filename is None:
            raise
        typer.echo(f"error: {error.filename}: {error.strerror}. Check the path and its permissions.", err=True)
        sys.exit(1)
