"""mask_gen with Segment Anything (Kirillov et al. 2023), a checkpoint of the segment-anything package; see `sam_votes.py`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field as Option

from anomalyagent.configs.paths import expand_home
from anomalyagent.errors import BackendUnavailableError
from anomalyagent.mcp_tools.backends.options import choose_device, read_options
from anomalyagent.mcp_tools.backends.sam_checkpoint import ModelType, load_sam
from anomalyagent.mcp_tools.backends.sam_votes import Predictor, VotedMask, VoteOptions
from anomalyagent.mcp_tools.modules import missing_modules

__all__ = ["SamMask", "SamOptions"]

BACKEND = "mask_gen backend 'sam'"


class SamOptions(VoteOptions):
    """Options of mask_gen backend `sam`."""

    checkpoint: Path = Option(description="file of segment-anything, such as sam_vit_b_01ec64.pth")
    model_type: ModelType = Option(default="auto", description="auto: read off the checkpoint; else it must be of that type.")


class SamMask(VotedMask):
    """Masks by SAM and the visible change. The checkpoint is loaded on the first call. Options: see `SamOptions`."""

    name = "sam"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        """Check the options and that the checkpoint is there.

        Raises:
            ConfigError: an option is unknown, missing or out of range.
            BackendUnavailableError: the checkpoint does not exist, or there is no GPU where one is asked for.
        """
        self.options = read_options(SamOptions, BACKEND, options)
        self._path = expand_home(self.options.checkpoint)
        if not self._path.is_file():
            raise BackendUnavailableError(
                f"{BACKEND}: there is no checkpoint '{self.options.checkpoint}'. Download one, for example "
                "https://dl.fbaipublicfiles.com/segment_anything/sam_vit_b_01ec64.pth, and set option checkpoint to it."
            )
        if self.options.device == "cuda":
            choose_device("cuda", BACKEND)
        super().__init__(self.options)

    @classmethod
    def missing(cls) -> str | None:
        """What has to be installed, in one line."""
        return missing_modules(("torch", "torchvision", "segment_anything"), "sam")

    def load(self) -> Predictor:
        """See `VotedMask`."""
        from segment_anything import SamPredictor

        device = choose_device(self.options.device, BACKEND)
        predictor: Any = SamPredictor(load_sam(self._path, self.options.model_type, device, BACKEND))
        return predictor
