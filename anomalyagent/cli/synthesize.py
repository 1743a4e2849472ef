"""`anomalyagent synthesize`: a data set of defects on your own photos."""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalyagent.cli.options import ConfigOption, JsonOption, SetOption
from anomalyagent.cli.trace.options import ApproveOption

if TYPE_CHECKING:
    from anomalyagent.configs.schema import Settings
    from anomalyagent.graph.events import Progress
    from anomalyagent.graph.runfile import RunSummary

__all__ = ["command"]


def command(
    normals: Annotated[
        list[Path],
        typer.Option(help="Folder or file of good parts, or an MVTec AD category (then train/good); may be repeated."),
    ],
    item: Annotated[str, typer.Option(help="What the photos show, in words: 'metal nut'.")],
    anomaly_type: Annotated[
        list[str],
        typer.Option(help="Defect in your own words, used verbatim; may be repeated. 'auto' chooses those that fit the item."),
    ],
    out: Annotated[Path, typer.Option(help="Run folder; the same command on it again resumes.")],
    count: Annotated[int, typer.Option(min=1, help="Accepted samples of each anomaly type.")] = 20,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, settings and photos: same bytes.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Samples made at once: a process each; models are loaded once, in one.")] = 1,
    max_rounds: Annotated[int | None, typer.Option(min=1, max=20, help="Most attempts at one sample (limits.rounds).")] = None,
    zone_mask: Annotated[
        Path | None,
        typer.Option(help="Image of the photos' shape: defects only where it is white, never where it is black."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="Folder of real defects with masks (MVTec layout, or x.png with x_mask.png): some are transplanted, "
            "the others draw sizes and strengths from them."
        ),
    ] = None,
    keep_rejected: Annotated[bool, typer.Option(help="Also keep the best image of each rejected task, in rejected/.")] = False,
    harmless: Annotated[
        bool,
        typer.Option("--harmless", help="As many good photos with soft light and shade too (see 'dataset harmless')."),
    ] = False,
    policy: Annotated[str | None, typer.Option(help="Who decides: expert, local, chat, module:Class (policy.name).")] = None,
    model: Annotated[str | None, typer.Option(metavar="PATH_OR_ID", help="Model of that policy.")] = None,
    approve: ApproveOption = None,
    config: ConfigOption = None,
    sets: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make realistic defects, with pixel masks, on photos of good parts.

    Exit codes: 0 complete; 1 a type was given up before it had its samples; 130 interrupted (the same command resumes);
    others: see the message.
    """
    from anomalyagent.cli.approval import ask_or_interrupt
    from anomalyagent.configs.loading import load_settings
    from anomalyagent.graph.run import Request, synthesize

    if "auto" in anomaly_type and len(anomaly_type) > 1:
        raise typer.BadParameter("'auto' chooses the types; do not name others beside it.", param_hint="--anomaly-type")
    named = {"seed": seed, "policy.name": policy, "policy.options.model": json.dumps(model) if model is not None else None}
    settings = load_settings(config, [*(sets or ()), *(f"{key}={value}" for key, value in named.items() if value is not None)])
    settings = _with_files(settings, zone_mask, reference)
    _check_parts(settings)
    request = Request(
        normals=normals,
        item=item,
        anomaly_types="auto" if anomaly_type == ["auto"] else anomaly_type,
        count=count,
        out=out,
        jobs=jobs,
        max_rounds=max_rounds,
        keep_rejected=keep_rejected,
        approve=tuple(approve or ()),
        command=["anomalyagent", *sys.argv[1:]],
    )
    with _reporting(as_json, bars=not approve) as progress:
        summary = synthesize(request, settings, progress, ask_or_interrupt if approve else None)
    added = 0
    try:
        if harmless and summary.accepted and summary.status in ("complete", "incomplete"):
            from anomalyagent.training.datasets.harmless import add_harmless

            added = add_harmless(Path(summary.run_dir), None, settings.seed, _silent if as_json else typer.echo)
    finally:
        if as_json:
            typer.echo(json.dumps(summary.model_dump(mode="json")))  # ASCII: a path may be no text
        else:
            _print_summary(summary)
    if added and not as_json:
        typer.echo(f"added     {added} good photos with harmless differences of light, in train/good")
    if summary.status == "interrupted":
        typer.echo("Interrupted. Give the same command again to go on.", err=True)
        raise typer.Exit(130)
    if summary.status != "complete":
        raise typer.Exit(1)


def _check_parts(settings: "Settings") -> None:
    """Backends, references and policy are made once, so that what cannot be used is told before anything is made."""
    from anomalyagent.graph.policies import make_policy
    from anomalyagent.mcp_tools.contracts import TOOL_NAMES
    from anomalyagent.mcp_tools.registry import check_files, create_backend

    for tool in TOOL_NAMES:
        if getattr(settings.tools, tool).server is None:
            for note in check_files(create_backend(tool, settings)):
                typer.echo(f"warning: {note}", err=True)
    if settings.knowledge.references is not None:
        from anomalyagent.mcp_tools.reference_search import ReferenceSearch

        ReferenceSearch(settings.knowledge.references)
    make_policy(settings.policy, settings.prices)


def _with_files(settings: "Settings", zone_mask: Path | None, reference: Path | None) -> "Settings":
    """The settings with the files as options of the backends that use them."""
    from anomalyagent.configs.paths import expand_home

    tree = settings.model_dump()
    if zone_mask is not None:
        tree["tools"]["image_gen"]["options"]["zone_mask"] = str(expand_home(zone_mask).absolute())
    if reference is not None:
        for tool in ("prompt_gen", "image_gen"):
            tree["tools"][tool]["options"]["reference"] = str(expand_home(reference).absolute())
        tree["knowledge"]["references"] = tree["knowledge"]["references"] or {"folders": [expand_home(reference).absolute()]}
    return type(settings).model_validate(tree)


def _silent(text: str) -> None:
    del text


@contextmanager
def _reporting(as_json: bool, *, bars: bool) -> Generator["Progress"]:
    """JSON lines, live bars on a terminal, or plain lines in a pipe."""
    from anomalyagent.cli import progress

    if as_json:
        yield lambda event: typer.echo(json.dumps(progress.as_record(event)))
    elif sys.stdout.isatty() and bars:
        with progress.Bars() as shown:
            yield shown
    else:
        yield progress.Lines(typer.echo)


def _print_summary(summary: "RunSummary") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False)
    table = Table(
        "anomaly type", "accepted", "rejected", "failed", "why not", "rounds", "score", box=None, title_justify="left"
    )
    for column in table.columns[1:4]:
        column.justify = "right"
    for one in summary.types:
        reasons = ", ".join(f"{name} x{times}" for name, times in list(one.reasons.items())[:3])
        given_up = " (given up)" if one.given_up else ""
        table.add_row(
            f"{one.anomaly_type}{given_up}",
            str(one.accepted),
            str(one.rejected),
            str(one.failed),
            reasons or "-",
            "-" if one.rounds_mean is None else f"{one.rounds_mean:.2f}",
            "-" if one.score_mean is None else f"{one.score_mean:.1f}",
        )
    console.print(table)
    good = "-" if summary.seconds_per_good is None else f"{summary.seconds_per_good:.2f} s"
    console.print(
        f"{summary.accepted} accepted, {summary.rejected} rejected, {summary.failed} failed; {good} and "
        f"${summary.cost_per_good or 0:.4f} for a good sample; {summary.status}.",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"data set  {summary.run_dir}/{summary.dataset}", highlight=False, soft_wrap=True)
    if summary.report:
        console.print(f"report    {summary.run_dir}/{summary.report}", highlight=False, soft_wrap=True)
