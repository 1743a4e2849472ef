"""Bringing the output of a whole-frame image editor back onto the photo it was made from.

Diffusion models and image APIs return another size, slightly shifted, with drifted colours and every pixel a little changed.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import luminance
from anomalyagent.mcp_tools.imaging.compositing import composite_visible
from anomalyagent.mcp_tools.imaging.drift import drop_drift
from anomalyagent.mcp_tools.imaging.framing import same_frame
from anomalyagent.mcp_tools.imaging.measures import correlation
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.sizes import reduced, scale_within, size_within

__all__ = ["align_and_composite"]

_SIDE, _ROUGH_SIDE = 384, 256  # the registration works on a copy of at most this side, and begins on a smaller one
_SOFTNESS_PX = (0.0, 0.5, 0.7, 1.0, 1.4, 2.0)
_SOFTNESS_PIXELS, _BAND_PX = 2**18, 64  # that softness is judged by, in bands of so many rows
_LEAST_MOTION_PX = 0.1
_ABOUT_AS_WELL = 1.15
_LEAST_GAIN = 0.8  # of the disagreement may be left, else the picture was aligned already
_RIM_PX = 3
_REPLACED = 0.3  # sRGB 0..1: a change so strong leaves nothing of the photo's own detail
_MOST_ITERATIONS = 20  # it converges in 3 to 8; where it does not, more of them only go to and fro
_COLOR_PIXELS = 16384  # that the drift of colour is fitted to
_MAX_SHIFT = 0.06  # of the longer side: editors do not move the picture further; more is a wrong match


def align_and_composite(normal: Photo, whole_frame_rgb: RGB, *, framed: bool = False) -> tuple[Photo, Mask]:
    """Put what a whole-frame editor changed visibly into `normal`.

    Args:
        whole_frame_rgb: (h, w, 3) float32 0..1, of any size; it shows the frame of `normal` (see `framing.py` for how far
            it may differ).
        framed: it is in that frame already, whatever its size.
    Returns:
        As `composite_visible`.
    """
    height, width = normal.shape
    if not framed:
        whole_frame_rgb = same_frame(normal.rgb, whole_frame_rgb)
    # The best that an editor of that size can return: what it lost by resampling is no change.
    shown = _resize(_resize(normal.rgb, *whole_frame_rgb.shape[:2]), height, width)
    edited = _resize(whole_frame_rgb, height, width)
    edited = _register(shown, edited)
    edited = _match_color(shown, edited)
    shown = _soften(shown, edited)
    if shown is not normal.rgb:
        # Fine detail of the photo stays, except where the editor put something else in its place.
        most = cv2.split(cv2.absdiff(edited, shown))
        kept = np.clip(1.0 - cv2.max(cv2.max(most[0], most[1]), most[2]) / _REPLACED, 0.0, 1.0)
        edited += np.asarray(kept, np.float32)[..., None] * (normal.rgb - shown)  # _match_color has made it anew
        np.clip(edited, 0.0, 1.0, out=edited)
    return composite_visible(normal, drop_drift(normal, edited))


def _soften(shown: RGB, edited: RGB) -> RGB:
    """`shown` as soft as the editor returned it: edges that an autoencoder or a shift blurred a little are no change."""
    sharp, soft = luminance(shown), luminance(edited)
    if sharp.size > _SOFTNESS_PIXELS:  # bands all over the picture tell as much
        step = sharp.size / _SOFTNESS_PIXELS * _BAND_PX
        rows = [slice(int(top), int(top) + _BAND_PX) for top in np.arange(0.0, len(sharp) - _BAND_PX, step)]
        bands = [(sharp[one], soft[one]) for one in rows]
    else:
        bands = [(sharp, soft)]
    errors = [float(np.mean([_error_of(one, other, sigma) for one, other in bands])) for sigma in _SOFTNESS_PX]
    best = int(np.argmin(errors))
    return _blurred(shown, _SOFTNESS_PX[best]) if errors[best] < 0.9 * errors[0] else shown


def _error_of(sharp: Field, soft: Field, sigma_px: float) -> float:
    return float(np.minimum(cv2.absdiff(_blurred(sharp, sigma_px), soft), _REPLACED / 4.0).mean())


def _blurred(values: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    if sigma_px == 0.0:
        return values
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT), np.float32)


def _resize(rgb: RGB, height: int, width: int) -> RGB:
    if rgb.shape[:2] == (height, width):
        return rgb.astype(np.float32, copy=False)
    smaller = rgb.shape[0] * rgb.shape[1] > height * width
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    resized = cv2.resize(rgb.astype(np.float32, copy=False), (width, height), interpolation=method)
    return np.asarray(np.clip(resized, 0.0, 1.0), np.float32)


def _register(reference: RGB, moved: RGB) -> RGB:
    """Undo a shift, rotation and scaling of a few percent (enhanced correlation coefficient; Evangelidis & Psarakis 2008).

    A second pass leaves out what still differs after the first: the defect must not pull the picture along. The motion with
    the fewest parameters that aligns about as well is taken: on calm pictures an affine one would follow the noise. What the
    motion moved out of the frame stays as it is in `reference`.
    """
    height, width = reference.shape[:2]
    scale, size = scale_within(reference.shape, _SIDE), size_within(reference.shape, _SIDE)
    fixed, moving = (reduced(luminance(one), _SIDE) for one in (reference, moved))
    warp = _roughly(fixed, moving)
    if warp is None:
        return moved
    calm = _calm(fixed, _warped(moving, warp, size, cv2.INTER_LINEAR))
    shift = np.eye(2, 3, dtype=np.float32)
    shift[:, 2] = warp @ (size[0] / 2.0, size[1] / 2.0, 1.0) - (size[0] / 2.0, size[1] / 2.0)
    tried: list[tuple[float, Any]] = []  # from the most parameters to the fewest
    for kind, start in (cv2.MOTION_AFFINE, warp), (cv2.MOTION_TRANSLATION, shift), (cv2.MOTION_EUCLIDEAN, shift):
        if kind == cv2.MOTION_EUCLIDEAN and len(tried) == 2 and tried[1][0] <= _ABOUT_AS_WELL * tried[0][0] + 1e-6:
            break  # a shift does it
        if (found := _find_warp(fixed, moving, start, calm, kind)) is not None:
            left = 1.0 - correlation(fixed[calm], _warped(moving, found, size, cv2.INTER_LINEAR)[calm])
            tried.append((left, found))
    if not tried:
        return moved
    least = min(left for left, _ in tried)
    after, warp = next(one for one in (*tried[1:], tried[0]) if one[0] <= _ABOUT_AS_WELL * least + 1e-6)
    corners = np.array([[0, 0, 1], [size[0], 0, 1], [0, size[1], 1], [size[0], size[1], 1]], np.float32)
    motion = float(np.abs(corners @ warp.T - corners[:, :2]).max())
    if motion > _MAX_SHIFT * max(size) or motion * max(1.0, 1.0 / scale) < _LEAST_MOTION_PX:
        return moved
    if after > _LEAST_GAIN * (1.0 - correlation(fixed[calm], moving[calm])):
        return moved
    warp[:, 2] /= scale
    aligned = np.clip(_warped(moved, warp, (width, height), cv2.INTER_CUBIC), 0.0, 1.0).astype(np.float32)
    # Where the moved picture does not reach, and just inside its border, it tells nothing.
    inside = cv2.warpAffine(
        np.ones((height, width), np.float32), warp, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    reached = cv2.erode((inside > 0.999).astype(np.uint8), np.ones((2 * _RIM_PX + 1, 2 * _RIM_PX + 1), np.uint8))
    return np.where(reached[..., None] > 0, aligned, reference)


def _roughly(fixed: Any, moving: Any) -> Any:
    """The (2, 3) affine map over all pixels, found on smaller pictures; None: as `_find_warp`."""
    scale = scale_within(fixed.shape, _ROUGH_SIDE)
    small = [reduced(one, _ROUGH_SIDE) for one in (fixed, moving)]
    everywhere = np.ones(small[0].shape, np.bool_)
    warp = _find_warp(small[0], small[1], np.eye(2, 3, dtype=np.float32), everywhere, cv2.MOTION_AFFINE)
    if warp is not None:
        warp[:, 2] /= scale
    return warp


def _find_warp(fixed: Any, moving: Any, start: Any, where: Mask, kind: int) -> Any:
    """The (2, 3) map from `fixed` to `moving`; None on flat pictures, where it does not converge: nothing to align."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _MOST_ITERATIONS, 1e-5)
    try:
        _, found = cv2.findTransformECC(fixed, moving, start.copy(), kind, criteria, where.astype(np.uint8), 5)
    except cv2.error:
        return None
    return np.asarray(found, np.float32)


def _warped(image: Any, warp: Any, size: tuple[int, int], interpolation: int) -> Any:
    return cv2.warpAffine(image, warp, size, flags=interpolation | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE)


def _calm(fixed: Any, moving: Any) -> Mask:
    """(h, w) bool: pixels that agree, apart from a gain and an offset; with some margin around those that do not."""
    gain, offset = _line(moving.ravel(), fixed.ravel())
    error = cv2.GaussianBlur(np.abs(fixed - gain * moving - offset).astype(np.float32), (0, 0), 2.0)
    changed = (error > max(0.02, 4.0 * float(np.median(error)))).astype(np.uint8)
    calm = cv2.dilate(changed, np.ones((9, 9), np.uint8)) == 0
    return calm if calm.mean() > 0.3 else np.ones(fixed.shape, np.bool_)


def _line(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[float, float]:
    """Slope and offset of y over x with the least squares."""
    x_mean, y_mean = float(x.mean(dtype=np.float64)), float(y.mean(dtype=np.float64))
    away = x - np.float32(x_mean)
    spread = float(np.dot(away, away))
    gain = float(np.dot(away, y - np.float32(y_mean))) / spread if spread > 0.0 else 0.0
    return gain, y_mean - gain * x_mean


def _match_color(reference: RGB, edited: RGB) -> RGB:
    """Undo a global drift of colour: a gain and an offset for each channel, fitted to the pixels that changed least."""
    step = max(1, edited.shape[0] * edited.shape[1] // _COLOR_PIXELS)
    changed, original = edited.reshape(-1, 3)[::step], reference.reshape(-1, 3)[::step]
    lines = np.zeros((3, 4), np.float32)
    for channel in range(3):
        x, y = np.ascontiguousarray(changed[:, channel]), np.ascontiguousarray(original[:, channel])
        gain, offset = 1.0, float(np.median(y - x))
        for _ in range(4):
            error = np.abs(y - gain * x - offset)
            calm = error <= max(float(np.percentile(error, 60.0)), 1e-3)
            spread = float(x[calm].var())
            gain = float(np.clip(np.cov(x[calm], y[calm])[0, 1] / spread, 0.7, 1.4)) if spread > 1e-4 else 1.0
            offset = float(y[calm].mean() - gain * x[calm].mean())
        lines[channel, channel], lines[channel, 3] = gain, offset
    return np.clip(np.asarray(cv2.transform(edited, lines), np.float32), 0.0, 1.0)
