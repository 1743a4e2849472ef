"""The settings of a training of a model that sees, one YAML file in `configs/train/vision/`.

model     which one, and what of it is trained: projector and language model, never the vision encoder (as in the paper)
rows      folder of `traces export --format sft` (SFT)
practice, judge, rewards, settings   as in every training (training/settings.py) (GRPO)
trainer   arguments of TRL's SFTConfig or GRPOConfig, by their own names: learning_rate, num_train_epochs, use_vllm, ...
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from anomalyagent.errors import ConfigError
from anomalyagent.training.configuration import read_training
from anomalyagent.training.judging import JudgeSettings
from anomalyagent.training.practice import PracticeSettings
from anomalyagent.training.rewards import RewardWeights
from anomalyagent.training.settings import TrainSettings

__all__ = ["VisionModel", "VisionSettings", "load_vision_settings", "shipped_vision_trainings"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VisionModel(_Section):
    """A model that reads images."""

    name: str = Field(min_length=1, description="Folder or Hugging Face id.")
    revision: str | None = Field(default=None, description="Branch, tag or commit of an id.")
    local_files_only: bool = Field(default=True, description="False: files that are not in the local cache are downloaded.")
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    attention: str | None = Field(default=None, description="attn_implementation, e.g. flash_attention_2.")
    most_pixels: int = Field(default=256 * 256, ge=32 * 32, description="Larger images are shown smaller: they cost most.")
    longest: int = Field(default=16384, ge=256, description="Conversations of more tokens, images included, are left out.")


class VisionSettings(_Section):
    """All of a training."""

    stage: Literal["sft", "grpo"]
    seed: int = Field(default=0, ge=0)
    model: VisionModel
    rows: Path | None = Field(default=None, description="SFT: folder with train.parquet.")
    system: bool = Field(default=True, description="GRPO: begin with the tools and the format, as the rows of SFT did.")
    tasks: int = Field(default=1030, ge=1, description="GRPO: practice tasks; the paper has 1,030.")
    practice: PracticeSettings | None = None
    settings: dict[str, Any] = Field(default_factory=dict, description="Of tools and limits, dotted keys.")
    judge: JudgeSettings = JudgeSettings()
    rewards: RewardWeights = RewardWeights()
    trainer: dict[str, Any] = Field(default_factory=dict, description="Arguments of TRL's config.")

    def live(self) -> TrainSettings:
        """What the live environment needs of them.

        Raises:
            ConfigError: no practice tasks are named.
        """
        if self.practice is None:
            raise ConfigError("GRPO practises on tasks: name their sources under `practice`, as configs/train/tiny.yaml does.")
        return TrainSettings(
            seed=self.seed, settings=self.settings, practice=self.practice, judge=self.judge, rewards=self.rewards
        )


def shipped_vision_trainings() -> dict[str, Path]:
    """Name -> file of the configurations that come with the package."""
    from importlib import resources

    folder = Path(str(resources.files("anomalyagent.configs") / "train" / "vision"))
    return {path.stem: path for path in sorted(folder.glob("qwen3vl_*.yaml"))}


def load_vision_settings(file: str | Path, sets: tuple[str, ...] = ()) -> VisionSettings:
    """Read a training configuration.

    Args:
        file: a YAML file, or the name of a shipped one.
        sets: `dotted.key=value`, e.g. `trainer.learning_rate=1e-6`.
    Raises:
        ConfigError: it cannot be read, or a value is unknown or out of range.
    """
    return read_training(VisionSettings, file, shipped_vision_trainings(), sets, "trainer.learning_rate=1e-6")
