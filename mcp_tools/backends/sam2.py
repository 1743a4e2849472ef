"""mask_gen with SAM 2 or SAM 3 through transformers, asked with points and boxes; see `sam_votes.py`.

    SAM 2   facebook/sam2.1-hiera-tiny, -small, -base-plus, -large (Ravi et al. 2024)
    SAM 3   facebook/sam3, its tracker, which takes points and boxes (Carion et al. 2025)

The architecture is read off config.json. Nothing is downloaded by a run unless `local_files_only` is false.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option

from anomalyagent.errors import BackendUnavailableError
from anomalyagent.mcp_tools.backends.options import choose_device, read_options
from anomalyagent.mcp_tools.backends.pretrained import find_pretrained, reason_of
from anomalyagent.mcp_tools.backends.sam_votes import Predictor, VotedMask, VoteOptions
from anomalyagent.mcp_tools.modules import missing_modules

__all__ = ["Sam2Mask", "Sam2Options"]

BACKEND = "mask_gen backend 'sam2'"
# model_type of config.json -> model and processor for one picture, points and boxes
_KINDS = {
    "sam2": ("Sam2Model", "Sam2Processor"),
    "sam2_video": ("Sam2Model", "Sam2Processor"),
    "sam3": ("Sam3TrackerModel", "Sam3TrackerProcessor"),
    "sam3_video": ("Sam3TrackerModel", "Sam3TrackerProcessor"),
    "sam3_tracker": ("Sam3TrackerModel", "Sam3TrackerProcessor"),
    "sam3_tracker_video": ("Sam3TrackerModel", "Sam3TrackerProcessor"),
}


class Sam2Options(VoteOptions):
    """Options of mask_gen backend `sam2`."""

    model: str = Option(min_length=1, description="folder or Hugging Face id, such as facebook/sam2.1-hiera-large")
    revision: str | None = Option(default=None, description="Branch, tag or commit of a Hugging Face id.")
    local_files_only: bool = Option(default=True, description="False: files that are not in the local cache are downloaded.")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Option(
        default="auto", description="auto: bfloat16 on a GPU, float32 on the CPU."
    )


class Sam2Mask(VotedMask):
    """Masks by SAM 2 or 3 and the visible change. The model is loaded on the first call. Options: see `Sam2Options`."""

    name = "sam2"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        """Check the options and that the model is there.

        Raises:
            ConfigError: an option is unknown, missing or out of range.
            BackendUnavailableError: the model is not on this machine, or there is no GPU where one is asked for.
        """
        self.options = read_options(Sam2Options, BACKEND, options)
        self._source = find_pretrained(
            BACKEND,
            self.options.model,
            "config.json",
            "model of transformers",
            revision=self.options.revision,
            local_files_only=self.options.local_files_only,
        )
        if self.options.device == "cuda":
            choose_device("cuda", BACKEND)
        super().__init__(self.options)

    @classmethod
    def missing(cls) -> str | None:
        """What has to be installed, in one line."""
        return missing_modules(("torch", "torchvision", "transformers"), "sam2")

    def load(self) -> Predictor:
        """See `VotedMask`."""
        import torch

        transformers: Any = import_module("transformers")
        device = choose_device(self.options.device, BACKEND)
        wanted = self.options.dtype if self.options.dtype != "auto" else "bfloat16" if device == "cuda" else "float32"
        source = {"revision": self.options.revision, "local_files_only": self.options.local_files_only}
        transformers.utils.logging.disable_progress_bar()  # servers and runs show their own
        try:
            kind = str(transformers.PreTrainedConfig.get_config_dict(self._source, **source)[0].get("model_type"))
            if kind not in _KINDS:
                raise BackendUnavailableError(
                    f"{BACKEND}: '{self.options.model}' is a model of type {kind!r}, which takes no points and boxes here; "
                    f"known: {', '.join(_KINDS)}. For the first SAM use backend sam."
                )
            model, processor = (getattr(transformers, name) for name in _KINDS[kind])
            loaded = model.from_pretrained(self._source, dtype=getattr(torch, wanted), **source)
            prepare = processor.from_pretrained(self._source, **source)
        except (OSError, ValueError, ImportError, RuntimeError, AttributeError) as error:
            raise BackendUnavailableError(
                f"{BACKEND}: model '{self.options.model}' cannot be loaded: {reason_of(error)}"
            ) from error
        return _Asked(loaded.to(device).eval(), prepare)


class _Asked:
    """A model of transformers behind the interface of segment-anything's predictor."""

    def __init__(self, model: Any, processor: Any) -> None:
        self._model, self._processor = model, processor
        self._seen: Any = None
        self._size = (0, 0)

    def set_image(self, image: NDArray[np.uint8]) -> None:
        import torch

        self._size = image.shape[:2]
        shown = self._processor(images=image, return_tensors="pt").to(self._model.device)
        with torch.inference_mode():
            self._seen = self._model.get_image_embeddings(shown["pixel_values"].to(self._model.dtype))

    def predict(
        self,
        point_coords: NDArray[np.float32] | None = None,
        point_labels: NDArray[np.int32] | None = None,
        box: NDArray[np.float32] | None = None,
        *,
        multimask_output: bool = True,
    ) -> tuple[Any, Any, Any]:
        import torch

        asked: dict[str, Any] = {}
        if point_coords is not None and point_labels is not None:
            asked |= {"input_points": [[point_coords.tolist()]], "input_labels": [[point_labels.tolist()]]}
        if box is not None:
            asked["input_boxes"] = [[box.tolist()]]
        given = self._processor(original_sizes=[list(self._size)], return_tensors="pt", **asked).to(self._model.device)
        given.pop("original_sizes")
        with torch.inference_mode():
            answer = self._model(image_embeddings=self._seen, multimask_output=multimask_output, **given)
        masks = self._processor.post_process_masks(answer.pred_masks.float().cpu(), [list(self._size)])[0][0]
        return masks.numpy().astype(bool), answer.iou_scores[0, 0].float().cpu().numpy(), None
