"""Reads a training configuration: one YAML file, by path or by the name of a shipped one, with single values changed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from anomalyagent.configs.faults import first_fault
from anomalyagent.configs.loading import read_pair
from anomalyagent.errors import ConfigError

__all__ = ["read_training"]

_FREE = "settings."
"""Below it keys are written with their dots, as those of the main configuration."""

Kind = TypeVar("Kind", bound=BaseModel)


def read_training(kind: type[Kind], file: str | Path, shipped: Mapping[str, Path], sets: Sequence[str], example: str) -> Kind:
    """The settings of a training.

    Args:
        file: a YAML file, or a name in `shipped`.
        sets: `dotted.key=value`; `example`: one of them, for the message about a pair that is none.
    Raises:
        ConfigError: it cannot be read, or a value is unknown or out of range.
    """
    path = Path(file) if Path(file).is_file() else shipped.get(str(file), Path(file))
    try:
        tree: Any = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"training configuration '{file}' cannot be read: {why}. Give a file, or a shipped one: {', '.join(shipped)}."
        ) from error
    if not isinstance(tree, dict):
        raise ConfigError(f"training configuration '{file}' must hold keys and values.")
    for pair in sets:
        _put(tree, *read_pair(pair, example))
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        fault = first_fault(error, "the file")
        if fault.kind == "extra_forbidden":
            raise ConfigError(f"training configuration '{file}': unknown setting '{fault.where}'.") from error
        raise ConfigError(f"training configuration '{file}': {fault}; got {fault.received!r}.") from error


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".") if not key.startswith(_FREE) else [_FREE[:-1], key.removeprefix(_FREE)]
    branch: Any = tree
    for number, name in enumerate(above, 1):
        branch = branch.setdefault(name, {})
        if not isinstance(branch, dict):
            raise ConfigError(f"--set {key}: '{'.'.join(above[:number])}' is {branch!r} and has no keys below it.")
    branch[last] = value
