"""CIELAB, CIEDE2000 and how large a colour difference must be to be seen at a given place of a photo.

Sources: G. Sharma, W. Wu, E. Dalal, "The CIEDE2000 color-difference formula", 2005; C.-H. Chou, Y.-C. Li, "A perceptually
tuned subband image coder based on the measure of just-noticeable-distortion profile", 1995 (luminance and texture masking).
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab

__all__ = ["JND_REACH_PX", "ciede2000", "just_noticeable_difference", "lab_from_rgb", "luminance"]

JND_REACH_PX = 16
"""How far around a pixel its just-noticeable difference depends on, at most."""

_POW7 = np.float32(25.0**7)


def _make_linear_table() -> NDArray[np.float32]:
    encoded = np.linspace(0.0, 1.0, _TABLE_STEPS + 1)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


# a multiple of 255, so that 8-bit values are exact; OpenCV's own sRGB conversion is off by up to 0.6 Lab units
_TABLE_STEPS = 255 * 64
_BLOCK_PIXELS = 1 << 16
_LINEAR = _make_linear_table()


def lab_from_rgb(rgb: RGB) -> Lab:
    """CIELAB (D65) of sRGB 0..1 (clipped); any (H, W, 3) float32. Off by less than 0.05 for values between 8-bit steps."""
    lab = np.empty(rgb.shape, np.float32)
    rows = max(1, _BLOCK_PIXELS // rgb.shape[1])
    for top in range(0, len(rgb), rows):  # blocks that stay in the processor's cache: four times faster on large photos
        index = np.clip(rgb[top : top + rows], 0.0, 1.0) * np.float32(_TABLE_STEPS) + np.float32(0.5)
        lab[top : top + rows] = cv2.cvtColor(_LINEAR[index.astype(np.uint16)], cv2.COLOR_LRGB2Lab)
    return lab


def luminance(rgb: RGB) -> Field:
    """Luma of sRGB-encoded values, 0..1 (ITU-R BT.601)."""
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb, np.float32), cv2.COLOR_RGB2GRAY), np.float32)


def ciede2000(lab1: NDArray[np.float32], lab2: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colour difference of (..., 3) CIELAB arrays, (...) float32, with all parametric factors 1."""
    l1, a1, b1 = (lab1[..., i].astype(np.float32, copy=False) for i in range(3))
    l2, a2, b2 = (lab2[..., i].astype(np.float32, copy=False) for i in range(3))
    c_mean7 = (0.5 * (np.hypot(a1, b1) + np.hypot(a2, b2))) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(c_mean7 / (c_mean7 + _POW7))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.arctan2(b1, a1), np.arctan2(b2, a2)
    turn = np.float32(2.0 * np.pi)
    h1, h2 = np.where(h1 < 0, h1 + turn, h1), np.where(h2 < 0, h2 + turn, h2)
    dh = h2 - h1
    h_sum = h1 + h2
    achromatic = c1 * c2 == 0
    apart = np.abs(dh) > np.pi
    dh = np.where(apart, dh - np.copysign(turn, dh), dh)
    dh = np.where(achromatic, 0.0, dh)
    h_mean = np.where(apart, np.where(h_sum < turn, h_sum + turn, h_sum - turn), h_sum) * 0.5
    h_mean = np.where(achromatic, h_sum, h_mean)
    d_l, d_c = l2 - l1, c2 - c1
    d_h = 2.0 * np.sqrt(c1 * c2) * np.sin(0.5 * dh)
    l_mean50 = (0.5 * (l1 + l2) - 50.0) ** 2
    c_mean = 0.5 * (c1 + c2)
    t = (
        1.0
        - 0.17 * np.cos(h_mean - math.radians(30.0))
        + 0.24 * np.cos(2.0 * h_mean)
        + 0.32 * np.cos(3.0 * h_mean + math.radians(6.0))
        - 0.20 * np.cos(4.0 * h_mean - math.radians(63.0))
    )
    s_l = 1.0 + 0.015 * l_mean50 / np.sqrt(20.0 + l_mean50)
    s_c = 1.0 + 0.045 * c_mean
    s_h = 1.0 + 0.015 * c_mean * t
    c7 = c_mean**7
    theta = np.exp(-(((np.rad2deg(h_mean) - 275.0) / 25.0) ** 2)) * math.radians(60.0)
    r_t = -2.0 * np.sqrt(c7 / (c7 + _POW7)) * np.sin(theta)
    x, y, z = d_l / s_l, d_c / s_c, d_h / s_h
    return np.sqrt(np.maximum(x * x + y * y + z * z + r_t * y * z, 0.0)).astype(np.float32)


def just_noticeable_difference(lightness: Field) -> Field:
    """Smallest visible difference, in CIEDE2000 units, at each pixel of a photo.

    Args:
        lightness: (H, W) float32, L of CIELAB, 0..100.
    Returns:
        (H, W) float32, about 1.8 (smooth mid grey) .. 8 (strong texture).
    """
    around = cv2.GaussianBlur(lightness, (0, 0), 2.0, borderType=cv2.BORDER_REFLECT)
    # luminance adaptation: shadows hide most, highlights a little (Chou & Li, figure 2, in L units)
    base = 1.8 + 1.4 * np.clip((25.0 - around) / 25.0, 0.0, 1.0) ** 2 + 0.5 * np.clip((around - 80.0) / 20.0, 0.0, 1.0) ** 2
    # texture masking: local contrast, but a lone edge hides nothing beside it, so the smallest value around counts
    exact = lightness.astype(np.float64)  # the difference of two squares loses too much in 32 bits
    mean = cv2.blur(exact, (5, 5), borderType=cv2.BORDER_REFLECT)
    power = cv2.blur(exact * exact, (5, 5), borderType=cv2.BORDER_REFLECT)
    contrast = np.sqrt(np.maximum(power - mean * mean, 0.0)).astype(np.float32)
    texture = cv2.blur(cv2.erode(contrast, np.ones((5, 5), np.uint8)), (5, 5), borderType=cv2.BORDER_REFLECT)
    return (base + np.minimum(0.35 * texture, 5.0)).astype(np.float32)
