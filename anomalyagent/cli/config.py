"""`anomalyagent config`: what the settings are and where each came from."""

import json
from collections.abc import Iterator
from typing import Any

import typer
from pydantic import BaseModel

from anomalyagent.cli.options import ConfigOption, JsonOption, SetOption

__all__ = ["app"]

app = typer.Typer(help="Show the settings.", no_args_is_help=True)


@app.command()
def show(config: ConfigOption = None, sets: SetOption = None, as_json: JsonOption = False) -> None:
    """All settings as they would be used, each with its meaning and, when it is not a default, the layer that set it."""
    from anomalyagent.configs.loading import dump_settings, load_layers

    settings, origin = load_layers(config, sets or ())
    if as_json:
        typer.echo(json.dumps(dump_settings(settings), indent=2))
        return
    for line in _yaml_lines(settings, origin, "", 0):
        typer.echo(line)


@app.command("list")
def list_shipped() -> None:
    """Names of the settings files that come with the package."""
    from anomalyagent.configs.loading import shipped_configs

    for name in sorted(shipped_configs()):
        typer.echo(name)


def _yaml_lines(section: BaseModel, origin: dict[str, str], prefix: str, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, info in type(section).model_fields.items():
        key, value = f"{prefix}{name}", getattr(section, name)
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:"
            yield from _yaml_lines(value, origin, f"{key}.", depth + 1)
            continue
        source = next((layer for k, layer in origin.items() if k == key or k.startswith(f"{key}.")), None)
        remark = " ".join(filter(None, [info.description, f"[{source}]" if source else None]))
        yield f"{indent}{name}: {_scalar(section.model_dump(mode='json')[name])}" + (f"  # {remark}" if remark else "")


def _scalar(value: Any) -> str:
    # JSON is YAML; only plain words look better without quotes
    return value if isinstance(value, str) and value.isidentifier() else json.dumps(value, ensure_ascii=False)
