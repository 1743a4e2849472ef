"""Options that several `evaluate` commands share, and how they show their tables."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "OracleOption",
    "PaperSizeOption",
    "RealOption",
    "SeedsOption",
    "SkipOption",
    "StepsOption",
    "WorkOption",
    "show_table",
]

RealOption = Annotated[
    Path, typer.Option(help="Real data set, one category: MVTec layout, AD 2, LOCO, VisA, BTAD, MPDD, Real-IAD.")
]
WorkOption = Annotated[Path | None, typer.Option(help="Finished pieces, kept to resume; unset: .work beside the result.")]
SkipOption = Annotated[list[str] | None, typer.Option(help="Anomaly type of the real set to leave out; repeatable.")]
OracleOption = Annotated[bool, typer.Option(help="Train on the first third of the real defects, too: the mark to reach.")]
SeedsOption = Annotated[int, typer.Option(min=1, help="Trainings of each contender. One alone proves nothing.")]
PaperSizeOption = Annotated[
    bool, typer.Option("--paper/--fast", help="The paper's size (a GPU for hours), or one for a CPU (minutes a training).")
]
StepsOption = Annotated[int, typer.Option(min=1, help="Training steps.")]


def show_table(out: Path) -> None:
    """Print a Markdown table that was written, and where it lies."""
    typer.echo(f"\n{out.read_text('utf-8')}")
    typer.echo(f"table  {out}")
