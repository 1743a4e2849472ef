"""Lines that the mechanisms share: smooth random curves, branching cracks, and the distance of pixels to them.

Points are (x, y) in photo pixels, pixel centres at integers. Everything random comes from the generator that is passed in.

Source: cracks as branching random walks with persistent direction.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Window

__all__ = ["Branch", "Path", "Stroke", "branching_paths", "offset_path", "path_profile", "spline_path", "trace_stroke"]

Path = NDArray[np.float32]
"""(N, 2) float32 points (x, y) of a polyline, N >= 2, photo pixels."""

_CHUNK = 8  # segments that are measured at once


class Stroke(NamedTuple):
    """A polyline measured on a window.

    Attributes:
        distance: (h, w) pixels to the polyline; `reach` where farther than that.
        side: (h, w) -1 or +1, on which side of the polyline (right-hand side of its direction as seen is +1); 0 beyond reach.
        along: (h, w) 0..1, position of the nearest point along the polyline; 0 beyond reach.
    """

    distance: Field
    side: Field
    along: Field

    def coverage(self, half_width_px: Field | float) -> Field:
        """Anti-aliased 0..1 coverage of the stroke; thinner than a pixel becomes fainter instead of narrower."""
        half = np.maximum(half_width_px, 1e-3)
        thin = np.minimum(half / 0.5, 1.0)
        return np.clip(np.maximum(half, 0.5) + 0.5 - self.distance, 0.0, 1.0).astype(np.float32) * np.asarray(thin, np.float32)


class Branch(NamedTuple):
    """One arm of a branching shape.

    Attributes:
        path: its polyline, from the root outwards.
        width_start, width_end: relative widths at both ends, 1 = the widest part of the whole.
        level: 0 = trunk, 1 = grown from the trunk, ...
    """

    path: Path
    width_start: float
    width_end: float
    level: int


def path_profile(count: int, rng: np.random.Generator, *, knots: int) -> NDArray[np.float32]:
    """(count,) smooth random profile, zero mean, about unit variance, with `knots` free values."""
    values = rng.standard_normal((1, max(knots, 2))).astype(np.float32)
    return cv2.resize(values, (count, 1), interpolation=cv2.INTER_CUBIC)[0]


def spline_path(
    center_xy: tuple[float, float],
    length_px: float,
    angle_rad: float,
    rng: np.random.Generator,
    *,
    bend: float = 0.3,
    wobble: float = 0.05,
    points: int | None = None,
) -> Path:
    """A smooth random curve whose middle lies at `center_xy` and whose ends lie `angle_rad` apart.

    Args:
        length_px: length along the curve.
        bend: standard deviation of the direction along the curve in radians (slow changes).
        wobble: the same for fast changes (a trembling hand).
        points: number of points; unset: about one for every 2 px, 8 to 160.
    """
    count = points or int(np.clip(length_px / 2.0, 8, 160))
    direction = bend * path_profile(count - 1, rng, knots=3) + wobble * path_profile(count - 1, rng, knots=max(4, count // 5))
    step = length_px / (count - 1)
    steps = np.stack([np.cos(direction), np.sin(direction)], 1) * step
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)])
    chord = path[-1] - path[0]
    path = path @ _turning(angle_rad - np.arctan2(chord[1], chord[0]))
    path += np.asarray(center_xy) - 0.5 * (path.min(0) + path.max(0))
    return path.astype(np.float32)


def _turning(angle_rad: float) -> NDArray[np.float64]:
    """(2, 2): rows of points times this are the points turned about the origin."""
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cosine, sine], [-sine, cosine]])


def offset_path(path: Path, offset_px: NDArray[np.float32] | float) -> Path:
    """The polyline moved sideways by `offset_px` (scalar or one value for each point), to the right of its direction."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-6)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    return (path + normal * np.reshape(offset_px, (-1, 1))).astype(np.float32)


def _walk(
    start: NDArray[np.float64], heading: float, length_px: float, rng: np.random.Generator, meander: float, step_px: float
) -> Path:
    """Random walk with persistent direction: straight runs, sudden small kinks, a slow pull back to the heading."""
    count = max(int(length_px / step_px), 3)
    kinks = rng.standard_normal(count) * meander * np.where(rng.random(count) < 0.35, 1.4, 0.35)
    direction = np.empty(count)
    drift = 0.0
    for i in range(count):
        drift = 0.8 * drift + kinks[i]
        direction[i] = heading + drift
    steps = np.stack([np.cos(direction), np.sin(direction)], 1) * (length_px / count)
    return np.concatenate([start[None], start + np.cumsum(steps, 0)]).astype(np.float32)


def branching_paths(
    center_xy: tuple[float, float],
    length_px: float,
    angle_rad: float,
    rng: np.random.Generator,
    *,
    meander: float = 0.25,
    branches: int = 2,
    curve: float = 0.0,
) -> list[Branch]:
    """A crack: a meandering trunk and `branches` arms that leave it at acute angles, some of which fork again.

    Args:
        length_px: length of the trunk.
        meander: standard deviation of a kink in radians.
        curve: total slow turn of the trunk in radians.
    """
    step = max(length_px / 90.0, 1.6)
    trunk = _walk(np.zeros(2), angle_rad, length_px, rng, meander, step)
    if curve:
        bow = np.linspace(-1.0, 1.0, len(trunk)) ** 2 * curve * length_px * 0.25
        trunk = offset_path(trunk, bow.astype(np.float32))
    chord = trunk[-1] - trunk[0]
    trunk = (trunk @ _turning(angle_rad - np.arctan2(chord[1], chord[0]))).astype(np.float32)
    trunk += np.asarray(center_xy, np.float32) - 0.5 * (trunk[0] + trunk[-1])
    arms = [Branch(trunk, 1.0, 0.25, 0)]
    for _ in range(branches):
        parent = arms[0] if len(arms) == 1 or rng.random() < 0.75 else arms[int(rng.integers(1, len(arms)))]
        at = float(rng.uniform(0.15, 0.85))
        index = min(int(at * (len(parent.path) - 1)), len(parent.path) - 2)
        along = parent.path[index + 1] - parent.path[index]
        heading = float(np.arctan2(along[1], along[0]) + rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 0.95))
        reach = length_px * float(rng.uniform(0.1, 0.38)) * 0.7**parent.level
        width = (parent.width_start + at * (parent.width_end - parent.width_start)) * float(rng.uniform(0.4, 0.8))
        path = _walk(parent.path[index].astype(np.float64), heading, max(reach, 3.0), rng, meander * 1.2, step)
        arms.append(Branch(path, width, 0.15 * width, parent.level + 1))
    return arms


def trace_stroke(window: Window, path: Path, reach_px: float) -> Stroke:
    """Exact distance of a window's pixels to a polyline, computed only within `reach_px` of it.

    The polyline is taken in runs of a few segments; each run looks at its own bounding box only.
    """
    height, width = window.shape
    distance = np.full((height, width), reach_px**2, np.float32)
    side = np.zeros((height, width), np.float32)
    along = np.zeros((height, width), np.float32)
    local = path - np.array([window.x0, window.y0], np.float32)
    lengths = np.linalg.norm(np.diff(local, axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(lengths)]).astype(np.float32)
    total = max(float(arc[-1]), 1e-6)
    for first in range(0, len(local) - 1, _CHUNK):
        run = local[first : first + _CHUNK + 1]
        low = np.floor(run.min(0) - reach_px).astype(int)
        high = np.ceil(run.max(0) + reach_px).astype(int) + 1
        x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
        x1, y1 = min(int(high[0]), width), min(int(high[1]), height)
        if x0 >= x1 or y0 >= y1:
            continue
        start, step = run[:-1, :, None, None], np.diff(run, axis=0)[:, :, None, None]
        dx = np.arange(x0, x1, dtype=np.float32)[None, None, :] - start[:, 0]
        dy = np.arange(y0, y1, dtype=np.float32)[None, :, None] - start[:, 1]
        square = np.maximum(step[:, 0] ** 2 + step[:, 1] ** 2, 1e-12)
        t = np.clip((dx * step[:, 0] + dy * step[:, 1]) / square, 0.0, 1.0)
        off_x, off_y = dx - t * step[:, 0], dy - t * step[:, 1]
        squares = off_x**2 + off_y**2
        best = squares.argmin(0)[None]
        near = np.take_along_axis(squares, best, 0)[0]
        box = (slice(y0, y1), slice(x0, x1))
        closer = near < distance[box]
        turn = np.take_along_axis(step[:, 0] * dy - step[:, 1] * dx, best, 0)[0]
        position = (arc[first : first + len(run) - 1, None, None] + t * np.sqrt(square)) / total
        distance[box] = np.where(closer, near, distance[box])
        side[box] = np.where(closer, np.sign(turn), side[box])
        along[box] = np.where(closer, np.take_along_axis(position, best, 0)[0], along[box])
    return Stroke(np.sqrt(distance), side, along)
