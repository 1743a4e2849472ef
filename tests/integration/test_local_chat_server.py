"""A local OpenAI-compatible server with a tiny random model drives prompts, judge and policy; half of what it says is bad.

`make bench-chat` does the same for 50 tasks in each format, and through `transformers serve`.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from helpers.photos import make_photos
from helpers.runs import request
from helpers.services import Service
from helpers.tiny_chat import TinyChat

from anomalyagent.configs.schema import Settings
from anomalyagent.graph.run import synthesize


def driven_by(url: str, form: str, tasks: int, **options: Any) -> Settings:
    """Settings in which a chat model does all that one can do, for `tasks` tasks."""
    model = {"model": "openai:tiny", "base_url": f"{url}/v1", "pause_s": 0, "image_px": 64, **options}
    tree = {
        "policy": {"name": "chat", "options": {**model, "format": form}},
        "tools": {
            "prompt_gen": {"backend": "chat", "options": {**model, "answers": 2}},
            "quality_eval": {"backend": "vlm", "options": {**model, "answers": 2}},
        },
        "prices": {"tiny": {"input": 1.0, "output": 4.0}},
        "limits": {"attempts_per_sample": 1, "turns": 40},
    }
    return Settings.model_validate(tree)


@pytest.mark.parametrize("form", ["tools", "text"])
def test_a_model_that_talks_nonsense_half_of_the_time_makes_a_run_without_a_crash(form: str, tmp_path: Path) -> None:
    normals = make_photos(tmp_path / "normals", "part", count=2, size=96)
    chat = TinyChat(seed=3)
    tasks = 3
    with Service([chat]) as service:
        wanted = request(normals, tmp_path / "run", types=["oil stain"], count=tasks)
        summary = synthesize(wanted, driven_by(service.url, form, tasks))
        calls = len(service.asked)
    assert summary.accepted + summary.rejected + summary.failed == tasks
    assert summary.accepted >= 1
    assert {"turn", "noise", "verdict", "prompt"} <= set(chat.said)
    stored = [json.loads(path.read_text()) for path in sorted((tmp_path / "run" / "trajectories").glob("*.json"))]
    turns = [turn for one in stored for turn in one["turns"]]
    assert any(turn["action"]["kind"] == "malformed" for turn in turns)
    assert not any("unexpected error" in one["reason"] for one in stored)
    assert summary.cost_usd == pytest.approx(calls * (900 * 1.0 + 60 * 4.0) / 1e6, abs=1e-9)
    assert summary.cost_usd == pytest.approx(math.fsum(turn["cost_usd"] for turn in turns), abs=1e-12)
    assert summary.tokens == calls * 960
