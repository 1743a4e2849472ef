"""Whole runs with tiny random models in place of the embedded backends: their pictures are mostly rejected, nothing crashes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.photos import make_photos

from anomalyagent.configs.schema import QualityEvalSettings, Settings, ToolSettings, ToolsSettings
from anomalyagent.graph import run
from anomalyagent.graph.request import Request
from anomalyagent.mcp_tools.backends import diffusers
from anomalyagent.mcp_tools.backends.pipelines import DiffusersOptions, Pipeline, load_pipeline


def synthesize(folder: Path, *sets: str) -> subprocess.CompletedProcess[str]:
    normals = make_photos(folder / "normals", "part", count=1, size=96)
    command = [sys.executable, "-m", "anomalyagent", "synthesize", "--normals", str(normals), "--item", "metal ring"]
    command += ["--anomaly-type", "stain", "--count", "1", "--out", str(folder / "run"), "--json"]
    for each in ("limits.attempts_per_sample=2", "limits.rounds=2", "tools.image_gen.options.steps=1", *sets):
        command += ["--set", each]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_a_run_with_a_random_model_ends_with_rejections_that_are_told(models: Path, tmp_path: Path) -> None:
    model = f"tools.image_gen.options.model={models / 'pix2pix'}"
    any_picture = "tools.image_gen.options.most_changed=1"
    done = synthesize(tmp_path, "tools.image_gen.backend=diffusers", model, any_picture, "tools.quality_eval.threshold=9.9")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["accepted"] == 0
    assert summary["rejected"] >= 1
    turns = [
        turn
        for file in (tmp_path / "run" / "trajectories").glob("*.json")
        for turn in json.loads(file.read_text("utf-8"))["turns"]
    ]
    assert any("diffusers" in json.dumps(turn) for turn in turns)


def test_a_run_with_diffusers_and_sam_makes_samples_that_are_whole(models: Path, tmp_path: Path) -> None:
    done = synthesize(
        tmp_path,
        "tools.image_gen.backend=diffusers",
        f"tools.image_gen.options.model={models / 'inpaint'}",
        "tools.mask_gen.backend=sam",
        f"tools.mask_gen.options.checkpoint={models / 'sam.pth'}",
        "tools.quality_eval.threshold=0",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "run" / "dataset" / "metal_ring"
    image = cv2.imread(str(folder / "test" / "stain" / "000.png"))
    mask = cv2.imread(str(folder / "ground_truth" / "stain" / "000_mask.png"), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    assert mask is not None
    assert image.shape[:2] == mask.shape == (96, 96)
    assert set(np.unique(mask)) == {0, 255}


def test_a_model_that_is_not_there_ends_the_run_before_anything_is_made(tmp_path: Path) -> None:
    done = synthesize(tmp_path, "tools.image_gen.backend=diffusers", "tools.image_gen.options.model=./no_model")
    assert done.returncode == 2
    assert "there is no model folder './no_model'" in done.stderr
    assert not (tmp_path / "run" / "trajectories").exists()


def test_two_samples_made_at_once_share_one_model_and_are_the_same_bytes(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def counted(options: DiffusersOptions) -> Pipeline:
        loads.append(options.model)
        return load_pipeline(options)

    monkeypatch.setattr(diffusers, "load_pipeline", counted)
    settings = Settings(
        tools=ToolsSettings(
            image_gen=ToolSettings(backend="diffusers", options={"model": str(models / "inpaint"), "steps": 1}),
            quality_eval=QualityEvalSettings(threshold=0.0),
        )
    )
    make_photos(tmp_path / "normals", "part", count=2, size=96)
    made: list[dict[str, bytes]] = []
    for jobs in (1, 2):
        out = tmp_path / f"run{jobs}"
        request = Request([tmp_path / "normals"], "metal ring", ["stain", "scratch"], 2, out, jobs=jobs)
        assert run.synthesize(request, settings).status == "complete"
        made.append({path.name: path.read_bytes() for path in (out / "dataset").rglob("*.png")})
    assert made[0] == made[1]
    assert len(loads) == 2  # one for each run
