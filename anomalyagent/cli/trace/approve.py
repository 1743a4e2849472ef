"""`anomalyagent trace approve`: forks that wait for a person, or that a killed process left behind."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalyagent.cli.options import JsonOption
from anomalyagent.cli.trace.options import TrustOption, parse_changes

if TYPE_CHECKING:
    from anomalyagent.graph.approval import Pause, Ruling
    from anomalyagent.graph.fork_records import ForkRecord
    from anomalyagent.graph.trace import Trajectory

__all__ = ["command"]


def command(
    where: Annotated[Path, typer.Argument(metavar="RUN[/ID]", help="A run: what waits there. With ID: go on with that one.")],
    yes: Annotated[bool, typer.Option("--yes", help="Approve the call that waits, without asking.")] = False,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change the call, then make it; repeatable."),
    ] = None,
    reject: Annotated[str | None, typer.Option(metavar="REASON", help="Reject the call; the agent reads the reason.")] = None,
    discard: Annotated[bool, typer.Option("--discard", help="Give the fork up.")] = False,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Answer forks that pause before a call, and go on with those whose process was killed.

    Without --yes, --set or --reject every call is asked for on the terminal.
    """
    from anomalyagent.cli.trace.screen import print_json
    from anomalyagent.graph.approval import Ruling
    from anomalyagent.graph.fork_records import read_forks
    from anomalyagent.graph.locate import find_run

    if where.is_dir():
        records = read_forks(find_run(where))
        if as_json:
            print_json([record.model_dump(mode="json") for record in records])
        else:
            _print_waiting(records, where)
        return
    if sum([yes, sets is not None, reject is not None, discard]) > 1:
        raise typer.BadParameter("give one of --yes, --set, --reject and --discard.")
    ruling: Ruling | None = None
    if yes:
        ruling = Ruling(kind="approve")
    elif sets:
        ruling = Ruling(kind="edit", changes=parse_changes(sets))
    elif reject is not None:
        ruling = Ruling(kind="reject", reason=reject)
    made = asyncio.run(_go_on(find_run(where.parent), where.name, ruling, discard, as_json, trust))
    if as_json and made is not None:
        print_json(made)


async def _go_on(
    run_dir: Path, name: str, ruling: "Ruling | None", discard: bool, as_json: bool, trust: bool
) -> "Trajectory | Pause | None":
    from anomalyagent.cli.trace.fork import settle
    from anomalyagent.cli.trace.screen import clean
    from anomalyagent.graph.approval import Pause
    from anomalyagent.graph.fork import Forker

    async with Forker(run_dir, trust=trust) as forker:
        if discard:
            await forker.discard(name)
            return None
        made = await (forker.rule(name, ruling) if ruling else forker.resume(name))
        if ruling is None:
            made = await settle(forker, made, run_dir)
        if made is not None and not as_json:
            told = f"waits before turn {made.turn.index}" if isinstance(made, Pause) else f"{made.outcome}: {made.reason}"
            typer.echo(clean(f"{made.id} {told}"))
        return made


def _print_waiting(records: "list[ForkRecord]", where: Path) -> None:
    from anomalyagent.cli.trace.screen import clean
    from anomalyagent.graph.trace import ToolCall

    if not records:
        typer.echo("Nothing waits.")
    for record in records:
        if record.waiting is not None and isinstance(record.waiting.action, ToolCall):
            told = f"waits before {record.waiting.action.name} of turn {record.waiting.index}"
        else:
            told = "is worked on, or its process was killed"
        typer.echo(clean(f"{record.id}  fork of {record.parent_id} at turn {record.at}, since {record.started_at}: {told}"))
        typer.echo(clean(f"    anomalyagent trace approve {where}/{record.id}"))
