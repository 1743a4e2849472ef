"""Filling holes, and the colour and grain of a part of a photo."""

import cv2
import numpy as np
import pytest

from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.imaging.arrays import RGB
from anomalyagent.mcp_tools.imaging.inpainting import fill_from_surroundings
from anomalyagent.mcp_tools.imaging.texture import local_statistics


def grain(side: int = 128, seed: int = 0) -> RGB:
    rng = np.random.default_rng(seed)
    field = cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), 1.0)
    _, x = np.mgrid[0.0 : 1.0 : side * 1j, 0.0 : 1.0 : side * 1j]
    base = 0.4 + 0.2 * x + 0.1 * field
    return np.clip(np.dstack([base, base * 0.9, base * 0.8]), 0, 1).astype(np.float32)


@pytest.mark.parametrize("half", [3, 12, 30])
def test_a_filled_hole_keeps_colour_and_grain_and_touches_nothing_else(half: int) -> None:
    rgb = grain()
    hole = np.zeros((128, 128), np.bool_)
    hole[64 - half : 64 + half, 60 - half : 60 + half] = True
    empty = rgb.copy()
    empty[hole] = 0.0
    filled = fill_from_surroundings(empty, hole, np.random.default_rng(0))
    assert (filled[~hole] == empty[~hole]).all()
    assert np.abs(filled[hole].mean(axis=0) - rgb[hole].mean(axis=0)).max() < 0.05
    original, made = local_statistics(rgb, hole), local_statistics(filled, hole)
    assert np.allclose(made.grain, original.grain, rtol=0.4)


def test_stripes_are_continued_through_a_hole() -> None:
    y, _ = np.mgrid[0:128, 0:128]
    stripes = (0.5 + 0.3 * np.sign(np.sin(y / 4.0)))[..., None] * np.ones(3)
    rgb = np.asarray(cv2.GaussianBlur(stripes, (0, 0), 1.0), np.float32)
    hole = np.zeros((128, 128), np.bool_)
    hole[40:80, 50:90] = True
    filled = fill_from_surroundings(rgb, hole, np.random.default_rng(0))
    assert np.abs(filled - rgb)[hole].mean() < 0.06


def test_the_same_seed_gives_the_same_fill() -> None:
    rgb = grain()
    hole = np.zeros((128, 128), np.bool_)
    hole[20:60, 20:60] = True
    fills = [fill_from_surroundings(rgb, hole, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert (fills[0] == fills[1]).all()
    assert (fills[0] != fills[2]).any()


@pytest.mark.parametrize("hole_box", [(0, 30, 0, 30), (0, 128, 0, 60), (5, 123, 5, 123), (0, 127, 0, 128)])
def test_awkward_holes_are_filled_with_finite_values(hole_box: tuple[int, int, int, int]) -> None:
    hole = np.zeros((128, 128), np.bool_)
    hole[hole_box[0] : hole_box[1], hole_box[2] : hole_box[3]] = True
    filled = fill_from_surroundings(grain(), hole, np.random.default_rng(0))
    assert np.isfinite(filled).all()
    assert filled.min() >= 0
    assert filled.max() <= 1


def test_scattered_holes_and_a_restricted_source_work() -> None:
    rng = np.random.default_rng(0)
    rgb = grain()
    scattered = rng.random((128, 128)) < 0.3
    assert np.abs(fill_from_surroundings(rgb, scattered, rng) - rgb).mean() < 0.1
    red = rgb.copy()
    red[:, :64] = (1.0, 0.0, 0.0)
    hole = np.zeros((128, 128), np.bool_)
    hole[50:70, 66:86] = True
    source = np.zeros((128, 128), np.bool_)
    source[:, 64:] = True
    filled = fill_from_surroundings(red, hole, rng, source)
    assert (filled[hole][:, 1] > 0.2).mean() > 0.95


def test_a_hole_without_surroundings_is_refused() -> None:
    with pytest.raises(ToolInputError, match="nothing is left"):
        fill_from_surroundings(grain(), np.ones((128, 128), np.bool_), np.random.default_rng(0))
