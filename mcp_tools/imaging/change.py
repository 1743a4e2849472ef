"""What visibly changed between two photos: CIEDE2000 difference in units of the local just-noticeable difference (JND).

The mask of a defect is what a person could see of it. Every decision is made per pixel or per connected group of changed
pixels, never by smoothing, so resetting everything outside a mask to the original leaves the mask as it is
(`compositing.py` relies on it).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import JND_REACH_PX, ciede2000, just_noticeable_difference, lab_from_rgb
from anomalyagent.mcp_tools.imaging.photo import Photo

__all__ = ["differs", "mask_of_change", "mask_of_visibility", "visible_change"]

_LOW, _HIGH = 0.6, 1.0  # JND: a group must reach the upper, and extends down to the lower
_MIN_SUM = 4.0  # JND x pixels: a single pixel must be strong to be seen, many may be faint (Ricco's law)


def visible_change(before: Photo, after: Photo) -> Field:
    """Strength of the change at each pixel.

    Args:
        before, after: photos of equal size; a 16-bit `after` is shown with the scale of `before`.
    Returns:
        (H, W) float32 in multiples of the local JND, exactly 0 where the native pixels are identical.
    Raises:
        ToolInputError: the sizes differ.
    Source: CIEDE2000 (Sharma 2005); local JND after Chou & Li 1995.
    """
    if before.shape != after.shape:
        raise ToolInputError(
            f"photos of different sizes cannot be compared: {_size(before)} and {_size(after)}. Pass the photo that was edited."
        )
    field = np.zeros(before.shape, np.float32)
    old, new = before.rgb, after.shown_with(before.scale)
    box = _box_of_difference(old, new)
    if box is None:
        return field
    # the JND looks at most JND_REACH_PX around a pixel, so a window gives the same as the whole photo
    window = tuple(slice(max(0, side.start - JND_REACH_PX), side.stop + JND_REACH_PX) for side in box)
    old, new = old[window], new[window]
    lab_old = lab_from_rgb(old)
    changed = differs(old, new)
    lab_new = lab_from_rgb(new[changed][None])[0]
    jnd = just_noticeable_difference(np.ascontiguousarray(lab_old[..., 0]))
    field[window][changed] = ciede2000(lab_old[changed], lab_new) / jnd[changed]
    return field


def differs(first: RGB, second: RGB) -> Mask:
    """(H, W) bool: pixels where any channel differs at all."""
    unequal = first != second
    return unequal[..., 0] | unequal[..., 1] | unequal[..., 2]


def _box_of_difference(first: RGB, second: RGB) -> tuple[slice, slice] | None:
    """Rows and columns of the smallest box that holds every difference; None when there is none."""
    rows = np.flatnonzero((first != second).reshape(len(first), -1).any(axis=1))
    if rows.size == 0:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero((first[top:bottom] != second[top:bottom]).any(axis=0).any(axis=1))
    return slice(top, bottom), slice(int(columns[0]), int(columns[-1]) + 1)


def mask_of_change(before: Photo, after: Photo) -> Mask:
    """Pixels whose change a person could see.

    Args:
        before, after: photos of equal size.
    Returns:
        (H, W) bool, tight to the pixel; empty when nothing can be seen.
    Raises:
        ToolInputError: the sizes differ.
    """
    return mask_of_visibility(visible_change(before, after))


def mask_of_visibility(field: Field) -> Mask:
    """The mask for a field of visible change (see `visible_change`), (H, W) bool."""
    mask = np.zeros(field.shape, np.bool_)
    low, high = _thresholds(field)
    possible = field >= low
    rows, columns = np.flatnonzero(possible.any(axis=1)), np.flatnonzero(possible.any(axis=0))
    if rows.size == 0:
        return mask
    # two pixels of margin, so that closing sees the surroundings
    top, bottom = max(0, int(rows[0]) - 2), min(field.shape[0], int(rows[-1]) + 3)
    left, right = max(0, int(columns[0]) - 2), min(field.shape[1], int(columns[-1]) + 3)
    part = field[top:bottom, left:right]
    candidate = (part >= low).astype(np.uint8)
    count, found = cv2.connectedComponents(candidate, connectivity=8)
    labels = np.asarray(found, np.int32)
    flat = labels.ravel()
    strength = np.bincount(flat, weights=part.ravel(), minlength=count)
    peaked = np.bincount(flat, weights=(part >= high).ravel(), minlength=count) > 0
    keep = peaked & (strength >= _MIN_SUM)
    keep[0] = False
    if not keep.any():
        return mask
    mask[top:bottom, left:right] = _fill_pin_holes(keep[labels].astype(np.uint8), min(field.shape))
    return mask


def _thresholds(field: Field) -> tuple[float, float]:
    """Lower and upper threshold in JND, raised when most of the frame drifted by less than can be seen.

    A whole-frame editor changes every pixel a little, at random; the tail of that drift is no defect.
    """
    if np.count_nonzero(field) < 0.5 * field.size:
        return _LOW, _HIGH
    changed = field[field > 0]
    typical = float(np.median(changed))
    if typical >= _LOW:
        return _LOW, _HIGH
    spread = 1.4826 * float(np.median(np.abs(changed - typical)))
    return float(np.clip(typical + 3.0 * spread, _LOW, 1.0)), float(np.clip(typical + 6.0 * spread, _HIGH, 2.0))


def _fill_pin_holes(mask: NDArray[np.uint8], side_px: int) -> NDArray[np.bool_]:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    closed = np.asarray(cv2.morphologyEx(np.pad(mask, 2), cv2.MORPH_CLOSE, cross), np.uint8)[2:-2, 2:-2]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - closed, connectivity=4)
    largest = max(4, round(2e-4 * side_px**2))
    if count > 2:
        small = stats[:, cv2.CC_STAT_AREA] <= largest
        small[0] = False
        touches = (stats[:, 0] == 0) | (stats[:, 1] == 0)
        touches |= (stats[:, 0] + stats[:, 2] == mask.shape[1]) | (stats[:, 1] + stats[:, 3] == mask.shape[0])
        closed = np.where((small & ~touches)[labels], np.uint8(1), closed)
    return closed.astype(np.bool_)


def _size(photo: Photo) -> str:
    return f"{photo.shape[1]} x {photo.shape[0]}"
