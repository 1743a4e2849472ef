"""Holes that the small copy of a photo does not show are opened where several are alike, and print is not."""

import cv2
import numpy as np
import pytest

from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.foreground import find_foreground


def _sheet(backdrop: int, spots: int, radius: int, count: int) -> tuple[RGB, Mask]:
    """A grey sheet with spots of one tone in rows, on a backdrop, and where the spots are."""
    photo, inside = np.full((480, 640, 3), backdrop, np.uint8), np.zeros((480, 640), np.uint8)
    photo[40:440, 50:590] = (135, 138, 142)
    for index in range(count):
        middle = 110 + 70 * (index % 7), 90 + 75 * (index // 7)
        cv2.circle(photo, middle, radius, (spots,) * 3, -1, cv2.LINE_AA)
        cv2.circle(inside, middle, radius, 1, -1)
    noise = np.random.default_rng(0).normal(0.0, 1.5, photo.shape)
    native = np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255)
    return (native / 255.0).astype(np.float32), inside > 0


@pytest.mark.parametrize("backdrop", [12, 240])
@pytest.mark.parametrize("radius", [9, 15])
def test_many_small_holes_that_show_the_backdrop_are_open(backdrop: int, radius: int) -> None:
    rgb, holes = _sheet(backdrop, backdrop, radius, 35)
    found = find_foreground(rgb)
    assert not found[cv2.erode(holes.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0].any()
    solid = np.zeros_like(holes)
    solid[44:436, 54:586] = True
    assert found[solid & (cv2.dilate(holes.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0)].all()


@pytest.mark.parametrize(("spots", "count"), [(50, 35), (12, 3)])
def test_print_of_another_tone_and_a_few_dark_spots_are_part_of_the_sheet(spots: int, count: int) -> None:
    rgb, printed = _sheet(12, spots, 9, count)
    assert find_foreground(rgb)[printed].all()


def _plate(radius: int, soft_px: float) -> tuple[RGB, Mask]:
    """A black plate with one light spot of the bench's colour."""
    photo, spot = np.full((480, 640), 150.0), np.zeros((480, 640))
    photo[80:400, 80:560] = 30.0
    cv2.circle(spot, (400, 240), radius, 1.0, -1, cv2.LINE_AA)
    share = cv2.GaussianBlur(spot, (0, 0), soft_px)
    photo += (150.0 - photo) * share / share.max()
    noisy = photo[..., None] + np.random.default_rng(0).normal(0.0, 1.5, (480, 640, 3))
    return (np.clip(noisy, 0, 255) / 255.0).astype(np.float32), spot > 0.5


def test_a_single_drilled_hole_shows_a_bench_that_is_not_dark_and_a_highlight_does_not() -> None:
    rgb, hole = _plate(14, 0.8)
    assert find_foreground(rgb)[cv2.erode(hole.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0].mean() < 0.02
    rgb, highlight = _plate(14, 6.0)
    assert find_foreground(rgb)[highlight].all()
