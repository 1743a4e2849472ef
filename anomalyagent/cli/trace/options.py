"""Options that the commands about trajectories share, and what they mean together."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

if TYPE_CHECKING:
    from anomalyagent.configs.schema import Settings
    from anomalyagent.graph.trace import Trajectory

__all__ = [
    "ApproveOption",
    "BackendOption",
    "BaseConfigOption",
    "PolicyOption",
    "RunArgument",
    "SettingOption",
    "TrajectoryArgument",
    "TrustOption",
    "changed_settings",
    "parse_changes",
]

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.", show_default=False)]
TrajectoryArgument = Annotated[
    Path, typer.Argument(metavar="RUN/ID", help="A trajectory, e.g. runs/nuts/scratch-00003.", show_default=False)
]
ApproveOption = Annotated[
    list[str] | None,
    typer.Option(metavar="TOOL", help="Pause before each call of this tool and ask: image_gen, mask_gen, ...; repeatable."),
]
PolicyOption = Annotated[str | None, typer.Option(metavar="NAME", help="Another policy (policy.name).")]
BackendOption = Annotated[
    list[str] | None, typer.Option(metavar="TOOL=NAME", help="Another backend, e.g. image_gen=diffusers; repeatable.")
]
SettingOption = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="Any other setting, e.g. limits.rounds=5; repeatable.")
]
TrustOption = Annotated[
    bool, typer.Option("--trust", help="Also use servers, models and backends that the run's own settings name.")
]
BaseConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="YAML settings laid over those of the trajectory.")
]


def changed_settings(
    run_dir: Path,
    trajectory: "Trajectory",
    config: Path | None,
    policy: str | None,
    backends: Sequence[str] | None,
    settings: Sequence[str] | None,
) -> "Settings | None":
    """The settings of a trajectory with those changes; None when there are none."""
    from anomalyagent.configs.loading import load_layers
    from anomalyagent.configs.schema import Settings
    from anomalyagent.graph.fork_start import settings_of

    if not (config or policy or backends or settings):
        return None
    tree = settings_of(run_dir, trajectory).model_dump()
    for pair in backends or ():
        tool, equals, name = pair.partition("=")
        if not equals or tool not in tree["tools"]:
            known = ", ".join(tree["tools"])
            raise typer.BadParameter(f"'{pair}' is not TOOL=NAME; the tools are {known}.", param_hint="--backend")
        # options belong to the backend that they were written for
        tree["tools"][tool] |= {"backend": name, "options": {}, "server": None}
    if policy:
        tree["policy"] = {"name": policy, "options": {}}
    return load_layers(config, settings or (), {}, base=Settings.model_validate(tree)).settings


def parse_changes(pairs: Sequence[str], hint: str = "--set") -> dict[str, Any]:
    """`spec.severity=2` as path and value; values are read as YAML."""
    changes: dict[str, Any] = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not equals or not path.strip():
            raise typer.BadParameter(f"'{pair}' is not PATH=VALUE, e.g. spec.severity=2 or score=4.", param_hint=hint)
        try:
            changes[path.strip()] = yaml.safe_load(text)
        except yaml.YAMLError:
            changes[path.strip()] = text
    return changes
