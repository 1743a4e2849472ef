"""mask_gen backend `sam`: which checkpoints load, and what it makes of SAM's answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import segment_anything
import torch
from helpers.photos import make_photo
from helpers.tiny_models import TINY_SAM

from anomalyagent.mcp_tools.backends import sam as module
from anomalyagent.mcp_tools.backends.base import Segmented
from anomalyagent.mcp_tools.backends.sam import SamMask
from anomalyagent.mcp_tools.backends.sam_checkpoint import build_sam, read_architecture
from anomalyagent.mcp_tools.imaging.change import mask_of_change
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array

Answer = Callable[[Any, dict[str, Any]], Any]


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_the_published_models_are_recognised_by_their_tensors(name: str) -> None:
    with torch.device("meta"):
        published = segment_anything.sam_model_registry[name]()
        sizes = read_architecture(published.state_dict())
        ours = build_sam(sizes)
    blocks: Any = published.image_encoder.blocks
    assert (sizes.cells, sizes.patch_px, sizes.window, sizes.masks) == (64, 16, 14, 3)
    assert sizes.heads == blocks[0].attn.num_heads
    shapes = [{key: tuple(value.shape) for key, value in model.state_dict().items()} for model in (published, ours)]
    assert shapes[0] == shapes[1]
    assert [b.window_size for b in ours.image_encoder.blocks] == [b.window_size for b in blocks]


def test_a_small_model_is_recognised_too(models: Path) -> None:
    assert read_architecture(torch.load(models / "sam.pth", weights_only=True)) == TINY_SAM


class Oracle:
    """In place of a SamPredictor: three times the same answer, a function of the shown picture and the prompt."""

    answer: Answer
    asked: list[dict[str, Any]]

    def __init__(self, _: Any) -> None: ...

    def set_image(self, image: Any) -> None:
        self.image = image

    def predict(self, multimask_output: bool, **prompt: Any) -> tuple[Any, Any, Any]:
        Oracle.asked.append(prompt)
        return np.stack([Oracle.answer(self.image, prompt)] * 3), np.ones(3), None


def pair() -> tuple[Photo, Photo]:
    normal = photo_from_array(make_photo("part", 1, 192))
    where = np.zeros(normal.shape, np.uint8)
    cv2.circle(where, (50, 90), 9, 1, -1)
    cv2.circle(where, (140, 100), 6, 1, -1)
    # a defect with a dark middle and a faint rim
    dark = cv2.GaussianBlur(where.astype(np.float32), (0, 0), 1.5).astype(np.float32)[..., None]
    return normal, normal.edited((normal.rgb * (1 - 0.7 * dark)).astype(np.float32), dark[..., 0] > 0.02)


def ask(monkeypatch: pytest.MonkeyPatch, models: Path, answer: Answer, **options: Any) -> tuple[Segmented, Any]:
    Oracle.answer, Oracle.asked = staticmethod(answer), []
    monkeypatch.setattr(segment_anything, "SamPredictor", Oracle)
    monkeypatch.setattr(module, "load_sam", no_model)
    normal, anomaly = pair()
    found = SamMask({"checkpoint": str(models / "sam.pth"), **options}).segment(normal, anomaly)
    return found, mask_of_change(normal, anomaly)


def no_model(*_: object) -> None: ...


def everything(image: Any, prompt: dict[str, Any]) -> Any:
    return np.ones(image.shape[:2], bool)


def nothing(image: Any, prompt: dict[str, Any]) -> Any:
    return np.zeros(image.shape[:2], bool)


def the_box(image: Any, prompt: dict[str, Any]) -> Any:
    out = np.zeros(image.shape[:2], bool)
    if "box" in prompt:
        x0, y0, x1, y1 = (max(0, int(value)) for value in prompt["box"])
        out[y0:y1, x0:x1] = True
    return out


def test_every_part_is_shown_as_a_box_as_points_and_as_both(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(monkeypatch, models, everything)
    assert [sorted(prompt) for prompt in Oracle.asked[:3]] == [
        ["box"],
        ["box", "point_coords", "point_labels"],
        ["point_coords", "point_labels"],
    ]
    assert len(Oracle.asked) == 6
    for prompt in Oracle.asked[1::3]:
        x0, y0, x1, y1 = prompt["box"]
        assert all(x0 < x < x1 and y0 < y < y1 for x, y in prompt["point_coords"])


@pytest.mark.parametrize("answer", [everything, nothing])
def test_hybrid_falls_back_to_the_change_where_sam_disagrees(
    answer: Answer, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, change = ask(monkeypatch, models, answer)
    assert np.array_equal(found.mask, change)
    assert found.confidence < 0.2


def test_hybrid_takes_sams_borders_where_both_agree(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, change = ask(monkeypatch, models, the_box)
    assert found.confidence > 0.6
    assert found.mask.sum() > change.sum()
    near = cv2.dilate(change.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    assert not (found.mask & ~near).any()


def test_sam_alone_is_held_to_the_neighbourhood_of_the_change(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, change = ask(monkeypatch, models, everything, mode="sam", margin_px=0)
    assert np.array_equal(found.mask, change)
    found, _ = ask(monkeypatch, models, nothing, mode="sam")
    assert not found.mask.any()
    assert found.confidence == 0.0
