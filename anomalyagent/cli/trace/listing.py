"""`anomalyagent trace list`: all trajectories of a run, filtered and sorted."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from anomalyagent.cli.options import JsonOption
from anomalyagent.cli.trace.options import RunArgument

if TYPE_CHECKING:
    from anomalyagent.graph.run_index import Entry

__all__ = ["command"]

Sort = Literal["name", "score", "rounds", "seconds", "cost_usd", "turns"]


def command(
    run: RunArgument,
    outcome: Annotated[
        Literal["accepted", "rejected", "failed", "unreadable"] | None, typer.Option(help="Only those that ended so.")
    ] = None,
    anomaly_type: Annotated[str | None, typer.Option(help="Only this anomaly type.")] = None,
    finding: Annotated[str | None, typer.Option(help="Only those with this finding, e.g. halo.")] = None,
    verdict: Annotated[Literal["keep", "drop", "fix", "none"] | None, typer.Option(help="Only with this verdict.")] = None,
    sort: Annotated[Sort, typer.Option(help="By this column; figures go from large to small.")] = "name",
    limit: Annotated[int, typer.Option(min=0, help="Most shown; 0: all.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """All trajectories of a run, forks too, with outcome, scores, findings and verdicts."""
    from anomalyagent.cli.trace.screen import clean, print_json
    from anomalyagent.graph.fork_records import read_forks
    from anomalyagent.graph.locate import find_run
    from anomalyagent.graph.review import read_reviews
    from anomalyagent.graph.run_index import RunIndex

    run_dir = find_run(run)
    entries, reviews = RunIndex(run_dir).refresh(), read_reviews(run_dir)
    verdicts = {name: str(review.verdict) for name, review in reviews.items()}
    chosen = [
        one
        for one in entries
        if (not outcome or one.outcome == outcome)
        and (anomaly_type is None or one.anomaly_type == anomaly_type)
        and (finding is None or finding in one.findings)
        and (verdict is None or verdicts.get(one.name, "none") == verdict)
    ]
    if sort != "name":
        chosen.sort(key=lambda one: -(getattr(one, sort) or 0.0))
    shown = chosen[:limit] if limit else chosen
    if as_json:
        print_json([{**one._asdict(), "verdict": verdicts.get(one.name)} for one in shown])
        return
    _print(shown, verdicts)
    more = f", {len(shown)} shown" if len(shown) < len(chosen) else ""
    typer.echo(f"{len(chosen)} of {len(entries)} trajectories{more}.")
    for record in read_forks(run_dir):
        state = "waits for approval" if record.waiting else "is under way, or its process was killed"
        typer.echo(clean(f"{record.id} {state}: anomalyagent trace approve {run}/{record.id}"))


def _print(entries: "list[Entry]", verdicts: dict[str, str]) -> None:
    from rich.table import Table
    from rich.text import Text

    from anomalyagent.cli.trace.screen import clean, console, mark, number

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("trajectory", no_wrap=True, overflow="fold")
    for name, justify in (("outcome", "left"), ("type", "left"), ("rounds", "right"), ("score", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=name != "type")
    table.add_column("findings, or why not")
    for name in ("verdict", "s", "$"):
        table.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for one in entries:
        why = ", ".join(one.findings[:3]) or ("" if one.outcome == "accepted" else one.reason)
        table.add_row(
            Text(clean(one.name) + (" *" if one.parent else "")),
            mark(one.outcome),
            Text(clean(one.anomaly_type, 60)),
            str(one.rounds),
            number(one.score),
            Text(clean(why, 200)),
            mark(verdicts.get(one.name)),
            number(one.seconds),
            f"{one.cost_usd:.4f}" if one.cost_usd else "-",
        )
    console().print(table)
    if any(one.parent for one in entries):
        console().print("* a fork", style="dim")
