"""What backends with extras share: reading and checking their options, choosing a device.

Nothing here loads torch before a device is chosen.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from anomalyagent.configs.faults import faults_of, tell_option
from anomalyagent.errors import BackendUnavailableError, ConfigError

__all__ = ["BackendOptions", "Device", "check_words", "choose_device", "read_options"]

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
        said = [tell_option(fault, kind) for fault in faults_of(error)]
        known = ", ".join(kind.model_fields)
        raise ConfigError(f"{backend}: {'; '.join(said)}. Known options: {known}.") from error


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


def check_words(template: str) -> str:
    """`template`, when {prompt} and {mechanism} are all that it wants filled in."""
    try:
        template.format(prompt="", mechanism="")
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError("only {prompt} and {mechanism} can be filled in") from error
    return template
