"""Colour and grain of a part of a photo."""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask

__all__ = ["Statistics", "local_statistics"]


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
