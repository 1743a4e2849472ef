"""`anomalyagent trace replay`: the same task again, whole or from a turn on, perhaps with another policy or backend."""

import asyncio
from typing import Annotated

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
)

__all__ = ["command"]


def command(
    trajectory: TrajectoryArgument,
    at: Annotated[int, typer.Option(min=0, help="First turn that is made anew; those before it are kept.")] = 0,
    policy: PolicyOption = None,
    backend: BackendOption = None,
    setting: SettingOption = None,
    config: BaseConfigOption = None,
    trust: TrustOption = False,
    approve: ApproveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play a trajectory again from a turn on, and say where the new one parts from it.

    With nothing changed the embedded configuration gives the same again.
    """
    from anomalyagent.cli.trace.diff import print_comparison
    from anomalyagent.cli.trace.fork import make_fork
    from anomalyagent.cli.trace.screen import print_json
    from anomalyagent.graph.compare import compare_trajectories
    from anomalyagent.graph.locate import load_trajectory

    found, parent = load_trajectory(trajectory)
    settings = changed_settings(found.run_dir, parent, config, policy, backend, setting)
    made = asyncio.run(make_fork(found.run_dir, found.id, at, {}, False, settings, approve or [], quiet=as_json, trust=trust))
    if made is None:
        return
    compared = compare_trajectories(parent, made)
    if as_json:
        print_json(compared)
        return
    typer.echo("")
    print_comparison(compared)
    typer.echo(f"\nstored as {found.run_dir}/{made.id}")
