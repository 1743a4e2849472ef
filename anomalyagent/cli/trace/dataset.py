"""`anomalyagent trace dataset`: the data set of what a person kept."""

from pathlib import Path
from typing import Annotated

import typer

from anomalyagent.cli.options import JsonOption
from anomalyagent.cli.trace.options import RunArgument

__all__ = ["command"]


def command(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option(help="Folder for it; unset: `reviewed/` in the run.")] = None,
    with_unreviewed: Annotated[
        bool, typer.Option("--with-unreviewed", help="Also take accepted trajectories that nobody has judged.")
    ] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copy images instead of linking them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Rebuild the data set from the trajectories that were kept, forks included, in MVTec layout."""
    from anomalyagent.cli.trace.screen import clean, print_json
    from anomalyagent.graph.reviewed import rebuild_dataset

    built = rebuild_dataset(run, out, with_unreviewed=with_unreviewed, link=not copy)
    if as_json:
        left_out = [{"trajectory": name, "reason": reason} for name, reason in built.left_out]
        print_json({"folder": str(built.folder), "samples": built.samples, "left_out": left_out})
        return
    for name, number in built.samples.items():
        typer.echo(f"{number:>6}  {clean(name)}")
    for name, reason in built.left_out:
        typer.echo(clean(f"left out {name}: {reason}"), err=True)
    typer.echo(f"data set  {built.folder}")
