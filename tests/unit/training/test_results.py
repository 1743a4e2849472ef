"""Finished results on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anomalyagent.errors import RunError
from anomalyagent.training.evaluation.datasets import Stack
from anomalyagent.training.evaluation.localize import FAST
from anomalyagent.training.evaluation.metrics import Scores
from anomalyagent.training.evaluation.results import Result, ResultStore, digest_of

STACK = Stack(np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.bool_), ["a", "b"])
RESULT = Result(
    contender="ours",
    few_shot=False,
    seed=1,
    key="0123456789abcdef",
    images=2,
    mask_share=0.1,
    last=Scores(*[0.5] * 7),
    best_on_test=Scores(*[0.6] * 7),
    pixel_ap_by_type={"hole": 0.5},
    losses=[0.1],
    seconds=1.0,
    torch="2",
    device="CPU",
)


def test_a_kept_result_is_found_again_with_its_maps(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "work")
    assert store.find("ours", 1, RESULT.key) is None
    maps = np.linspace(0, 1, 32, dtype=np.float32).reshape(2, 4, 4)
    store.save(RESULT, maps)
    assert ResultStore(tmp_path / "work").find("ours", 1, RESULT.key) == RESULT
    assert np.abs(store.maps(RESULT) / 255 - maps).max() < 1 / 255
    assert store.find("ours", 2, RESULT.key) is None
    assert store.find("ours", 1, "f" * 16) is None


def test_a_damaged_result_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    store.save(RESULT, np.zeros((1, 4, 4), np.float32))
    next(tmp_path.glob("*.json")).write_text("{}")
    with pytest.raises(RunError, match=r"ours-s1-0123456789abcdef\.json is damaged; delete it"):
        store.find("ours", 1, RESULT.key)


def test_a_work_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the work folder"):
        ResultStore(tmp_path / "file" / "work")


def test_the_key_depends_on_every_image_mask_preset_and_seed() -> None:
    changed_image, changed_mask = STACK.images.copy(), STACK.masks.copy()
    changed_image[1, 3, 3, 0] = 1
    changed_mask[1, 3, 3] = True
    other_image, other_mask = STACK._replace(images=changed_image), STACK._replace(masks=changed_mask)
    normals = STACK.images
    keys = [
        digest_of(STACK, normals, STACK, FAST, 0),
        digest_of(other_image, normals, STACK, FAST, 0),
        digest_of(other_mask, normals, STACK, FAST, 0),
        digest_of(STACK, changed_image, STACK, FAST, 0),
        digest_of(STACK, normals, other_image, FAST, 0),
        digest_of(STACK, normals, other_mask, FAST, 0),
        digest_of(STACK, normals, STACK, replace(FAST, steps=FAST.steps + 1), 0),
        digest_of(STACK, normals, STACK, FAST, 1),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == digest_of(STACK, normals.copy(), STACK, FAST, 0)


def test_where_a_mask_vanished_the_key_depends_on_its_type() -> None:
    """There the type alone says that the image is anomalous."""
    good = digest_of(STACK, STACK.images, STACK._replace(types=["good", "good"]), FAST, 0)
    assert digest_of(STACK, STACK.images, STACK, FAST, 0) != good
    marked = STACK._replace(masks=~STACK.masks)
    renamed = marked._replace(types=["c", "d"])
    assert digest_of(STACK, STACK.images, marked, FAST, 0) == digest_of(STACK, STACK.images, renamed, FAST, 0)
