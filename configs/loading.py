"""Layered loading of the settings: defaults < file < environment < command line.

    file          YAML, the tree of `configs/schema.py`; a name without a path picks a shipped file (`default`, ...)
    environment   ANOMALYAGENT_LIMITS__ROUNDS=5          two underscores between levels, value read as YAML
    command line  --set limits.rounds=5                  dots between levels, value read as YAML

An unknown key in any layer is refused, with the layer it came from and the nearest known name.
"""

import os
import types
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from rapidfuzz import process

from anomalyagent.configs.faults import first_fault
from anomalyagent.configs.paths import expand_home
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ConfigError

__all__ = ["ENV_PREFIX", "Loaded", "dump_settings", "load_layers", "load_settings", "read_pair", "shipped_configs"]

ENV_PREFIX = "ANOMALYAGENT_"

Tree = dict[str, Any]


class Loaded(NamedTuple):
    """Settings and, for each dotted key that is not a default, the layer that set it."""

    settings: Settings
    origin: dict[str, str]


def load_settings(file: Path | None = None, sets: Sequence[str] = (), env: Mapping[str, str] | None = None) -> Settings:
    """Settings from all layers.

    Args:
        file: YAML file, or the name of a shipped one (`default`); None for no file.
        sets: `dotted.key=value` pairs, later wins.
        env: environment; None for the process's own.
    Raises:
        ConfigError: unreadable file, unknown key, or a value outside its type or range.
    """
    return load_layers(file, sets, env).settings


def load_layers(
    file: Path | None = None,
    sets: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    base: Settings | None = None,
) -> Loaded:
    """As `load_settings`, and says which layer set what.

    Args:
        base: what the layers are laid over, instead of the defaults.
    """
    merged: Tree = (base or Settings()).model_dump()
    origin: dict[str, str] = {}
    for layer, tree in _layers(file, sets, os.environ if env is None else env):
        _refuse_unknown(tree, layer)
        _merge(merged, tree)
        origin.update(dict.fromkeys(_leaves(tree), layer))
    try:
        return Loaded(Settings.model_validate(merged), origin)
    except ValidationError as error:
        fault = first_fault(error)
        layer = next((origin[k] for k in origin if fault.where.startswith(k)), "defaults")
        raise ConfigError(f"setting '{fault.where}' ({layer}): {fault.problem}; got {fault.received!r}.") from error


def dump_settings(settings: Settings) -> Tree:
    """The settings as plain data, ready for YAML or JSON."""
    return settings.model_dump(mode="json")


def shipped_configs() -> dict[str, str]:
    """Name -> text of the configuration files that come with the package."""
    folder = resources.files("anomalyagent.configs")
    return {f.name.removesuffix(".yaml"): f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".yaml")}


def _layers(file: Path | None, sets: Sequence[str], env: Mapping[str, str]) -> Iterator[tuple[str, Tree]]:
    if file is not None:
        yield str(file), _read_file(file)
    for name in sorted(env):
        if name.startswith(ENV_PREFIX):
            keys = name.removeprefix(ENV_PREFIX).lower().split("__")
            yield f"environment {name}", _nest(keys, _value(env[name], name))
    for pair in sets:
        key, value = read_pair(pair, "limits.rounds=5")
        yield f"--set {key}", _nest(key.split("."), value)


def read_pair(pair: str, example: str) -> tuple[str, Any]:
    """Key and value of `dotted.key=value`; the value is read as YAML.

    Raises:
        ConfigError: it is no such pair; `example` is one.
    """
    key, equals, text = pair.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f"--set needs key=value, got '{pair}'. Example: --set {example}")
    return key, _value(text, f"--set {key}")


def _read_file(file: Path) -> Tree:
    shipped, file = shipped_configs(), expand_home(file)
    if file.is_file():
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"config file '{file}' is not UTF-8 text: {error}. Save it as UTF-8.") from error
        except OSError as error:
            raise ConfigError(f"config file '{file}' cannot be read: {error}.") from error
    elif str(file) in shipped:
        text = shipped[str(file)]
    else:
        raise ConfigError(
            f"config file '{file}' does not exist. Give a path, or one of the shipped: {', '.join(sorted(shipped))}."
        )
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"config file '{file}' is not valid YAML: {error}.") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"config file '{file}' must hold keys and values, got a {type(tree).__name__}.")
    return cast(Tree, tree)


def _value(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: '{text}' is not a valid YAML value.") from error


def _nest(keys: Sequence[str], value: Any) -> Tree:
    tree: Any = value
    for key in reversed(keys):
        tree = {key: tree}
    return tree


def _merge(into: Tree, tree: Tree) -> None:
    for key, value in tree.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], cast(Tree, value))
        else:
            into[key] = value


def _leaves(tree: Tree, prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(cast(Tree, value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _refuse_unknown(tree: Tree, layer: str) -> None:
    model_keys = list(_model_keys(Settings))
    for key in _leaves(tree):
        known = any(key == k or k.startswith(f"{key}.") for k in model_keys)
        inside_free_dict = any(key.startswith(f"{k}.") for k in model_keys if k.endswith((".options", ".arguments", "prices")))
        if not known and not inside_free_dict:
            raise ConfigError(f"unknown setting '{key}' ({layer}). {_nearest(key, model_keys)}")


def _nearest(key: str, known: Sequence[str]) -> str:
    match = process.extractOne(key, known, score_cutoff=60)
    if match is None:
        return "`anomalyagent config show` lists all settings."
    return f"Did you mean '{match[0]}'? `anomalyagent config show` lists all settings."


def _model_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        section = _section(info.annotation)
        if section is None:
            yield f"{prefix}{name}"
        else:
            yield from _model_keys(section, f"{prefix}{name}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    candidates = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
