"""Which part of a photo an editor's picture shows: image services return other sizes and shapes, cropped, padded or turned.

A few ways in which that happens are tried, and the one under which both pictures agree best is taken; the plain one (the same
frame, whatever its size) unless another is clearly better, so that a large defect or a symmetrical part turns nothing.

    stretched   the whole photo, squeezed into another shape
    wider       the whole photo and something around it (the longer sides were padded or painted on)
    narrower    only the middle of the photo; what is missing is taken from the photo itself
    turned      any of these, by a quarter, a half, or three quarters of a turn
"""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.imaging.color import luminance

__all__ = ["agreement", "same_frame"]

_SIDE_PX = 96  # pictures are compared at this size
_SAME_SHAPE = 0.02  # relative difference of the aspects that is rounding
_CLEARLY = 0.6  # of the plain way's disagreement may be left
_LEAST_GAIN = 0.1  # of correlation


class _Way(NamedTuple):
    turns: int
    scale_y: float  # pixels of the photo for each pixel of the picture
    scale_x: float


def same_frame(reference: RGB, made: RGB) -> RGB:
    """`made` brought to the frame of `reference`.

    Args:
        reference: (H, W, 3) float32 0..1, what the editor was given.
        made: (h, w, 3) float32 0..1, what it returned, of any size.
    Returns:
        (h', w', 3) float32 0..1 of the aspect of `reference`, in the resolution of `made`; `made` itself when it shows the
        frame already.
    """
    plain, *others = _ways(reference, made)
    base = _compared(reference, _framed(reference, made, plain, _SIDE_PX))
    best, way = base, plain
    for one in others:
        found = _compared(reference, _framed(reference, made, one, _SIDE_PX))
        if found > best:
            best, way = found, one
    if way is not plain and (best < base + _LEAST_GAIN or 1.0 - best > _CLEARLY * (1.0 - base)):
        way = plain
    return made if way is plain else _framed(reference, made, way, None)


def _ways(reference: RGB, made: RGB) -> list[_Way]:
    height, width = reference.shape[:2]
    ways: list[_Way] = []
    for turns in range(4):
        h, w = made.shape[:2] if turns % 2 == 0 else made.shape[1::-1]
        down, across = height / h, width / w
        ways.append(_Way(turns, down, across))
        if abs(np.log(down / across)) > _SAME_SHAPE:
            ways += [_Way(turns, scale, scale) for scale in (max(down, across), min(down, across))]
    return ways


def _framed(reference: RGB, made: RGB, way: _Way, side_px: int | None) -> RGB:
    """The picture in the photo's frame, at its own resolution or with `side_px` as the longer side."""
    turned = np.ascontiguousarray(np.rot90(made, way.turns))
    height, width = (round(side / scale) for side, scale in zip(reference.shape[:2], way[1:], strict=True))
    if side_px is not None:
        smaller = side_px / max(height, width)
        height, width = max(1, round(height * smaller)), max(1, round(width * smaller))
        shown = max(1, round(turned.shape[1] * smaller)), max(1, round(turned.shape[0] * smaller))
        turned = cv2.resize(turned, shown, interpolation=cv2.INTER_AREA if smaller < 1 else cv2.INTER_LINEAR)
    smaller = reference.shape[0] * reference.shape[1] > height * width
    frame = cv2.resize(reference, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    top, left = (height - turned.shape[0]) // 2, (width - turned.shape[1]) // 2
    y0, x0, y1, x1 = max(0, top), max(0, left), min(height, top + turned.shape[0]), min(width, left + turned.shape[1])
    frame[y0:y1, x0:x1] = turned[y0 - top : y1 - top, x0 - left : x1 - left]
    return np.asarray(np.clip(frame, 0.0, 1.0), np.float32)


def agreement(reference: RGB, made: RGB) -> float:
    """How well two pictures of one frame agree: correlation of lightness, of coarse and of finer structure alike, -1..1."""
    return _compared(reference, _framed(reference, made, _Way(0, *_scales(reference, made)), _SIDE_PX))


def _scales(reference: RGB, made: RGB) -> tuple[float, float]:
    return reference.shape[0] / made.shape[0], reference.shape[1] / made.shape[1]


def _compared(reference: RGB, framed: RGB) -> float:
    size = framed.shape[1], framed.shape[0]
    first = luminance(np.asarray(cv2.resize(reference, size, interpolation=cv2.INTER_AREA), np.float32))
    second = luminance(framed)
    found = [_correlation(first, second)]
    fine = [one - np.asarray(cv2.GaussianBlur(one, (0, 0), 3.0), np.float32) for one in (first, second)]
    found.append(_correlation(*fine))
    return float(np.mean(found))


def _correlation(first: Field, second: Field) -> float:
    a, b = first - first.mean(), second - second.mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9))
