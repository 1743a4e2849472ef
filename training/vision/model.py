"""Loading a model that sees, with our chat template on its processor, and freezing what sees.

`model.model.visual` is Qwen3-VL's vision encoder; its mergers are the projector into the language model and stay trainable.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from anomalyagent.errors import BackendUnavailableError, ConfigError
from anomalyagent.training.conversation import CHAT_TEMPLATE, RESPONSE_TEMPLATE
from anomalyagent.training.vision.settings import VisionModel

__all__ = ["Seeing", "load_seeing"]

_PROJECTOR = "merger"


class Seeing(NamedTuple):
    """A model and its processor."""

    model: Any
    processor: Any


def load_seeing(settings: VisionModel) -> Seeing:
    """Load model and processor, the vision encoder frozen.

    Raises:
        BackendUnavailableError: the model is not here, or its files are damaged.
        ConfigError: it is no model that sees as Qwen3-VL does.
    """
    given: dict[str, Any] = {"revision": settings.revision, "local_files_only": settings.local_files_only}
    dtype = torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
    extra = {"attn_implementation": settings.attention} if settings.attention else {}
    try:
        model: Any = AutoModelForImageTextToText.from_pretrained(settings.name, dtype=dtype, **given, **extra)
        processor: Any = AutoProcessor.from_pretrained(settings.name, **given)
    except (OSError, ValueError, ImportError) as error:
        where = "" if Path(settings.name).is_dir() or not settings.local_files_only else " Download it first, or set "
        hint = f"{where}model.local_files_only to false." if where else ""
        raise BackendUnavailableError(f"the model '{settings.name}' cannot be loaded: {error}.{hint}") from error
    _freeze_vision(model, settings.name)
    _prepare_processor(processor, settings.most_pixels)
    return Seeing(model, processor)


def _freeze_vision(model: Any, name: str) -> None:
    """Leave only projector and language model to be trained.

    Raises:
        ConfigError: there is no vision encoder where Qwen3-VL has it.
    """
    visual = getattr(getattr(model, "model", None), "visual", None)
    if visual is None:
        raise ConfigError(f"{name} has no vision encoder at model.visual: use a model of the Qwen3-VL family.")
    for key, parameter in visual.named_parameters():
        parameter.requires_grad_(_PROJECTOR in key)


def _prepare_processor(processor: Any, most_pixels: int) -> None:
    """Our chat template both ways, and images of at most so many pixels."""
    processor.chat_template = CHAT_TEMPLATE
    processor.tokenizer.chat_template = CHAT_TEMPLATE
    processor.tokenizer.response_template = RESPONSE_TEMPLATE
    size = dict(processor.image_processor.size)
    least = min(int(size.get("shortest_edge") or most_pixels), most_pixels)
    processor.image_processor.size = {"shortest_edge": least, "longest_edge": most_pixels}
