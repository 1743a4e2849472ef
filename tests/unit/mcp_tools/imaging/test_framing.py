"""Which part of a photo an editor's picture shows."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo

from anomalyagent.mcp_tools.imaging.alignment import align_and_composite
from anomalyagent.mcp_tools.imaging.framing import agreement, same_frame
from anomalyagent.mcp_tools.imaging.photo import photo_from_array


def photo(seed: int = 3, height: int = 120, width: int = 160) -> Any:
    rgb = make_photo("part", seed, 160)[:height, :width]
    marked = np.ascontiguousarray(rgb)
    cv2.rectangle(marked, (20, 30), (34, 44), (230, 230, 220), -1)  # a round part alone does not tell how it is turned
    return (marked / 255.0).astype(np.float32)


def scaled(rgb: Any, width: int, height: int) -> Any:
    return cv2.resize(np.ascontiguousarray(rgb), (width, height))


WAYS: dict[str, Callable[[Any], Any]] = {
    "the same": lambda rgb: rgb,
    "larger": lambda rgb: scaled(rgb, 272, 204),
    "squeezed": lambda rgb: scaled(rgb, 100, 100),
    "turned by 90": lambda rgb: np.rot90(rgb, 1),
    "turned by 180": lambda rgb: np.rot90(rgb, 2),
    "turned by 270 and squeezed": lambda rgb: scaled(np.rot90(rgb, 3), 128, 128),
    "padded": lambda rgb: np.pad(rgb, ((20, 20), (0, 0), (0, 0)), mode="reflect"),
    "cropped": lambda rgb: rgb[:, 20:-20],
    "padded and turned": lambda rgb: np.rot90(np.pad(rgb, ((20, 20), (0, 0), (0, 0)), mode="reflect"), 1),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_frame_is_found(way: str) -> None:
    rgb = photo()
    framed = same_frame(rgb, np.ascontiguousarray(WAYS[way](rgb)))
    back = cv2.resize(framed, (160, 120), interpolation=cv2.INTER_AREA)
    assert np.abs(back - rgb).mean() < 0.02
    assert agreement(rgb, framed) > 0.9


def test_a_symmetrical_part_and_a_plain_sheet_are_not_turned() -> None:
    for kind in ("part", "surface"):
        rgb = (make_photo(kind, 5, 128) / 255.0).astype(np.float32)
        made = np.clip(rgb + np.random.default_rng(0).normal(0, 0.05, rgb.shape), 0, 1).astype(np.float32)
        assert same_frame(rgb, made) is made


def test_a_large_defect_turns_nothing() -> None:
    rgb = photo()
    made = rgb.copy()
    made[:, 80:] *= 0.2
    assert same_frame(rgb, made) is made


@pytest.mark.parametrize("quality", [97, 90, 75])
@pytest.mark.parametrize("kind", ["part", "surface"])
def test_jpeg_blocks_are_no_defect(kind: Any, quality: int) -> None:
    normal = photo_from_array(make_photo(kind, 3, 192))
    disc = np.zeros((192, 192), np.uint8)
    cv2.circle(disc, (48, 96), 10, 1, -1)
    drawn = np.rint(np.where(disc[..., None] > 0, normal.rgb * 0.3, normal.rgb) * 255).astype(np.uint8)
    data = cv2.imencode(".jpg", drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    came = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert came is not None
    edited, mask = align_and_composite(normal, (came[..., ::-1] / 255.0).astype(np.float32))
    near = cv2.dilate(disc, np.ones((9, 9), np.uint8)) > 0
    assert mask[disc > 0].mean() > 0.95
    assert (mask & ~near).sum() < 0.1 * disc.sum()
    assert np.array_equal(edited.native[~mask], normal.native[~mask])


def test_another_picture_agrees_with_nothing() -> None:
    rgb = photo()
    assert agreement(rgb, (make_photo("surface", 1, 160) / 255.0).astype(np.float32)) < 0.2


@pytest.mark.parametrize("shape", [(32, 4096), (4096, 32)])
def test_a_strip_as_long_as_a_web_camera_s_keeps_its_frame(shape: tuple[int, int]) -> None:
    """A quarter of a turn would make frames of 25 GB."""
    strip = np.random.default_rng(0).integers(90, 160, (*shape, 3)).astype(np.uint8)
    made = strip.astype(np.float32) / 255.0
    made[10:22, 10:22] = 0.0
    assert same_frame(strip.astype(np.float32) / 255.0, made) is made
    _, mask = align_and_composite(photo_from_array(strip), made)
    assert 100 < np.count_nonzero(mask) < 200
    assert mask[10:22, 10:22].mean() > 0.8
