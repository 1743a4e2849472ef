"""Single measurements on the luma of a photo: sensor noise, sharpness, light direction, local orientation."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.sizes import reduced, size_within

__all__ = [
    "DEFAULT_LIGHT",
    "correlation",
    "depth_below_outline",
    "estimate_blur",
    "estimate_light",
    "estimate_noise",
    "local_orientation",
    "pixels_within",
    "solidity",
    "surface_grain",
]

DEFAULT_LIGHT = (-0.75 * float(np.pi), 0.25 * float(np.pi))
"""From the top left, halfway up: the convention of shaded drawings, used when a photo does not tell."""

_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6.0
_BLOCK = 8
_MAX_SIDE = 1024  # larger photos are measured on a central crop, at full resolution


def _central_crop(luma: Field) -> Field:
    height, width = luma.shape
    y, x = max(0, (height - _MAX_SIDE) // 2), max(0, (width - _MAX_SIDE) // 2)
    return np.ascontiguousarray(luma[y : y + _MAX_SIDE, x : x + _MAX_SIDE])


def estimate_noise(luma: Field) -> float:
    """Standard deviation of the noise, 0..1: Immerkaer's mask in the smoothest blocks that are not clipped.

    Source: J. Immerkaer, "Fast noise variance estimation", 1996.
    """
    luma = _central_crop(luma)
    high = cv2.filter2D(luma, cv2.CV_32F, _IMMERKAER, borderType=cv2.BORDER_REFLECT)
    rows, columns = luma.shape[0] // _BLOCK, luma.shape[1] // _BLOCK
    size = (columns, rows)
    cut = (slice(0, rows * _BLOCK), slice(0, columns * _BLOCK))
    power = cv2.resize(high[cut] ** 2, size, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(luma[cut], size, interpolation=cv2.INTER_AREA)
    usable = power[(mean > 0.02) & (mean < 0.98)]
    if usable.size < 4:
        return 0.0
    # the fifth of the blocks with the least detail; the mean of the lowest fifth of a noise-only field lies 12 % below
    sigma = float(np.sqrt(np.percentile(usable, 20.0))) * 1.12
    return sigma if sigma > 1e-6 else 0.0  # rounding errors of a flat picture


def estimate_blur(luma: Field, noise_sigma: float) -> float:
    """Gaussian sigma in pixels of the sharpest edges, by blurring once more and comparing their slopes.

    A step blurred with s has slope 1/s; blurred again with s0 it has 1/sqrt(s^2 + s0^2), so their ratio r gives
    s = s0 / sqrt(r^2 - 1). Returns 0.8 when the photo has no edge. Source: S. Zhuo, T. Sim, "Defocus map estimation", 2011.
    """
    luma = _central_crop(luma)
    extra = 1.0
    slope = _slope(luma)
    again = _slope(np.asarray(cv2.GaussianBlur(luma, (0, 0), extra, borderType=cv2.BORDER_REFLECT), np.float32))
    crest = (slope >= cv2.dilate(slope, np.ones((3, 3), np.uint8))) & (slope > max(0.03, 6.0 * noise_sigma))
    if np.count_nonzero(crest) < 12:
        return 0.8
    strong = crest & (slope >= np.percentile(slope[crest], 60.0))
    ratio = slope[strong] / np.maximum(again[strong], 1e-6)
    squared = extra**2 / np.maximum(ratio**2 - 1.0, 0.02)
    # central differences average over two pixels, which adds a variance of 1/3
    return float(np.clip(np.sqrt(max(float(np.percentile(squared, 25.0)) - 1.0 / 3.0, 0.0)), 0.3, 6.0))


def _slope(luma: Field) -> Field:
    # central differences: narrower than Sobel, so sharp edges keep their slope
    dx = cv2.filter2D(luma, cv2.CV_32F, np.array([[-0.5, 0.0, 0.5]], np.float32), borderType=cv2.BORDER_REFLECT)
    dy = cv2.filter2D(luma, cv2.CV_32F, np.array([[-0.5], [0.0], [0.5]], np.float32), borderType=cv2.BORDER_REFLECT)
    return np.hypot(dx, dy).astype(np.float32)


def estimate_light(luma: Field, foreground: Mask) -> tuple[float, float]:
    """(azimuth, elevation) of the light: convex bodies and dulled surfaces are brighter on the side that it comes from.

    Returns `DEFAULT_LIGHT` when the brightness of the foreground has no clear direction.
    """
    size = size_within(luma.shape, 64, 8)
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    weight = cv2.erode(cv2.resize(foreground.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.ones((5, 5), np.uint8))
    inside = weight > 0.9
    if np.count_nonzero(inside) < 32:
        return DEFAULT_LIGHT
    y, x = np.nonzero(inside)
    shade = np.log(small[inside] + 0.05).astype(np.float64)
    terms = np.stack([np.ones_like(x), (x - x.mean()) / size[0], (y - y.mean()) / size[0]], axis=1).astype(np.float64)
    coefficients, *_ = np.linalg.lstsq(terms, shade, rcond=None)
    explained = float(np.var(terms @ coefficients) / max(float(np.var(shade)), 1e-9))
    slope = float(np.hypot(coefficients[1], coefficients[2]))
    if explained < 0.08 or slope < 0.06:
        return DEFAULT_LIGHT
    azimuth = float(np.arctan2(coefficients[2], coefficients[1]))
    # the steeper the shading, the lower the light: from frontal (no slope) to 25 degrees
    elevation = float(np.clip(np.pi / 2 - np.arctan(2.0 * slope), np.deg2rad(25.0), np.deg2rad(70.0)))
    return azimuth, elevation


def local_orientation(luma: Field, x: float, y: float, radius: int) -> tuple[float, float]:
    """(angle in radians in (-pi/2, pi/2], coherence 0..1) of the structure around (x, y), image coordinates (y down)."""
    height, width = luma.shape
    column, row = int(np.clip(round(x), 0, width - 1)), int(np.clip(round(y), 0, height - 1))
    return _run_of(luma[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1])


def surface_grain(luma: Field) -> tuple[float, float]:
    """(angle, coherence) as `local_orientation`: which way a whole surface was rolled, drawn, brushed or grown.

    Measured on what is 2 to 8 of 256 pixels wide: noise and the grain of a finish hide its direction from pixel to pixel.
    """
    small = reduced(luma, 256, 8)
    fine, coarse = (np.asarray(cv2.GaussianBlur(small, (0, 0), sigma), np.float32) for sigma in (2.0, 8.0))
    return _run_of(fine - coarse)


def _run_of(patch: Field) -> tuple[float, float]:
    """Direction and coherence of the structure tensor (Bigun & Granlund 1987), averaged over the patch."""
    dx = cv2.Sobel(patch, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REFLECT)
    dy = cv2.Sobel(patch, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REFLECT)
    xx, yy, xy = float((dx * dx).mean()), float((dy * dy).mean()), float((dx * dy).mean())
    total = xx + yy
    if total < 1e-7:
        return 0.0, 0.0
    coherence = float(np.hypot(xx - yy, 2.0 * xy)) / total
    across = 0.5 * np.arctan2(2.0 * xy, xx - yy)
    along = across + 0.5 * np.pi
    return float(along if along <= 0.5 * np.pi else along - np.pi), coherence


def depth_below_outline(foreground: Mask) -> Field:
    """(H, W) float32 pixels: distance of each foreground pixel to the outline (to the frame for a surface); 0 outside."""
    # where the object is cut off by the frame there is no outline
    padded = np.pad(foreground.astype(np.uint8), 1, mode="constant" if foreground.all() else "edge")
    return cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1].astype(np.float32)


def correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Pearson's, -1..1, of two fields of one shape; 0 where one of them is flat."""
    a, b = first - first.mean(), second - second.mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9))


def pixels_within(polygon: Any) -> float:
    """Pixels of a polygon whose corners are pixel centres, its outline included (Pick's theorem). `polygon`: a cv2 contour."""
    return float(cv2.contourArea(polygon)) + 0.5 * float(cv2.arcLength(polygon, True)) + 1.0


def solidity(area: Mask | NDArray[np.uint8]) -> float:
    """Share of its convex hull that an area, (H, W), fills: 0..1; 0 for an empty one."""
    filled = np.ascontiguousarray(area, np.uint8)
    x, y, w, h = cv2.boundingRect(filled)
    outlines, _ = cv2.findContours(filled[y : y + h, x : x + w], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return 0.0
    return min(1.0, int(np.count_nonzero(filled)) / pixels_within(cv2.convexHull(np.concatenate(outlines))))
