"""Small pictures of samples, for the report and the viewer: thumbnails, close-ups, the outline of a mask."""

import base64
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask

__all__ = ["close_up", "data_uri", "jpeg", "outlined", "small"]

JPEG_QUALITY = 85
CLOSE_UP_SHARE = 0.35
"""Close-ups show at most this share of the photo's longer side, or the whole defect."""
OUTLINE_RGB = (1.0, 0.23, 0.45)


def small(rgb: RGB, side_px: int) -> RGB:
    """Scaled so that the longer side has `side_px` pixels; small photos are enlarged without smoothing."""
    height, width = rgb.shape[:2]
    scale = side_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    scaled: NDArray[Any] = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    return scaled.astype(np.float32)


def close_up(rgb: RGB, mask: Mask) -> RGB:
    """A square window around the largest part of the mask, in the photo's own pixels."""
    height, width = mask.shape
    count, _, boxes, _ = cv2.connectedComponentsWithStats(cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)))
    if count < 2:
        return rgb
    x, y, w, h, _ = (int(value) for value in boxes[1 + int(np.argmax(boxes[1:, cv2.CC_STAT_AREA]))])
    side = min(max(int(1.5 * max(w, h)), 48, int(min(CLOSE_UP_SHARE * max(height, width), 4 * max(w, h)))), height, width)
    x0 = min(max(0, x + w // 2 - side // 2), width - side)
    y0 = min(max(0, y + h // 2 - side // 2), height - side)
    return rgb[y0 : y0 + side, x0 : x0 + side]


def outlined(rgb: RGB, mask: Mask, side_px: int) -> RGB:
    """The thumbnail, darkened a little, with the contour of the mask on it."""
    scaled = small(rgb, side_px)
    canvas = np.ascontiguousarray(0.72 * scaled + 0.04)
    size = canvas.shape[1], canvas.shape[0]
    cover: NDArray[Any] = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    shape = (cover > 0.05).astype(np.uint8)  # thin defects vanish at half cover
    canvas[shape > 0] = scaled[shape > 0]
    contours, _ = cv2.findContours(cv2.dilate(shape, np.ones((3, 3), np.uint8)), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, OUTLINE_RGB, 2, cv2.LINE_AA)
    return canvas


def jpeg(rgb: RGB, quality: int = JPEG_QUALITY) -> bytes:
    """A JPEG file (WebP would be a third smaller, but ten times slower to make)."""
    bgr = np.rint(np.clip(rgb[..., ::-1], 0.0, 1.0) * 255.0).astype(np.uint8)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()


def data_uri(rgb: RGB) -> str:
    """A JPEG as the address of an <img> in a page of one file."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(rgb)).decode("ascii")
