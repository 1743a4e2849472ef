"""`anomalyagent traces`: trajectories as data: made from real defects, exported for training, keeping and observing."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalyagent.cli.options import ConfigOption, JsonOption, SetOption

if TYPE_CHECKING:
    from anomalyagent.graph.events import Event
    from anomalyagent.graph.runfile import RunSummary

__all__ = ["app"]

app = typer.Typer(help="Trajectories as data: from real defects, for training, keeping and observing.", no_args_is_help=True)


@app.callback()
def _traces() -> None:  # pyright: ignore[reportUnusedFunction]
    """Trajectories as data."""


@app.command("from-real")
def from_real(
    defects: Annotated[Path, typer.Option(help="Real defects of one item with masks: MVTec layout, or another published one.")],
    out: Annotated[Path, typer.Option(help="Run folder; the same command on it again resumes.")],
    normals: Annotated[
        Path | None, typer.Option(help="Photos of good parts; unset: the data set's own, else the defect photos' clean areas.")
    ] = None,
    item: Annotated[str | None, typer.Option(help="What the photos show, in words; unset: the folder's name.")] = None,
    shares: Annotated[
        str, typer.Option(metavar="A,B,C", help="Shares of trajectories with one, two and three rounds.")
    ] = "0.5,0.35,0.15",
    most: Annotated[int | None, typer.Option(min=1, help="Defects of each type, evenly picked; unset: all.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, settings and photos: same bytes.")] = None,
    config: ConfigOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a trajectory that ends in each real defect (the paper's Algorithm 2).

    A defect-free twin of the photo is made from normal photos and judged; imperfect attempts come first, the real defect and
    its true mask last. Look at the twins-<type>.jpg sheets in the run folder.
    """
    from anomalyagent.configs.loading import load_settings
    from anomalyagent.training.datasets.layouts import find_categories
    from anomalyagent.training.real.run import RealRequest, retrace_real

    settings = load_settings(config, [*(sets or ()), *([f"seed={seed}"] if seed is not None else [])])
    request = RealRequest(
        defects=defects,
        normals=normals,
        item=item or find_categories(defects)[0].resolve().name.replace("_", " "),
        out=out,
        shares=_read_shares(shares),
        most=most,
        command=["anomalyagent", *sys.argv[1:]],
    )
    summary = retrace_real(request, settings, _teller(as_json))
    if as_json:
        typer.echo(json.dumps(summary.model_dump(mode="json")))
    else:
        _print(summary)
    if summary.status == "interrupted":
        typer.echo("Interrupted. Give the same command again to go on.", err=True)
        raise typer.Exit(130)


def _read_shares(text: str) -> tuple[float, float, float]:
    try:
        one, two, three = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is not three numbers with commas between.", param_hint="--shares") from error
    return one, two, three


class _Teller:
    def __init__(self, *, as_json: bool) -> None:
        from anomalyagent.cli import progress

        self._record = progress.as_record if as_json else None
        self._lines = progress.Lines(typer.echo)

    def __call__(self, event: "Event") -> None:
        if self._record is not None:
            typer.echo(json.dumps(self._record(event)))
        else:
            self._lines(event)


def _teller(as_json: bool) -> "_Teller":
    return _Teller(as_json=as_json)


def _print(summary: "RunSummary") -> None:
    for one in summary.types:
        typer.echo(f"{one.anomaly_type}: {one.accepted} of {one.wanted} accepted")
    total = sum(one.wanted for one in summary.types)
    typer.echo(f"{summary.accepted} of {total} real defects gave an accepted trajectory; {summary.status}.")
    typer.echo(f"twins     {summary.run_dir}/twins-*.jpg")
    if summary.report:
        typer.echo(f"report    {summary.run_dir}/{summary.report}")


@app.command()
def export(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    form: Annotated[str, typer.Option("--format", help="sft | grpo | preference | atif | otel")],
    out: Annotated[Path, typer.Option(help="Folder for rows, images and the data card.")],
    everything: Annotated[bool, typer.Option("--all", help="Rejected and failed trajectories too.")] = False,
    least_reward: Annotated[
        float | None, typer.Option("--min-reward", help="Leave out trajectories with less (the three-part reward).")
    ] = None,
    kinds: Annotated[str, typer.Option(help="Numbers of rounds, commas between.")] = "single,dual,triple",
    test_item: Annotated[list[str] | None, typer.Option(help="Item of the test split; may be repeated.")] = None,
    test_share: Annotated[float, typer.Option(help="Share of the items to hold out besides, chosen by their names.")] = 0.0,
    system: Annotated[bool, typer.Option(help="Begin conversations with the tools and the format.")] = True,
    images: Annotated[bool, typer.Option(help="With images, or text alone.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Write trajectories for training (parquet with messages, tools and images) or for keeping (ATIF).

    Splits go by item, duplicates and local paths are taken out, and README.md in the folder counts what is there.
    """
    from anomalyagent.training.rows.export import FORMATS, export_traces
    from anomalyagent.training.rows.select import KINDS, Filters, Kind

    if form not in FORMATS:
        raise typer.BadParameter(f"'{form}' is none of {', '.join(FORMATS)}.", param_hint="--format")
    names = [name.strip() for name in kinds.split(",") if name.strip()]
    wanted: list[Kind] = [kind for kind in KINDS if kind in names]
    if unknown := sorted(set(names) - set(KINDS)):
        raise typer.BadParameter(f"'{unknown[0]}' is none of {', '.join(KINDS)}.", param_hint="--kinds")
    filters = Filters(not everything, least_reward, wanted, test_item or [], test_share)
    done = export_traces(runs, form, out, filters, system=system, images=images)
    if as_json:
        typer.echo(json.dumps({"out": str(done.out), "rows": done.rows, "left_out": done.left_out, "redacted": done.redacted}))
        return
    for split, count in done.rows.items():
        typer.echo(f"{split}: {count}")
    for reason, count in done.left_out.items():
        typer.echo(f"left out: {reason} x{count}")
    typer.echo(f"data card  {done.out}/README.md")
