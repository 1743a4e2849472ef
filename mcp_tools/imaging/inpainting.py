"""Continuing a surface into a hole without weights, keeping its structure and grain.

Image completion by patches, coarse to fine: every pixel of the hole points to a place outside it whose neighbourhood looks
alike; neighbours pass good places on, and random tries refine them. The finest picture is copied pixel by pixel, so the
grain is that of the photo. Sources: Y. Wexler, E. Shechtman, M. Irani, "Space-time completion of video", 2007;
C. Barnes et al., "PatchMatch", 2009 (here all pixels step at once, in numpy).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask

__all__ = ["continue_smoothly", "fill_from_surroundings"]

_RADIUS = 2  # of a patch, pixels
_MAX_SEARCHED = 1500  # hole pixels on the finest level that is searched thoroughly
_MAX_REFINED = 20_000  # hole pixels on the finest level that is searched at all; above, shifts are taken over
_SWEEPS = 3
_MAX_SEAM = 0.12  # largest correction of brightness along the rim, sRGB units

Places = NDArray[np.int64]
"""(N, 2) row and column of the source of each hole pixel."""


def fill_from_surroundings(rgb: RGB, hole: Mask, rng: np.random.Generator, source: Mask | None = None) -> RGB:
    """The picture with `hole` filled as if nothing were there.

    Args:
        rgb: (H, W, 3) float32 0..1.
        hole: (H, W) bool; up to a quarter of the picture gives good results.
        source: (H, W) bool, where material may be taken from (e.g. the object only); unset: everywhere outside the hole.
    Returns:
        (H, W, 3) float32 0..1, identical outside the hole.
    Raises:
        ToolInputError: nothing is left to take material from.
    """
    if not hole.any():
        return rgb.copy()
    known = ~hole if source is None else source & ~hole
    if not known.any():
        raise ToolInputError(
            "a hole cannot be filled when nothing is left to take material from. Leave some surface around it."
        )
    window = _window_around(hole, known)
    part, part_hole, part_known = rgb[window], hole[window], known[window]
    filled = _complete(part, part_hole, part_known, rng)
    out = rgb.copy()
    out[window][part_hole] = filled[part_hole]
    return out


def _window_around(hole: Mask, known: Mask) -> tuple[slice, slice]:
    """Box around the hole, with enough surroundings to take material from."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    reach = max(32, int(0.75 * max(rows[-1] - rows[0], columns[-1] - columns[0])))
    while True:
        window = (
            slice(max(0, int(rows[0]) - reach), int(rows[-1]) + reach + 1),
            slice(max(0, int(columns[0]) - reach), int(columns[-1]) + reach + 1),
        )
        if np.count_nonzero(known[window]) >= np.count_nonzero(hole) or reach > max(hole.shape):
            return window
        reach *= 2


def _complete(rgb: RGB, hole: Mask, known: Mask, rng: np.random.Generator) -> RGB:
    shapes = [hole.shape]
    # coarser and coarser until the hole is only a few pixels thick
    thickness = 2.0 * float(cv2.distanceTransform(np.pad(hole, 1).astype(np.uint8), cv2.DIST_L2, 3).max())
    while thickness / 2.0 ** (len(shapes) - 1) > 6.0 and min(shapes[-1]) > 24:
        shapes.append(((shapes[-1][0] + 1) // 2, (shapes[-1][1] + 1) // 2))
    places: Places | None = None
    previous_hole: Mask = hole
    picture = rgb
    smooth = continue_smoothly(rgb, ~hole if known.sum() < 16 else known | ~hole)
    for shape in reversed(shapes):
        size = (shape[1], shape[0])
        level_hole = np.asarray(cv2.resize(hole.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.01, np.bool_)
        level_known = np.asarray(cv2.resize(known.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99, np.bool_)
        usable = _usable_centers(level_known & ~level_hole)
        if usable is None:
            continue
        picture = np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_AREA), np.float32)
        targets = np.stack(np.nonzero(level_hole), axis=1)
        if places is None:
            choices = np.stack(np.nonzero(usable), axis=1)
            places = choices[rng.integers(len(choices), size=len(targets))]
        else:
            places = _grown(places, previous_hole, targets, shape, usable)
            picture[level_hole] = picture[places[:, 0], places[:, 1]]
        finest = shape == shapes[0]
        thorough = len(targets) <= _MAX_SEARCHED
        sweeps = _SWEEPS if thorough else int(len(targets) <= _MAX_REFINED)
        places = _search(picture, level_hole, targets, places, usable, sweeps, vote=not finest, sparse=not thorough, rng=rng)
        previous_hole = level_hole
    if places is None:
        return smooth
    out = rgb.copy()
    targets = np.stack(np.nonzero(hole), axis=1)
    if len(targets) != len(places):  # the full size had no usable centre: the hole leaves only slivers
        return smooth
    out[hole] = rgb[places[:, 0], places[:, 1]]
    return _hide_seam(out, rgb, hole)


def _usable_centers(known: Mask) -> Mask | None:
    """Centres of patches that lie wholly in known material; single pixels when there is no room for patches."""
    for radius in (_RADIUS, 1, 0):
        size = 2 * radius + 1
        inside = cv2.erode(
            known.astype(np.uint8), np.ones((size, size), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
        if np.count_nonzero(inside) >= 4:
            return np.asarray(inside, np.bool_)
    return None


def _grown(places: Places, hole: Mask, targets: Places, shape: tuple[int, int], usable: Mask) -> Places:
    """Places of a level from those of the next coarser one: the same shift, twice as long."""
    index = np.full(hole.shape, -1, np.int64)
    coarse_targets = np.stack(np.nonzero(hole), axis=1)
    index[hole] = np.arange(len(coarse_targets))
    at = index[np.minimum(targets[:, 0] // 2, hole.shape[0] - 1), np.minimum(targets[:, 1] // 2, hole.shape[1] - 1)]
    shift = np.where((at >= 0)[:, None], 2 * (places - coarse_targets)[np.maximum(at, 0)], 0)
    moved = np.clip(targets + shift, 0, np.array(shape) - 1)
    bad = ~usable[moved[:, 0], moved[:, 1]]
    if bad.any():
        moved[bad] = _nearest_usable(moved[bad], usable)
    return moved


def _nearest_usable(points: Places, usable: Mask) -> Places:
    blocked = (~usable).astype(np.uint8)
    _, found = cv2.distanceTransformWithLabels(blocked, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    labels = np.asarray(found, np.int64)
    where = np.stack(np.nonzero(usable), axis=1)
    by_label = np.zeros((int(labels.max()) + 1, 2), np.int64)
    by_label[labels[usable]] = where
    return by_label[labels[points[:, 0], points[:, 1]]]


def _search(
    picture: RGB,
    hole: Mask,
    targets: Places,
    places: Places,
    usable: Mask,
    sweeps: int,
    *,
    vote: bool,
    sparse: bool,
    rng: np.random.Generator,
) -> Places:
    height, width = hole.shape
    index = np.full((height + 2, width + 2), -1, np.int64)
    index[1:-1, 1:-1][hole] = np.arange(len(targets))
    step = 2 if sparse else 1
    span = range(-_RADIUS, _RADIUS + 1, step)
    taps = np.array([(dy, dx) for dy in span for dx in span], np.int64)
    for sweep in range(sweeps):
        padded = cv2.copyMakeBorder(picture, _RADIUS, _RADIUS, _RADIUS, _RADIUS, cv2.BORDER_REFLECT)
        if sparse:
            padded = padded.sum(axis=2)
        flat = np.asarray(padded, np.float32).reshape((height + 2 * _RADIUS) * (width + 2 * _RADIUS), -1)
        stride = width + 2 * _RADIUS
        tap_index = (taps[:, 0] + _RADIUS) * stride + taps[:, 1] + _RADIUS
        wanted = flat[(targets[:, 0] * stride + targets[:, 1])[:, None] + tap_index]
        cost = _cost(flat, wanted, places, stride, tap_index)
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            neighbor = index[targets[:, 0] + 1 + dy, targets[:, 1] + 1 + dx]
            candidate = places[np.maximum(neighbor, 0)] - np.array([dy, dx])
            places, cost = _take_better(flat, wanted, places, cost, candidate, neighbor >= 0, usable, stride, tap_index)
        radius = max(height, width) // (2 if not sparse else 64)
        while radius >= 1:
            candidate = places + rng.integers(-radius, radius + 1, size=places.shape)
            everyone = np.ones(len(places), np.bool_)
            places, cost = _take_better(flat, wanted, places, cost, candidate, everyone, usable, stride, tap_index)
            radius //= 4
        if vote or sweep + 1 < sweeps:
            picture[hole] = _vote(picture, targets, places, index)
    return places


def _cost(
    flat: NDArray[np.float32], wanted: NDArray[np.float32], places: Places, stride: int, taps: NDArray[np.int64]
) -> NDArray[np.float32]:
    off = flat[(places[:, 0] * stride + places[:, 1])[:, None] + taps] - wanted
    return np.einsum("nkc,nkc->n", off, off)


def _take_better(
    flat: NDArray[np.float32],
    wanted: NDArray[np.float32],
    places: Places,
    cost: NDArray[np.float32],
    candidate: Places,
    valid: Mask,
    usable: Mask,
    stride: int,
    taps: NDArray[np.int64],
) -> tuple[Places, NDArray[np.float32]]:
    height, width = usable.shape
    rows, columns = candidate[:, 0], candidate[:, 1]
    inside = valid & (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    inside[inside] = usable[rows[inside], columns[inside]]
    tried = np.flatnonzero(inside)
    new_cost = _cost(flat, wanted[tried], candidate[tried], stride, taps)
    better = new_cost < cost[tried]
    chosen = tried[better]
    places, cost = places.copy(), cost.copy()
    places[chosen], cost[chosen] = candidate[chosen], new_cost[better]
    return places, cost


def _vote(picture: RGB, targets: Places, places: Places, index: NDArray[np.int64]) -> RGB:
    """Each hole pixel becomes the mean of what its own patch and those of its eight neighbours say."""
    height, width = picture.shape[:2]
    total = np.zeros((len(targets), 3), np.float32)
    votes = np.zeros((len(targets), 1), np.float32)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            neighbor = index[targets[:, 0] + 1 + dy, targets[:, 1] + 1 + dx]
            have = neighbor >= 0
            at = places[neighbor[have]] - np.array([dy, dx])
            total[have] += picture[np.clip(at[:, 0], 0, height - 1), np.clip(at[:, 1], 0, width - 1)]
            votes[have] += 1.0
    return total / votes


def _hide_seam(filled: RGB, rgb: RGB, hole: Mask) -> RGB:
    """Bring the brightness along the rim to that outside, fading into the hole."""
    inside, outside = _mean_of(filled, hole, 2.0), _mean_of(rgb, ~hole, 2.0)
    grown = cv2.dilate(hole.astype(np.uint8), np.ones((3, 3), np.uint8)) - cv2.erode(
        hole.astype(np.uint8), np.ones((3, 3), np.uint8)
    )
    rim = np.asarray(grown, np.bool_)
    if not rim.any():
        return filled
    step = np.clip(outside - inside, -_MAX_SEAM, _MAX_SEAM)
    correction = continue_smoothly(step, rim)
    filled = filled.copy()
    filled[hole] = np.clip(filled[hole] + correction[hole], 0.0, 1.0)
    return filled


def _mean_of(rgb: RGB, where: Mask, sigma: float) -> RGB:
    weight = where.astype(np.float32)
    stack = np.dstack([rgb * weight[..., None], weight])
    total = np.asarray(cv2.GaussianBlur(stack, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)
    return np.asarray(total[..., :3] / np.maximum(total[..., 3:], 1e-5), np.float32)


def continue_smoothly(values: RGB, known: Mask, sweeps: int = 2) -> RGB:
    """(H, W, 3) values continued smoothly from where they are known: push-pull over a pyramid, then relaxed.

    Args:
        sweeps: of relaxation on each level; with many the values come near to the even sheet that the border holds
            (Laplace), and no edge is seen where a wide hole begins.
    """
    weight = known.astype(np.float32)
    levels = [(values * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2 and float(levels[-1][1].min()) == 0.0:
        color, share = levels[-1]
        size = ((share.shape[1] + 1) // 2, (share.shape[0] + 1) // 2)
        small_color = np.asarray(cv2.resize(color, size, interpolation=cv2.INTER_AREA), np.float32)
        small_share = np.asarray(cv2.resize(share, size, interpolation=cv2.INTER_AREA), np.float32)
        levels.append((small_color, small_share))
    color, share = levels[-1]
    fallback = color.sum(axis=(0, 1)) / max(float(share.sum()), 1e-6)
    filled = np.where(share[..., None] > 0, color / np.maximum(share, 1e-6)[..., None], fallback).astype(np.float32)
    for color, share in reversed(levels[:-1]):
        size = (share.shape[1], share.shape[0])
        up = np.asarray(cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR), np.float32)
        have = share > 0
        exact = color / np.maximum(share, 1e-6)[..., None]
        filled = np.where(have[..., None], exact, up)
        for _ in range(sweeps):
            filled = np.where(have[..., None], exact, cv2.blur(filled, (3, 3), borderType=cv2.BORDER_REFLECT))
    return np.asarray(filled, np.float32)
