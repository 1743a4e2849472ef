"""What backends with extras share: reading their options, naming modules that are missing, choosing a device.

Nothing here loads torch before a device is chosen.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from anomalyagent.configs.faults import faults_of
from anomalyagent.errors import BackendUnavailableError, ConfigError

__all__ = ["BackendOptions", "Device", "choose_device", "missing_modules", "read_options"]

Device = Literal["auto", "cpu", "cuda"]


class BackendOptions(BaseModel):
    """Base of the options of one backend: names that it does not know are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Options = TypeVar("Options", bound=BaseModel)


def read_options(kind: type[Options], backend: str, options: Mapping[str, Any] | None) -> Options:
    """Check the options of a backend.

    Args:
        backend: its name for messages, such as "image_gen backend 'diffusers'".
    Raises:
        ConfigError: an option is unknown, missing or out of range; the message names it and all known ones.
    """
    try:
        return kind.model_validate(dict(options or {}))
    except ValidationError as error:
        said: list[str] = []
        for fault in faults_of(error):
            name = fault.where
            if fault.kind == "extra_forbidden":
                said.append(f"unknown option {name!r}")
            elif fault.kind == "missing":
                about = kind.model_fields[name].description if name in kind.model_fields else None
                said.append(f"option {name!r} is not set{f' ({about})' if about else ''}")
            else:
                said.append(f"option {name!r}: {fault.problem}, got {fault.received!r}")
        known = ", ".join(kind.model_fields)
        raise ConfigError(f"{backend}: {'; '.join(said)}. Known options: {known}.") from error


def missing_modules(modules: Sequence[str], extra: str) -> str | None:
    """The line that says which of `modules` are not installed and how to install them; None when all are there."""
    absent = [name for name in modules if not _is_there(name)]
    if not absent:
        return None
    return f"not installed: {', '.join(absent)}. Run: pip install 'anomalyagent[{extra}]'"


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is not there either
        return False


def choose_device(wanted: Device, backend: str) -> Literal["cpu", "cuda"]:
    """The device to use; `auto` takes the GPU when there is one.

    Raises:
        BackendUnavailableError: cuda is asked for and there is no usable GPU.
    """
    if wanted == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise BackendUnavailableError(
            f"{backend} is set to device 'cuda', but torch {torch.__version__} sees no usable GPU here. "
            "Set its option device to auto or cpu, or install a driver and a torch build that fit the GPU."
        )
    return "cpu"
