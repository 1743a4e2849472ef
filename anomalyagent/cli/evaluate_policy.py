"""`anomalyagent evaluate policy` and `evaluate policy-ablation`: agents compared on the same unseen tasks."""

from pathlib import Path
from typing import Annotated

import typer

from anomalyagent.cli.evaluate_options import show_table
from anomalyagent.cli.evaluate_tables import app
from anomalyagent.cli.options import needing

__all__ = ["app"]

_Config = Annotated[str, typer.Option(metavar="FILE", help="Tasks to measure on: a training configuration, or a shipped one.")]
_Out = Annotated[Path, typer.Option(help="Markdown table; .json is written beside it, and .work to resume.")]
_Tasks = Annotated[int, typer.Option(min=2, help="Tasks of each seed.")]
_Seeds = Annotated[int, typer.Option(min=1, help="Sets of tasks.")]


@app.command()
def policy(
    out: _Out,
    policies: Annotated[
        str,
        typer.Option(
            help="Commas between: expert, expert-tries, scripted, random, tiny-sft, tiny-grpo, or NAME=FOLDER of a model."
        ),
    ] = "tiny-grpo,tiny-sft,expert,expert-tries,scripted,random",
    config: _Config = "evaluation",
    tasks: _Tasks = 60,
    seeds: _Seeds = 3,
    sets: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the tasks.")] = None,
) -> None:
    """How often, how fast and how legally each policy makes a good sample, with confidence intervals.

    The same command again resumes: no episode is played twice.
    """
    from anomalyagent.training.evaluation.policy import PolicyComparison, compare_policies
    from anomalyagent.training.settings import load_train_settings

    names = [name.strip() for name in policies.split(",") if name.strip()]
    settings = load_train_settings(config, tuple(sets or ()))
    compare_policies(PolicyComparison(names, settings, out, tasks, seeds), typer.echo)
    show_table(out)


@app.command("policy-ablation")
def policy_ablation(
    out: _Out,
    parts: Annotated[bool, typer.Option("--parts/--rewards", help="What each part of the agent brings, or each reward term.")],
    training: Annotated[
        Path, typer.Option(help="Folder of `train sft`; the reward ablation trains its variants there.")
    ] = Path("runs/tiny"),
    train_config: Annotated[str, typer.Option(metavar="FILE", help="Configuration of that training.")] = "tiny",
    config: _Config = "evaluation",
    tasks: _Tasks = 60,
    seeds: _Seeds = 3,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the training.")
    ] = None,
) -> None:
    """The paper's two ablations: parts (PG, QE, KR, SFT, RL), or reward terms (none, task, + reflection, + behaviour)."""
    with needing("train"):
        from anomalyagent.training.evaluation.policy import PolicyComparison, compare_policies
        from anomalyagent.training.evaluation.policy_ablation import PARTS, train_reward_variants
        from anomalyagent.training.settings import load_train_settings

    names = (
        list(PARTS)
        if parts
        else train_reward_variants(load_train_settings(train_config, tuple(sets or ())), training, typer.echo)
    )
    compare_policies(PolicyComparison(names, load_train_settings(config), out, tasks, seeds), typer.echo)
    show_table(out)
