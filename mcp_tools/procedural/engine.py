"""Draws a DefectSpec into a photo: places its instances, lets the mechanism change the surface, matches strength and size.

    place -> mechanism.render -> Surface.draw(gain) -> measure in JND -> adjust gain -> measure area -> adjust size -> composite

Strength is the change that a fifth of the instance's area reaches or exceeds, in multiples of the local just-noticeable
difference (CIEDE2000 / JND); it is what `spec.severity` asks for.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import BackendError
from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.color import ciede2000, lab_from_rgb
from anomalyagent.mcp_tools.imaging.compositing import composite_visible
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target, Window
from anomalyagent.mcp_tools.procedural.light.surface import Surface
from anomalyagent.mcp_tools.procedural.placement import extent_of, place_instance, place_on_target, window_around
from anomalyagent.mcp_tools.procedural.structure.seams import find_seams

__all__ = ["STROKES", "MechanismModule", "Rendered", "render_defect", "renderer_of"]

_PLACES = 10
_RESIZES = 3
_MISFIT = 0.2  # |log| of the visible area over the wanted one that is near enough: less than the judge minds
_MIN_AREA_PX = 6.0
_VISIBLE_JND = 0.6  # lower threshold of `imaging.change`
_MIN_STRENGTH = 1.6  # below it nothing would be left of the mask
_MIN_SUM = 12.0  # JND x pixels: `imaging.change` does not count less as visible, with some to spare
_BOOSTS = (1.0, 2.0, 5.0)  # a defect that nobody can see is drawn again, stronger
_MAX_SEVERITY = 60.0
_GAIN_RANGE = (0.02, 4.0)  # beyond, soft borders would turn hard: what cannot be stronger stays as it is
STROKES: frozenset[Mechanism] = frozenset({"crack", "cut", "scratch"})
"""Only their width is fitted, see `Site.slimness`."""
_MERGING: frozenset[Mechanism] = frozenset(
    {"discoloration", "abrasion"}
)  # areas that meet are one, no darker where they overlap
_BREAKS_ONE: frozenset[Mechanism] = frozenset({"chip", "dent", "hole"})
_OF_A_PIECE = 0.35  # of one of several pieces: more of it than that would not be broken but gone
_ENDS_AT_SEAMS: frozenset[Mechanism] = frozenset({"crack", "scratch"})
_LEFT_AT_SEAMS, _UNCUT = 0.5, 0.85  # of its area
_MAY_REACH_OTHERS: frozenset[Mechanism] = frozenset({"bend", "missing", "swap", "fibre", "contamination", "transplant"})
_MAY_LEAVE_OBJECT: frozenset[Mechanism] = frozenset({"bend", "missing", "swap", "fibre", "contamination", "chip"})


class Rendered(NamedTuple):
    """An edited photo, the mask of what visibly changed, and the spec as it was drawn."""

    photo: Photo
    mask: Mask
    spec: DefectSpec


class MechanismModule(Protocol):
    """What `edit.py` asks of a mechanism; `suitability` and `targets` are optional.

    One with a true `at_once` draws all instances that the spec asks for in one go, as they depend on one another.
    """

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None: ...


@dataclass(frozen=True)
class _Drawn:
    site: Site
    window: Window
    rgb: RGB
    strength: float
    visible_px: int

    @property
    def misfit(self) -> float:
        """|log| of the visible area over the wanted one."""
        return abs(float(np.log(max(self.visible_px, 1) / self.site.area_px)))


def render_defect(scene: Scene, spec: DefectSpec, mechanism: MechanismModule | None = None) -> Rendered:
    """Draw a defect into the photo of `scene`.

    Args:
        mechanism: draws it instead of the renderer that `spec.mechanism` names.

    Returns:
        The photo (identical outside the mask), the mask, and the spec with centre and orientation of the first instance and
        the area fraction that really is visible.
    Raises:
        BackendError: nothing visible could be drawn anywhere that the spec allows.
    """
    mechanism = mechanism or renderer_of(spec.mechanism)
    if not scene.allowed.any():
        raise BackendError("the legal zone and the object do not meet in this photo. Check the zone mask, or leave it out.")
    for boost in _BOOSTS:
        raised = spec.model_copy(update={"severity": min(spec.severity * boost, _MAX_SEVERITY)})
        if getattr(mechanism, "at_once", False):
            raised = raised.model_copy(update={"count": 1})
        canvas, sites = _draw_all(scene, raised, mechanism)
        if scene.legal is not None:  # an illegal zone stays as it is, to the bit
            canvas = np.where(scene.legal[..., None], canvas, scene.photo.rgb)
        if not sites:
            continue
        photo, mask = composite_visible(scene.photo, canvas)
        if mask.any():
            return Rendered(photo, mask, _as_drawn(scene, spec, sites[0], mask))
    raise BackendError(
        f"no visible {spec.mechanism} of {spec.area_fraction:.2g} of the object could be drawn in zone '{spec.zone}' after "
        f"{_PLACES} tries. Raise area_fraction or severity, or choose another zone or center."
    )


def renderer_of(name: Mechanism) -> MechanismModule:
    """The mechanism's own renderer. Raises BackendError when it has none."""
    try:
        return cast(MechanismModule, import_module(f"anomalyagent.mcp_tools.procedural.mechanisms.{name}"))
    except ModuleNotFoundError as error:
        raise BackendError(f"mechanism '{name}' has no renderer: {error}. Use another mechanism.") from error


def _draw_all(scene: Scene, spec: DefectSpec, mechanism: MechanismModule) -> tuple[RGB, list[Site]]:
    """All instances on a copy of the photo, and where they are."""
    canvas = scene.photo.rgb.copy()
    sites: list[Site] = []
    plan = np.random.default_rng([spec.seed, 1])
    suitability = getattr(mechanism, "suitability", None)
    prefers = suitability(scene, spec) if suitability is not None else None
    find_targets = getattr(mechanism, "targets", None)
    targets: list[Target] = find_targets(scene, spec) if find_targets is not None and spec.center is None else []
    clustered = spec.count > 2 and plan.random() < 0.5
    merges = spec.mechanism in _MERGING
    for index, area in enumerate(_areas(scene, spec, plan)):
        ground = scene.photo.rgb if merges else canvas
        instance = _draw_instance(scene, spec, mechanism, ground, area, sites, index, clustered, prefers, targets)
        if instance is not None:
            box = instance.window.slices
            canvas[box] = _stronger(scene.photo.rgb[box], canvas[box], instance.rgb) if merges else instance.rgb
            sites.append(instance.site)
    return canvas, sites


def _stronger(before: RGB, first: RGB, second: RGB) -> RGB:
    """At each pixel the picture that differs more from `before`: surfaces changed in one way are one where they meet."""
    changes = (np.abs(one - before).sum(axis=2, keepdims=True) for one in (first, second))
    return np.where(np.greater_equal(*changes), first, second)


def _areas(scene: Scene, spec: DefectSpec, rng: np.random.Generator) -> list[float]:
    """Areas of the instances in pixels: no two alike, together what the spec asks for, the largest first."""
    weights = np.sort(np.exp(rng.normal(0.0, 0.35 if spec.count > 1 else 0.0, spec.count)))[::-1]
    total, most = spec.area_fraction * scene.object_area_px, np.inf
    pieces = scene.alike_pieces if spec.mechanism in _BREAKS_ONE else None
    if pieces is not None:
        labels, whole = pieces
        most = _OF_A_PIECE * float(np.median(np.bincount(labels.ravel())[whole]))
    seams = find_seams(scene) if spec.mechanism == "crack" else None
    if seams is not None and not seams.bonded:  # it is no longer than a board or a tile
        most = seams.cell_px / spec.elongation
    return [max(_MIN_AREA_PX, min(float(total * weight), most)) for weight in weights / weights.sum()]


def _draw_instance(
    scene: Scene,
    spec: DefectSpec,
    mechanism: MechanismModule,
    canvas: RGB,
    area_px: float,
    taken: list[Site],
    index: int,
    clustered: bool,
    prefers: Callable[[float, float], float] | None,
    targets: list[Target],
) -> _Drawn | None:
    best: _Drawn | None = None
    for attempt in range(_PLACES):
        seeds = [spec.seed, index, attempt]
        chance = np.random.default_rng([*seeds, 2])
        site = place_on_target(scene, spec, area_px, taken, chance, targets) if attempt < _PLACES // 2 else None
        if site is None:
            site = place_instance(scene, spec, area_px, taken, chance, clustered=clustered, suitability=prefers)
        found = _fit_size(site, spec, mechanism, canvas, seeds, reverse=attempt >= _PLACES // 2)
        if found is None:
            continue
        if best is None or found.strength > best.strength:
            best = found
        if found.strength >= 0.6 * min(spec.severity, 4.0) and found.strength >= 1.0:
            break
    return best


def _fit_size(
    site: Site, spec: DefectSpec, mechanism: MechanismModule, canvas: RGB, seeds: list[int], *, reverse: bool
) -> _Drawn | None:
    """Draw at one place, again with another size as long as the visible area is far from the wanted one."""
    wanted, best = site.area_px, None
    tried: list[tuple[float, int]] = []
    for _ in range(_RESIZES):
        edit = mechanism.render(site, spec, np.random.default_rng([*seeds, 3]))
        if edit is None:
            return best
        edit = _confine(site, edit, spec.mechanism)
        shown = _draw(replace(site, area_px=wanted), spec, _reversed(edit) if reverse else edit, canvas, seeds)
        if shown is None:
            return best
        if best is None or shown.misfit < best.misfit:
            best = shown
        if shown.misfit < _MISFIT or edit.size_fixed:
            break
        tried.append((site.area_px, shown.visible_px))
        area = _next_area(tried, wanted)
        slimness = max(wanted / area, 1.0 / spec.elongation) if spec.mechanism in STROKES else 1.0
        extent = extent_of(site.scene, area, spec.elongation * slimness)
        window = window_around(site.scene, site.center_xy, extent, site.angle_rad)
        site = replace(site, area_px=area, window=window, slimness=slimness)
    return best


def _next_area(tried: list[tuple[float, int]], wanted_px: float) -> float:
    """Nominal area to try next: in proportion, or between one that was too small and one that was too large."""
    too_small = [area for area, visible in tried if visible < wanted_px]
    too_large = [area for area, visible in tried if visible >= wanted_px]
    if too_small and too_large:
        return float(np.sqrt(max(too_small) * min(too_large)))
    area, visible = tried[-1]
    return area * float(np.clip(wanted_px / max(visible, 1), 0.2, 4.0))


def _reversed(edit: Edit) -> Edit:
    """The same change the other way round, for places so dark or bright that it cannot be seen (a crack in black rubber)."""
    log = None if edit.log_reflectance is None else -edit.log_reflectance
    return replace(edit, log_reflectance=log, shadow=None if log is not None else edit.shadow)


def _draw(site: Site, spec: DefectSpec, edit: Edit, canvas: RGB, seeds: list[int]) -> _Drawn | None:
    """Apply an edit with the gain that gives the wished strength."""
    if not edit.support.any():
        return None
    edit = _crop(edit, margin=4 + int(np.ceil(3.0 * site.scene.blur_sigma_px)))
    box = edit.window.slices
    surface = Surface(site.scene, edit.window, canvas[box], seed=int(np.random.default_rng([*seeds, 4]).integers(2**31)))
    before = lab_from_rgb(surface.rgb)
    ground = before
    if edit.opened is not None and surface.pattern_lost(edit.opened) > 0.0:  # that a print is gone makes no floor dark
        ground = lab_from_rgb(surface.draw(Edit(edit.window, edit.support, opened=edit.opened), 1.0))
    measure = _Meter(before, ground, site.scene.jnd[box], site.area_px)
    target = max(spec.severity, _MIN_STRENGTH, _MIN_SUM / site.area_px)
    rgb = surface.draw(edit, 1.0)
    reading = measure.read(rgb)
    tried = [(1.0, reading.strength)]
    for _ in range(3):
        gain, strength = tried[-1]
        if abs(np.log(target / max(strength, 1e-3))) < 0.12 or (edit.strength_fixed and strength >= _MIN_STRENGTH):
            break
        next_gain = _next_gain(tried, target)
        if abs(np.log(next_gain / gain)) < 0.03:
            break
        rgb = surface.draw(edit, next_gain)
        reading = measure.read(rgb)
        tried.append((next_gain, reading.strength))
    return _Drawn(site, edit.window, rgb, reading.strength, reading.visible_px)


def _next_gain(tried: list[tuple[float, float]], target: float) -> float:
    """Next gain: on a straight line through the last two (gain, strength) points in logarithms; proportional at first."""
    gain, strength = tried[-1]
    slope = 1.0
    if len(tried) > 1:
        run, rise = np.log(gain / tried[-2][0]), np.log(max(strength, 1e-3) / max(tried[-2][1], 1e-3))
        slope = float(np.clip(rise / run, 0.25, 2.5))
    return float(np.clip(gain * (target / max(strength, 1e-3)) ** (1.0 / slope), *_GAIN_RANGE))


class _Reading(NamedTuple):
    strength: float
    """Change that the strongest fifth of the instance's area reaches, in JND."""
    visible_px: int
    """Number of pixels whose change can be seen."""


@dataclass(frozen=True, eq=False)
class _Meter:
    """Measures a drawn window against the same window of the photo, and its strength against the `ground` that it lies on."""

    before: Lab
    ground: Lab
    jnd: Field
    area_px: float

    def read(self, rgb: RGB) -> _Reading:
        after = lab_from_rgb(rgb)
        change = self._change(self.ground, after)
        if change.size == 0:
            return _Reading(0.0, 0)
        rank = int(np.clip(0.2 * min(self.area_px, change.size), 1, change.size))
        strength = float(np.partition(change, change.size - rank)[change.size - rank])
        seen = change if self.ground is self.before else self._change(self.before, after)
        return _Reading(strength, int(np.count_nonzero(seen >= _VISIBLE_JND)))

    def _change(self, before: Lab, after: Lab) -> NDArray[np.float32]:
        """JND of the pixels that differ."""
        where = np.abs(after - before).max(2) > 0.25
        return np.asarray(ciede2000(before[where], after[where]) / self.jnd[where], np.float32)


def _confine(site: Site, edit: Edit, mechanism: Mechanism) -> Edit:
    """Keep a change of the surface on the surface; foreign bodies and moved parts may reach beyond the outline.

    What breaks or wears one of several pieces (candles on a tray) leaves the others as they are, a crack in a board or a tile
    the next one, and a scratch what lies deep in a gap between two.
    """
    scene = site.scene
    others = None if mechanism in _MAY_REACH_OTHERS or edit.off_object else scene.other_pieces(*site.center_xy)
    if others is not None:
        edit = replace(edit, support=edit.support & ~others[edit.window.slices])
    seams = find_seams(scene) if mechanism in _ENDS_AT_SEAMS else None
    if seams is not None and not seams.bonded:
        beyond = seams.beyond(*site.center_xy) if mechanism == "crack" else seams.gaps
        kept, whole = edit.support & ~beyond[edit.window.slices], np.count_nonzero(edit.support)
        if np.count_nonzero(kept) < _LEFT_AT_SEAMS * whole:  # bits along the seam are no crack
            kept = np.zeros_like(kept)
        cut = np.count_nonzero(kept) < _UNCUT * whole  # what is left is no wider for that
        edit = replace(edit, support=kept, size_fixed=edit.size_fixed or cut)
    if mechanism in _MAY_LEAVE_OBJECT or edit.off_object or scene.fills_frame:
        return edit
    return replace(edit, support=edit.support & scene.foreground[edit.window.slices])


def _crop(edit: Edit, margin: int) -> Edit:
    """The edit on the smallest window that holds its support and what the lens smears around it."""
    rows, columns = np.flatnonzero(edit.support.any(axis=1)), np.flatnonzero(edit.support.any(axis=0))
    outer = edit.window
    y0, y1 = max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, outer.shape[0])
    x0, x1 = max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, outer.shape[1])
    window = Window(outer.y0 + y0, outer.x0 + x0, outer.y0 + y1, outer.x0 + x1)
    box = (slice(y0, y1), slice(x0, x1))
    parts = ("support", "opened", "height", "log_reflectance", "mirrored", "roughness", "paint", "opacity", "shadow")
    return replace(edit, window=window, **{part: getattr(edit, part)[box] for part in parts if getattr(edit, part) is not None})


def _as_drawn(scene: Scene, spec: DefectSpec, site: Site, mask: Mask) -> DefectSpec:
    x0, y0, x1, y1 = scene.box_xyxy
    u = (site.center_xy[0] - x0) / max(x1 - 1 - x0, 1)
    v = (site.center_xy[1] - y0) / max(y1 - 1 - y0, 1)
    degrees = (-np.rad2deg(site.angle_rad) + 90.0) % 180.0 - 90.0
    fraction = float(np.count_nonzero(mask)) / scene.object_area_px
    return spec.model_copy(
        update={
            "center": (float(np.clip(u, 0.0, 1.0)), float(np.clip(v, 0.0, 1.0))),
            "orientation_deg": round(float(degrees), 2) if spec.orientation_deg is None else spec.orientation_deg,
            "area_fraction": float(np.clip(fraction, 1e-5, 0.7)),
        }
    )
