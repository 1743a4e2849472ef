"""`anomalyagent evaluate`: does what was made train a detector that finds real defects?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalyagent.cli.evaluate_options import (
    OracleOption,
    PaperSizeOption,
    RealOption,
    SeedsOption,
    SkipOption,
    StepsOption,
    WorkOption,
    show_table,
)
from anomalyagent.cli.options import needing, read_named

if TYPE_CHECKING:
    from anomalyagent.training.evaluation.compare import Comparison

__all__ = ["app"]

app = typer.Typer(help="Measure on real defects what synthetic ones teach a detector.", no_args_is_help=True)


@app.callback()
def _evaluate() -> None:  # pyright: ignore[reportUnusedFunction]
    """Measure on real defects what synthetic ones teach a detector."""


@app.command()
def localize(
    real: RealOption,
    out: Annotated[Path, typer.Option(help="Markdown table; .csv and .json are written beside it.")],
    synthetic: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=DIR", help="A contender: data set in MVTec layout, e.g. ours=runs/x/dataset/bottle; repeatable."
        ),
    ] = None,
    peers: Annotated[
        str, typer.Option(help="Published recipes, commas between: cutpaste, draem, nsa, memseg, perlin, croppaste (few-shot).")
    ] = "",
    oracle: OracleOption = True,
    seeds: SeedsOption = 3,
    count: Annotated[int, typer.Option(min=1, help="Anomaly images of each contender.")] = 200,
    paper: PaperSizeOption = False,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps, instead of the preset's.")] = None,
    size: Annotated[
        int | None, typer.Option(min=32, help="Side of the images in pixels, instead of the preset's; small defects need more.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-6, max=1.0, help="Adam's, instead of the preset's; larger images need a smaller one.")
    ] = None,
    skip_type: SkipOption = None,
    textures: Annotated[
        Path | None, typer.Option(help="Foreign textures for draem and memseg (e.g. DTD); unset: drawn ones.")
    ] = None,
    sheets: Annotated[
        Path | None, typer.Option(help="Folder for pictures: test image, truth and map of each contender (seed 0).")
    ] = None,
    harmless: Annotated[
        Path | None,
        typer.Option(help="Data set whose good photos with harmless differences all contenders without any train with too."),
    ] = None,
    parts: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns image,part: photos of one part are never both learned from and tested."),
    ] = None,
    work: WorkOption = None,
) -> None:
    """Train a UNet from scratch on each contender's images and test it on real defects.

    The same command again resumes: no training is done twice. Set OMP_NUM_THREADS to choose the number of threads.
    """
    with needing("eval"):
        from anomalyagent.training.evaluation.compare import Comparison, compare
        from anomalyagent.training.evaluation.localize import FAST, PAPER, changed

    comparison = Comparison(
        real=real,
        synthetic=read_named(synthetic or [], "--synthetic"),
        peers=[name.strip() for name in peers.split(",") if name.strip()],
        oracle=oracle,
        seeds=seeds,
        count=count,
        preset=changed(PAPER if paper else FAST, steps, size, learning_rate),
        out=out,
        work=work or out.parent / ".work",
        skip_types=skip_type or [],
        textures=textures,
        sheets=sheets,
        harmless=harmless,
        parts=parts,
    )
    compare(comparison, typer.echo)
    show_table(out)


@app.command()
def usefulness(
    real: RealOption,
    item: Annotated[str, typer.Option(help='Name of the item, e.g. "bottle".')],
    out: Annotated[Path, typer.Option(help="Markdown table; a .json and the trainings' own table are written beside it.")],
    setting: Annotated[list[str] | None, typer.Option(help="Only this generator setting; repeatable. Unset: all 16.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each setting.")] = 1,
    count: Annotated[int, typer.Option(min=2, help="Images of each setting.")] = 200,
    steps: StepsOption = 600,
    skip_type: SkipOption = None,
    work: WorkOption = None,
) -> None:
    """Does the judge's score tell what trains a detector? Correlates both over generator settings, good and bad."""
    with needing("eval"):
        from anomalyagent.training.evaluation.usefulness import SETTINGS, measure_usefulness

    comparison = _without_contenders(real, out, work, seeds, count, steps, skip_type)
    measure_usefulness(comparison, item, typer.echo, setting or list(SETTINGS))
    show_table(out)


@app.command()
def ablation(
    real: RealOption,
    item: Annotated[str, typer.Option(help='Name of the item, e.g. "bottle".')],
    out: Annotated[Path, typer.Option(help="Markdown table; .csv and .json are written beside it.")],
    variant: Annotated[list[str] | None, typer.Option(help="Only this variant; repeatable. Unset: all.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each variant. One alone proves nothing.")] = 3,
    count: Annotated[int, typer.Option(min=1, help="Images of each variant.")] = 200,
    steps: StepsOption = 600,
    skip_type: SkipOption = None,
    work: WorkOption = None,
) -> None:
    """What is each part of the engine worth? Switches renderers, placement, masks, judge and rounds off, one at a time."""
    with needing("eval"):
        from anomalyagent.training.evaluation.ablation import VARIANTS, ablate

    comparison = _without_contenders(real, out, work, seeds, count, steps, skip_type)
    ablate(comparison, item, [real], variant or VARIANTS, typer.echo)
    show_table(out)


def _without_contenders(
    real: Path, out: Path, work: Path | None, seeds: int, count: int, steps: int, skip_type: list[str] | None
) -> "Comparison":
    """A fast comparison whose contenders are made by what runs it."""
    from dataclasses import replace

    from anomalyagent.training.evaluation.compare import Comparison
    from anomalyagent.training.evaluation.localize import FAST

    return Comparison(
        real=real,
        synthetic={},
        peers=[],
        oracle=False,
        seeds=seeds,
        count=count,
        preset=replace(FAST, steps=steps),
        out=out,
        work=work or out.parent / ".work",
        skip_types=skip_type or [],
    )
