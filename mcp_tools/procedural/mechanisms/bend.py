"""Bend: a part that stands out (lead, pin, tab) or lies on the object (wire, long print) is bent aside, the outline is
pushed in or out, or, on a plain surface, the sheet has a crease. A board with components does not bend in its plane: what
stands on it is knocked askew, else its edge breaks.

The photo's own pixels are moved along smooth backward maps (`warp`); what the part leaves free is filled from its
surroundings.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec, Zone
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target
from anomalyagent.mcp_tools.procedural.geometry.paths import spline_path, trace_stroke
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import window_guard
from anomalyagent.mcp_tools.procedural.geometry.warp import bend_map, push_map, sample, sample_cover, turn_map
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.mechanisms import chip
from anomalyagent.mcp_tools.procedural.parts.component import Component, ends_the_object
from anomalyagent.mcp_tools.procedural.parts.mounted import mounted_on
from anomalyagent.mcp_tools.procedural.parts.pieces import beside_others
from anomalyagent.mcp_tools.procedural.parts.populated import is_populated
from anomalyagent.mcp_tools.procedural.parts.protrusions import nearest_part, protrusions_of, targets_at
from anomalyagent.mcp_tools.procedural.parts.search import find_components, find_protrusions, find_repeated
from anomalyagent.mcp_tools.procedural.retouching.cutout import CutOut, continue_backdrop, cut_out, edit_of, put_down

__all__ = ["Slender", "Squashed", "names_slender", "names_squashing", "render", "suitability", "targets"]

_SQUASHED = re.compile(r"\b(?:squeez\w*|squash\w*|crush\w*|misshap\w*|flatten\w*|pinched|pressed in|out of round)\b")
_SLENDER = re.compile(r"\b(?:wick|stem|stalk|needle|bristle|tongue|hook|probe)s?\b")
_SLENDER_SIZES, _LONGER = (1.0, 0.5, 0.25, 2.5), 1.3  # of the asked area, at which a part is looked for; its elongation

_OUTER: tuple[Zone, ...] = ("any", "edge")
_SHORT = 0.4  # of the longest lever: what is shorter is not bent
_DEEPEST_PUSH = 0.08  # of the object's smaller side
_COMPACT = 3.5  # elongation of a component; what is longer is a line of print or a rim
_ASKEW = 0.6  # of the lean of a lead: how far a component is turned
_SAME = 0.03  # change of sRGB or cover up to which a turned component looks as before
_LEANT = 0.12  # of the lean and of its size: how far the head of a round one, which leans over, is beside its foot
_SMALL_HOLE = 0.02  # of the object
_LEAST_GROUND_PX = 24  # in the window, to tell by it what lies behind
_SOFT_OUTLINE_PX = 11  # across: how far an outline and the shadow under it fade out on both sides


def targets(scene: Scene, spec: DefectSpec) -> list[Target]:
    """Leads, pins and tabs are bent rather than what holds them, and components rather than their board."""
    if mounted_on(scene):
        return targets_at(mounted_on(scene))
    if is_populated(scene):
        return targets_at(find_repeated(scene, spec.instance_px(scene.object_area_px)))
    return targets_at(protrusions_of(scene))


def suitability(scene: Scene, spec: DefectSpec) -> Callable[[float, float], float] | None:
    """Of an outline what is far from the middle is bent: teeth, arms, ends, where the lever is long, not the rim of a bore."""
    ys, xs = np.nonzero(scene.foreground)
    if scene.fills_frame or spec.zone not in _OUTER or cv2.connectedComponents(scene.foreground.astype(np.uint8))[0] > 2:
        return None
    middle_x, middle_y = float(xs.mean()), float(ys.mean())
    longest = max(float(np.hypot(xs - middle_x, ys - middle_y).max()), 1.0)
    return lambda x, y: float(np.clip((np.hypot(x - middle_x, y - middle_y) / longest - _SHORT) / (1.0 - _SHORT), 0.0, 1.0))


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """Something near the site is bent (see module docstring)."""
    if mounted_on(site.scene) or is_populated(site.scene):
        return _component_askew(site, spec, rng) or chip.render(site, spec.model_copy(update={"zone": "edge"}), rng)
    lead = nearest_part(site, protrusions_of(site.scene))
    parts = find_protrusions(site)[:3] if lead is None else [lead]
    stands_out = bool(parts)
    if not parts and spec.zone != "edge":  # who asks for an edge does not mean what lies beside it
        long_parts = [part for part in find_components(site)[:4] if part.elongation > 2.2]
        parts = [_free_end(part, rng) for part in long_parts if not ends_the_object(site.scene, part)]
    if parts:
        part = parts[0] if rng.random() < 0.7 else parts[int(rng.integers(len(parts)))]
        return _bend_part(site, spec, part, rng, stands_out=stands_out)
    return _push_outline(site, spec, rng) or _crease(site, spec, rng)


@dataclass(frozen=True)
class Squashed:
    """A mechanism that presses a body in: its outline near the site, or a crease; what lies on it is not bent off."""

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One place."""
        return _push_outline(site, spec, rng) or _crease(site, spec, rng)


@dataclass(frozen=True)
class Slender:
    """A mechanism that bends the slender thing that the words name (a wick, a stem), though in the photo it is no line."""

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """As of any other bend."""
        return targets(scene, spec)

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """The nearest part that is longer than wide, else any; where there is none, as any other bend."""
        if not protrusions_of(site.scene) and not find_protrusions(site):
            parts = [part for place in _places(site) for part in find_components(place)[:4]]
            parts = [part for part in parts if not ends_the_object(site.scene, part)]
            longer = [part for part in parts if part.elongation > _LONGER]
            if parts:
                return _bend_part(site, spec, _free_end((longer or parts)[0], rng), rng, stands_out=False)
        return render(site, spec, rng)


def _places(site: Site) -> list[Site]:
    """The site, and the middle of the piece that it lies on, for parts of several sizes."""
    others = site.scene.other_pieces(*site.center_xy)
    own = site.scene.foreground if others is None else site.scene.foreground & ~others
    ys, xs = np.nonzero(own)
    middle = replace(site, center_xy=(float(xs.mean()), float(ys.mean())))
    return [replace(one, area_px=size * site.area_px) for one in (site, middle) for size in _SLENDER_SIZES]


def names_slender(prompt: str) -> bool:
    """True when the words name what is slender and hangs on a body."""
    return bool(_SLENDER.search(plain(prompt)))


def names_squashing(prompt: str) -> bool:
    """True when the words speak of a body that was pressed."""
    return bool(_SQUASHED.search(plain(prompt)))


def _component_askew(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """Of what stands on a board the nearest lead or component is knocked askew; None where there is none."""
    leads = find_protrusions(site)[:1]
    if leads:
        return _bend_part(site, spec, leads[0], rng, stands_out=True)
    mounted = nearest_part(site, mounted_on(site.scene))
    parts = [part for part in find_components(site)[:4] if part.elongation < _COMPACT] if mounted is None else [mounted]
    parts = [part for part in parts if not ends_the_object(site.scene, part)]
    return _bend_part(site, spec, _free_end(parts[0], rng), rng, stands_out=False, may_kink=False) if parts else None


def _free_end(part: Component, rng: np.random.Generator) -> Component:
    """A long part that lies on the object, held at one of its ends."""
    angle = part.angle_rad + (np.pi if rng.random() < 0.5 else 0.0)
    half = 0.5 * part.length_px
    root = part.center_xy[0] - half * np.cos(angle), part.center_xy[1] - half * np.sin(angle)
    return part._replace(root_xy=root, angle_rad=float(angle))


def _bend_part(
    site: Site, spec: DefectSpec, part: Component, rng: np.random.Generator, *, stands_out: bool, may_kink: bool = True
) -> Edit:
    """The part turned about its root, along its length or with a kink; as a stiff whole where it may not kink."""
    lean = float(np.clip(0.12 + 0.05 * spec.severity, 0.2, 0.9) * rng.uniform(0.8, 1.25)) * float(rng.choice([-1.0, 1.0]))
    lifted = cut_out(site, part, 0.75 * part.length_px * abs(np.sin(lean)) + 2.0, rng, stands_out=stands_out)
    root = part.root_xy[0] - lifted.window.x0, part.root_xy[1] - lifted.window.y0
    if not may_kink:
        maps = turn_map(lifted.window.shape, lifted.center_xy, _ASKEW * lean)
        if _looks_the_same(lifted, maps):
            toward, far = float(rng.uniform(0.0, 2.0 * np.pi)), _LEANT * abs(lean) * float(np.sqrt(part.area_px))
            maps = maps[0] - np.float32(far * np.cos(toward)), maps[1] - np.float32(far * np.sin(toward))
        return put_down(lifted, sample(lifted.rgb, *maps), sample_cover(lifted.matte, *maps))
    kink = float(rng.choice([0.0, 0.3, 0.75]))
    maps = bend_map(lifted.window.shape, root, part.angle_rad, part.length_px, lean, kink)
    return put_down(lifted, sample(lifted.rgb, *maps), sample_cover(lifted.matte, *maps))


def _looks_the_same(lifted: CutOut, maps: tuple[Field, Field]) -> bool:
    """True when a part is round and without marks: turned, it looks as before, but for its grain."""
    blur = 0.03 * float(np.sqrt(lifted.matte.sum())) + 1.0
    before, after = (
        cv2.GaussianBlur(np.dstack([rgb * cover[..., None], cover]), (0, 0), blur)
        for rgb, cover in ((lifted.rgb, lifted.matte), (sample(lifted.rgb, *maps), sample_cover(lifted.matte, *maps)))
    )
    return float(np.abs(after - before).max(axis=2)[lifted.matte > 0.5].mean()) < _SAME


def _push_outline(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """The outline dented inwards or bulged outwards near the site; None when the outline is out of reach."""
    scene = site.scene
    size = float(np.sqrt(site.area_px))
    x, y = round(site.center_xy[0]), round(site.center_xy[1])
    if scene.fills_frame or scene.depth_px[y, x] > 1.5 * size + 3.0:
        return None
    window = around(site.window, size, scene.foreground.shape)
    foreground = scene.foreground[window.slices]
    if foreground.all():
        return None
    outside = ~foreground & ~_small_holes(foreground, scene.object_area_px)
    if not outside.any():
        return None
    ys, xs = np.nonzero(outside)
    nearest = int(((xs + window.x0 - x) ** 2 + (ys + window.y0 - y) ** 2).argmin())
    at = float(xs[nearest]), float(ys[nearest])
    smooth = cv2.GaussianBlur(foreground.astype(np.float32), (0, 0), 0.15 * size + 1.5)
    gy, gx = np.gradient(smooth)
    row, column = int(at[1]), int(at[0])
    inwards = np.array([gx[row, column], gy[row, column]])
    norm = float(np.linalg.norm(inwards))
    if norm < 1e-4:
        return None
    radius = 1.3 * size + 4.0
    depth = float(np.clip(0.1 + 0.02 * spec.severity, 0.15, 0.45)) * radius * float(rng.choice([1.0, 1.0, -0.7]))
    x0, y0, x1, y1 = scene.box_xyxy
    deepest = _DEEPEST_PUSH * min(x1 - x0, y1 - y0) + 1.0  # a body is dented; only what is thin is folded over
    depth = float(np.clip(depth, -deepest, deepest))
    shift = inwards / norm * depth
    maps = push_map(window.shape, at, (float(shift[0]), float(shift[1])), radius)
    rgb = np.ascontiguousarray(scene.photo.rgb[window.slices])
    gx_map, gy_map = np.meshgrid(np.arange(window.shape[1]), np.arange(window.shape[0]))
    moved = np.hypot(maps[0] - gx_map, maps[1] - gy_map) > 0.05
    # what lies behind stays where it is: only where the object was or comes to lie, with its soft outline, anything changes
    wide = np.ones((_SOFT_OUTLINE_PX, _SOFT_OUTLINE_PX), np.uint8)
    others = beside_others(scene, site.center_xy, window)
    before = cv2.dilate(foreground.astype(np.uint8), wide)
    cover = _softly((before * (1.0 - others)).astype(np.float32))
    after = sample_cover(cover, *maps)
    hole = before > 0
    if np.count_nonzero(~hole) < _LEAST_GROUND_PX:
        paint = sample(rgb, *maps)
    else:  # the shade under an edge goes on under what it leaves free: what lay beyond it does not slide in there
        ground = continue_backdrop(rgb, hole, ~hole, rng)
        paint = ground + after[..., None] * (sample(rgb, *maps) - ground)
    cover = moved * np.maximum(cover, after) * (1.0 - others)
    return edit_of(window, paint.astype(np.float32), cover.astype(np.float32))


def _softly(body: Field) -> Field:
    """(h, w) 0..1: a body, 0 or 1, that fades out along its border."""
    return smooth_step(2.0 * np.asarray(cv2.GaussianBlur(body, (0, 0), 0.2 * _SOFT_OUTLINE_PX), np.float32) - 0.5)


def _small_holes(foreground: Mask, object_area_px: int) -> Mask:
    """(h, w) bool over a window: holes that lie in it whole and are small: what pushes the outline in does not move them."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~foreground).astype(np.uint8), connectivity=4)
    height, width = foreground.shape
    whole = (stats[:, 0] > 0) & (stats[:, 1] > 0) & (stats[:, 0] + stats[:, 2] < width) & (stats[:, 1] + stats[:, 3] < height)
    whole &= stats[:, cv2.CC_STAT_AREA] < _SMALL_HOLE * object_area_px
    return np.asarray(whole[labels] & ~foreground, np.bool_)


def _crease(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit:
    """A soft valley with one steep and one shallow flank: a lit and a shaded band side by side.

    Sheets fold about a radius: a crease is as wide as its flanks, never a line, which would be a crack or a scratch.
    No ridge: it would look like a valley lit from the wrong side (see `dent`).
    """
    slender = float(np.clip(spec.elongation, float(rng.uniform(5.0, 9.0)), 12.0))
    length = float(np.sqrt(site.area_px * slender))
    reach = 0.75 * site.area_px / length + 3.0
    path = spline_path(site.center_xy, length, site.angle_rad, rng, bend=float(rng.uniform(0.05, 0.3)), wobble=0.02)
    stroke = trace_stroke(site.window, path, reach)
    ends = smooth_step(np.minimum(stroke.along, 1.0 - stroke.along) * np.float32(2.5))
    away = stroke.distance / reach
    side = stroke.side * float(rng.choice([-1.0, 1.0])) > 0
    flank = np.where(side, float(rng.uniform(0.3, 0.4)), float(rng.uniform(0.5, 0.7)))
    ridge = np.exp(-0.5 * (away / flank) ** 2)
    wave = 1.0 + 0.25 * fractal_noise(site.window.shape, max(0.25 * length, 4.0), rng, octaves=2)
    ripple = 0.06 * fractal_noise(site.window.shape, max(reach, 4.0), rng, octaves=2)
    fade = np.clip(1.0 - away**2, 0.0, 1.0)
    relief = ends * fade * (ridge * wave + ripple) * window_guard(site, 3.0)
    relief = relief * ~_small_holes(site.scene.foreground[site.window.slices], site.scene.object_area_px)
    valley = -cv2.GaussianBlur(relief.astype(np.float32), (0, 0), 0.06 * reach + 0.7)
    slope = float(np.clip(0.2 + 0.04 * spec.severity, 0.3, 0.6))  # steeper, the shaded flank would be as black as a slit
    rise, run = np.gradient(valley)
    steepest = float(np.percentile(np.hypot(rise, run)[relief > 0], 95))
    height = valley * (slope / max(steepest, 1e-6))
    return Edit(window=site.window, support=(away < 1.0) & (ends > 0), height=height.astype(np.float32), strength_fixed=True)
