"""The paper's two ablations, on policies.

    parts      the expert with parts taken away, then the learned policies: nothing, QE+KR, PG, PG+QE, PG+QE+KR, +SFT, +RL
    rewards    GRPO from the same start with R_task alone, R_task + R_ref, all three; `none` is the SFT policy

The rules demand prompt_gen first and a judged image before its mask, so a part is taken away by not using what it says:
without PG the image is drawn from the words of the task; without QE there is one round, and its image is kept whatever its
score; without KR nothing is looked up.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from anomalyagent.graph.policies.base import Decision
from anomalyagent.graph.policies.expert import ExpertPolicy
from anomalyagent.graph.progress import View
from anomalyagent.graph.trace import ToolCall
from anomalyagent.knowledge.words import parse_prompt
from anomalyagent.training.rewards import RewardWeights
from anomalyagent.training.settings import TrainSettings

__all__ = ["PARTS", "PartsPolicy", "train_reward_variants"]

PARTS = ("nothing", "QE+KR", "PG", "PG+QE", "PG+QE+KR", "tiny-sft", "tiny-grpo")
"""Policies of the first table, in the paper's order."""
_TERMS = {"task": ("beta", "gamma"), "task+reflection": ("gamma",), "all": ()}


class PartsPolicy:
    """The expert with the parts that its options name: `parts`, with `+` between PG, QE and KR."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.name = str(options["parts"])
        self._parts = set(self.name.split("+"))
        self.rounds = None if "QE" in self._parts else 1
        self._expert = ExpertPolicy({})

    async def decide(self, view: View) -> Decision:
        """The expert's turn, without what it must not use.

        Raises:
            PolicyError: as of the expert.
        """
        if "KR" not in self._parts:
            view = _as_if_asked(view)
        decision = await self._expert.decide(view)
        call = decision.action
        if "PG" not in self._parts and isinstance(call, ToolCall) and call.name == "image_gen" and not view.progress.rounds:
            words = f"a {view.task.anomaly_type} on the {view.task.item_name}"
            spec = parse_prompt(words).model_dump(mode="json", exclude_none=True, exclude={"seed"})
            arguments = {"image": 1, "prompt": words, "spec": spec}
            return Decision("From the words alone.", ToolCall(name="image_gen", arguments=arguments))
        return decision


def _as_if_asked(view: View) -> View:
    """The view in which knowledge was asked for in vain, so that the expert does not ask."""
    if view.progress.last is not None and "knowledge_retrieval" not in view.progress.failed:
        view.progress.failed.append("knowledge_retrieval")
    return view


def train_reward_variants(settings: TrainSettings, out: Path, tell: Callable[[str], None]) -> list[str]:
    """Train GRPO once for each set of reward terms, from the SFT policy in `out`.

    Returns:
        What `compare_policies` takes: NAME=FOLDER of each, `none` first.
    """
    from anomalyagent.training.tiny.grpo import run_grpo
    from anomalyagent.training.tiny.train import run_sft

    named = [f"none={run_sft(settings, out, tell)}"]
    for name, without in _TERMS.items():
        weights = RewardWeights.model_validate({**settings.rewards.model_dump(), **dict.fromkeys(without, 0.0)})
        variant = settings.model_copy(update={"rewards": weights})
        folder = "grpo" if name == "all" else f"grpo-{name.replace('+', '-')}"
        named.append(f"{name}={run_grpo(variant, out, tell, name=folder)}")
    return named
