"""`anomalyagent trace fork`: a trajectory goes on from one of its turns in another way."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anomalyagent.cli.options import JsonOption
from anomalyagent.cli.trace.options import (
    ApproveOption,
    BackendOption,
    BaseConfigOption,
    PolicyOption,
    SettingOption,
    TrajectoryArgument,
    TrustOption,
    changed_settings,
    parse_changes,
)

if TYPE_CHECKING:
    from anomalyagent.configs.schema import Settings
    from anomalyagent.graph.approval import Pause
    from anomalyagent.graph.trace import Trajectory

__all__ = ["command", "make_fork", "settle"]


def command(
    trajectory: TrajectoryArgument,
    at: Annotated[int, typer.Option(min=0, help="Turn to fork at, numbered from 0; those before it are kept.")],
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change in that turn, e.g. spec.severity=2, score=4, finding.halo=0.8, knowledge='...'; repeatable. "
            "`trace show RUN/ID --turn N` lists the paths.",
        ),
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="Another prompt; short for --set prompt=...")] = None,
    same_call: Annotated[bool, typer.Option("--same-call", help="Make the call of that turn again as it was.")] = False,
    approve: ApproveOption = None,
    policy: PolicyOption = None,
    backend: BackendOption = None,
    setting: SettingOption = None,
    config: BaseConfigOption = None,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Go on from a turn with something changed, as a new trajectory; the old one stays as it is.

    A changed call (prompt, spec) is made again; a changed answer (score, finding, knowledge) stands in for the tool's own.
    Without a change the agent decides that turn anew.
    """
    from anomalyagent.cli.trace.diff import print_comparison
    from anomalyagent.cli.trace.screen import print_json
    from anomalyagent.graph.compare import compare_trajectories
    from anomalyagent.graph.locate import load_trajectory

    found, parent = load_trajectory(trajectory)
    changes = parse_changes(sets or ())
    if prompt is not None:
        changes["prompt"] = prompt
    settings = changed_settings(found.run_dir, parent, config, policy, backend, setting)
    made = asyncio.run(
        make_fork(found.run_dir, found.id, at, changes, same_call, settings, approve or [], quiet=as_json, trust=trust)
    )
    if made is None:
        return
    if as_json:
        print_json(made)
        return
    typer.echo("")
    print_comparison(compare_trajectories(parent, made))
    typer.echo(f"\nstored as {found.run_dir}/{made.id}")


async def make_fork(
    run_dir: Path,
    parent: str,
    at: int,
    changes: dict[str, Any],
    same_call: bool,
    settings: "Settings | None",
    approve: list[str],
    *,
    quiet: bool,
    trust: bool,
) -> "Trajectory | None":
    """Fork, ask where it pauses, and tell each turn; None when it was left waiting."""
    from anomalyagent.graph.fork import Forker

    async with Forker(run_dir, None if quiet else _tell, trust=trust) as forker:
        first = await forker.fork(parent, at, changes, same_call=same_call, settings=settings, approve=approve)
        return await settle(forker, first, run_dir)


async def settle(forker: Any, made: "Trajectory | Pause", run_dir: Path) -> "Trajectory | None":
    """Ask about each pause until the trajectory has its end; None when it is left waiting."""
    from anomalyagent.cli.approval import ask
    from anomalyagent.errors import ForkError
    from anomalyagent.graph.approval import Pause

    while isinstance(made, Pause):
        ruling = ask(made)
        if ruling is None:
            typer.echo(f"\n{made.id} waits. Go on with: anomalyagent trace approve {run_dir}/{made.id}", err=True)
            return None
        try:
            made = await forker.rule(made.id, ruling, made.turn.index)
        except ForkError as error:
            made = made._replace(problem=str(error))
    return made


def _tell(turn: Any) -> None:
    from anomalyagent.cli.trace.screen import clean
    from anomalyagent.graph.trace import ToolCall

    name = turn.action.name if isinstance(turn.action, ToolCall) else turn.action.kind
    said = turn.observation.text if turn.observation else turn.thought
    line = clean(said.strip(), 200).splitlines()
    typer.echo(f"{turn.index:>2}  {name:<20} {turn.seconds:5.2f} s  {line[0] if line else ''}")
