"""Where a crack runs through a body: along the weakest way, in the plane of the photo.

Physics: a crack takes the way of least resistance. Grains, pores and inclusions make resistance vary at every scale, so that it
turns where the next grain boundary leads, a little at the scale of the grain and more over longer runs, and closely spaced
lines of the material (joints, veins, rings, gaps between stones) guide it. Where it turns sharply, the old direction often
goes on as a short spur. Glass has no grain: there, smooth arcs are right (`shapes.branching_paths`).

The way is a directed polymer in a random medium: the cheapest path from one end to the other that never turns back, found by
dynamic programming over a grid along the crack. Source: Huse & Henley, Phys. Rev. Lett. 54 (1985) 2708; that fracture lines
are rough like such paths: Hansen, Hinrichsen & Roux, Phys. Rev. Lett. 66 (1991) 2476.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.geometry.paths import Branch, Path
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import lightness_of

__all__ = ["Resistance", "fracture_arms", "resistance_of"]

_COLUMNS = 72  # of the grid along the crack, at most
_ROWS = 41
_STEEPEST = 3  # rows by column
_FINEST_PX = 1.6  # between points of a path
_MOST_CELLS = 160  # of the map, along its longer side
_LINE = (4.0, 16.0)  # L: lines fainter than the first do not guide, those of the second do fully
_GUIDED = 0.75  # of its resistance that a material loses along such a line
_DARK_GUIDES = 0.3  # as much do gaps that are dark already: in wide ones no crack would be seen
_HOMING = 0.25  # cost of ending at the border of the corridor, in lengths of the crack


@dataclass(frozen=True)
class Resistance:
    """Of the surface around a site against a crack.

    Attributes:
        field: (h, w) > 0, about 1; its pixels are `cell_px` wide.
        origin_xy: of its first pixel, in the photo.
        roughness: standard deviation of its logarithm, without lines: how tortuous a crack is.
    """

    field: Field
    origin_xy: tuple[float, float]
    cell_px: float
    roughness: float


def resistance_of(site: Site, length_px: float, roughness: float, rng: np.random.Generator) -> Resistance:
    """Random toughness of many scales, low along the lines that the photo shows.

    Args:
        length_px: of the crack.
        roughness: see `Resistance`.
    """
    lightness = lightness_of(site)
    cell = max(1.0, max(lightness.shape) / _MOST_CELLS)
    if cell > 1.0:
        rows, columns = (max(round(side / cell), 2) for side in lightness.shape)
        lightness = cv2.resize(lightness, (columns, rows), interpolation=cv2.INTER_AREA)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    opened, closed = (cv2.morphologyEx(lightness, kind, kernel) for kind in (cv2.MORPH_OPEN, cv2.MORPH_CLOSE))
    lines = np.maximum(lightness - opened, _DARK_GUIDES * (closed - lightness))
    low, high = _LINE
    guide = np.clip((lines - low) / (high - low), 0.0, 1.0)
    coarse = max(0.3 * length_px / cell, 4.0)
    noise = fractal_noise(lightness.shape, coarse, rng, octaves=5, gain=0.85)
    field = np.exp(roughness * noise) * (1.0 - _GUIDED * guide)
    return Resistance(field.astype(np.float32), (site.window.x0, site.window.y0), cell, roughness)


def _cheapest(cost: Field, step: float, first: Field, last: Field) -> NDArray[np.intp]:
    """Rows of the cheapest way through a (rows, columns) cost, one for each column.

    Args:
        step: height of a row in widths of a column.
        first, last: (rows,) cost of starting and ending in a row.
    """
    moves = np.arange(-_STEEPEST, _STEEPEST + 1)
    extra = np.hypot(1.0, moves * step).astype(np.float32)[:, None]
    rows, columns = cost.shape
    padded = np.full(rows + 2 * _STEEPEST, np.inf, np.float32)
    reached = np.lib.stride_tricks.sliding_window_view(padded, rows)  # one line for each move
    came = np.empty((columns, rows), np.int8)
    every = np.arange(rows)
    total = first
    for column in range(1, columns):
        padded[_STEEPEST : _STEEPEST + rows] = total
        options = reached + extra * cost[:, column]
        best = options.argmin(0)
        came[column] = best
        total = options[best, every]
    way = np.empty(columns, np.intp)
    way[-1] = int((total + last).argmin())
    for column in range(columns - 1, 0, -1):
        way[column - 1] = way[column] + moves[came[column, way[column]]]
    return way


def _run(
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    resistance: Resistance,
    corridor: float,
    rng: np.random.Generator,
    *,
    held: bool,
) -> Path:
    """The way from `start` to about `end`, which departs from the straight one by no more than `corridor` of its length.

    Args:
        held: False when it may also start beside `start`.
    """
    chord = end - start
    length = max(float(np.hypot(*chord)), 1e-3)
    columns = int(np.clip(length / 2.2, 5, _COLUMNS))
    rows = int(np.clip(2 * round(corridor * length / 1.2) + 1, 5, _ROWS))
    along, across = chord / length, np.array([-chord[1], chord[0]]) / length
    run, rise = length / (columns - 1), 2.0 * corridor * length / (rows - 1)
    # from grid (column, row) to cells of the field
    corner = start - 0.5 * (rows - 1) * rise * across - np.asarray(resistance.origin_xy)
    matrix = np.stack([run * along, rise * across, corner], 1) / resistance.cell_px
    cost = cv2.warpAffine(
        resistance.field,
        matrix.astype(np.float32),
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=4.0,
    )
    middle = rows // 2
    off = np.abs(np.arange(rows) - middle)
    free = (columns * (off / max(middle, 1)) ** 2 * _HOMING).astype(np.float32)
    way = _cheapest(
        np.asarray(cost, np.float32), rise / run, np.where(off > 0, np.inf, 0.0).astype(np.float32) if held else free, free
    )
    v = (way - middle) * rise
    v[1:-1] += rng.uniform(-0.5, 0.5, columns - 2) * rise  # between the rows
    points = start + np.arange(columns)[:, None] * run * along + v[:, None] * across
    return _roughened(points, resistance, rng)


def _roughened(points: NDArray[np.float64], resistance: Resistance, rng: np.random.Generator) -> Path:
    """The polyline with points `_FINEST_PX` apart, moved sideways by the grain (midpoints, again and again)."""
    share = 0.16 * min(resistance.roughness, 1.0)
    for _ in range(3):
        ahead = np.diff(points, axis=0)
        lengths = np.hypot(ahead[:, 0], ahead[:, 1])
        if lengths.mean() < 2.0 * _FINEST_PX:
            break
        sideways = np.stack([-ahead[:, 1], ahead[:, 0]], 1)
        middles = points[:-1] + 0.5 * ahead + sideways * (share * rng.standard_normal(len(ahead)))[:, None]
        woven = np.empty((2 * len(points) - 1, 2))
        woven[::2], woven[1::2] = points, middles
        points = woven
    return points.astype(np.float32)


def fracture_arms(
    center_xy: tuple[float, float],
    length_px: float,
    angle_rad: float,
    resistance: Resistance,
    rng: np.random.Generator,
    *,
    branches: int,
    spurs: int,
    corridor: float,
    rooted: bool,
) -> list[Branch]:
    """A crack: the trunk, arms that leave it at acute angles, and short spurs at its sharpest turns.

    Args:
        length_px: from one end of the trunk to the other.
        corridor: how far the trunk may depart from the straight line, in its lengths.
        rooted: True when it has to start exactly at its first end.
    """
    half = 0.5 * length_px * np.array([np.cos(angle_rad), np.sin(angle_rad)])
    center = np.asarray(center_xy, np.float64)
    trunk = _run(center - half, center + half, resistance, corridor, rng, held=rooted)
    arms = [Branch(trunk, 1.0, 0.25, 0)]
    for _ in range(branches):
        parent = arms[0] if len(arms) == 1 or rng.random() < 0.75 else arms[int(rng.integers(1, len(arms)))]
        index = int(rng.uniform(0.12, 0.85) * (len(parent.path) - 1))
        reach = length_px * float(rng.uniform(0.1, 0.38)) * 0.7**parent.level
        arms.append(_arm(parent, index, reach, float(rng.uniform(0.35, 0.8)), resistance, rng))
    for index in _sharpest(trunk, spurs, rng):
        reach = length_px * 0.02 * (1.0 + float(rng.pareto(1.6)))
        arms.append(_arm(arms[0], index, min(reach, 0.12 * length_px), float(rng.uniform(0.25, 0.5)), resistance, rng))
    return arms


def _arm(parent: Branch, index: int, reach_px: float, width: float, resistance: Resistance, rng: np.random.Generator) -> Branch:
    """An arm that leaves its parent at a point, on the outside of the turn there."""
    path = parent.path.astype(np.float64)
    near = max(2, len(path) // 24)
    root = path[index]
    before, after = root - path[max(index - near, 0)], path[min(index + near, len(path) - 1)] - root
    came, goes = (float(np.arctan2(one[1], one[0])) for one in (before, after))
    turn = (goes - came + np.pi) % (2.0 * np.pi) - np.pi
    side = -1.0 if turn > 0 else 1.0
    if abs(turn) < 0.15:
        side = float(rng.choice([-1.0, 1.0]))
    heading = goes + side * float(rng.uniform(0.4, 1.05))
    end = root + max(reach_px, 3.0) * np.array([np.cos(heading), np.sin(heading)])
    at = index / max(len(path) - 1, 1)
    thick = width * (parent.width_start + at * (parent.width_end - parent.width_start))
    return Branch(_run(root, end, resistance, 0.18, rng, held=True), thick, 0.15 * thick, parent.level + 1)


def _sharpest(path: Path, count: int, rng: np.random.Generator) -> list[int]:
    """Indices of `count` points, apart from each other, among those where the path turns most."""
    if count < 1 or len(path) < 8:
        return []
    ahead = np.diff(path.astype(np.float64), axis=0)
    heading = np.unwrap(np.arctan2(ahead[:, 1], ahead[:, 0]))
    turns = np.abs(np.diff(heading)) * rng.uniform(0.5, 1.0, len(heading) - 1)
    chosen: list[int] = []
    for index in np.argsort(-turns) + 1:
        if all(abs(index - other) > len(path) // 16 for other in chosen) and 0.06 < index / len(path) < 0.94:
            chosen.append(int(index))
        if len(chosen) == count:
            break
    return chosen
