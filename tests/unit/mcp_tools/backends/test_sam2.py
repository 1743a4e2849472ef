"""mask_gen backend `sam2`: SAM 2 and 3 of transformers answer as they do by the library's own recipe; what is missing is
named."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers.photos import make_photo

from anomalyagent.errors import BackendUnavailableError, ConfigError
from anomalyagent.mcp_tools.backends.sam2 import Sam2Mask
from anomalyagent.mcp_tools.imaging.photo import photo_from_array

transformers: Any = import_module("transformers")
POINTS, BOX = [[30.0, 40.0], [35.0, 44.0]], [20.0, 30.0, 50.0, 60.0]
KINDS = {"sam2": ("Sam2Model", "Sam2Processor"), "sam3": ("Sam3TrackerModel", "Sam3TrackerProcessor")}


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_the_librarys_own_recipe(kind: str, models: Path) -> None:
    photo = make_photo("part", 1, 90)[:70]
    predictor = Sam2Mask({"model": str(models / kind)}).load()
    predictor.set_image(photo)
    ours, scores, _ = predictor.predict(
        point_coords=np.array(POINTS, np.float32), point_labels=np.ones(2, np.int32), box=np.array(BOX, np.float32)
    )
    model, processor = (getattr(transformers, name).from_pretrained(models / kind) for name in KINDS[kind])
    given = processor(images=photo, input_points=[[POINTS]], input_labels=[[[1, 1]]], input_boxes=[[BOX]], return_tensors="pt")
    with torch.no_grad():
        answer = model.eval()(**given, multimask_output=True)
    theirs = processor.post_process_masks(answer.pred_masks, given["original_sizes"])[0][0].numpy()
    assert ours[0].shape == (70, 90)
    assert 0 < theirs.mean() < 1
    assert np.array_equal(np.stack(list(ours)), theirs.astype(bool))
    assert scores == pytest.approx(answer.iou_scores[0, 0].numpy(), abs=1e-5)


def test_a_published_video_checkpoint_serves_single_pictures(models: Path, tmp_path: Path) -> None:
    for path in (models / "sam2").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "sam2_video"}), "utf-8")
    normal = photo_from_array(make_photo("part", 1, 64))
    dark = np.zeros((64, 64), np.uint8)
    cv2.circle(dark, (20, 30), 6, 1, -1)
    anomaly = normal.edited(normal.rgb * 0.3, dark.astype(bool))
    given, wanted = Sam2Mask({"model": str(tmp_path)}), Sam2Mask({"model": str(models / "sam2")})
    assert np.array_equal(given.segment(normal, anomaly).mask, wanted.segment(normal, anomaly).mask)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("./nowhere", "there is no model folder './nowhere'"),
        (
            "facebook/no-such-sam",
            "not in the local Hugging Face cache. Download it once with: hf download facebook/no-such-sam",
        ),
    ],
)
def test_a_model_that_is_not_here_is_said_at_once(model: str, said: str) -> None:
    with pytest.raises(BackendUnavailableError, match=said):
        Sam2Mask({"model": model})


def test_models_of_other_kinds_and_wrong_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailableError, match=r"holds no config\.json, so it is no model of transformers"):
        Sam2Mask({"model": str(tmp_path)})
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BackendUnavailableError, match="is a model of type 'bert', which takes no points and boxes"):
        Sam2Mask({"model": str(tmp_path)}).load()
    (tmp_path / "config.json").write_text('{"model_type": "sam2"}')
    with pytest.raises(BackendUnavailableError, match="cannot be loaded"):
        Sam2Mask({"model": str(tmp_path)}).load()
    with pytest.raises(ConfigError, match="option 'model' is not set"):
        Sam2Mask()
    with pytest.raises(ConfigError, match="unknown option 'checkpoint'"):
        Sam2Mask({"model": str(tmp_path), "checkpoint": "x"})
