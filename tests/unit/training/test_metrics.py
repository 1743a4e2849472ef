"""Metrics against values computed by hand."""

import numpy as np
import pytest

from anomalyagent.errors import ImageError
from anomalyagent.training.evaluation.metrics import (
    best_f1,
    image_scores,
    per_region_overlap,
    pixel_ap_by_type,
    score_maps,
)

# An anomalous image (first row of it defective) and a good one.
MAPS = np.array([[[0.9, 0.7], [0.6, 0.1]], [[0.8, 0.3], [0.2, 0.05]]], np.float32)
MASKS = np.array([[[True, True], [False, False]], [[False, False], [False, False]]])


def test_all_metrics_of_eight_pixels_are_those_worked_out_by_hand() -> None:
    scores = score_maps(MAPS, MASKS, ["scratch", "good"])
    # the defective pixels 0.9 and 0.7 beat 6 and 5 of the 6 good ones
    assert scores.pixel_auroc == pytest.approx(11 / 12)
    # precision is 1 at the first defective pixel and 2/3 at the second
    assert scores.pixel_ap == pytest.approx((1 + 2 / 3) / 2)
    # best at 0.7: precision 2/3, recall 1
    assert scores.pixel_f1 == pytest.approx(0.8)
    # overlap 1/2 up to a rate of 1/6, then 1 up to 0.3
    assert scores.pro == pytest.approx((1 / 6 * 0.5 + (0.3 - 1 / 6)) / 0.3)
    assert (scores.image_auroc, scores.image_ap, scores.image_f1) == (1.0, 1.0, 1.0)


def test_image_metrics_count_an_image_that_was_missed() -> None:
    maps = np.array([0.2, 0.9, 0.5, 0.1], np.float32)[:, None, None] * np.ones((4, 2, 2), np.float32)
    masks = np.array([True, True, False, False])[:, None, None] & np.ones((4, 2, 2), np.bool_)
    scores = score_maps(maps, masks, ["dent", "dent", "good", "good"])
    assert scores.image_auroc == pytest.approx(3 / 4)
    assert scores.image_ap == pytest.approx((1 + 2 / 3) / 2)
    assert scores.image_f1 == pytest.approx(0.8)


def test_best_f1_of_a_useless_score_is_that_of_marking_everything() -> None:
    assert best_f1(np.array([True, False, False, False]), np.zeros(4)) == pytest.approx(2 * 0.25 / 1.25)


def test_small_and_large_regions_weigh_the_same_in_pro() -> None:
    masks = np.zeros((1, 4, 4), np.bool_)
    masks[0, 0, 0] = True
    masks[0, 2:, 2:] = True
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, 0, 0] = 1.0
    # the single pixel gives half of the overlap at once; the rest is a tie, a straight line from (0, 0.5) to (1, 1)
    assert per_region_overlap(maps, masks) == pytest.approx((0.5 + 0.65) / 2)


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    masks = np.zeros((1, 4, 4), np.bool_)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[0, 3, 3] = True
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, 0, 0] = 1.0
    # half of the first of two regions: 0.25, then a straight line to (1, 1)
    assert per_region_overlap(maps, masks) == pytest.approx((0.25 + 0.25 + 0.3 * 0.75) / 2)


def test_pro_of_a_perfect_map_is_one_and_of_a_constant_one_chance() -> None:
    assert per_region_overlap(MASKS.astype(np.float32), MASKS) == pytest.approx(1.0)
    assert per_region_overlap(np.full(MASKS.shape, 0.4, np.float32), MASKS) == pytest.approx(0.15)


@pytest.mark.parametrize(("size", "window"), [(256, 21), (128, 11), (64, 5)])
def test_the_pooling_window_scales_with_the_map_and_zeros_lie_beyond_the_frame(size: int, window: int) -> None:
    maps = np.zeros((2, size, size), np.float32)
    maps[0, size // 2, size // 2] = 1.0
    maps[1, 0, 0] = 1.0
    assert image_scores(maps) == pytest.approx([1 / window**2, 1 / window**2], rel=1e-4)


def test_each_type_is_scored_against_the_good_images_only() -> None:
    maps = np.concatenate([MAPS, MAPS[:1]])
    masks = np.concatenate([MASKS, ~MASKS[:1]])
    found = pixel_ap_by_type(maps, masks, ["scratch", "good", "dent"])
    assert set(found) == {"scratch", "dent"}
    assert found["scratch"] == pytest.approx((1 + 2 / 3) / 2)
    # 0.6 is the fourth highest pixel, 0.1 the seventh
    assert found["dent"] == pytest.approx((1 / 4 + 2 / 7) / 2)


@pytest.mark.parametrize("types", [["good", "good"], ["dent", "scratch"]])
def test_a_test_set_of_one_kind_only_is_refused(types: list[str]) -> None:
    with pytest.raises(ImageError, match="needs good and anomalous images"):
        score_maps(MAPS, MASKS, types)


def test_an_anomaly_whose_mask_vanished_is_no_good_image() -> None:
    maps = np.array([0.9, 0.8, 0.1], np.float32)[:, None, None] * np.ones((3, 2, 2), np.float32)
    masks = np.zeros((3, 2, 2), np.bool_)
    masks[0] = True
    scores = score_maps(maps, masks, ["dent", "speck", "good"])
    assert (scores.image_auroc, scores.image_ap) == (1.0, 1.0)  # by its mask the second would be a false alarm
    assert pixel_ap_by_type(maps, masks, ["dent", "speck", "good"]) == {"dent": 1.0}
