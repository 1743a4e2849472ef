"""Pieces of a tray or a heap: of several sizes, touching or apart; a sheet with holes is one object."""

import cv2
import numpy as np
import pytest

from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.pieces import find_pieces


def _discs(places: list[tuple[int, int, int]], size: tuple[int, int] = (240, 320)) -> tuple[Mask, RGB]:
    """A foreground of discs at (x, y, radius) and its photo: brown on white."""
    mask = np.zeros(size, np.uint8)
    for x, y, radius in places:
        cv2.circle(mask, (x, y), radius, 1, cv2.FILLED)
    rgb = np.where(mask[..., None] > 0, np.array([0.4, 0.25, 0.1]), np.array([0.95, 0.95, 0.95])).astype(np.float32)
    return mask > 0, rgb


def test_coins_of_several_sizes_are_pieces() -> None:
    places = [(40 + 60 * column, 40 + 60 * row, (14, 26, 18)[(column + row) % 3]) for row in range(3) for column in range(4)]
    found = find_pieces(*_discs(places))
    assert found is not None
    assert len(found.whole) == 12


def test_coins_that_touch_are_parted() -> None:
    places = [(35 + 48 * column + 24 * (row % 2), 40 + 42 * row, 25) for row in range(4) for column in range(4)]
    found = find_pieces(*_discs(places))
    assert found is not None
    assert len(found.whole) == 16
    for x, y, radius in places:
        own = found.labels[y, x]
        assert own in found.whole
        ys, xs = np.nonzero(found.labels == own)
        assert np.hypot(xs - x, ys - y).max() < radius + 4
        assert len(xs) > 0.85 * np.pi * radius**2


def test_what_hangs_on_a_piece_is_no_piece() -> None:
    foreground, rgb = _discs([(50 + 70 * column, 60 + 110 * row, 24) for row in range(2) for column in range(4)])
    foreground[58:62, 50:120] = True  # a shadow joins two of them
    found = find_pieces(foreground, rgb)
    assert found is not None
    assert len(found.whole) == 8
    assert found.labels[60, 85] == 0


@pytest.mark.parametrize("radius", [5, 9, 13])
def test_a_sheet_with_holes_is_one_object(radius: int) -> None:
    holes, _ = _discs([(50 + 44 * column, 50 + 44 * row, radius) for row in range(4) for column in range(6)])
    sheet = np.zeros_like(holes)
    sheet[20:220, 20:300] = True
    sheet &= ~holes
    rgb = np.where(sheet[..., None], 0.6, 0.05) * np.ones(3)
    assert find_pieces(sheet, rgb.astype(np.float32)) is None


def test_a_comb_is_one_object() -> None:
    comb = np.zeros((240, 320), np.bool_)
    comb[40:110, 30:290] = True
    for x in range(40, 280, 30):
        comb[110:200, x : x + 12] = True
    assert find_pieces(comb, np.where(comb[..., None], 0.2, 0.8).repeat(3, axis=2).astype(np.float32)) is None
