"""`anomalyagent train`: fit a policy to the tools: imitation first, then rewards on the live tools."""

from pathlib import Path
from typing import Annotated

import typer

from anomalyagent.cli.options import needing

__all__ = ["app"]

app = typer.Typer(help="Train a policy of your own (docs/training.md).", no_args_is_help=True)

_Config = Annotated[str, typer.Option(metavar="FILE", help="Training configuration: a YAML file, or a shipped one by name.")]
_Out = Annotated[Path, typer.Option(help="Folder of the training; the same command again resumes.")]
_Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value, e.g. grpo.steps=20.")]


@app.command()
def sft(config: _Config = "tiny", out: _Out = Path("runs/tiny"), sets: _Sets = None) -> None:
    """Collect the teacher's trajectories on practice tasks and imitate them."""
    from anomalyagent.training.settings import load_train_settings

    settings = load_train_settings(config, tuple(sets or ()))
    typer.echo("loading PyTorch and TRL")
    with needing("train"):
        from anomalyagent.training.tiny.train import run_sft

    run_sft(settings, out, typer.echo)


@app.command()
def grpo(config: _Config = "tiny", out: _Out = Path("runs/tiny"), sets: _Sets = None) -> None:
    """Reward the imitated policy on the live tools. Without one in the folder, `sft` is run first."""
    from anomalyagent.training.settings import load_train_settings

    settings = load_train_settings(config, tuple(sets or ()))
    typer.echo("loading PyTorch and TRL")
    with needing("train"):
        from anomalyagent.training.tiny.grpo import run_grpo
        from anomalyagent.training.tiny.train import run_sft

    run_sft(settings, out, typer.echo)
    run_grpo(settings, out, typer.echo)
