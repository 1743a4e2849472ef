"""A crack: the material has parted along a wandering line.

Physics: an open gap swallows light, so its core is dark whatever the light; it is widest somewhere along the trunk and
closes towards the tips, follows weak spots in sudden small turns, and forks at acute angles when stress was released in
more than one direction. Most start where the load or a notch was: near an outline they run inwards from it. Its lips have
settled at slightly different heights, so one edge catches light. Dirt and chipping soften the borders of old cracks.
"""

from dataclasses import replace

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.material import dark_tone
from anomalyagent.mcp_tools.procedural.palette import measure_surroundings
from anomalyagent.mcp_tools.procedural.placement import Extent, extent_of, window_around
from anomalyagent.mcp_tools.procedural.shapes import (
    Branch,
    branching_paths,
    fractal_noise,
    path_profile,
    smooth_step,
    trace_stroke,
)

__all__ = ["render"]

_KNOTS = 200
_TRUNK = 0.9  # of the length that area and elongation give
_LEAST_SLENDER = 12.0
_TURNS = (0.0, 0.3, -0.3, 0.6, -0.6, 0.95, -0.95, 1.3, -1.3)  # radians
_INWARDS = 0.8  # chance that a crack near an outline starts there


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """A crack with as many branches as its elongation leaves room for. None when the window is too small to hold any."""
    if min(site.window.shape) < 4:
        return None
    length, _ = extent_of(site.scene, site.area_px, _slender(site, spec))
    length *= _TRUNK
    slim = spec.elongation > 15.0
    site, length = _with_room(_from_outline(site, spec, length, rng), spec, length)
    branches = int(rng.choice([0, 0, 0, 1, 2], p=[0.4, 0.2, 0.1, 0.2, 0.1]) if slim else rng.integers(1, 5))
    arms = branching_paths(
        site.center_xy,
        length,
        site.angle_rad,
        rng,
        meander=float(rng.choice([0.03, 0.08, 0.17], p=[0.4, 0.4, 0.2])),
        branches=branches,
        curve=float(rng.normal(0.0, 0.22)),
    )
    width = _width_for(arms, site.area_px)
    soft = float(rng.uniform(0.0, 0.7))  # how worn the lips are, relative to the width
    core = np.zeros(site.window.shape, np.float32)
    halo = np.zeros(site.window.shape, np.float32)
    step = np.zeros(site.window.shape, np.float32)
    for arm in arms:
        dark, worn, lip = _gap(site, arm, width, soft, rng)
        core, halo = np.maximum(core, dark), np.maximum(halo, worn)
        if arm.level == 0:
            step = lip
    grain = fractal_noise(site.window.shape, max(2.0, 1.5 * width), rng, octaves=2)
    opening = np.clip(core * (1.0 + 0.12 * grain) + 0.35 * soft * halo * (1.0 + 0.5 * grain), 0.0, 1.3)
    tone = dark_tone(measure_surroundings(site), spec, depth=float(rng.uniform(0.6, 0.9)))
    height = cv2.GaussianBlur(step - 0.35 * width * core, (5, 5), 0.7).astype(np.float32)
    return Edit(
        window=site.window,
        support=(opening > 0.02) | (np.abs(height) > 0.03),
        height=height,
        log_reflectance=(opening[..., None] * tone).astype(np.float32),
        roughness=0.3 * halo,
    )


def _from_outline(site: Site, spec: DefectSpec, length_px: float, rng: np.random.Generator) -> Site:
    """The site moved and turned so that the crack starts at the outline nearby and runs inwards; unchanged elsewhere.

    Where the structure of the surface leads inwards the crack follows it. The outline of a surface is the frame.
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
    angle = inwards + (turn if abs(turn) < 0.9 and rng.random() < 0.3 + coherence else float(rng.normal(0.0, 0.3)))
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
    turns = (0.0,) if spec.orientation_deg is not None else _TURNS
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
    """Width of the widest part that gives all arms together the area, pixels."""
    unit = sum(
        float(np.linalg.norm(np.diff(arm.path, axis=0), axis=1).sum()) * 0.5 * (arm.width_start + arm.width_end) for arm in arms
    )
    return max(area_px / max(unit, 1.0), 1.0)


def _gap(site: Site, arm: Branch, width_px: float, soft: float, rng: np.random.Generator) -> tuple[Field, Field, Field]:
    """Dark core (0..1), worn surroundings (0..1) and height of the raised lip (pixels) of one arm."""
    stroke = trace_stroke(site.window, arm.path, (1.2 + 1.5 * soft) * width_px + 3.0)
    at = np.linspace(0.0, 1.0, _KNOTS)
    taper = arm.width_start + (arm.width_end - arm.width_start) * at
    if arm.level == 0:
        widest = float(rng.uniform(0.0, 1.0))
        taper = 0.55 + 0.5 * np.exp(-(((at - widest) / 0.4) ** 2))
        tip = float(rng.uniform(0.05, 0.3))
        taper *= np.clip((1.0 - at) / tip, 0.12, 1.0) * np.clip(at / float(rng.uniform(0.01, 0.2)), 0.12, 1.0)
    # Width varies over runs of several widths: faster changes would look like beads.
    runs = int(np.clip(len(arm.path) * 1.6 / (4.0 * max(width_px, 1.0)), 3, 40))
    taper *= np.clip(1.0 + 0.25 * path_profile(_KNOTS, rng, knots=5) + 0.2 * path_profile(_KNOTS, rng, knots=runs), 0.3, 1.8)
    ragged = 1.0 + 0.18 * fractal_noise(site.window.shape, max(2.0, 1.2 * width_px), rng, octaves=2, gain=0.8)
    half = (0.5 * width_px * np.interp(stroke.along, at, taper) * np.clip(ragged, 0.4, 1.8)).astype(np.float32)
    # Where it closes up, less light is lost.
    open_ = np.clip(0.75 + 0.3 * path_profile(_KNOTS, rng, knots=6), 0.25, 1.0) * np.clip(0.4 + taper, 0.0, 1.0)
    # Broken lips slope into the gap: the darkness sets in over part of the width.
    slope_px = np.maximum(1.3, 0.9 * half)
    depth = smooth_step(((half - stroke.distance) / slope_px + 0.5).astype(np.float32)) * np.minimum(half / 0.6, 1.0)
    dark = (depth * np.interp(stroke.along, at, open_)).astype(np.float32)
    reach = np.maximum(half * (1.0 + 1.6 * soft), 0.7) + 0.5
    worn = np.clip(1.0 - stroke.distance / reach, 0.0, 1.0)
    lip_at = (stroke.distance - half) / np.maximum(0.8 * half, 0.8)
    side = float(rng.choice([-1.0, 1.0]))
    lip = np.where(stroke.side == side, 0.3 * half * np.exp(-(lip_at**2)), 0.0)
    return dark, worn.astype(np.float32), lip.astype(np.float32)
