"""`anomalyagent trace review`: keep, drop or fix, and how far that agrees with the judge."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from anomalyagent.cli.options import JsonOption

if TYPE_CHECKING:
    from anomalyagent.graph.review import Agreement, Review
    from anomalyagent.graph.trace import Outcome

__all__ = ["command"]


def command(
    where: Annotated[Path, typer.Argument(metavar="RUN[/ID]", help="A run: its verdicts and the agreement. With ID: one.")],
    verdict: Annotated[
        Literal["keep", "drop", "fix", "undo"] | None,
        typer.Argument(help="What to do with it.", show_default=False),
    ] = None,
    note: Annotated[str, typer.Option(help="Why, in your words.")] = "",
    reviewer: Annotated[str | None, typer.Option(help="Your name; unset: the user's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Store a verdict on a trajectory, or show all verdicts of a run and how far judge and reviewer agree."""
    from anomalyagent.cli.trace.screen import print_json
    from anomalyagent.graph.locate import find_run, find_trajectory
    from anomalyagent.graph.review import agreement, read_reviews, record_verdict
    from anomalyagent.graph.run_index import RunIndex

    if verdict is not None:
        found = find_trajectory(where)
        given = None if verdict == "undo" else verdict
        review = record_verdict(found.run_dir, found.id, given, note, reviewer if reviewer is not None else _user())
        if as_json:
            print_json(review)
        else:
            typer.echo(f"{found.id}: {verdict}")
        return
    if not where.is_dir():
        found = find_trajectory(where)
        reviews = {name: one for name, one in read_reviews(found.run_dir).items() if name == found.id}
        if as_json:
            print_json([one.model_dump(mode="json") for one in reviews.values()])
        else:
            _print_reviews(reviews)
        return
    run_dir = find_run(where)
    reviews = read_reviews(run_dir)
    outcomes: dict[str, Outcome] = {one.name: one.outcome for one in RunIndex(run_dir).refresh() if one.outcome != "unreadable"}
    found_agreement = agreement(outcomes, reviews)
    if as_json:
        told = [one.model_dump(mode="json") for one in reviews.values()]
        print_json({"reviews": told, "agreement": _record(found_agreement)})
        return
    _print_reviews(reviews)
    _print_agreement(found_agreement)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _record(one: "Agreement") -> dict[str, object]:
    table = [{"judge": judge, "verdict": verdict, "number": number} for (judge, verdict), number in one.table.items()]
    return {
        "table": table,
        "reviewed": one.reviewed,
        "share": one.share,
        "kappa": one.kappa,
        "overruled_accepted": list(one.overruled_accepted),
        "overruled_rejected": list(one.overruled_rejected),
    }


def _print_reviews(reviews: "dict[str, Review]") -> None:
    from rich.table import Table
    from rich.text import Text

    from anomalyagent.cli.trace.screen import clean, console, mark

    if not reviews:
        typer.echo("No verdict was given so far: anomalyagent trace review RUN/ID keep|drop|fix --note '...'")
        return
    table = Table("trajectory", "verdict", "note", "by", "at", box=None)
    for name, one in reviews.items():
        table.add_row(Text(clean(name)), mark(one.verdict), Text(clean(one.note)), Text(clean(one.reviewer)), one.at)
    console().print(table)


def _print_agreement(one: "Agreement") -> None:
    from rich.table import Table

    from anomalyagent.cli.trace.screen import console
    from anomalyagent.graph.review import VERDICTS

    if not one.reviewed:
        return
    screen = console()
    table = Table("judge \\ reviewer", *VERDICTS, box=None)
    for outcome in ("accepted", "rejected"):
        table.add_row(outcome, *(str(one.table.get((outcome, verdict), 0)) for verdict in VERDICTS))
    screen.print(table)
    kappa = "not defined (one of the two always said the same)" if one.kappa is None else f"{one.kappa:.2f}"
    screen.print(f"{one.reviewed} reviewed, {100 * (one.share or 0):.0f} % agree, Cohen's kappa {kappa}")
    for told, names in (("accepted, but not kept", one.overruled_accepted), ("rejected, but kept", one.overruled_rejected)):
        if names:
            screen.print(f"{told}: {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}")
