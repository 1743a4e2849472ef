"""Reference defects by their looks: the same picture first, then its like; with a model, or without one."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers.reference_sets import write_references
from typer.testing import CliRunner

from anomalyagent.cli.knowledge import app
from anomalyagent.errors import BackendUnavailableError, ImageError
from anomalyagent.mcp_tools.backends.looks import BuiltInEmbedder, ModelEmbedder
from anomalyagent.training.datasets.files import decode_image, decode_mask
from anomalyagent.training.datasets.layouts import read_category
from anomalyagent.training.datasets.similar import find_similar


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_references(tmp_path_factory.mktemp("sets") / "plate")


@pytest.mark.parametrize("kind", ["line", "patch", "spot"])
def test_a_defect_finds_itself_and_then_its_own_kind(references: Path, kind: str) -> None:
    known = read_category(references).anomalies
    asked = next(one for one in known if one.anomaly_type == kind)
    found = find_similar(asked.image, asked.mask, known, BuiltInEmbedder(), 4)
    assert found[0].reference == asked
    assert found[0].similarity == pytest.approx(1.0, abs=1e-4)
    assert [one.reference.anomaly_type for one in found] == [kind] * 4
    assert found[1].similarity < 0.9999


def test_a_mask_of_another_size_is_refused(references: Path, tmp_path: Path) -> None:
    """It was compared all the same, wherever it happened to lie."""
    known = read_category(references).anomalies
    cv2.imwrite(str(tmp_path / "mask.png"), np.full((20, 30), 255, np.uint8))
    with pytest.raises(ImageError, match=r"mask\.png is 30 x 20, its image \d+ x \d+: one was resized"):
        find_similar(known[0].image, tmp_path / "mask.png", known, BuiltInEmbedder(), 1)


def test_vectors_have_length_one_with_a_mask_and_without(references: Path) -> None:
    one = read_category(references).anomalies[0]
    image, mask = decode_image(one.image), decode_mask(one)
    for vector in (BuiltInEmbedder().embed(image, mask), BuiltInEmbedder().embed(image, None)):
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-5)


def test_a_vision_model_of_transformers_can_look_instead(references: Path, tmp_path: Path) -> None:
    transformers: Any = import_module("transformers")
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14, mlp_ratio=2
    )
    transformers.Dinov2Model(config).save_pretrained(tmp_path)
    sizes = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}
    transformers.BitImageProcessor(**sizes).save_pretrained(tmp_path)
    known = read_category(references).anomalies
    found = find_similar(known[5].image, known[5].mask, known, ModelEmbedder(str(tmp_path)), 2)
    assert found[0].reference == known[5]
    with pytest.raises(BackendUnavailableError, match=r"holds no config\.json"):
        ModelEmbedder(str(references))
    with pytest.raises(BackendUnavailableError, match="hf download facebook/no-such-dino"):
        ModelEmbedder("facebook/no-such-dino")


def test_the_command_shows_the_nearest_references(references: Path) -> None:
    image, mask = references / "test/spot/002.png", references / "ground_truth/spot/002_mask.png"
    command = ["similar", str(image), "--mask", str(mask), "--reference", str(references), "--top-k", "2", "--json"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    records = json.loads(done.output)
    assert [record["anomaly_type"] for record in records] == ["spot", "spot"]
    assert records[0]["image"] == str(image)
