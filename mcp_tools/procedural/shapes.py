"""Random shapes that the mechanisms share: smooth paths, branching walks, strokes, noise, blobs and facets.

Points are (x, y) in photo pixels, pixel centres at integers. Fields cover one `Window` only, so that the cost of a shape
grows with the shape and not with the photo. Everything random comes from the generator that is passed in.

Source: Perlin-like value noise after Perlin 1985; noisy radial blobs as level sets with a given area; cracks as branching
random walks with persistent direction.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.procedural.edit import Site, Window

__all__ = [
    "Branch",
    "Facets",
    "Path",
    "Stroke",
    "blob_at",
    "blob_distance",
    "borders_of",
    "branching_paths",
    "facet_planes",
    "fractal_noise",
    "mosaic",
    "offset_path",
    "path_profile",
    "pixel_grid",
    "rectangle_at",
    "smooth_step",
    "spline_path",
    "trace_stroke",
]

Path = NDArray[np.float32]
"""(N, 2) float32 points (x, y) of a polyline, N >= 2, photo pixels."""

_CHUNK = 8


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


class Facets(NamedTuple):
    """A field broken into planar facets.

    Attributes:
        label: (h, w) int32, which facet, 0 .. n - 1.
        slope: (n, 2) float32, dh/dx and dh/dy of every facet.
        border: (h, w) 0..1, 1 on the ridges between facets.
    """

    label: NDArray[np.int32]
    slope: NDArray[np.float32]
    border: Field


def smooth_step(x: Field) -> Field:
    """Hermite step of (h, w) values: 0 below 0, 1 above 1."""
    t = np.clip(x, 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


def pixel_grid(window: Window) -> tuple[Field, Field]:
    """(x, y) photo coordinates of a window's pixels, shapes (1, w) and (h, 1), to broadcast."""
    x = np.arange(window.x0, window.x1, dtype=np.float32)[None, :]
    y = np.arange(window.y0, window.y1, dtype=np.float32)[:, None]
    return x, y


def fractal_noise(
    shape: tuple[int, int], scale_px: float, rng: np.random.Generator, *, octaves: int = 3, gain: float = 0.5
) -> Field:
    """(h, w) smooth noise with zero mean and unit variance (in expectation), whose largest features are `scale_px` wide.

    Args:
        octaves: number of layers, each half as wide as the one before; layers below a pixel are left out.
        gain: amplitude of a layer relative to the one before.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    amplitude, power, scale = 1.0, 0.0, max(scale_px, 1.0)
    for octave in range(octaves):
        if octave and scale < 1.0:
            break
        rows, columns = int(height / scale) + 4, int(width / scale) + 4
        grid = rng.standard_normal((rows, columns), np.float32)
        dy, dx = rng.random(2)
        # Sampling the grid at a random offset keeps the lattice from showing in the same place everywhere.
        matrix = np.array([[1.0 / scale, 0.0, 1.0 + dx], [0.0, 1.0 / scale, 1.0 + dy]], np.float32)
        layer = cv2.warpAffine(
            grid, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
        )
        total += np.float32(amplitude) * layer
        power += amplitude**2 * 0.74  # variance that cubic interpolation leaves of white noise, measured
        amplitude *= gain
        scale /= 2.0
    return total / np.float32(np.sqrt(power))


def path_profile(count: int, rng: np.random.Generator, *, knots: int = 6) -> NDArray[np.float32]:
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
    turn = angle_rad - np.arctan2(chord[1], chord[0])
    cosine, sine = np.cos(turn), np.sin(turn)
    path = path @ np.array([[cosine, sine], [-sine, cosine]])
    path += np.asarray(center_xy) - 0.5 * (path.min(0) + path.max(0))
    return path.astype(np.float32)


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
    turn = angle_rad - np.arctan2(chord[1], chord[0])
    cosine, sine = np.cos(turn), np.sin(turn)
    trunk = (trunk @ np.array([[cosine, sine], [-sine, cosine]])).astype(np.float32)
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


def blob_distance(
    window: Window,
    center_xy: tuple[float, float],
    area_px: float,
    rng: np.random.Generator,
    *,
    elongation: float = 1.0,
    angle_rad: float = 0.0,
    lobes: float = 0.25,
    roughness: float = 0.15,
    warp: float = 0.0,
    across_px: Field | None = None,
) -> Field:
    """Signed distance (pixels, approximate, positive inside) to the outline of an irregular blob.

    Args:
        area_px: area of the blob; met exactly when the window holds all of it.
        elongation: length over width.
        lobes: relative size of slow waves of the outline (3 to 6 around).
        roughness: relative size of its fine fractal irregularity.
        warp: how far the plane is bent under the blob, relative to its radius: bays, necks and tongues that no waves around a
            middle make; from 0.5 on little is left of the ellipse.
        across_px: (h, w) replaces the straight coordinate across the long axis, so that the blob follows a curve.
    """
    radius = float(np.sqrt(max(area_px, 1.0) / np.pi))
    x, y = pixel_grid(window)
    dx, dy = x - center_xy[0], y - center_xy[1]
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    stretch = float(np.sqrt(elongation))
    u = (dx * cosine + dy * sine) / stretch
    v = (-dx * sine + dy * cosine if across_px is None else across_px) * stretch
    if warp > 0:
        bent = [
            np.float32(warp * radius) * fractal_noise(window.shape, max(1.2 * radius, 4.0), rng, gain=0.6) for _ in range(2)
        ]
        u, v = u + bent[0], v + bent[1]
    rho = np.hypot(u, v)
    outline = np.ones(window.shape, np.float32)
    if lobes > 0:
        theta = np.arctan2(v, u)
        for k in range(3, 7):  # two waves would be an elongation that nobody asked for
            outline += lobes * float(rng.normal()) * 2.2 / k**1.8 * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
    if roughness > 0:
        outline += roughness * fractal_noise(window.shape, max(radius / stretch, 2.0), rng, octaves=4, gain=0.6)
    # Distances shrink with the stretch across the blob: dividing by it keeps a pixel at the flanks a pixel.
    field = (np.maximum(outline, 0.2) * radius - rho) / stretch
    wanted = int(np.clip(area_px, 1, field.size))
    inside = int((field > 0).sum())
    if abs(inside - wanted) > 0.02 * wanted + 1 and wanted < field.size:
        field -= np.partition(field.ravel(), field.size - wanted)[field.size - wanted]
    field = _without_islands(field.astype(np.float32))
    # Near the outline the level set is divided by its slope, so that a ragged outline is as smooth to the pixel as a round one.
    rise, run = np.gradient(field)
    steepness = np.hypot(rise, run)
    return (field / np.maximum(1.0, 1.0 + (steepness - 1.0) * np.exp(-((field / 4.0) ** 2)))).astype(np.float32)


def _without_islands(field: Field) -> Field:
    """The level set with only its largest connected inside left."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((field > 0).astype(np.uint8), connectivity=4)
    if count <= 2:
        return field
    main = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.where((labels == 0) | (labels == main), field, -1.0).astype(np.float32)


def blob_at(
    site: Site,
    rng: np.random.Generator,
    *,
    share: float = 1.0,
    elongation: float = 1.0,
    lobes: float = 0.25,
    roughness: float = 0.15,
    warp: float = 0.0,
) -> Field:
    """`blob_distance` over a site's window: at its place, along its axis, of `share` times its area."""
    return blob_distance(
        site.window,
        site.center_xy,
        share * site.area_px,
        rng,
        elongation=elongation,
        angle_rad=site.angle_rad,
        lobes=lobes,
        roughness=roughness,
        warp=warp,
    )


def rectangle_at(site: Site, elongation: float) -> NDArray[np.floating]:
    """Signed distance (pixels, positive inside; short beyond corners) to the rectangle of a site's area, along its axis."""
    long = float(np.sqrt(site.area_px * elongation))
    wide = site.area_px / long
    x, y = pixel_grid(site.window)
    dx, dy = x - site.center_xy[0], y - site.center_xy[1]
    cos, sin = np.cos(site.angle_rad), np.sin(site.angle_rad)
    return np.minimum(long / 2 - np.abs(dx * cos + dy * sin), wide / 2 - np.abs(-dx * sin + dy * cos))


def facet_planes(
    window: Window,
    center_xy: tuple[float, float],
    size_px: float,
    rng: np.random.Generator,
    *,
    count: int = 8,
    slope: float = 0.5,
    warp: float = 0.15,
) -> Facets:
    """Facets of broken material: Voronoi cells with slightly curved borders, each tilted its own way.

    Args:
        size_px: radius of the region in which the cells have their centres.
        slope: standard deviation of dh/dx and dh/dy.
        warp: how far borders depart from straight lines, relative to `size_px`.
    """
    height, width = window.shape
    seeds = np.asarray(center_xy) - (window.x0, window.y0) + rng.normal(0.0, 0.6 * size_px, (count, 2))
    columns = np.clip(np.rint(seeds[:, 0]).astype(np.intp), 0, width - 1)
    rows = np.clip(np.rint(seeds[:, 1]).astype(np.intp), 0, height - 1)
    label, border = _cells((height, width), rows, columns, warp * size_px, max(size_px * 0.8, 3.0), rng)
    return Facets(label, rng.normal(0.0, slope, (count, 2)).astype(np.float32), border)


def mosaic(inside: Mask, count: int, warp_px: float, rng: np.random.Generator) -> Facets:
    """Voronoi cells whose centres are random pixels of a mask; slopes as steep as the cells are tilted, standard deviation 1.

    Args:
        inside: (h, w) bool, at least one pixel.
        warp_px: how far borders depart from straight lines.
    """
    rows, columns = np.nonzero(inside)
    chosen = rng.integers(0, len(rows), count)
    label, border = _cells(inside.shape, rows[chosen], columns[chosen], warp_px, max(4.0 * warp_px, 3.0), rng)
    return Facets(label, rng.normal(0.0, 1.0, (count, 2)).astype(np.float32), border)


def borders_of(label: NDArray[np.int32]) -> Mask:
    """(h, w) bool: the first pixels of each cell to the right of or below another one."""
    border = np.zeros(label.shape, np.bool_)
    border[:, 1:] = label[:, 1:] != label[:, :-1]
    border[1:] |= label[1:] != label[:-1]
    return border


def _cells(
    shape: tuple[int, ...],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    warp_px: float,
    scale_px: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int32], Field]:
    """(h, w) which of the centres is nearest, with bent borders, and (h, w) 0..1, 1 on the borders."""
    height, width = shape
    free = np.ones((height, width), np.uint8)
    free[rows, columns] = 0
    # The distance transform labels every pixel with its nearest seed in one pass, however many seeds there are.
    nearest = np.asarray(cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1], np.intp)
    names = np.zeros(int(nearest.max()) + 1, np.int32)
    names[nearest[rows, columns]] = np.arange(len(rows), dtype=np.int32)
    bend = np.float32(warp_px)
    map_x = np.arange(width, dtype=np.float32)[None, :] + bend * fractal_noise(
        (height, width), scale_px, rng, octaves=3, gain=0.4
    )
    map_y = np.arange(height, dtype=np.float32)[:, None] + bend * fractal_noise(
        (height, width), scale_px, rng, octaves=3, gain=0.4
    )
    label = cv2.remap(
        names[nearest].astype(np.float32), map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.int32)
    ridge = borders_of(label).astype(np.float32)
    return label, np.clip(1.8 * cv2.GaussianBlur(ridge, (0, 0), 0.7), 0.0, 1.0).astype(np.float32)
