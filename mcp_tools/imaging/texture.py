"""Statistics of a surface and places that look alike."""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.inpainting import fill_from_surroundings

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
