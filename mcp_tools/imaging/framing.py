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

from anomalyagent.mcp_tools.imaging.arrays import RGB
from anomalyagent.mcp_tools.imaging.color import luminance
from anomalyagent.mcp_tools.imaging.measures import correlation
from anomalyagent.mcp_tools.imaging.sizes import reduced

__all__ = ["agreement", "same_frame"]

_SIDE_PX = 96  # pictures are compared at this size
_KEPT_PX = 4 * _SIDE_PX  # small enough to be turned and resized many times
_SAME_SHAPE = 0.02  # relative difference of the aspects that is rounding
_CLEARLY = 0.6  # of the plain way's disagreement may be left
_LEAST_GAIN = 0.1  # of correlation
_MOST_CROPPED = 4.0  # a picture that showed a smaller part of the photo than one in so many would be no edit of it
_LEAST_FRAME_PX = 8  # a photo that lay smaller than this in a picture could not be told from anything else


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
    pair = _Pair(reduced(reference, _KEPT_PX), reduced(made, _KEPT_PX), reference.shape[:2], made.shape[:2])
    plain, *others = _ways(reference, made)
    base = _compared(pair, plain)
    best, way = base, plain
    for one in others:
        found = _compared(pair, one)
        if found > best:
            best, way = found, one
    if way is not plain and (best < base + _LEAST_GAIN or 1.0 - best > _CLEARLY * (1.0 - base)):
        way = plain
    return made if way is plain else _framed(reference, made, way)


def _ways(reference: RGB, made: RGB) -> list[_Way]:
    height, width = reference.shape[:2]
    ways: list[_Way] = []
    for turns in range(4):
        h, w = made.shape[:2] if turns % 2 == 0 else made.shape[1::-1]
        down, across = height / h, width / w
        ways.append(_Way(turns, down, across))
        wider, narrower = max(down, across), min(down, across)
        if np.log(wider / narrower) <= _SAME_SHAPE:
            continue
        if min(height, width) / wider >= _LEAST_FRAME_PX:
            ways.append(_Way(turns, wider, wider))
        if wider / narrower <= _MOST_CROPPED:
            ways.append(_Way(turns, narrower, narrower))
    return ways


def _framed(reference: RGB, made: RGB, way: _Way) -> RGB:
    """The picture in the photo's frame, at its own resolution."""
    turned = np.ascontiguousarray(np.rot90(made, way.turns))
    height, width = (round(side / scale) for side, scale in zip(reference.shape[:2], way[1:], strict=True))
    return _laid_over(_resized(reference, (width, height)), turned)


def _laid_over(frame: RGB, picture: RGB) -> RGB:
    """The picture over the middle of a frame, which shows where it does not reach."""
    height, width = frame.shape[:2]
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    y0, x0, y1, x1 = max(0, top), max(0, left), min(height, top + picture.shape[0]), min(width, left + picture.shape[1])
    out = frame.copy()
    out[y0:y1, x0:x1] = picture[y0 - top : y1 - top, x0 - left : x1 - left]
    return np.asarray(np.clip(out, 0.0, 1.0), np.float32)


def agreement(reference: RGB, made: RGB) -> float:
    """How well two pictures of one frame agree: correlation of lightness, of coarse and of finer structure alike, -1..1."""
    pair = _Pair(reduced(reference, _KEPT_PX), reduced(made, _KEPT_PX), reference.shape[:2], made.shape[:2])
    return _compared(pair, _Way(0, reference.shape[0] / made.shape[0], reference.shape[1] / made.shape[1]))


class _Pair(NamedTuple):
    """Two pictures of at most a few hundred pixels a side, and the sizes that they had."""

    reference: RGB
    made: RGB
    reference_hw: tuple[int, ...]
    made_hw: tuple[int, ...]


def _compared(pair: _Pair, way: _Way) -> float:
    """How well the pictures agree under a way, at 96 pixels a side."""
    turned = np.ascontiguousarray(np.rot90(pair.made, way.turns))
    turned_hw = pair.made_hw if way.turns % 2 == 0 else pair.made_hw[::-1]
    height, width = (side / scale for side, scale in zip(pair.reference_hw, way[1:], strict=True))
    smaller = _SIDE_PX / max(height, width)
    size = max(1, round(width * smaller)), max(1, round(height * smaller))
    shown = max(1, round(turned_hw[1] * smaller)), max(1, round(turned_hw[0] * smaller))
    frame = _resized(pair.reference, size)
    first, second = luminance(frame), luminance(_laid_over(frame, _resized(turned, shown)))
    found = [correlation(first, second)]
    fine = [one - np.asarray(cv2.GaussianBlur(one, (0, 0), 3.0), np.float32) for one in (first, second)]
    found.append(correlation(*fine))
    return float(np.mean(found))


def _resized(rgb: RGB, size_wh: tuple[int, int]) -> RGB:
    smaller = rgb.shape[0] * rgb.shape[1] > size_wh[0] * size_wh[1]
    return np.asarray(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC), np.float32)
