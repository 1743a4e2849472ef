"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ConfigOption", "JsonOption", "SetOption"]

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="YAML settings, or the name of a shipped file (`default`).")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting, e.g. limits.rounds=5; may be repeated.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="For machines: JSON on standard output.")]
