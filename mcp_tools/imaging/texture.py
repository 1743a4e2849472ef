"""Surfaces continued without weights: fill a hole from its surroundings with matching grain, find similar patches."""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask

__all__ = ["Statistics", "fill_from_surroundings", "find_similar_patch", "local_statistics"]


class Statistics(NamedTuple):
    """Mean colour (3,) and standard deviation of the fine detail (3,), both sRGB 0..1."""

    mean: RGB
    grain: RGB


def local_statistics(rgb: RGB, where: Mask) -> Statistics:
    """Colour and grain of the pixels `where` (H, W) bool is true; zeros when there are none."""
    if not where.any():
        return Statistics(np.zeros(3, np.float32), np.zeros(3, np.float32))
    detail = rgb - _low_pass(rgb, where, 2.0)
    return Statistics(rgb[where].mean(axis=0).astype(np.float32), detail[where].std(axis=0).astype(np.float32))


def _low_pass(rgb: RGB, where: Mask, sigma: float) -> RGB:
    """Gaussian mean over the pixels `where` is true only."""
    weight = where.astype(np.float32)
    total = cv2.GaussianBlur(rgb * weight[..., None], (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    count = cv2.GaussianBlur(weight, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return (total / np.maximum(count, 1e-4)[..., None]).astype(np.float32)


def fill_from_surroundings(rgb: RGB, hole: Mask, rng: np.random.Generator) -> RGB:
    """The picture with `hole` filled as if nothing were there: smooth colours from its rim, grain from nearby surface.

    Args:
        rgb: (H, W, 3) float32 0..1. hole: (H, W) bool, not everything.
    Returns:
        (H, W, 3) float32 0..1, identical outside the hole.
    Raises:
        ToolInputError: nothing is left outside the hole.
    """
    if hole.all():
        raise ToolInputError("a hole that covers the whole picture cannot be filled. Leave some surface around it.")
    if not hole.any():
        return rgb.copy()
    known = ~hole
    base = _membrane(_low_pass(rgb, known, 3.0), hole)
    detail = rgb - _low_pass(rgb, known, 3.0)
    grain = _borrow_detail(detail, hole, rng)
    out = rgb.copy()
    out[hole] = np.clip(base[hole] + grain[hole], 0.0, 1.0)
    return out


def _membrane(rgb: RGB, hole: Mask) -> RGB:
    """Smooth continuation into the hole: push-pull over an image pyramid."""
    weight = (~hole).astype(np.float32)
    levels = [(rgb * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2 and float(levels[-1][1].min()) == 0.0:
        color, share = levels[-1]
        size = ((share.shape[1] + 1) // 2, (share.shape[0] + 1) // 2)
        levels.append(
            (
                cv2.resize(color, size, interpolation=cv2.INTER_AREA).astype(np.float32),
                cv2.resize(share, size, interpolation=cv2.INTER_AREA).astype(np.float32),
            )
        )
    color, share = levels[-1]
    filled = color / np.maximum(share, 1e-4)[..., None]
    for color, share in reversed(levels[:-1]):
        up = cv2.resize(filled, (share.shape[1], share.shape[0]), interpolation=cv2.INTER_LINEAR)
        filled = color + up * (1.0 - share)[..., None]
    return filled.astype(np.float32)


def _borrow_detail(detail: RGB, hole: Mask, rng: np.random.Generator) -> RGB:
    """Detail for the hole, copied from other places by whole shifts, so that it keeps its grain."""
    height, width = hole.shape
    out = np.zeros_like(detail)
    missing = hole.copy()
    for _ in range(24):
        if not missing.any():
            return out
        dy, dx = int(rng.integers(-height // 2, height // 2 + 1)), int(rng.integers(-width // 2, width // 2 + 1))
        rows = np.abs((np.arange(height) + dy) % (2 * height - 1) - 0)
        rows = np.where(rows >= height, 2 * height - 2 - rows, rows)
        columns = np.abs((np.arange(width) + dx) % (2 * width - 1) - 0)
        columns = np.where(columns >= width, 2 * width - 2 - columns, columns)
        usable = missing & ~hole[np.ix_(rows, columns)]
        out[usable] = detail[np.ix_(rows, columns)][usable]
        missing &= ~usable
    return out


def find_similar_patch(
    rgb: RGB, center_xy: tuple[float, float], half_px: int, allowed: Mask, rng: np.random.Generator
) -> tuple[int, int] | None:
    """Another place that looks like the patch around `center_xy`.

    Args:
        half_px: half side of the patch, pixels.
        allowed: (H, W) bool, where the centre of the other patch may lie; places overlapping the first are left out.
    Returns:
        (x, y) of its centre in pixels, drawn among the best few; None when there is no such place.
    """
    height, width = rgb.shape[:2]
    x, y = round(center_xy[0]), round(center_xy[1])
    x0, y0 = max(0, x - half_px), max(0, y - half_px)
    patch = np.ascontiguousarray(rgb[y0 : y + half_px + 1, x0 : x + half_px + 1])
    if patch.shape[0] > height or patch.shape[1] > width or patch.size == 0:
        return None
    cost: Field = cv2.matchTemplate(np.ascontiguousarray(rgb), patch, cv2.TM_SQDIFF).astype(np.float32)
    off_y, off_x = y - y0, x - x0
    legal = allowed[off_y : off_y + cost.shape[0], off_x : off_x + cost.shape[1]].copy()
    legal[max(0, y0 - 2 * half_px) : y0 + 2 * half_px + 1, max(0, x0 - 2 * half_px) : x0 + 2 * half_px + 1] = False
    places = np.flatnonzero(legal)
    if places.size == 0:
        return None
    few = min(8, places.size)
    best = places[np.argpartition(cost.ravel()[places], few - 1)[:few]]
    chosen = int(np.sort(best)[int(rng.integers(few))])
    return chosen % cost.shape[1] + off_x, chosen // cost.shape[1] + off_y
