"""`anomalyagent trace view` and `trace export`: runs as a web page, served here or in one file."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anomalyagent.cli.trace.options import TrustOption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anomalyagent.graph.trace import Trajectory
    from anomalyagent.graph.viewer.story import Rewards, RewardTerm

__all__ = ["export", "view"]

RewardsOption = Annotated[
    bool, typer.Option("--rewards", help="Show the terms of the training reward (judges every image once more).")
]


def view(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several can be compared.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    allow_review: Annotated[bool, typer.Option("--allow-review", help="Verdicts may be given (keep, drop, fix).")] = False,
    allow_fork: Annotated[
        bool, typer.Option("--allow-fork", help="Trajectories may be forked, replayed and approved; verdicts, too.")
    ] = False,
    trust: TrustOption = False,
    rewards: RewardsOption = False,
) -> None:
    """Look at runs in the browser. Reads only, unless told otherwise; nobody outside this machine can reach it."""
    from anomalyagent.graph.viewer.app import Options
    from anomalyagent.graph.viewer.serving import serve

    terms = _rewards(runs) if rewards else None
    options = Options(allow_review=allow_review, allow_fork=allow_fork, trust=trust, rewards=terms)
    serve(runs, options, port=port, open_browser=browser)


def export(
    run: Annotated[Path, typer.Argument(help="Run folder, or RUN/ID for one trajectory.")],
    out: Annotated[Path, typer.Option(help="The page to write.")],
    only: Annotated[
        list[str] | None, typer.Option(help="Trajectory to tell in full; repeatable. Unset: all, up to --most.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="Most trajectories told in full, an equal share of each outcome.")] = 80,
    rewards: RewardsOption = False,
) -> None:
    """Write a run as one self-contained page to send around."""
    from anomalyagent.graph.locate import find_run, find_trajectory
    from anomalyagent.graph.runfile import RUN_FILE
    from anomalyagent.graph.viewer.export import export_run

    whole_run = (run / RUN_FILE).is_file() or (run / "trajectories").is_dir()
    if not whole_run:
        found = find_trajectory(run)
        run, only = found.run_dir, [found.id]
    told = export_run(find_run(run), out, only, most, _rewards([run]) if rewards else None, whole_run=whole_run)
    what = "1 trajectory" if len(told) == 1 else f"{len(told)} trajectories"
    typer.echo(f"{out}: {what} told in full, {out.stat().st_size / 2**20:.1f} MB")


def _rewards(runs: list[Path]) -> "Rewards":
    """Terms of the training reward by the held-out judge, for trajectories of some runs."""
    from anomalyagent.configs.schema import Settings
    from anomalyagent.graph.locate import find_run
    from anomalyagent.graph.runfile import read_run_file
    from anomalyagent.graph.viewer.story import RewardTerm
    from anomalyagent.training.judging import JudgeSettings, make_judge
    from anomalyagent.training.rewards import RewardWeights, reward

    folders = {file.run_id: (folder, file.settings) for folder in map(find_run, runs) if (file := read_run_file(folder))}
    weights, known = RewardWeights(), dict[str, "Trajectory"]()

    @lru_cache(maxsize=256)
    def terms(key: str) -> "tuple[RewardTerm, ...]":
        trajectory = known.pop(key)
        folder, settings = folders.get(trajectory.run_id, (None, Settings()))
        if folder is None:
            return ()
        judged = make_judge(JudgeSettings(), settings).scores(trajectory, folder)
        found = reward(trajectory, judged, weights)
        whole = [RewardTerm(None, name, getattr(found, name)) for name in ("total", "task", "reflection", "behaviour")]
        turns = [
            RewardTerm(turn.index, name, value)
            for turn in found.turns
            for name in ("task", "reflection", "behaviour")
            if (value := float(getattr(turn, name)))
        ]
        return (*whole, *turns)

    def of(trajectory: "Trajectory") -> "Sequence[RewardTerm]":
        key = f"{trajectory.run_id}/{trajectory.id}/{len(trajectory.turns)}/{trajectory.seconds}"
        known[key] = trajectory
        return terms(key)

    return of
