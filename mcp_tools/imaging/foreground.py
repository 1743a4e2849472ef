"""Object or surface? The object of a photo, told from its background without any weights.

The border of the photo is taken as background: a smooth colour surface is fitted to it, and pixels that lie off that
surface are object. When nothing separates clearly, the photo shows a surface that fills the frame.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb

__all__ = ["find_foreground"]

_SIDE = 160
_MIN_SEPARATION = 7.0  # CIELAB units between object and background
_MIN_BACKGROUND, _MIN_OBJECT = 0.04, 0.01  # share of the frame


class _Background(NamedTuple):
    distance: Field
    spread: float


def find_foreground(rgb: RGB) -> Mask:
    """(H, W) bool, the object; all true when the photo is a surface that fills the frame. `rgb`: (H, W, 3) float32 0..1."""
    height, width = rgb.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) if scale < 1.0 else rgb
    mask = _object_of(cv2.GaussianBlur(small, (0, 0), 1.0).astype(np.float32))
    if mask is None:
        return np.ones((height, width), np.bool_)
    if scale == 1.0:
        return mask.astype(np.bool_)
    soft = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return soft >= 0.5


def _object_of(small: RGB) -> NDArray[np.uint8] | None:
    background = _model_background(lab_from_rgb(small))
    distance, spread = background
    levels = np.clip(distance * 4.0, 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    threshold = max(min(otsu / 4.0, 25.0) * 0.7, 3.0 * spread, 3.0)
    mask = (distance > threshold).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    mask = _keep_main_parts(mask)
    share = float(mask.mean())
    if share < _MIN_OBJECT or share > 1.0 - _MIN_BACKGROUND:
        return None
    inside = mask > 0
    if float(np.median(distance[inside])) - float(np.median(distance[~inside])) < _MIN_SEPARATION:
        return None
    mask = _fill_holes(mask, distance, threshold, spread)
    share = float(mask.mean())
    if share > 1.0 - _MIN_BACKGROUND or not _is_compact(mask):
        return None
    return mask


def _model_background(lab: NDArray[np.float32]) -> _Background:
    """Colour distance of every pixel from a quadratic colour surface fitted robustly to the border."""
    height, width = lab.shape[:2]
    ring = max(2, round(0.025 * min(height, width)))
    border = np.ones((height, width), np.bool_)
    border[ring:-ring, ring:-ring] = False
    y, x = np.mgrid[-1.0 : 1.0 : height * 1j, -1.0 : 1.0 : width * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)
    a, target = terms[border], lab[border]
    weight = np.ones(len(a), np.float32)
    # start from the most frequent border colour, so that an object reaching the border does not pull the fit
    center = np.median(target, axis=0)
    off = np.linalg.norm(target - center, axis=1)
    coefficients = np.zeros((terms.shape[-1], 3), np.float32)
    coefficients[0] = center
    for _ in range(4):
        scale = max(1.0, 1.4826 * float(np.median(off)))
        weight = 1.0 / (1.0 + (off / (2.0 * scale)) ** 2) ** 2
        normal = a.T @ (a * weight[:, None]) + 1e-2 * weight.sum() * np.diag([0, 0.02, 0.02, 0.1, 0.1, 0.1]).astype(np.float32)
        coefficients = np.linalg.solve(normal, a.T @ (target * weight[:, None])).astype(np.float32)
        off = np.linalg.norm(target - a @ coefficients, axis=1)
    distance = np.linalg.norm(lab - terms @ coefficients, axis=2).astype(np.float32)
    return _Background(distance, 1.4826 * float(np.median(off)))


def _keep_main_parts(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The largest component and those at least a quarter as large."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0
    return (areas >= areas.max() // 4)[labels].astype(np.uint8) * (mask > 0)


def _fill_holes(mask: NDArray[np.uint8], distance: Field, threshold: float, spread: float) -> NDArray[np.uint8]:
    """Fill enclosed holes unless they look just like the background."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    height, width = mask.shape
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[label])
        if x == 0 or y == 0 or x + w == width or y + h == height:
            continue
        like_background = float(np.median(distance[labels == label])) < max(2.0 * spread, 0.35 * threshold, 2.0)
        if area < 0.002 * mask.size or not like_background:
            mask[labels == label] = 1
    return mask


def _is_compact(mask: NDArray[np.uint8]) -> bool:
    """An object has a short outline for its area; a texture's bright parts do not."""
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    outline = sum(cv2.arcLength(contour, True) for contour in contours)
    return outline**2 < 200.0 * float(mask.sum())
