"""A part on a perforated board is told from it, its leads too; a board, a mesh, a weave alone fill the frame."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.foreground import find_foreground
from anomalyagent.mcp_tools.imaging.patterned import repeats_beside

SIDE, LEADS = 288, (120, 144, 168)


def board(pitch: int, seed: int = 0) -> NDArray[np.uint8]:
    """Brown, with dark holes in pale rings at an even pitch."""
    photo = np.full((SIDE, SIDE, 3), (150, 105, 62), np.uint8)
    for x in range(seed % pitch, SIDE + pitch, pitch):
        for y in range(pitch // 3, SIDE + pitch, pitch):
            cv2.circle(photo, (x, y), pitch // 3, (166, 125, 84), -1, cv2.LINE_AA)
            cv2.circle(photo, (x, y), pitch // 6, (22, 16, 12), -1, cv2.LINE_AA)
    return photo


def seen(photo: NDArray[np.uint8], seed: int = 0) -> RGB:
    """As a camera shows it, lit from one side."""
    rng = np.random.default_rng(seed)
    light = np.linspace(0.92, 1.05, SIDE)[None, :, None]
    soft = cv2.GaussianBlur(photo.astype(np.float32) * light, (0, 0), 0.8) + rng.normal(0, 2.0, photo.shape)
    return (np.clip(soft, 0, 255) / 255.0).astype(np.float32)


def part() -> Mask:
    """A body with three leads below it."""
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    cv2.rectangle(drawn, (96, 60), (192, 160), 1, -1)
    for x in LEADS:
        cv2.rectangle(drawn, (x - 5, 160), (x + 5, 232), 1, -1)
    return drawn > 0


@pytest.mark.parametrize("pitch", [26, 30, 36])
@pytest.mark.parametrize("seed", range(3))
def test_a_part_on_a_perforated_board_is_found_with_its_leads(pitch: int, seed: int) -> None:
    photo = board(pitch, 7 * seed)
    photo[part()] = (190, 190, 186)
    photo[60:161, 96:193] = (28, 27, 29)
    found = find_foreground(seen(photo, seed))
    assert (found & part()).sum() / (found | part()).sum() > 0.85
    assert all(found[170:225, x - 2 : x + 3].mean() > 0.8 for x in LEADS)


@pytest.mark.parametrize("pitch", [12, 16, 20])
def test_a_board_a_mesh_and_a_weave_alone_fill_the_frame(pitch: int) -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    wires = ((x % pitch < pitch // 4) | (y % pitch < pitch // 4))[..., None]
    mesh = np.where(wires, (170, 168, 160), (30, 30, 34)).astype(np.uint8)
    weave = (120 + 50 * np.sin(2 * np.pi * x / pitch) * np.sin(2 * np.pi * y / pitch))[..., None] * np.ones(3)
    for photo in (board(pitch), mesh, weave.astype(np.uint8)):
        assert find_foreground(seen(photo)).all()


def test_a_backdrop_of_which_a_strip_is_seen_says_nothing() -> None:
    body = np.ones((SIDE, SIDE), np.uint8)
    body[:5] = 0
    lab = lab_from_rgb(seen(board(26)))
    with np.errstate(all="raise"):
        assert not repeats_beside(lab, body)
