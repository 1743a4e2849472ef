"""Smaller copies: how large a picture is when its longer side may have so many pixels."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["alike_in_shape", "reduced", "scale_within", "size_within"]


_MOST_STRETCH = 1.05


def alike_in_shape(shape: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two pictures of (height, width) can lie on each other, whatever their sizes."""
    stretch = (shape[1] / other[1]) / (shape[0] / other[0])
    return 1.0 / _MOST_STRETCH < stretch < _MOST_STRETCH


def scale_within(shape: tuple[int, ...], most_px: float) -> float:
    """By how much the sides of an (H, W, ...) array are multiplied for the longer one to have at most `most_px`; up to 1."""
    return min(1.0, most_px / max(shape[:2]))


def size_within(shape: tuple[int, ...], most_px: float, least_px: int = 1) -> tuple[int, int]:
    """(width, height) in pixels of that copy, as OpenCV takes it; no side below `least_px`, however long the picture is."""
    scale = scale_within(shape, most_px)
    return max(least_px, round(shape[1] * scale)), max(least_px, round(shape[0] * scale))


def reduced(array: NDArray[Any], most_px: float, least_px: int = 1) -> NDArray[Any]:
    """The (H, W) or (H, W, C) array with its longer side at most `most_px`, averaged; itself where it is small enough."""
    if max(array.shape[:2]) <= most_px:
        return array
    return np.asarray(cv2.resize(array, size_within(array.shape, most_px, least_px), interpolation=cv2.INTER_AREA), array.dtype)
