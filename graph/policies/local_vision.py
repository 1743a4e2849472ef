"""The `local` policy on a model that sees: Qwen3-VL and its like, with every image of the conversation where it was made."""

from dataclasses import replace
from typing import Any

import numpy as np

from anomalyagent.errors import ImageError, PolicyError
from anomalyagent.graph.policies.local_transformers import draw_tokens, loading
from anomalyagent.graph.progress import View
from anomalyagent.graph.wire import converse, render
from anomalyagent.mcp_tools.imaging.photo import read_own_photo

__all__ = ["SeeingEngine", "is_seeing", "show_images"]

_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"


def is_seeing(model: str) -> bool:
    """Whether a model (folder or id) has a vision encoder.

    Raises:
        PolicyError: the libraries or the model are missing.
    """
    with loading(model):
        from transformers import AutoConfig

        return hasattr(AutoConfig.from_pretrained(model), "vision_config")


def show_images(view: View) -> str:
    """The conversation up to the model's next turn, with a place for each image, as `training.vision` trains it."""
    messages = [replace(one, text=_IMAGE * len(one.images) + one.text) for one in converse(view)]
    return render(messages, start_turn=True)


class SeeingEngine:
    """Writes turns with `generate`, unconstrained; an unreadable turn comes back to the model as an observation.

    Args:
        model: folder or id, as `is_seeing` found it.
    Raises:
        PolicyError: the model cannot be loaded.
    """

    def __init__(self, model: str, temperature: float, max_new_tokens: int) -> None:
        with loading(model):
            import torch
            from transformers import AutoModelForImageTextToText, AutoProcessor

            self._processor: Any = AutoProcessor.from_pretrained(model)
            loaded: Any = AutoModelForImageTextToText.from_pretrained(model, dtype="auto")
        self._model: Any = loaded.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self._temperature, self._most = temperature, max_new_tokens
        self._end: int = self._processor.tokenizer.convert_tokens_to_ids("<|im_end|>")

    def write(self, view: View, text: str, seed: int) -> str:
        """The text of the next turn.

        Raises:
            PolicyError: an image of the conversation cannot be read.
        """
        del text  # it has no places for the images
        try:
            shown = [np.rint(255.0 * read_own_photo(view.workspace / one.ref).rgb) for one in view.images]
        except ImageError as error:
            raise PolicyError(f"an image of the conversation cannot be shown to the model: {error}") from error
        pictures = [picture.astype(np.uint8) for picture in shown]
        read = self._processor(text=[show_images(view)], images=pictures, return_tensors="pt").to(self._model.device)
        written = draw_tokens(self._model, read, self._temperature, self._most, [self._end], seed)
        return str(self._processor.tokenizer.decode(written, skip_special_tokens=False))
