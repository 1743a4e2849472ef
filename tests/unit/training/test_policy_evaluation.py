"""Policies are compared on the same tasks, and what they are told apart by is right."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.conversations import Conversation
from helpers.photos import make_photos

from anomalyagent.errors import PolicyError
from anomalyagent.graph.policies.local import shipped_model
from anomalyagent.graph.rules import check
from anomalyagent.graph.trace import ToolCall
from anomalyagent.training.evaluation.policy import (
    PolicyComparison,
    RandomPolicy,
    compare_policies,
    make_compared,
    ratio_interval,
)
from anomalyagent.training.evaluation.policy_ablation import PartsPolicy
from anomalyagent.training.rewards import RewardWeights
from anomalyagent.training.settings import TrainSettings


def _settings(photos: Path) -> TrainSettings:
    return TrainSettings.model_validate(
        {
            "settings": {"limits.turns": 14},
            "practice": {"sources": [{"folder": str(photos), "item": "nut", "types": ["scratch", "dent"]}], "sizes_px": [64]},
        }
    )


def test_a_comparison_plays_each_task_once_and_says_who_is_better(tmp_path: Path) -> None:
    settings = _settings(make_photos(tmp_path / "photos", "part", count=2, size=64))
    told: list[str] = []
    chosen = PolicyComparison(["expert", "scripted", "random", "nothing"], settings, tmp_path / "table.md", tasks=3, seeds=1)
    first = compare_policies(chosen, told.append)
    assert len(told) == 4
    assert compare_policies(chosen, told.append) == first
    assert len(told) == 4  # the second time everything was there
    expert, scripted, random = (first["policies"][name] for name in ("expert", "scripted", "random"))
    assert expert["legal"]["mean"] == random["legal"]["mean"] == 1.0
    assert expert["reward"]["mean"] > random["reward"]["mean"]
    assert scripted["readable"]["mean"] == 1.0
    assert "| expert |" in (tmp_path / "table.md").read_text("utf-8")


def test_an_interval_holds_the_ratio_and_narrows_with_more_tasks() -> None:
    rng = np.random.default_rng(0)
    rounds, good = rng.integers(1, 4, 400).astype(float), np.ones(400)
    few, many = ratio_interval(rounds[:20], good[:20]), ratio_interval(rounds, good)
    assert many.low < rounds.sum() / 400 < many.high
    assert many.high - many.low < few.high - few.low
    never = ratio_interval(np.array([1.0, 2.0]), np.zeros(2))
    assert never.mean == float("inf")


async def test_the_random_policy_is_legal_everywhere() -> None:
    talk = Conversation(2)
    for view in (talk.view, talk.prompt().view, talk.image().view, talk.judge(3.0).view, talk.image().judge(2.0).view):
        assert check(view, (await RandomPolicy({}).decide(view)).action) is None


async def test_a_part_that_is_taken_away_is_not_used() -> None:
    talk = Conversation().prompt().image().judge(1.0)
    asked = [(await PartsPolicy({"parts": parts}).decide(talk.view)).action for parts in ("PG+QE+KR", "PG+QE")]
    assert [action.name for action in asked if isinstance(action, ToolCall)] == ["knowledge_retrieval", "image_gen"]
    words = (await PartsPolicy({"parts": "nothing"}).decide(Conversation().prompt().view)).action
    assert isinstance(words, ToolCall)
    assert words.arguments["prompt"] == "a scratch on the metal nut"
    assert PartsPolicy({"parts": "PG"}).rounds == 1


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(PolicyError, match="known: expert"):
        make_compared("expart")


def test_a_model_trained_anew_in_the_same_folder_is_played_again(tmp_path: Path) -> None:
    settings = _settings(make_photos(tmp_path / "photos", "part", count=2, size=64))
    model = tmp_path / "model"
    shutil.copytree(shipped_model().parent / "sft", model)
    told: list[str] = []
    chosen = PolicyComparison([f"mine={model}"], settings, tmp_path / "table.md", tasks=2, seeds=1)
    compare_policies(chosen, told.append)
    compare_policies(chosen, told.append)
    assert len(told) == 1
    shutil.copy(shipped_model().parent / "grpo" / "model.safetensors", model)
    compare_policies(chosen, told.append)
    assert len(told) == 2
    with pytest.raises(PolicyError, match="two policies are called 'mine'"):
        compare_policies(replace(chosen, policies=[f"mine={model}", f"mine={model}"]), told.append)


def test_rounds_without_a_good_sample_are_no_number_in_the_file(tmp_path: Path) -> None:
    settings = _settings(make_photos(tmp_path / "photos", "part", count=2, size=64))
    strict = settings.model_copy(update={"settings": {**settings.settings, "tools.quality_eval.threshold": 10.0}})
    never = PolicyComparison(["expert"], strict, tmp_path / "table.md", tasks=2, seeds=1)
    assert compare_policies(never, lambda _line: None)["policies"]["expert"]["rounds_per_good"]["mean"] == float("inf")
    assert "inf" in (tmp_path / "table.md").read_text("utf-8")

    def refuse(name: str) -> None:
        raise ValueError(name)

    kept = json.loads((tmp_path / "table.json").read_text("utf-8"), parse_constant=refuse)
    assert kept["policies"]["expert"]["rounds_per_good"]["mean"] is None
    with pytest.raises(PolicyError, match="nothing to compare: name a policy"):
        compare_policies(replace(never, policies=[]), lambda _line: None)


def test_the_reward_is_that_of_the_settings(tmp_path: Path) -> None:
    """`--set rewards.alpha=0` was taken and changed nothing."""
    settings = _settings(make_photos(tmp_path / "photos", "part", count=2, size=64))
    nothing = RewardWeights(alpha=0.0, beta=0.0, gamma=0.0)
    worthless = settings.model_copy(update={"rewards": nothing})
    chosen = PolicyComparison(["expert"], worthless, tmp_path / "table.md", tasks=2, seeds=1)
    assert compare_policies(chosen, lambda _line: None)["policies"]["expert"]["reward"]["mean"] == 0.0
