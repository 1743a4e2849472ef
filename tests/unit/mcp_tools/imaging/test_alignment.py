"""A whole-frame editor's answer is brought back onto the photo: its defect is taken, its shift, blur and colours are not."""

import cv2
import numpy as np
import pytest
from helpers.photos import Kind, make_photo

from anomalyagent.mcp_tools.imaging.alignment import align_and_composite
from anomalyagent.mcp_tools.imaging.arrays import RGB
from anomalyagent.mcp_tools.imaging.photo import photo_from_array


@pytest.mark.parametrize(
    ("kind", "side", "shift", "least"),
    [
        ("part", 256, 0.0, 0.95),  # nothing to align: the defect must not pull the picture along
        ("surface", 256, 0.0, 0.95),
        ("part", 128, 0.0, 0.7),  # half the size: the outline widens by a pixel of the editor
        ("part", 128, 1.5, 0.7),
        ("part", 256, 2.0, 0.8),
    ],
)
def test_only_the_defect_is_taken(kind: Kind, side: int, shift: float, least: float) -> None:
    photo = photo_from_array(make_photo(kind, 3, 256))
    rgb = photo.rgb if side == 256 else cv2.resize(photo.rgb, (side, side), interpolation=cv2.INTER_AREA)
    where = np.zeros((side, side), np.uint8)
    cv2.circle(where, (round(0.35 * side), side // 2), side // 16, 1, -1)
    drawn = np.where(where[..., None] > 0, rgb * 0.3, rgb).astype(np.float32)
    motion = np.array([[1, 0, shift], [0, 1, -0.7 * shift]], np.float32)
    moved = cv2.warpAffine(drawn, motion, (side, side), borderMode=cv2.BORDER_REPLICATE)
    edited, mask = align_and_composite(photo, np.asarray(0.95 * moved + 0.02, np.float32))
    wanted = cv2.resize(where, (256, 256), interpolation=cv2.INTER_NEAREST) > 0
    assert (mask & wanted).sum() / (mask | wanted).sum() > least
    assert np.array_equal(edited.native[~mask], photo.native[~mask])


def as_jpeg(rgb: RGB, quality: int) -> RGB:
    data = cv2.imencode(".jpg", np.rint(rgb[..., ::-1] * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.float32) / np.float32(255)


@pytest.mark.parametrize(("kind", "quality", "least"), [("part", 95, 0.9), ("part", 75, 0.75), ("surface", 75, 0.75)])
def test_the_blocks_of_a_jpeg_are_no_defect(kind: Kind, quality: int, least: float) -> None:
    normal = photo_from_array(make_photo(kind, 2, 256))
    where = np.zeros(normal.shape, np.uint8)
    cv2.ellipse(where, (60, 120), (14, 6), 30, 0, 360, 1, -1)
    edited = np.where(where[..., None] > 0, normal.rgb * 0.55, normal.rgb)
    _, changed = align_and_composite(normal, as_jpeg(edited, quality))
    truth = where.astype(bool)
    assert (changed & truth).sum() / (changed | truth).sum() > least


@pytest.mark.parametrize("kind", ["part", "surface"])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_a_picture_that_was_only_moved_and_stored_anew_brings_no_defect(kind: Kind, shift: float) -> None:
    normal = photo_from_array(make_photo(kind, 4, 256))
    motion = np.array([[1.01, 0, shift], [0, 1.01, -shift]], np.float32)
    moved = cv2.warpAffine(normal.rgb, motion, (256, 256), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    _, changed = align_and_composite(normal, as_jpeg(np.asarray(np.clip(moved, 0, 1), np.float32), 85))
    assert not changed.any()


def test_a_defect_that_covers_much_of_the_photo_is_not_taken_for_noise() -> None:
    normal = photo_from_array(make_photo("surface", 5, 256))
    edited = normal.rgb.copy()
    edited[:, 150:] *= 0.8
    _, changed = align_and_composite(normal, as_jpeg(edited, 92))
    assert changed[:, 156:].mean() > 0.95
    assert changed[:, :144].mean() < 0.01


def test_a_wide_faint_change_is_told_from_noise_that_is_as_strong_at_each_pixel() -> None:
    normal = photo_from_array(make_photo("part", 2, 256))
    rows, columns = np.mgrid[:256, :256]
    blob = np.exp(-(((rows - 120) / 16.0) ** 2 + ((columns - 60) / 22.0) ** 2)).astype(np.float32)
    grain = np.random.default_rng(1).normal(0.0, 0.02, normal.rgb.shape).astype(np.float32)
    edited = np.asarray(np.clip(normal.rgb * (1.0 - 0.13 * blob[..., None]) + grain, 0.0, 1.0), np.float32)
    _, changed = align_and_composite(normal, edited)
    assert (changed & (blob > 0.5)).sum() > 0.5 * (blob > 0.5).sum()
    assert (changed & (blob < 0.02)).sum() < 10
