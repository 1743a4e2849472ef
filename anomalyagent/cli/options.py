"""Options that several commands share, and how they are read."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ConfigOption", "JsonOption", "SetOption", "counted", "needing", "read_named"]

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="YAML settings, or the name of a shipped file (`default`).")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. limits.rounds=5; may be repeated.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]


def counted(number: int, noun: str) -> str:
    """`1 round`, `2 rounds`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@contextmanager
def needing(extra: str) -> Generator[None]:
    """Around imports that an extra of ours brings.

    Raises:
        BackendUnavailableError: a module of another package is missing; names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "anomalyagent":
            raise
        from anomalyagent.errors import BackendUnavailableError

        raise BackendUnavailableError(
            f"this needs the Python module '{error.name}', which is not installed. Run: pip install 'anomalyagent[{extra}]'"
        ) from error


def read_named(options: list[str], option: str) -> dict[str, Path]:
    """`NAME=DIR` options as name -> folder.

    Raises:
        BadParameter: one is not of that form, or a name is used twice.
    """
    named: dict[str, Path] = {}
    for text in options:
        name, equals, folder = text.partition("=")
        if not equals or not folder or not re.fullmatch(r"[\w.-]+", name):
            raise typer.BadParameter(
                f"'{text}' is not NAME=DIR with a name of letters, digits, '_', '-' and '.'.", param_hint=option
            )
        if name in named:
            raise typer.BadParameter(f"the name '{name}' is used twice.", param_hint=option)
        named[name] = Path(folder)
    return named
