"""`anomalyagent evaluate classify | generation | good-samples | cost | all`: the paper's other tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalyagent.cli.evaluate import app
from anomalyagent.cli.evaluate_options import (
    OracleOption,
    PaperSizeOption,
    RealOption,
    SeedsOption,
    SkipOption,
    WorkOption,
    show_table,
)
from anomalyagent.cli.options import ConfigOption, SetOption, needing, read_named

if TYPE_CHECKING:
    from anomalyagent.training.evaluation.weights import Published, Weights

__all__ = ["all_tables", "app", "classify", "cost", "generation", "good_samples"]

_Synthetic = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=DIR", help="A contender: data set in MVTec layout, or a run; repeatable."),
]
_Resnet = Annotated[
    str, typer.Option("--weights", help="ResNet34: a file, `download`, or `none` (from scratch; not the paper).")
]
_Inception = Annotated[str | None, typer.Option(help="Inception v3 of torch-fidelity: a file, or `download`; unset: no IS.")]
_Vgg = Annotated[str | None, typer.Option(help="VGG16 of torchvision: a file, or `download`; unset: no IC-LPIPS.")]
_Other = Annotated[bool, typer.Option(help="Take files of weights with another hash; figures are then not comparable.")]


@app.command()
def classify(
    real: RealOption,
    out: Annotated[Path, typer.Option(help="Markdown table; .csv and .json are written beside it.")],
    synthetic: _Synthetic = None,
    oracle: OracleOption = True,
    seeds: SeedsOption = 3,
    paper: PaperSizeOption = False,
    weights: _Resnet = "none",
    other_weights: _Other = False,
    epochs: Annotated[int | None, typer.Option(min=1, help="Training epochs, instead of the preset's.")] = None,
    skip_type: SkipOption = None,
    work: WorkOption = None,
) -> None:
    """Train a ResNet34 to name the anomaly types on each contender's images, and test it on real defects.

    Types are matched by name. The same command again resumes: no training is done twice.
    """

    with needing("eval"):
        from anomalyagent.training.evaluation.classify import FAST_CLASSIFY, PAPER_CLASSIFY
        from anomalyagent.training.evaluation.naming import Naming, compare_naming
        from anomalyagent.training.evaluation.weights import RESNET34, find_weights

    preset = PAPER_CLASSIFY if paper else FAST_CLASSIFY
    naming = Naming(
        real=real,
        synthetic=read_named(synthetic or [], "--synthetic"),
        oracle=oracle,
        seeds=seeds,
        preset=preset.with_epochs(epochs),
        weights=find_weights(RESNET34, weights, allow_other=other_weights, allow_none=True),
        out=out,
        work=work or out.parent / ".work",
        skip_types=skip_type or [],
    )
    compare_naming(naming, typer.echo)
    show_table(out)


@app.command()
def generation(
    real: RealOption,
    out: Annotated[Path, typer.Option(help="Markdown table; .json is written beside it.")],
    synthetic: _Synthetic = None,
    inception: _Inception = None,
    vgg: _Vgg = None,
    other_weights: _Other = False,
    count: Annotated[int, typer.Option(min=1, help="Images of each type, the first ones.")] = 500,
    skip_type: SkipOption = None,
    work: WorkOption = None,
) -> None:
    """Inception Score and IC-LPIPS of generated images, for each anomaly type, by torch-fidelity and lpips."""
    from anomalyagent.errors import ConfigError

    with needing("eval"):
        from anomalyagent.training.evaluation.generation import evaluate_generation, write_generation
        from anomalyagent.training.evaluation.keeping import check_table
        from anomalyagent.training.evaluation.weights import INCEPTION, VGG16

    named = read_named(synthetic or [], "--synthetic")
    if not named:
        raise ConfigError("nothing to evaluate: give --synthetic NAME=DIR.")
    if inception is None and vgg is None:
        raise ConfigError("both metrics need published weights: give --inception FILE, --vgg FILE, or `download` for either.")
    check_table(out)
    chosen = _optional(INCEPTION, inception, other_weights), _optional(VGG16, vgg, other_weights)
    folder = work or out.parent / ".work"
    found = evaluate_generation(real, named, *chosen, folder, typer.echo, count=count, skip_types=skip_type or [])
    write_generation(out, found, [one.note for one in chosen if one])
    show_table(out)


@app.command("good-samples")
def good_samples(
    out: Annotated[Path, typer.Option(help="Folder of the review: page, key, ratings, result.")],
    synthetic: _Synthetic = None,
    count: Annotated[int, typer.Option(min=1, help="Samples of each contender.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw and the order.")] = 0,
    config: ConfigOption = None,
    sets: SetOption = None,
) -> None:
    """The paper's expert protocol: a blind review page with --synthetic, the count of the ratings without.

    Give review.html to each expert, put the ratings-*.json that they send back into the folder, and give the command again with
    --out alone. A sample is good when every expert gives 8 of 10 and more for realism and for semantic consistency. What our
    judge expects is counted beside it.
    """
    from anomalyagent.configs.loading import load_settings

    with needing("eval"):
        from anomalyagent.training.evaluation.judged import count_ratings, make_review

    if synthetic:
        named = read_named(synthetic, "--synthetic")
        page = make_review(named, out, load_settings(config, sets or ()), typer.echo, count=count, seed=seed)
        typer.echo(f"page   {page}  (for the experts)\nkey    {out / 'key.json'}  (keep it from them)")
    count_ratings(out)
    typer.echo(f"\n{(out / 'good_samples.md').read_text('utf-8')}")


@app.command()
def cost(
    runs: Annotated[list[str], typer.Option("--run", metavar="NAME=DIR", help="Folder of a run; repeatable.")],
    out: Annotated[Path | None, typer.Option(help="Markdown table; .json is written beside it; unset: shown only.")] = None,
    good_rate: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=SHARE", help="Share of its accepted samples that is good, 0 to 1; repeatable."),
    ] = None,
    review: Annotated[
        Path | None, typer.Option(help="Folder of a review (`good-samples`): its rates are taken, experts' before the judge's.")
    ] = None,
) -> None:
    """Seconds and dollars for each good sample, beside the paper's rows."""
    from anomalyagent.graph.files import write_atomically
    from anomalyagent.training.evaluation.costs import as_json, as_markdown, measure_costs

    named = read_named(runs, "--run")
    costs = measure_costs(named, *_rates(good_rate or [], review, list(named)))
    if out is not None:
        write_atomically(out, as_markdown(costs).encode())
        write_atomically(out.with_suffix(".json"), as_json(costs).encode())
    typer.echo(as_markdown(costs))


@app.command("all")
def all_tables(
    real: Annotated[Path, typer.Option(help="Real data set of one or many items: MVTec AD, VisA, any folder in MVTec layout.")],
    out: Annotated[Path, typer.Option(help="Folder of the tables.")],
    synthetic: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DIR", help="A contender: a folder with a data set or a run for each item; repeatable."),
    ] = None,
    parts: Annotated[str, typer.Option(help="Which tables, commas between.")] = "generation,classify,localize",
    peers: Annotated[str, typer.Option(help="For localize: published recipes, commas between.")] = "",
    oracle: OracleOption = True,
    seeds: SeedsOption = 3,
    count: Annotated[int, typer.Option(min=1, help="For localize: anomaly images of each contender.")] = 200,
    paper: PaperSizeOption = False,
    steps: Annotated[int | None, typer.Option(min=1, help="For localize: training steps, instead of the preset's.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="For classify: epochs, instead of the preset's.")] = None,
    weights: _Resnet = "none",
    inception: _Inception = None,
    vgg: _Vgg = None,
    other_weights: _Other = False,
    runs: Annotated[list[str] | None, typer.Option("--run", metavar="NAME=DIR", help="For the cost table; repeatable.")] = None,
    review: Annotated[Path | None, typer.Option(help="Folder of a review (`good-samples`).")] = None,
    work: WorkOption = None,
) -> None:
    """Every table of the paper, its rows beside ours.

    Without --inception and --vgg there is no IS and no IC-LPIPS. The same command again resumes.
    """
    from dataclasses import replace

    with needing("eval"):
        from anomalyagent.training.evaluation.classify import FAST_CLASSIFY, PAPER_CLASSIFY
        from anomalyagent.training.evaluation.costs import measure_costs
        from anomalyagent.training.evaluation.everything import Everything, evaluate_everything
        from anomalyagent.training.evaluation.judged import count_ratings
        from anomalyagent.training.evaluation.localize import FAST, PAPER
        from anomalyagent.training.evaluation.weights import INCEPTION, RESNET34, VGG16, find_weights

    preset, naming = (PAPER, PAPER_CLASSIFY) if paper else (FAST, FAST_CLASSIFY)
    named = read_named(runs or [], "--run")
    chosen = [part.strip() for part in parts.split(",") if part.strip()]
    if inception is None and vgg is None and "generation" in chosen:
        typer.echo("no --inception and no --vgg: the table of quality and diversity is left out")
        chosen.remove("generation")
    wanted = Everything(
        real=real,
        synthetic=read_named(synthetic or [], "--synthetic"),
        out=out,
        parts=chosen,
        preset=preset if steps is None else replace(preset, steps=steps),
        classify_preset=naming.with_epochs(epochs),
        resnet=find_weights(RESNET34, weights, allow_other=other_weights, allow_none=True),
        inception=_optional(INCEPTION, inception, other_weights),
        vgg=_optional(VGG16, vgg, other_weights),
        peers=[name.strip() for name in peers.split(",") if name.strip()],
        oracle=oracle,
        seeds=seeds,
        count=count,
        costs=measure_costs(named, *_rates([], review, list(named))),
        good_rates=count_ratings(review) if review else [],
        work=work,
    )
    page = evaluate_everything(wanted, typer.echo)
    typer.echo(f"\n{page.read_text('utf-8')}")
    typer.echo(f"tables  {page}")


def _optional(published: "Published", given: str | None, other: bool) -> "Weights | None":
    from anomalyagent.training.evaluation.weights import find_weights

    return None if given is None else find_weights(published, given, allow_other=other)


def _rates(options: list[str], review: Path | None, runs: list[str]) -> tuple[dict[str, float], set[str]]:
    """Good rates by hand, or from a review: the experts', else the judge's; and the names whose rate is the judge's."""
    from anomalyagent.errors import ConfigError

    rates: dict[str, float] = {}
    judged: set[str] = set()
    if review is not None:
        from anomalyagent.training.evaluation.judged import count_ratings

        for one in count_ratings(review):
            rate = one.judge_good if one.good is None else one.good
            if rate is not None and one.contender in runs:
                rates[one.contender] = rate
                judged |= {one.contender} if one.good is None else set()
    for option in options:
        name, _, share = option.partition("=")
        try:
            rates[name] = float(share)
            judged.discard(name)
        except ValueError as error:
            raise ConfigError(f"--good-rate '{option}' is not NAME=SHARE with a number from 0 to 1.") from error
    return rates, judged
