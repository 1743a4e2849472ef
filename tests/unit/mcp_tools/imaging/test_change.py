"""What visibly changed, and that composited edits and their masks agree exactly."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.backends.change import ChangeMask
from anomalyagent.mcp_tools.imaging.alignment import align_and_composite
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.change import mask_of_change, visible_change
from anomalyagent.mcp_tools.imaging.compositing import composite_visible
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array

KINDS = ("RGB", "L", "RGBA", "LA", "I;16", "RGB;16")


def make_photo(kind: str = "RGB", side: int = 96, seed: int = 0) -> Photo:
    """A smoothly shaded, slightly grainy surface."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0.0 : 1.0 : side * 1j, 0.0 : 1.0 : (side + 8) * 1j]
    base = 0.35 + 0.3 * x + 0.1 * y + rng.normal(0, 0.01, x.shape)
    rgb = np.clip(np.dstack([base, base * 0.95, base * 0.9]), 0, 1)
    top = 255 if ";16" not in kind else 4095
    native = np.rint(rgb * top).astype(np.uint8 if top == 255 else np.uint16)
    alpha = rng.integers(0, 256, x.shape, dtype=np.uint8)
    if kind == "RGBA":
        native = np.dstack([native, alpha])
    elif kind == "LA":
        native = np.dstack([native[..., 0], alpha])
    elif kind in ("L", "I;16"):
        native = native[..., 0]
    return photo_from_array(np.ascontiguousarray(native))


def disc(shape: tuple[int, int], x: float, y: float, radius: float) -> Mask:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 <= radius**2


def iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def darkened(photo: Photo, where: Mask, amount: float) -> RGB:
    rgb = photo.rgb.copy()
    rgb[where] *= 1.0 - amount
    return rgb


@pytest.mark.parametrize("kind", KINDS)
def test_a_drawn_change_is_found_to_the_pixel(kind: str) -> None:
    photo = make_photo(kind)
    where = disc(photo.shape, 40, 50, 12)
    after = photo.edited(darkened(photo, where, 0.3), where)
    assert iou(mask_of_change(photo, after), where) == 1.0


def test_a_thin_line_is_found_to_the_pixel() -> None:
    photo = make_photo()
    line = np.zeros(photo.shape, np.uint8)
    cv2.line(line, (10, 12), (90, 70), 1, 1)
    where = line.astype(np.bool_)
    after = photo.edited(darkened(photo, where, 0.35), where)
    assert iou(mask_of_change(photo, after), where) > 0.97


def test_a_feathered_change_is_cut_where_it_stops_being_visible() -> None:
    photo = make_photo()
    soft = cv2.GaussianBlur(disc(photo.shape, 48, 48, 14).astype(np.float32), (0, 0), 4.0)
    rgb = photo.rgb * (1.0 - 0.4 * soft[..., None])
    mask = mask_of_change(photo, photo.edited(rgb.astype(np.float32), np.ones(photo.shape, np.bool_)))
    assert iou(mask, soft > 0.08) > 0.85
    assert not mask[soft < 0.01].any()


def test_separate_changes_stay_separate() -> None:
    photo = make_photo()
    where = disc(photo.shape, 25, 30, 6) | disc(photo.shape, 75, 70, 6)
    mask = mask_of_change(photo, photo.edited(darkened(photo, where, 0.3), where))
    assert cv2.connectedComponents(mask.astype(np.uint8))[0] == 3


def test_pin_holes_are_filled_and_lone_specks_dropped() -> None:
    photo = make_photo()
    where = disc(photo.shape, 48, 48, 15)
    pierced = where.copy()
    pierced[40, 45] = pierced[52, 50] = False
    speck = np.zeros_like(where)
    speck[5, 5] = True
    rgb = darkened(photo, pierced, 0.3)
    rgb[speck] -= 0.02
    assert (mask_of_change(photo, photo.edited(rgb, pierced | speck)) == where).all()


def test_nothing_visible_gives_an_empty_mask() -> None:
    photo = make_photo()
    assert not mask_of_change(photo, photo).any()
    drift = np.clip(photo.rgb + np.random.default_rng(1).normal(0, 0.004, photo.rgb.shape), 0, 1).astype(np.float32)
    assert not mask_of_change(photo, photo.edited(drift, np.ones(photo.shape, np.bool_))).any()


def test_a_stronger_change_has_a_larger_field() -> None:
    photo = make_photo()
    where = disc(photo.shape, 48, 48, 10)
    strengths = [
        float(visible_change(photo, photo.edited(darkened(photo, where, amount), where))[where].mean())
        for amount in (0.05, 0.15, 0.4)
    ]
    assert strengths == sorted(strengths)
    assert (visible_change(photo, photo.edited(darkened(photo, where, 0.4), where))[~where] == 0).all()


def test_photos_of_different_sizes_are_refused() -> None:
    with pytest.raises(ToolInputError, match="different sizes"):
        mask_of_change(make_photo(side=96), make_photo(side=64))


def assert_exact(normal: Photo, edited: Photo, mask: Mask) -> None:
    native, original = edited.native, normal.native
    assert (native[~mask] == original[~mask]).all()
    assert (mask_of_change(normal, edited) == mask).all()
    assert edited.mode == normal.mode


@settings(max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 10_000),
    amount=st.floats(-0.6, 0.6),
    radius=st.floats(0.5, 30.0),
    blur=st.floats(0.3, 8.0),
    drift=st.sampled_from([0.0, 0.003, 0.01, 0.03]),
)
def test_composites_are_identical_outside_their_mask_and_the_mask_is_what_changed(
    kind: str, seed: int, amount: float, radius: float, blur: float, drift: float
) -> None:
    photo = make_photo(kind, side=64, seed=seed % 3)
    rng = np.random.default_rng(seed)
    soft = cv2.GaussianBlur(disc(photo.shape, rng.uniform(0, 70), rng.uniform(0, 60), radius).astype(np.float32), (0, 0), blur)
    rgb = photo.rgb + amount * soft[..., None] * rng.uniform(0.2, 1, 3) + rng.normal(0, 1, photo.rgb.shape) * drift
    edited, mask = composite_visible(photo, np.clip(rgb, 0, 1).astype(np.float32))
    assert_exact(photo, edited, mask)


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_any_noise_at_all_composites_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    photo = photo_from_array(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8))
    rgb = np.where(rng.random((40, 40, 1)) < rng.random(), rng.random((40, 40, 3)), photo.rgb).astype(np.float32)
    edited, mask = composite_visible(photo, rgb)
    assert_exact(photo, edited, mask)


def test_an_invisible_edit_leaves_the_photo_as_it_is() -> None:
    photo = make_photo()
    edited, mask = composite_visible(photo, np.clip(photo.rgb + 0.004, 0, 1))
    assert edited.sha256 == photo.sha256
    assert not mask.any()
    with pytest.raises(ToolInputError, match="does not fit"):
        composite_visible(photo, photo.rgb[:-2])


def structured_photo() -> Photo:
    rng = np.random.default_rng(3)
    blobs = cv2.GaussianBlur(rng.normal(0, 1, (160, 200)), (0, 0), 5.0)
    base = 0.5 + 0.12 * blobs / blobs.std()
    return photo_from_array(np.clip(np.dstack([base, base, base * 0.9]) * 255, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("size", [(200, 160), (320, 256), (150, 120)])
def test_a_whole_frame_edit_of_another_size_shift_and_color_is_brought_back(size: tuple[int, int]) -> None:
    photo = structured_photo()
    where = disc(photo.shape, 90, 80, 18)
    rgb = darkened(photo, where, 0.45)
    shift = np.array([[1.0, 0.0, 1.7], [0.0, 1.0, -1.2]], np.float32)
    moved = cv2.warpAffine(rgb, shift, (200, 160), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    resized = cv2.resize(moved, size, interpolation=cv2.INTER_CUBIC)
    noisy = resized * 0.93 + 0.03 + np.random.default_rng(0).normal(0, 0.006, resized.shape)
    edited, mask = align_and_composite(photo, np.clip(noisy, 0, 1).astype(np.float32))
    assert_exact(photo, edited, mask)
    assert iou(mask, where) > 0.7  # resampling widens the outline by a pixel


def test_a_whole_frame_that_was_not_edited_gives_nothing() -> None:
    photo = structured_photo()
    same = cv2.resize(
        cv2.resize(photo.rgb, (256, 208), interpolation=cv2.INTER_CUBIC), (200, 160), interpolation=cv2.INTER_AREA
    )
    _, mask = align_and_composite(photo, np.asarray(same, np.float32))
    assert mask.mean() < 0.005


def test_the_backend_is_surer_of_clearer_changes() -> None:
    photo = make_photo()
    where = disc(photo.shape, 48, 48, 10)
    backend = ChangeMask({})
    found = [backend.segment(photo, photo.edited(darkened(photo, where, amount), where)) for amount in (0.09, 0.2, 0.5)]
    confidences = [segmented.confidence for segmented in found]
    assert confidences == sorted(confidences)
    assert confidences[-1] > 0.9
    assert 0.0 <= confidences[0] < 0.8
    assert backend.segment(photo, photo).confidence == 1.0
    assert not backend.segment(photo, photo).mask.any()
