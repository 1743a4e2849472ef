"""GRPO of a model that sees, over the live tools: `training.grpo`'s trainer and environments, with images in what tools answer.

Groups whose rewards are all equal are dropped there. The paper's replay buffer of 128 is not here: TRL 1.16 has none, and its
private batches hold image patches of varying size (the tiny policy's own loop has one: `training.tiny.grpo`).
"""

from pathlib import Path
from typing import Any

from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig

from anomalyagent.knowledge.cards import load_cards
from anomalyagent.training.grpo import ToolGRPOTrainer, ToolRoom, make_environments, prompt_rows, reward_of_rollout
from anomalyagent.training.practice import Practice
from anomalyagent.training.vision.model import Seeing, load_seeing
from anomalyagent.training.vision.save import save_policy
from anomalyagent.training.vision.settings import VisionSettings
from anomalyagent.training.vision.sft import newest_whole, trainer_config

__all__ = ["train_vision_grpo"]


def train_vision_grpo(settings: VisionSettings, out: Path, root: Path, seeing: Seeing | None = None) -> Any:
    """Reward a model that sees on practice tasks; resumes from the newest checkpoint in `out`.

    Args:
        root: folder that photo folders of the practice are relative to.
        seeing: an already loaded model; unset: the settings' one.
    Returns:
        TRL's trainer.
    Raises:
        ConfigError: no practice is named, or an argument of the trainer is unknown.
        BackendUnavailableError: the model is missing.
    """
    live = settings.live()
    model, processor = seeing or load_seeing(settings.model)
    practice = Practice(live.practice, load_cards(()), root, settings.seed)
    config = trainer_config(GRPOConfig, settings, out)
    with ToolRoom(live, practice, out / "workspace", images=True) as room:
        trainer = ToolGRPOTrainer(
            model=model,
            args=config,
            train_dataset=Dataset.from_list(prompt_rows(0, settings.tasks, system=settings.system)),
            processing_class=processor,
            reward_funcs=[reward_of_rollout(room)],
            environment_factory=make_environments(room),
        )
        trainer.train(resume_from_checkpoint=newest_whole(out))
        save_policy(trainer, processor, out / "model", "grpo", {"tasks": settings.tasks})
    return trainer
