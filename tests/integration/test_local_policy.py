"""`--policy local` with the shipped weights: no deep learning library, legal turns, same seed same decisions."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.photos import make_photos

from anomalyagent.graph.policies.local import read_model_card, shipped_model


def _run(photos: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = ["synthesize", "--normals", str(photos), "--item", "nut", "--anomaly-type", "scratch", "--count", "1"]
    arguments = [*command, "--out", str(out), *more]
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None; "
        f"sys.argv[1:] = {arguments!r}; from anomalyagent.cli import main; main()"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_shipped_policy_makes_a_sample_without_torch(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", "part", count=2)
    done = _run(photos, tmp_path / "run", "--policy", "local", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["accepted"] == 1
    trajectories = [json.loads(path.read_text()) for path in sorted((tmp_path / "run" / "trajectories").glob("*.json"))]
    assert {trajectory["policy"] for trajectory in trajectories} == {"local"}
    assert all(turn["legal"] for trajectory in trajectories for turn in trajectory["turns"])


def test_a_model_that_is_none_is_told_so(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", "part", count=1)
    done = _run(photos, tmp_path / "run", "--policy", "local", "--model", str(tmp_path / "missing"))
    assert done.returncode == 4
    assert "is not a folder" in done.stderr


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_the_shipped_weights_are_for_this_version_and_small(stage: str) -> None:
    folder = shipped_model().parent / stage
    card = read_model_card(folder)
    assert card is not None
    assert card.stage == stage
    assert sum(path.stat().st_size for path in folder.parent.rglob("*") if path.is_file()) < 12e6


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_the_shipped_policy_tells_no_path_of_the_machine_that_trained_it(stage: str) -> None:
    """`_name_or_path` of its config did."""
    for file in (shipped_model().parent / stage).glob("*.json"):
        if file.name != "tokenizer.json":
            assert '": "/' not in file.read_text("utf-8"), file


def test_of_a_conversation_longer_than_the_model_reads_the_oldest_turns_are_forgotten(tmp_path: Path) -> None:
    """Such a task failed ("the conversation has 4109 tokens ..."), and its best image was lost."""
    photos, model = make_photos(tmp_path / "photos", "part", count=1), tmp_path / "model"
    shutil.copytree(shipped_model(), model)
    config = json.loads((model / "config.json").read_text("utf-8"))
    (model / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 900}), "utf-8")
    hopeless = ("--set", "tools.quality_eval.threshold=9.9", "--set", "policy.options.max_new_tokens=100")
    done = _run(photos, tmp_path / "run", "--policy", "local", "--model", str(model), *hopeless)
    trajectories = [json.loads(path.read_text()) for path in (tmp_path / "run" / "trajectories").glob("*.json")]
    assert {trajectory["outcome"] for trajectory in trajectories} == {"rejected"}, (trajectories[0]["reason"], done.stderr)
    assert all("in 3 rounds; the best has" in trajectory["reason"] for trajectory in trajectories)
