"""Moving pixels of a photo: bending a part about its root, pushing an outline, turning a piece.

All functions sample backwards: `map_xy[y, x]` is the position in the source that is seen at (x, y).
"""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask

__all__ = ["bend_map", "feather", "push_map", "sample", "sample_cover", "sample_linear", "shifted", "turn_map"]


def sample(image: RGB, map_x: Field, map_y: Field) -> RGB:
    """(h, w, 3) pixels of a photo at (map_x, map_y), bicubic, border pixels repeated."""
    moved = cv2.remap(image, map_x, map_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(moved, float(image.min()), float(image.max())).astype(np.float32, copy=False)


def sample_linear(values: RGB | Field, map_x: Field, map_y: Field) -> RGB:
    """(h, w) or (h, w, 3) values at (map_x, map_y), bilinear, border pixels repeated: to measure, where `sample` is to show."""
    return np.asarray(cv2.remap(values, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def sample_cover(cover: Field, map_x: Field, map_y: Field) -> Field:
    """Coverage 0..1 at (map_x, map_y), bilinear, 0 outside; same (h, w) as the maps."""
    moved = cv2.remap(cover, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(moved, np.float32)


def shifted(values: RGB, dx: float, dy: float) -> RGB:
    """(h, w) or (h, w, 3) moved by (dx, dy) pixels, bilinear, border pixels repeated."""
    matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])
    moved = cv2.warpAffine(values, matrix, values.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def bend_map(
    shape: tuple[int, int], root_xy: tuple[float, float], axis_rad: float, length_px: float, angle_rad: float, sharpness: float
) -> tuple[Field, Field]:
    """Backward map of a beam that leaves `root_xy` along `axis_rad` and is bent by `angle_rad` in all.

    The centre line turns with the arc length s as angle * min(s / (length (1 - sharpness)), 1): sharpness 0 bends along the
    whole length, 1 kinks at the root. Each pixel takes the source point of equal arc length and equal offset from the line.
    """
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    cos, sin = np.cos(axis_rad), np.sin(axis_rad)
    along = (x - root_xy[0]) * cos + (y - root_xy[1]) * sin
    across = -(x - root_xy[0]) * sin + (y - root_xy[1]) * cos
    steps = max(int(length_px * 1.4), 8)
    s = np.linspace(0.0, length_px * 1.4, steps)
    bow = max(length_px * (1.0 - min(max(sharpness, 0.0), 0.95)), 1.0)
    direction = angle_rad * np.clip(s / bow, 0.0, 1.0)
    ds = s[1] - s[0]
    line_along = np.concatenate([[0.0], np.cumsum(np.cos(direction))[:-1]]) * ds
    line_across = np.concatenate([[0.0], np.cumsum(np.sin(direction))[:-1]]) * ds
    # the line is monotonic along the axis for |angle| < 90 degrees: the nearest point is found by two fixed-point steps
    at = np.clip(along, line_along[0], line_along[-1])
    for _ in range(3):
        tilt = np.interp(at, line_along, direction).astype(np.float32)
        offset = across - np.interp(at, line_along, line_across).astype(np.float32)
        at = np.clip(along + offset * np.sin(tilt) * 0.5 + (at - along) * 0.5, line_along[0], line_along[-1])
    tilt = np.interp(at, line_along, direction).astype(np.float32)
    arc = np.interp(at, line_along, s).astype(np.float32)
    rise = across - np.interp(at, line_along, line_across).astype(np.float32)
    run = along - at
    arc = arc + run * np.cos(tilt) + rise * np.sin(tilt)
    offset = rise * np.cos(tilt) - run * np.sin(tilt)
    behind = along < 0
    arc = np.where(behind, along, arc)
    offset = np.where(behind, across, offset)
    map_x = root_xy[0] + arc * cos - offset * sin
    map_y = root_xy[1] + arc * sin + offset * cos
    return map_x.astype(np.float32), map_y.astype(np.float32)


def push_map(
    shape: tuple[int, int],
    center_xy: tuple[float, float],
    shift_xy: tuple[float, float],
    radius_px: float,
    stretch: float = 1.0,
) -> tuple[Field, Field]:
    """Backward map that carries the content at `center_xy` by `shift_xy`, fading to nothing at `radius_px` (smooth, no folds
    as long as the shift stays below 0.6 radius). Square to the shift it reaches `stretch` times as far."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    dx, dy = x - center_xy[0], y - center_xy[1]
    if stretch != 1.0:
        far = max(float(np.hypot(*shift_xy)), 1e-6)
        ahead = (dx * shift_xy[0] + dy * shift_xy[1]) / far
        dx, dy = ahead, (dy * shift_xy[0] - dx * shift_xy[1]) / (far * stretch)
    distance = np.hypot(dx, dy) / max(radius_px, 1.0)
    weight = np.clip(1.0 - distance**2, 0.0, 1.0) ** 2
    return x - weight * shift_xy[0], y - weight * shift_xy[1]


def turn_map(
    shape: tuple[int, int], center_xy: tuple[float, float], angle_rad: float, mirror: bool = False
) -> tuple[Field, Field]:
    """Backward map that turns the content by `angle_rad` about `center_xy`, mirrored left-right first if asked."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    dx, dy = x - center_xy[0], y - center_xy[1]
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    source_x = dx * cos + dy * sin
    source_y = -dx * sin + dy * cos
    if mirror:
        source_x = -source_x
    return (source_x + center_xy[0]).astype(np.float32), (source_y + center_xy[1]).astype(np.float32)


def feather(mask: Mask, width_px: float) -> Field:
    """(h, w) 0..1: 1 well inside `mask`, 0 outside, a smooth ramp of `width_px` inside its border."""
    # a frame of zeros lets a mask that touches the window's border fade there too
    padded = np.pad(mask, 1).astype(np.uint8)
    inside = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    ramp = np.clip(inside / max(width_px, 1e-3), 0.0, 1.0)
    return (ramp * ramp * (3.0 - 2.0 * ramp)).astype(np.float32)
