"""Repaired photos beside flawless ones: clean twins pass, left-over defects, smears and wrong pieces do not."""

import cv2
import numpy as np
from helpers.defects import make_defect
from helpers.photos import make_photo, rgb_of

from anomalyagent.mcp_tools.imaging.restoring import Source, hole_around
from anomalyagent.mcp_tools.judge.leftovers import CleanBank


def bank() -> CleanBank:
    return CleanBank([Source(rgb_of(make_photo("part", number))) for number in range(10)], np.random.default_rng(0))


def test_a_flawless_photo_is_clean_and_the_defect_is_not() -> None:
    truth, (pixels, mask) = rgb_of(make_photo("part", 60)), make_defect(60)
    judged = bank().judge(rgb_of(pixels), truth, hole_around(mask > 0, 3))
    assert judged.clean
    assert judged.before > 1.5 * judged.usual


def test_a_defect_that_is_half_left_over_is_not_clean() -> None:
    truth, (pixels, mask) = rgb_of(make_photo("part", 61)), make_defect(61)
    x, _, w, _ = cv2.boundingRect(mask)
    half = rgb_of(pixels)
    half[:, : x + w // 2] = truth[:, : x + w // 2]
    judged = bank().judge(rgb_of(pixels), half, hole_around(mask > 0, 3))
    assert not judged.clean


def test_a_piece_from_the_wrong_place_is_not_clean() -> None:
    truth, (pixels, mask) = rgb_of(make_photo("part", 62)), make_defect(62)
    hole = hole_around(mask > 0, 3)
    wrong = np.where(hole[..., None], np.roll(truth, 48, axis=0)[:, ::-1], truth).astype(np.float32)
    assert bank().judge(rgb_of(pixels), wrong, hole).ratio > bank().judge(rgb_of(pixels), truth, hole).ratio
