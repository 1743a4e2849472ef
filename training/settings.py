"""The settings of a training, one YAML file in `configs/train/`; every value has a default but the sources of the tasks.

practice   where tasks come from            (practice.py)      judge, rewards   what is rewarded  (judging.py, rewards.py)
settings   of tools and limits, as dotted keys                 model, sft, grpo what is trained, and how
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from anomalyagent.configs.loading import load_settings
from anomalyagent.configs.schema import Settings
from anomalyagent.training.configuration import read_training
from anomalyagent.training.judging import JudgeSettings
from anomalyagent.training.practice import PracticeSettings
from anomalyagent.training.rewards import RewardWeights

__all__ = ["GRPOSettings", "SFTSettings", "TinyModelSettings", "TrainSettings", "load_train_settings", "shipped_trainings"]

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TinyModelSettings(_Section):
    """Size of a policy from scratch."""

    vocabulary: Annotated[int, Field(ge=512)] = 1536
    width: Positive = 128
    layers: Positive = 4
    heads: Positive = 4
    inner: Positive = 384
    longest: Positive = Field(default=4096, description="Most tokens of a conversation.")


class SFTSettings(_Section):
    """Imitation of the teacher."""

    trajectories: Positive = Field(default=2000, description="Practice trajectories that are collected.")
    explore: Annotated[float, Field(ge=0, le=1)] = Field(default=0.5, description="Share of specs that the teacher moves.")
    longest: Positive = Field(default=700, description="Longer conversations are left out; they cost most and teach no more.")
    epochs: Positive = 3
    batch: Positive = 8
    learning_rate: Rate = 2e-3
    warmup: Annotated[float, Field(ge=0, lt=1)] = Field(default=0.05, description="Share of the steps.")
    save_every: Positive = 100


class GRPOSettings(_Section):
    """Group relative policy optimization."""

    steps: Positive = 60
    tasks: Positive = Field(default=8, description="Tasks of a step.")
    rollouts: Annotated[int, Field(ge=2)] = Field(default=8, description="Of each task; a group.")
    temperature: Annotated[float, Field(gt=0)] = 1.0
    learning_rate: Rate = 1e-4
    clip: Annotated[float, Field(gt=0)] = 0.2
    kl: Annotated[float, Field(ge=0)] = Field(default=0.02, description="Weight of the divergence from the SFT policy.")
    replay: Annotated[int, Field(ge=0)] = Field(
        default=128, description="Rollouts kept, to fill up steps whose groups were dropped for equal rewards."
    )
    micro_batch: Positive = 16
    turn_tokens: Positive = Field(default=200, description="Room kept for a turn; a conversation without it is ended.")
    save_every: Positive = 5


class TrainSettings(_Section):
    """All of a training."""

    kind: Literal["tiny"] = "tiny"
    seed: Annotated[int, Field(ge=0)] = 0
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Of tools and limits, e.g. {tools.quality_eval.threshold: 8}."
    )
    practice: PracticeSettings
    judge: JudgeSettings = JudgeSettings()
    rewards: RewardWeights = RewardWeights()
    model: TinyModelSettings = TinyModelSettings()
    sft: SFTSettings = SFTSettings()
    grpo: GRPOSettings = GRPOSettings()

    def tools(self) -> Settings:
        """Settings of tools and limits, over the defaults."""
        return load_settings(sets=[f"{key}={yaml.safe_dump(value).strip()}" for key, value in self.settings.items()], env={})


def shipped_trainings() -> dict[str, Path]:
    """Name -> file of the training configurations that come with the package."""
    from importlib import resources

    folder = Path(str(resources.files("anomalyagent.configs") / "train"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_train_settings(file: str | Path, sets: tuple[str, ...] = ()) -> TrainSettings:
    """Read a training configuration.

    Args:
        file: a YAML file, or the name of a shipped one.
        sets: `dotted.key=value`, e.g. `grpo.steps=5`.
    Raises:
        ConfigError: it cannot be read, or a value is unknown or out of range.
    """
    return read_training(TrainSettings, file, shipped_trainings(), sets, "grpo.steps=5")
