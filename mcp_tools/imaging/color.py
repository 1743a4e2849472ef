"""CIELAB, CIEDE2000 and how large a colour difference must be to be seen at a given place of a photo.

Sources: G. Sharma, W. Wu, E. Dalal, "The CIEDE2000 color-difference formula", 2005; C.-H. Chou, Y.-C. Li, "A perceptually
tuned subband image coder based on the measure of just-noticeable-distortion profile", 1995 (luminance and texture masking).
"""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab

__all__ = [
    "JND_REACH_PX",
    "SHADE_TINT",
    "axis_of_steps",
    "ciede2000",
    "just_noticeable_difference",
    "lab_from_rgb",
    "light_on",
    "luminance",
]

JND_REACH_PX = 16
"""How far around a pixel its just-noticeable difference depends on, at most."""

SHADE_TINT = 6.0
"""CIELAB units of a and b by which a shaded surface may differ from the darkened surface."""

_POW7 = np.float32(25.0**7)
_TINY = np.float32(1e-20)
_SERIES = tuple(2.0 / (n * n * math.comb(2 * n, n)) for n in range(1, 9))


def _make_linear_table() -> NDArray[np.float32]:
    encoded = np.linspace(0.0, 1.0, _TABLE_STEPS + 1)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


# a multiple of 255, so that 8-bit values are exact; OpenCV's own sRGB conversion is off by up to 0.6 Lab units
_TABLE_STEPS = 255 * 64
_BLOCK_PIXELS = 1 << 14
_WHOLE_PIXELS = 1 << 21  # of photos whose noticeable difference is found at once,
_STRIP_PIXELS = 1 << 17  # and of the strips of larger ones,
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


def axis_of_steps(values: NDArray[np.float32], stride: int = 1) -> NDArray[np.float32]:
    """(n,) unit vector along which (H, W, n) values change from pixel to pixel most; of every `stride`-th step."""
    pairs = ((values[1:], values[:-1]), (values[:, 1:], values[:, :-1]))
    steps = np.concatenate([(b[::stride, ::stride] - a[::stride, ::stride]).reshape(-1, values.shape[2]) for b, a in pairs])
    _, vectors = np.linalg.eigh(steps.T.astype(np.float64) @ steps)
    return np.asarray(vectors[:, -1], np.float32)


def ciede2000(lab1: NDArray[np.float32], lab2: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colour difference of (..., 3) CIELAB arrays of one shape, (...) float32, with all parametric factors 1.

    Hues are held as directions in the a-b plane, so that no angle is computed for each pixel: four times faster.
    """
    flat1, flat2 = lab1.reshape(-1, 3), lab2.reshape(-1, 3)
    found = np.empty(len(flat1), np.float32)
    for first in range(0, len(found), _BLOCK_PIXELS):
        part = slice(first, first + _BLOCK_PIXELS)
        found[part] = _ciede2000_of(flat1[part], flat2[part])
    return found.reshape(lab1.shape[:-1])


def _ciede2000_of(lab1: NDArray[np.float32], lab2: NDArray[np.float32]) -> NDArray[Any]:
    l1, a1, b1 = (np.ascontiguousarray(lab1[:, i], np.float32) for i in range(3))
    l2, a2, b2 = (np.ascontiguousarray(lab2[:, i], np.float32) for i in range(3))
    root7 = _root_of_7th(0.5 * (np.sqrt(a1 * a1 + b1 * b1) + np.sqrt(a2 * a2 + b2 * b2)))
    stretch = 1.5 - 0.5 * root7
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.sqrt(a1 * a1 + b1 * b1), np.sqrt(a2 * a2 + b2 * b2)
    d_l, d_a, d_b = l2 - l1, a2 - a1, b2 - b1
    c_sum = c1 + c2
    d_c = (d_a * (a1 + a2) + d_b * (b1 + b2)) / np.maximum(c_sum, _TINY)  # of nearly equal colours c2 - c1 loses its digits
    # 2 sqrt(c1 c2) sin(dh / 2); beyond a right angle from the cosine, where the quotient loses its digits
    product, dot, cross = c1 * c2, a1 * a2 + b1 * b2, a1 * d_b - b1 * d_a
    d_h = np.where(
        dot > 0.0,
        cross / np.sqrt(np.maximum(0.5 * (product + dot), _TINY)),
        np.copysign(np.sqrt(np.maximum(2.0 * (product - dot), 0.0)), cross),
    )
    cosine, sine = _mean_hue(a1, b1, c1, a2, b2, c2)
    cosine2, sine2 = 2.0 * cosine * cosine - 1.0, 2.0 * sine * cosine
    cosine3, sine3 = cosine * (2.0 * cosine2 - 1.0), sine * (2.0 * cosine2 + 1.0)
    cosine4, sine4 = 2.0 * cosine2 * cosine2 - 1.0, 2.0 * sine2 * cosine2
    t = 1.0 - 0.17 * _turned(cosine, sine, 30.0) + 0.24 * cosine2
    t += 0.32 * _turned(cosine3, sine3, -6.0) - 0.20 * _turned(cosine4, sine4, 63.0)
    l_mean50 = (0.5 * (l1 + l2) - 50.0) ** 2
    c_mean = 0.5 * c_sum
    s_l = 1.0 + 0.015 * l_mean50 / np.sqrt(20.0 + l_mean50)
    s_c = 1.0 + 0.045 * c_mean
    s_h = 1.0 + 0.015 * c_mean * t
    theta = math.radians(60.0) * np.exp(_squared_angle(_turned(cosine, sine, 275.0)) * -((math.degrees(1.0) / 25.0) ** 2))
    r_t = -2.0 * _root_of_7th(c_mean) * np.sin(theta)
    x, y, z = d_l / s_l, d_c / s_c, d_h / s_h
    return np.sqrt(np.maximum(x * x + y * y + z * z + r_t * y * z, 0.0))


def _root_of_7th(chroma: NDArray[Any]) -> NDArray[Any]:
    """sqrt(c**7 / (c**7 + 25**7))."""
    square = chroma * chroma
    seventh = square * square * square * chroma
    return np.sqrt(seventh / (seventh + _POW7))


def _mean_hue(
    a1: NDArray[Any], b1: NDArray[Any], c1: NDArray[Any], a2: NDArray[Any], b2: NDArray[Any], c2: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cosine and sine of the mean hue; of a colour without any, where it does not count, (0, 0)."""
    across, up = a1 * c2 + a2 * c1, b1 * c2 + b2 * c1
    length = np.sqrt(across * across + up * up)
    opposite = length <= 1e-6 * c1 * c2
    if opposite.any():  # a quarter turn beyond the one of the upper half, as hues of 0 to 360 degrees average
        upper = (b1 > 0.0) | ((b1 == 0.0) & (a1 > 0.0))
        across = np.where(opposite, np.where(upper, -b1, -b2), across)
        up = np.where(opposite, np.where(upper, a1, a2), up)
        length = np.sqrt(across * across + up * up)
    length = np.maximum(length, _TINY)
    return across / length, up / length


def _turned(cosine: NDArray[Any], sine: NDArray[Any], degrees: float) -> NDArray[Any]:
    """Cosine of the angle less `degrees`."""
    return cosine * math.cos(math.radians(degrees)) + sine * math.sin(math.radians(degrees))


def _squared_angle(cosine: NDArray[Any]) -> NDArray[Any]:
    """Square of the angle with that cosine, in radians; too small by 0.1 % at 110 degrees, and by more beyond.

    The series of arcsin(x)**2 (Borwein & Chamberland 2007) with x = sin(angle / 2).
    """
    x = 2.0 - 2.0 * cosine  # (2 sin(angle / 2)) ** 2
    total = np.full_like(x, _SERIES[-1])
    for factor in _SERIES[-2::-1]:
        total *= x
        total += factor
    return total * x


def just_noticeable_difference(lightness: Field) -> Field:
    """Smallest visible difference, in CIEDE2000 units, at each pixel of a photo.

    Args:
        lightness: (H, W) float32, L of CIELAB, 0..100.
    Returns:
        (H, W) float32, about 1.8 (smooth mid grey) .. 8 (strong texture).
    """
    if lightness.size <= _WHOLE_PIXELS:
        return _noticeable(lightness)
    found = np.empty(lightness.shape, np.float32)
    rows = max(JND_REACH_PX, _STRIP_PIXELS // lightness.shape[1])
    for top in range(0, len(found), rows):  # strips take a third of the memory, and of the time
        above = min(top, JND_REACH_PX)
        strip = _noticeable(lightness[top - above : top + rows + JND_REACH_PX])
        found[top : top + rows] = strip[above : above + rows]
    return found


def _noticeable(lightness: Field) -> Field:
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


def light_on(lab: Lab, ground: Lab) -> NDArray[np.float32]:
    """(...) light that would make the ground look like each pixel, 1 in full light; 0 where no light would.

    Args:
        lab: (..., 3) CIELAB. ground: that of the ground in full light, (3,) or like `lab`.
    """
    # lightness + 16 goes with the cube root of the light, and the chroma of a body with the same root
    low, high = (np.maximum(color[..., 0], np.float32(0.0)) + np.float32(16.0) for color in (lab, ground))
    root = low / high
    tint = np.asarray(lab[..., 1:] - ground[..., 1:] * root[..., None], np.float32)
    off = np.sqrt(np.einsum("...k,...k->...", tint, tint))
    return np.where(off <= SHADE_TINT, root**3, 0.0).astype(np.float32)
