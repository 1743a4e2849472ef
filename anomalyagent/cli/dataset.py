"""`anomalyagent dataset`: what was made, in the format of the tool that is to use it, and checks of such folders."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from anomalyagent.cli.options import JsonOption, counted

__all__ = ["app"]

app = typer.Typer(help="Export data sets to other formats, and check them.", no_args_is_help=True)

Format = Literal["mvtec", "coco", "yolo-seg", "hf", "labelme"]
_MOST_SHOWN = 50


@app.command()
def export(
    sources: Annotated[
        list[Path],
        typer.Argument(help="Folders of runs, or data sets as MVTec AD, AD 2, LOCO, VisA, BTAD, MPDD or Real-IAD."),
    ],
    format_name: Annotated[Format, typer.Option("--format", "-f", help="What is to be written.")],
    out: Annotated[Path, typer.Option(help="New folder.")],
    holdout: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the good photos, and of what was drawn on them, for validation.")
    ] = 0.2,
    item: Annotated[str | None, typer.Option(help="Name of the part; unset: as the run or the folder calls it.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the images, written where the format has a place for it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Write images, masks and what is known of them in another format.

    No photo of the validation part is shown in training, not even under a defect. Loaded in our tests by anomalib, pycocotools,
    ultralytics and datasets; see docs/exports.md.
    """
    from anomalyagent.training.datasets.export import export_dataset

    done = export_dataset(sources, format_name, out, holdout=holdout, item=item, licence=licence)
    if as_json:
        typer.echo(json.dumps({**done._asdict(), "folder": str(done.folder)}, ensure_ascii=False, indent=2))
        return
    typer.echo(f"{done.images} images, {done.anomalies} of them with a defect, {done.held_out} held out, in {done.folder}")
    for note in done.notes:
        typer.echo(f"note: {note}")


@app.command()
def validate(
    folder: Annotated[Path, typer.Argument(help="A run, a data set in a known layout, or an export.")],
    as_json: JsonOption = False,
) -> None:
    """Would tools read what is meant? Exit code 3 when something is wrong.

    In MVTec layout every file is opened: sizes, masks of 0 and 255, names that sort as readers pair them, files and pixels as
    the manifest says. In exports, what the files say of each other.
    """
    from anomalyagent.training.datasets.validate import validate_dataset

    verdicts = validate_dataset(folder)
    if as_json:
        records = [
            {
                "folder": str(one.folder),
                "format": one.format,
                "samples": one.samples,
                "sound": one.sound,
                "problems": [problem._asdict() for problem in one.problems],
            }
            for one in verdicts
        ]
        typer.echo(json.dumps(records, ensure_ascii=False, indent=2))
    else:
        for one in verdicts:
            for problem in one.problems[:_MOST_SHOWN]:
                typer.echo(f"{'error' if problem.severe else 'note'}: {problem.path} {problem.text}")
            if len(one.problems) > _MOST_SHOWN:
                typer.echo(f"... and {len(one.problems) - _MOST_SHOWN} more (--json lists all)")
            typer.echo(f"{one.folder}: {one.format}, {one.samples} images, {'sound' if one.sound else 'NOT sound'}")
    if not all(one.sound for one in verdicts):
        raise typer.Exit(3)


@app.command()
def harmless(
    folder: Annotated[Path, typer.Argument(help="A run, or a data set in the layout of MVTec AD.")],
    count: Annotated[int | None, typer.Option(min=1, help="In all; unset: as many as there are anomaly images.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of places, sizes and colours.")] = 0,
) -> None:
    """Add good photos with soft spots of light and shade to train/good, so that a detector learns what is no defect.

    Named after their photo (012_harmless_000.png). Those that are there stay as they are. Not for parts on which uneven shade
    is a defect itself.
    """
    from anomalyagent.training.datasets.harmless import add_harmless

    written = add_harmless(folder, count, seed, typer.echo)
    if written:
        typer.echo(f"{counted(written, 'good photo')} with harmless differences written below {folder}")
    else:
        typer.echo(f"nothing to do: as many good photos with harmless differences as were asked for are in {folder} already")
