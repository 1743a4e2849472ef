"""Bringing the output of a whole-frame image editor back onto the photo it was made from.

Diffusion models and image APIs return another size, slightly shifted, with drifted colours and every pixel a little changed.
"""

from typing import Any

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.color import ciede2000, lab_from_rgb, luminance
from anomalyagent.mcp_tools.imaging.compositing import composite_visible
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.scene import scene_of

__all__ = ["align_and_composite"]

_SIDE = 384  # the registration works on a copy of at most this side
_DRIFT_SIGMA_PX = 1.2
_MAX_SHIFT = 0.06  # of the longer side: editors do not move the picture further; more is a wrong match


def align_and_composite(normal: Photo, whole_frame_rgb: RGB) -> tuple[Photo, Mask]:
    """Put what a whole-frame editor changed visibly into `normal`.

    Args:
        whole_frame_rgb: (h, w, 3) float32 0..1, of any size; it shows the same frame as `normal`.
    Returns:
        As `composite_visible`.
    """
    height, width = normal.shape
    edited = _resize(whole_frame_rgb, height, width)
    edited = _register(normal.rgb, edited)
    edited = _match_color(normal.rgb, edited)
    return composite_visible(normal, _drop_drift(normal, edited))


def _drop_drift(normal: Photo, edited: RGB) -> RGB:
    """Undo changes that vanish when looked at from a little further away: noise and resampling, not a defect."""
    difference = edited - normal.rgb
    smooth = np.asarray(cv2.GaussianBlur(difference, (0, 0), _DRIFT_SIGMA_PX, borderType=cv2.BORDER_REFLECT), np.float32)
    calm = np.clip(normal.rgb + smooth, 0.0, 1.0)
    scene = scene_of(normal)
    seen = (ciede2000(scene.lab, lab_from_rgb(calm)) >= 0.6 * scene.jnd).astype(np.uint8)
    seen = cv2.morphologyEx(seen, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    near = np.asarray(cv2.dilate(seen, np.ones((3, 3), np.uint8)), np.bool_)
    return np.where(near[..., None], edited, normal.rgb)


def _resize(rgb: RGB, height: int, width: int) -> RGB:
    if rgb.shape[:2] == (height, width):
        return rgb.astype(np.float32, copy=False)
    smaller = rgb.shape[0] * rgb.shape[1] > height * width
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    resized = cv2.resize(rgb.astype(np.float32, copy=False), (width, height), interpolation=method)
    return np.asarray(np.clip(resized, 0.0, 1.0), np.float32)


def _register(reference: RGB, moved: RGB) -> RGB:
    """Undo a shift, rotation and scaling of a few percent (enhanced correlation coefficient; Evangelidis & Psarakis 2008)."""
    height, width = reference.shape[:2]
    scale = min(1.0, _SIDE / max(height, width))
    size = round(width * scale), round(height * scale)
    fixed = cv2.resize(luminance(reference), size, interpolation=cv2.INTER_AREA)
    moving = cv2.resize(luminance(moved), size, interpolation=cv2.INTER_AREA)
    before = _correlation(fixed, moving)
    warp = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)
    try:
        _, found = cv2.findTransformECC(fixed, moving, warp, cv2.MOTION_AFFINE, criteria)
    except cv2.error:  # it does not converge on flat pictures: then there is nothing to align either
        return moved
    warp = np.asarray(found, np.float32)
    corners = np.array([[0, 0, 1], [size[0], 0, 1], [0, size[1], 1], [size[0], size[1], 1]], np.float32)
    motion = float(np.abs(corners @ warp.T - corners[:, :2]).max())
    if motion > _MAX_SHIFT * max(size) or motion * max(1.0, 1.0 / scale) < 0.05:
        return moved
    aligned = cv2.warpAffine(moving, warp, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)
    if _correlation(fixed, aligned) <= before:
        return moved
    warp[:, 2] /= scale
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    whole = cv2.warpAffine(moved, warp, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(whole, 0.0, 1.0).astype(np.float32)


def _correlation(first: Any, second: Any) -> float:
    a, b = first - first.mean(), second - second.mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9))


def _match_color(reference: RGB, edited: RGB) -> RGB:
    """Undo a global drift of colour: a gain and an offset for each channel, fitted to the pixels that changed least."""
    out = edited.copy()
    for channel in range(3):
        x, y = edited[..., channel].ravel(), reference[..., channel].ravel()
        step = max(1, x.size // 65536)
        x, y = x[::step], y[::step]
        gain, offset = 1.0, float(np.median(y - x))
        for _ in range(4):
            error = np.abs(y - gain * x - offset)
            calm = error <= max(float(np.percentile(error, 60.0)), 1e-3)
            spread = float(x[calm].var())
            gain = float(np.clip(np.cov(x[calm], y[calm])[0, 1] / spread, 0.7, 1.4)) if spread > 1e-4 else 1.0
            offset = float(y[calm].mean() - gain * x[calm].mean())
        out[..., channel] = np.clip(gain * edited[..., channel] + offset, 0.0, 1.0)
    return out
