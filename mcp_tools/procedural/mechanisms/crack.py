"""A crack: the material has parted along a wandering line.

Physics: an open gap swallows light, so its core is dark whatever the light; it is widest somewhere along the trunk and
closes towards the tips, follows weak spots in sudden small turns, and forks at acute angles when stress was released in
more than one direction. Most start where the load or a notch was: near an outline they run inwards from it. Its lips have
settled at slightly different heights, so one edge catches light. Dirt and chipping soften the borders of old cracks, and
dirt fills wide ones but for a hairline. In grain it takes the weakest way (`breaking/fracture.py`), in glass it runs in
smooth arcs; wood parts along its fibres, the crack steps from one fibre to the next, and its arms leave it at a flat angle.
What is asked for about as long as wide is a net of fine cracks (`breaking/craze.py`).
"""

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import NET_ELONGATION, DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.breaking.craze import draw_net
from anomalyagent.mcp_tools.procedural.breaking.fracture import fracture_arms, resistance_of
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.geometry.paths import Branch, Path, branching_paths, path_profile, trace_stroke
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.light.material import dark_tone, is_glass
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, measure_surroundings
from anomalyagent.mcp_tools.procedural.placement import Extent, extent_of, window_around

__all__ = ["render"]

_KNOTS = 200
_POINT_PX = 1.6  # between points of a path, about
_HAIRLINE = 0.12  # of the width of a gap
_FRINGE_PX = 1.8  # seen to be changed beyond both lips together
_THINNEST_PX = 0.9
_TRUNK = 0.9  # of the length that area and elongation give
_LEAST_SLENDER = 12.0
_TURNS = (0.0, 0.3, -0.3, 0.6, -0.6, 0.95, -0.95, 1.3, -1.3)  # radians
_ASKEW = 0.9  # radians between the way inwards and a structure from which on it does not lead there
_DRAWN_OUT = 0.22  # of its width across the fibres that a crack in wood keeps
_INWARDS = 0.8  # chance that a crack near an outline starts there


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """A crack with as many branches as its elongation leaves room for. None when the window is too small to hold any."""
    if min(site.window.shape) < 4:
        return None
    if spec.elongation <= NET_ELONGATION:
        return draw_net(site, spec, rng)
    length, _ = extent_of(site.scene, site.area_px, _slender(site, spec))
    length *= _TRUNK
    slim = spec.elongation > 15.0
    site = _along_fibres(site, spec, length)
    moved = _from_outline(site, spec, length, rng)
    rooted = moved is not site
    site, length = _with_room(moved, spec, length)
    near = measure_surroundings(site)
    arms = _smooth_arms(site, length, slim, rng) if is_glass(site.scene) else _rough_arms(site, length, slim, rooted, near, rng)
    width = _width_for(arms, site.area_px)
    worn_lips = float(rng.choice([0.1, 0.3, 0.7], p=[0.5, 0.3, 0.2])) * float(rng.uniform(0.3, 1.0))
    # A gap is as dark as it is deep: of a wide crack that is hardly seen, dirt has filled all but a hairline.
    tone = dark_tone(near, spec, depth=float(rng.uniform(0.6, 0.9)))
    filled = 1.0 - min(spec.severity * near.jnd / max(_darkest(near, spec), 1.0), 1.0)
    gap = _Gap(width, worn_lips, filled, rooted)
    grain = fractal_noise(site.window.shape, max(2.0, 0.8 * width), rng, octaves=2, gain=0.8)
    opening = np.zeros(site.window.shape, np.float32)
    lips = np.zeros(site.window.shape, np.float32)
    rough = np.zeros(site.window.shape, np.float32)
    for arm in arms:
        _open(arm, gap, site.window, grain, opening, rough, lips, rng)
    height = cv2.GaussianBlur(lips - 0.35 * width * np.minimum(opening, 1.0), (5, 5), 0.7).astype(np.float32)
    return Edit(
        window=site.window,
        support=(opening > 0.02) | (np.abs(height) > 0.03),
        height=height,
        log_reflectance=(np.clip(opening, 0.0, 1.3)[..., None] * tone).astype(np.float32),
        roughness=0.3 * rough,
    )


def _smooth_arms(site: Site, length_px: float, slim: bool, rng: np.random.Generator) -> list[Branch]:
    branches = int(rng.choice([0, 0, 0, 1, 2], p=[0.4, 0.2, 0.1, 0.2, 0.1]) if slim else rng.integers(1, 5))
    return branching_paths(
        site.center_xy,
        length_px,
        site.angle_rad,
        rng,
        meander=float(rng.choice([0.03, 0.08, 0.17], p=[0.4, 0.4, 0.2])),
        branches=branches,
        curve=float(rng.normal(0.0, 0.22)),
    )


def _rough_arms(
    site: Site, length_px: float, slim: bool, rooted: bool, near: Surroundings, rng: np.random.Generator
) -> list[Branch]:
    """Arms through grainy material: the stronger its texture, the more they wind and split."""
    texture = float(np.clip((near.contrast - 1.0) / 7.0, 0.0, 1.0))
    _, coherence = site.scene.orientation_at(*site.center_xy)
    # where everything runs one way (wood, rolled metal) a crack runs with it
    roughness = float(rng.uniform(0.3, 0.65) + 0.45 * texture) * (1.0 - 0.55 * coherence)
    resistance = resistance_of(site, length_px, roughness, rng)
    fat = site.area_px / length_px**2
    most = 1 + round(2.5 * texture + 25.0 * fat)
    arms = fracture_arms(
        site.center_xy,
        length_px,
        site.angle_rad,
        resistance,
        rng,
        branches=int(rng.choice([0, 0, 1, 2])) if slim and texture < 0.3 else int(rng.integers(0, most + 1)),
        spurs=int(rng.integers(0, 3 + round(4 * texture))),
        corridor=float(rng.uniform(0.08, 0.14) + 0.08 * texture),
        rooted=rooted,
    )
    if not site.scene.fibrous:
        return arms
    axis = np.array([np.cos(site.angle_rad), np.sin(site.angle_rad)], np.float32)
    middle = np.asarray(site.center_xy, np.float32)
    return [arm._replace(path=_drawn_out(arm.path, middle, axis)) for arm in arms]


def _drawn_out(path: Path, middle: NDArray[np.float32], axis: NDArray[np.float32]) -> Path:
    """The path pressed against a line: what runs across the line runs along it."""
    off = path - middle
    along = (off @ axis)[:, None] * axis
    return (middle + along + _DRAWN_OUT * (off - along)).astype(np.float32)


def _along_fibres(site: Site, spec: DefectSpec, length_px: float) -> Site:
    """The site turned into the direction of the wood that it lies on, where there is such and nothing else was asked."""
    if not site.scene.fibrous or spec.orientation_deg is not None:
        return site
    return _moved(site, site.center_xy, site.scene.orientation_at(*site.center_xy)[0], length_px)


def _darkest(near: Surroundings, spec: DefectSpec) -> float:
    """Change of lightness that the middle of an open gap makes."""
    return abs(float(spec.color_shift[0])) if spec.color_shift is not None else 0.75 * float(near.lab[0])


def _from_outline(site: Site, spec: DefectSpec, length_px: float, rng: np.random.Generator) -> Site:
    """The site moved and turned so that the crack starts at the outline nearby and runs inwards; unchanged elsewhere.

    Where the structure of the surface leads inwards the crack follows it; fibres that run along the outline keep it away.
    The outline of a surface is the frame.
    """
    depth = site.scene.depth_px
    x, y = site.center_xy
    row, column = min(round(y), depth.shape[0] - 1), min(round(x), depth.shape[1] - 1)
    near = spec.zone == "edge" or depth[row, column] < 0.35 * length_px
    if not near or spec.orientation_deg is not None or rng.random() > _INWARDS:
        return site
    patch = depth[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5]
    if min(patch.shape) < 3:
        return site
    inward_y, inward_x = (float(part.mean()) for part in np.gradient(patch))
    if np.hypot(inward_x, inward_y) < 0.2:
        return site
    inwards = float(np.arctan2(inward_y, inward_x))
    along, coherence = site.scene.orientation_at(x, y)
    turn = (along - inwards + 0.5 * np.pi) % np.pi - 0.5 * np.pi  # of the structure's direction against the inward one
    if site.scene.fibrous and abs(turn) >= _ASKEW:  # wood does not part across its fibres
        return site
    follows = abs(turn) < _ASKEW and (rng.random() < 0.3 + coherence or site.scene.fibrous)
    angle = inwards + (turn if follows else float(rng.normal(0.0, 0.3)))
    root = np.array([x, y]) - float(depth[row, column]) * np.array([np.cos(inwards), np.sin(inwards)])
    center = root + 0.5 * length_px * np.array([np.cos(angle), np.sin(angle)])
    height, width = depth.shape
    center_xy = float(np.clip(center[0], 0, width - 1)), float(np.clip(center[1], 0, height - 1))
    return _moved(site, center_xy, angle, length_px)


def _slender(site: Site, spec: DefectSpec) -> float:
    """Length by mean width: a crack that tapers is mostly wider than its mean width, and its arms add to its area."""
    return site.slimness * max(1.3 * spec.elongation, _LEAST_SLENDER)


def _moved(site: Site, center_xy: tuple[float, float], angle_rad: float, length_px: float) -> Site:
    window = window_around(site.scene, center_xy, Extent(length_px, site.area_px / length_px), angle_rad)
    return replace(site, center_xy=center_xy, angle_rad=angle_rad, window=window)


def _with_room(site: Site, spec: DefectSpec, length_px: float) -> tuple[Site, float]:
    """The site turned (if its direction is free) and pushed along itself so that the trunk lies on the object, and its length.

    A crack that does not fit would be cut off at the outline and be drawn fatter to have its area.
    """
    turns = (0.0,) if spec.orientation_deg is not None or site.scene.fibrous else _TURNS
    best: tuple[float, float, float] | None = None
    for turn in turns:
        behind, ahead = (_run(site, site.angle_rad + turn + half_turn, length_px) for half_turn in (np.pi, 0.0))
        if best is None or behind + ahead > best[0] + best[1]:
            best = (behind, ahead, site.angle_rad + turn)
        if behind + ahead >= length_px:
            break
    assert best is not None
    behind, ahead, angle = best
    if behind + ahead < 0.3 * length_px and spec.orientation_deg is None:
        return site, length_px  # it sits on a sliver of the object: nothing is gained
    length = max(min(length_px, behind + ahead), 3.0)
    push = max(0.5 * length - behind, 0.0) - max(0.5 * length - ahead, 0.0)
    center = site.center_xy[0] + push * float(np.cos(angle)), site.center_xy[1] + push * float(np.sin(angle))
    return _moved(site, center, angle, length), length


def _run(site: Site, angle_rad: float, most_px: float) -> float:
    """Pixels from the site's centre in a direction to where the object ends, `most_px` at most."""
    allowed = site.scene.allowed
    steps = np.arange(0.0, most_px + 1.0)
    columns = np.rint(site.center_xy[0] + steps * np.cos(angle_rad)).astype(int)
    rows = np.rint(site.center_xy[1] + steps * np.sin(angle_rad)).astype(int)
    inside = (rows >= 0) & (columns >= 0) & (rows < allowed.shape[0]) & (columns < allowed.shape[1])
    on = np.zeros(len(steps), bool)
    on[inside] = allowed[rows[inside], columns[inside]]
    return float(steps[-1] if on.all() else on.argmin())


def _width_for(arms: list[Branch], area_px: float) -> float:
    """Width of the widest part with which all arms together change as many pixels as asked, pixels.

    The lens and worn lips widen every arm, thin or not.
    """
    lengths = [float(np.linalg.norm(np.diff(arm.path, axis=0), axis=1).sum()) for arm in arms]
    unit = sum(length * 0.5 * (arm.width_start + arm.width_end) for length, arm in zip(lengths, arms, strict=True))
    return max((area_px - _FRINGE_PX * sum(lengths)) / max(unit, 1.0), _THINNEST_PX)


class _Gap(NamedTuple):
    """A gap between two lips.

    Attributes:
        width_px: of its widest part.
        worn: 0..1, how far its lips are crumbled and dirty, relative to the width.
        filled: 0..1, share of its darkness that only a hairline in it has.
        rooted: True when the trunk starts at an outline, where it is widest.
    """

    width_px: float
    worn: float
    filled: float
    rooted: bool


def _open(
    arm: Branch, gap: _Gap, window: Window, grain: Field, opening: Field, rough: Field, lips: Field, rng: np.random.Generator
) -> None:
    """Draw one arm into darkness (0..1), worn surroundings (0..1) and height of the raised lip (pixels) of the whole window."""
    reach_px = (0.9 + gap.worn) * gap.width_px * arm.width_start + 3.0
    at = np.linspace(0.0, 1.0, _KNOTS)
    taper = _taper(arm, gap, at, rng)
    # Opposite lips fit each other, but for the crumbs that each has lost.
    steps = int(np.clip(len(arm.path) * _POINT_PX / (2.0 * max(gap.width_px, 1.0)), 6, _KNOTS // 2))
    lips_at = np.stack([taper * (1.0 + 0.22 * path_profile(_KNOTS, rng, knots=steps)) for _ in range(2)])
    lit_side = int(rng.integers(2))
    low, high = np.floor(arm.path.min(0) - reach_px).astype(int), np.ceil(arm.path.max(0) + reach_px).astype(int) + 1
    box = Window(
        max(int(low[1]), window.y0), max(int(low[0]), window.x0), min(int(high[1]), window.y1), min(int(high[0]), window.x1)
    )
    if box.y0 >= box.y1 or box.x0 >= box.x1:
        return
    stroke = trace_stroke(box, arm.path, reach_px)
    rows, columns = np.nonzero(stroke.distance < reach_px)
    away, side = stroke.distance[rows, columns], (stroke.side[rows, columns] > 0).astype(np.intp)
    knot = np.rint(stroke.along[rows, columns] * (_KNOTS - 1)).astype(np.intp)
    rows, columns = rows + (box.y0 - window.y0), columns + (box.x0 - window.x0)
    near = np.asarray(grain[rows, columns], np.float32)
    half = 0.5 * gap.width_px * np.maximum(lips_at[side, knot].astype(np.float32) * (1.0 + 0.22 * near), 0.05)
    # Broken lips slope into the gap, and dirt thins out beside it: the darkness sets in over part of the width.
    shown = np.minimum(half / 0.6, 1.0)
    slope_px = np.clip((0.5 + 0.7 * gap.filled) * half, 1.1, 3.0 + 8.0 * gap.filled)
    depth = smooth_step(((half - away) / slope_px + 0.5).astype(np.float32))
    hairline = smooth_step((np.maximum(_HAIRLINE * half, 0.45) - away) / 1.1 + 0.5)
    worn = np.clip(1.0 - away / (np.maximum(half * (1.0 + 1.4 * gap.worn), 0.7) + 0.5), 0.0, 1.0)
    band = 1.0 - gap.filled * np.clip(1.0 + 0.25 * near, 0.6, 1.0)
    dark = shown * np.maximum(depth * band * (1.0 + 0.1 * near), hairline)
    dark += (1.0 - gap.filled) * 0.35 * gap.worn * worn * np.clip(1.0 + 0.6 * near, 0.0, 2.0)
    opening[rows, columns] = np.maximum(opening[rows, columns], dark)
    rough[rows, columns] = np.maximum(rough[rows, columns], worn)
    if arm.level == 0:
        raised = 0.3 * (1.0 - 0.8 * gap.filled)  # dirt hides the step of a gap that it fills
        lips[rows, columns] = (side == lit_side) * raised * half * np.exp(-(((away - half) / np.maximum(0.8 * half, 0.8)) ** 2))


def _taper(arm: Branch, gap: _Gap, at: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """(n,) width along an arm, 1 = the widest: thin sharp tips, runs of different width between turns."""
    if arm.level:
        along = arm.width_start + (arm.width_end - arm.width_start) * at
    elif gap.rooted:
        along = np.maximum((1.0 - at) ** float(rng.uniform(0.35, 0.8)), 0.1)
    else:
        tips = [float(rng.uniform(0.15, 0.5)) for _ in range(2)]
        along = (np.clip(at / tips[0], 0.0, 1.0) * np.clip((1.0 - at) / tips[1], 0.0, 1.0)) ** 0.8
        along = np.maximum(along, 0.06)
    runs = 0.28 * path_profile(len(at), rng, knots=5) + 0.2 * path_profile(len(at), rng, knots=14)
    return along * np.clip(1.0 + runs, 0.35, 1.7)
