"""What repeats in a picture: its autocorrelation, and the shifts by which it falls on itself."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field

__all__ = ["Shifts", "autocorrelation", "find_shifts"]


class Shifts(NamedTuple):
    """Local maxima of an autocorrelation, in any order; the shift by nothing and mirror images are among them.

    Attributes:
        xy: (n, 2) float32, shift (x, y) in pixels.
        heights: (n,) float32, in the units of the autocorrelation.
    """

    xy: NDArray[np.float32]
    heights: NDArray[np.float32]


def autocorrelation(detail: Field) -> NDArray[np.float64]:
    """(H, W) how well a picture matches itself moved; the shift by nothing stands at (H // 2, W // 2).

    Args:
        detail: (H, W) around 0: what is uneven in it (light, tone) is taken out. It is faded out towards the frame here.
    Source: Wiener-Khinchin.
    """
    faded = detail * np.outer(np.hanning(detail.shape[0]), np.hanning(detail.shape[1]))
    return np.fft.fftshift(np.fft.irfft2(np.abs(np.fft.rfft2(faded)) ** 2, s=faded.shape))


def find_shifts(correlation: Field, least: float) -> Shifts:
    """The shifts at which an autocorrelation is higher than all around (two pixels) and than `least`."""
    tops = correlation == cv2.dilate(correlation, np.ones((5, 5), np.uint8))
    rows, columns = np.nonzero(tops & (correlation > least))
    xy = np.stack([columns - correlation.shape[1] // 2, rows - correlation.shape[0] // 2], axis=1)
    return Shifts(xy.astype(np.float32), correlation[rows, columns])
