"""Swap: a component or a piece of the surface is in the wrong place, turned, mirrored, exchanged or of the wrong colour.

When about the whole object is asked for, it is turned or mirrored in its place or put down a little beside it, within the
frame; of several like pieces on a tray that happens to one, also where no part of a piece can be told. Else, near the site,
what is mounted on a board is exchanged, turned or moved, one of several round parts exchanged or recoloured, or another
component exchanged, turned, moved or recoloured; without components, a region that edges of the photo bound is of another
colour. Else a patch of an even surface is turned, mirrored or brought from elsewhere, in the light of its new place; where it
is not even, the object as a whole may be out of place.
What the words name (rotated, shifted, exchanged, of the wrong colour) is what happens.
Pixels are the photo's own; only borders are blended.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import smooth_step
from anomalyagent.mcp_tools.procedural.geometry.warp import sample, sample_cover, turn_map
from anomalyagent.mcp_tools.procedural.light.visibility import is_noticed, jnd_of_change
from anomalyagent.mcp_tools.procedural.parts.component import Component, ends_the_object, is_flank
from anomalyagent.mcp_tools.procedural.parts.discs import discs_of
from anomalyagent.mcp_tools.procedural.parts.mounted import mounted_on
from anomalyagent.mcp_tools.procedural.parts.pieces import lies_on_piece, nearest_pieces
from anomalyagent.mcp_tools.procedural.parts.protrusions import nearest_part, targets_at
from anomalyagent.mcp_tools.procedural.parts.regions import region_at
from anomalyagent.mcp_tools.procedural.parts.search import find_components, find_repeated
from anomalyagent.mcp_tools.procedural.retouching.cutout import CutOut, cut_out, put_down
from anomalyagent.mcp_tools.procedural.retouching.patches import is_even, patch
from anomalyagent.mcp_tools.procedural.retouching.recolored import recolored
from anomalyagent.mcp_tools.procedural.retouching.whole_object import clear_stage, own_pixels, shade_on

__all__ = ["OutOfPlace", "Way", "named_ways", "render", "targets"]

Way = Literal["exchange", "turn", "move", "recolor"]

_ALL: frozenset[Way] = frozenset({"exchange", "turn", "move", "recolor"})
_NAMED: tuple[tuple[re.Pattern[str], frozenset[Way]], ...] = (
    (re.compile(r"\b(?:wrong|other|different|off|swapped) colou?r\w*"), frozenset({"recolor"})),
    (
        re.compile(
            r"\b(?:rotat\w*|turned|tilt\w*|skew\w*|crooked|flip\w*|mirrored|invert\w*|upside down|revers\w*|askew|"
            r"toppl\w*|(?:tipped|fallen|knocked) over)\b"
        ),
        frozenset({"turn"}),
    ),
    (re.compile(r"\b(?:shift\w*|displac\w*|offset|moved|off cent\w+|wrong (?:place|position|slot))\b"), frozenset({"move"})),
    (re.compile(r"\b(?:misplac\w*|mis ?align\w*|misposition\w*|out of place)\b"), frozenset({"move", "turn"})),
    (
        re.compile(r"\b(?:swap\w*|exchang\w*|interchang\w*|transpos\w*|mixed up|wrong \w+)\b"),
        frozenset({"exchange", "recolor"}),
    ),
)

_WHOLE = 0.3  # of the object: what is larger than this is not a part of it
_PART_OF_A_PIECE = 0.4  # of one of several pieces: what is larger is the piece
_INSTEAD = 0.25  # chance that an uneven body without parts is out of place as a whole; else another place on it is tried
_MAY_OVERLAP = 0.06  # of a thing that is turned or exchanged, which its blurred border is
_ON_IT = 0.995  # of a part that lies within the outline
_OTHERWISE = 0.3  # chance that another kind is drawn at a place where the named one does not show
_PIECES = 4  # so many are tried around a site
_HEADINGS, _MAY_TOUCH = 12, 0.02  # tried for a part that moves, and how much of it may come to lie on another piece
_Act = Callable[[Site, Component, list[Component], np.random.Generator], Edit | None]

_CLEAR_JND = 4.0  # of a piece that is wrong among others like it
_PLAIN_JND, _PLAINLY = 8.0, 0.05  # of a whole object that is out of place, and the share of it that must show so


def targets(scene: Scene, spec: DefectSpec) -> list[Target]:
    """Parts of which there are several: one of them is exchanged, turned or moved."""
    wanted = spec.instance_px(scene.object_area_px)
    if spec.area_fraction > _WHOLE:
        return []
    return targets_at(mounted_on(scene) or discs_of(scene, wanted) or find_repeated(scene, wanted))


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """Something near the site is exchanged (see module docstring); None when everything looks the same everywhere."""
    return _render(site, spec, _ALL, rng)


@dataclass(frozen=True)
class OutOfPlace:
    """A swap of the kinds that the words name; where none of them shows, of another, but of no other colour unless named."""

    ways: frozenset[Way]

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """Parts of which there are several."""
        return targets(scene, spec)

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One instance."""
        edit = _render(site, spec, self.ways, rng)
        if edit is not None or rng.random() > _OTHERWISE:  # another place may do
            return edit
        return _render(site, spec, _ALL if "recolor" in self.ways else _ALL - {"recolor"}, rng)


def named_ways(prompt: str) -> frozenset[Way]:
    """What the words say has happened; empty where they leave it open. A name in quotes goes before the sentence around it."""
    for words in (*re.findall(r'"([^"]+)"', prompt), prompt):
        for pattern, ways in _NAMED:
            if pattern.search(plain(words)):
                return ways
    return frozenset()


def _render(site: Site, spec: DefectSpec, ways: frozenset[Way], rng: np.random.Generator) -> Edit | None:
    whole = not site.scene.fills_frame and site.area_px > _WHOLE * site.scene.object_area_px
    if whole:
        edit = _one_of_several(site, ways, rng)
        return edit if edit is not None or site.scene.alike_pieces is not None else _object(site, ways, rng)
    piece = next(iter(nearest_pieces(site)), None)
    most = _WHOLE * site.scene.object_area_px if piece is None else _PART_OF_A_PIECE * piece.area_px
    if piece is not None and site.area_px > most:
        return _one_of_several(site, ways, rng)
    things = mounted_on(site.scene)
    thing = nearest_part(site, things)
    if thing is not None:  # chips and cans have the colours that they have
        kinds = ways if ways == frozenset({"recolor"}) else (ways - {"recolor"}) or _ALL - {"recolor"}
        return _first_visible(site, _acts(kinds, _exchange), thing, list(things), rng)
    discs = discs_of(site.scene, site.area_px)
    disc = nearest_part(site, discs)
    if disc is not None and disc.area_px < most:
        acts = [_another, _recolor] if ways == _ALL else _acts(ways, _another)
        return _first_visible(site, acts, disc, list(discs), rng)
    parts = [part for part in find_components(site)[:4] if part.area_px < most]
    parts = [part for part in parts if not (is_flank(site.scene, part) or ends_the_object(site.scene, part))]
    parts = [part for part in parts if lies_on_piece(site.scene, part)]
    if parts:
        part = parts[0] if rng.random() < 0.6 else parts[int(rng.integers(len(parts)))]
        edit = _first_visible(site, _acts(ways, _exchange), part, parts, rng)
        if edit is not None:
            return edit
    if piece is not None:
        return _one_of_several(site, ways, rng)
    edit = _region(site, rng) if "recolor" in ways else None
    if edit is not None:
        return edit
    edit = patch(site, spec, rng)
    if edit is None and not site.scene.fills_frame and rng.random() < _INSTEAD and not is_even(site.scene):
        return _object(site, ways, rng)
    return edit


def _acts(ways: frozenset[Way], exchange: _Act) -> list[_Act]:
    acts: list[tuple[Way, _Act]] = [("exchange", exchange), ("turn", _turn), ("move", _move), ("recolor", _recolor)]
    return [act for way, act in acts if way in ways]


def _one_of_several(site: Site, ways: frozenset[Way], rng: np.random.Generator) -> Edit | None:
    """Of like pieces on a tray the nearest one, turned, moved or of another colour; or else one beside it.

    Such a thing is wrong as a whole. Another one in its place would be no fault, nor one that looks the same when it is turned.
    """
    acts = [act for act in _acts(ways, _exchange) if act is not _exchange]
    for piece in nearest_pieces(site)[:_PIECES]:  # one in the middle of a heap has no room
        for index in rng.permutation(len(acts)):
            edit = acts[int(index)](site, piece, [piece], rng)
            if edit is None or edit.opacity is None or not (edit.opacity > 0.5).any():
                continue
            clear = float(np.percentile(jnd_of_change(site, edit, np.asarray(edit.opacity > 0.5, np.bool_)), 60)) > _CLEAR_JND
            if clear or (len(ways) == 1 and is_noticed(site, edit)):  # what is asked for by name need not be plain
                return edit
    return None


def _first_visible(
    site: Site, acts: list[_Act], part: Component, parts: list[Component], rng: np.random.Generator
) -> Edit | None:
    """The acts in any order, up to the first that changes something."""
    for index in rng.permutation(len(acts)):
        edit = acts[int(index)](site, part, parts, rng)
        if edit is not None and is_noticed(site, edit):
            return edit
    return None


def _object(site: Site, ways: frozenset[Way], rng: np.random.Generator) -> Edit | None:
    """The whole object turned, mirrored or shifted; None when all of that looks the same."""
    scene = site.scene
    height, width = scene.foreground.shape
    rgb = scene.photo.rgb
    stage = clear_stage(scene, rng)
    if stage is None:
        return None
    matte = own_pixels(scene, stage)
    x0, y0, x1, y1 = scene.box_xyxy
    middle = 0.5 * (x0 + x1 - 1), 0.5 * (y0 + y1 - 1)
    place = CutOut(Window(0, 0, height, width), rgb, stage.ground, stage.seat, stage.seat, matte.astype(np.float32), middle)
    named = {0: "turn", 1: "turn", 2: "move"}
    possible = [way for way in rng.permutation(3) if named[int(way)] in ways or not ways & {"turn", "move"}]
    for way in possible:
        mirror = bool(way == 0)
        angle = float(rng.uniform(0.15, np.pi) * rng.choice([-1.0, 1.0])) if way == 1 else float(rng.normal(0.0, 0.05))
        shift = np.zeros(2)
        if way == 2:  # never further than the frame lets it
            far = float(rng.uniform(0.06, 0.2)) * min(x1 - x0, y1 - y0)
            heading = float(rng.uniform(0.0, 2.0 * np.pi))
            low, high = np.array([-0.8 * x0, -0.8 * y0]), np.array([0.8 * (width - x1), 0.8 * (height - y1)])
            shift = np.clip(far * np.array([np.cos(heading), np.sin(heading)]), low, high)
        map_x, map_y = turn_map((height, width), (middle[0] + shift[0], middle[1] + shift[1]), angle, mirror)
        maps = map_x - np.float32(shift[0]), map_y - np.float32(shift[1])
        moved = sample_cover(place.matte, *maps)
        whole = float(moved.sum()) > 0.985 * float(place.matte.sum())  # a turned bar may stick out of the frame
        seen = place
        if stage.shadow > 0.0:  # it throws its shadow where it is now
            shade = shade_on(stage, place.matte, moved, maps, None if mirror else angle)
            seen = place._replace(
                ground=place.ground * (1.0 - shade)[..., None], seat=np.maximum(place.seat, smooth_step(shade / 0.03))
            )
        edit = put_down(seen, sample(rgb, *maps), moved)
        if whole and _changes(site, edit):
            return edit
    return None


def _changes(site: Site, edit: Edit) -> bool:
    """True when a fair share of the object looks plainly different afterwards (a turned nut looks as before)."""
    away = jnd_of_change(site, edit, np.ones(edit.window.shape, np.bool_))
    return int(np.count_nonzero(away > _PLAIN_JND)) > _PLAINLY * site.scene.object_area_px


def _exchange(site: Site, part: Component, parts: list[Component], rng: np.random.Generator) -> Edit | None:
    """Another component, scaled to fit, in the place of this one."""
    others = [other for other in parts if other is not part and 0.3 < other.area_px / part.area_px < 3.0]
    if not others:
        return None
    host = cut_out(site, part, 2.0, rng)
    other = others[int(rng.integers(len(others)))]
    guest = cut_out(site, other, 2.0, rng)
    zoom = float(np.sqrt(part.area_px / other.area_px))
    zoom = 1.0 if 0.8 < zoom < 1.25 else zoom
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in host.window.shape[::-1]))
    map_x = ((x - host.center_xy[0]) / zoom + guest.center_xy[0]).astype(np.float32)
    map_y = ((y - host.center_xy[1]) / zoom + guest.center_xy[1]).astype(np.float32)
    # light differs from place to place: the guest is shown in the light of the host
    light = np.median(host.ground, axis=(0, 1)) - np.median(guest.ground, axis=(0, 1))
    cover = sample_cover(guest.matte, map_x, map_y)
    if not _lies_free(site.scene, part, host.window, cover):
        return None
    return put_down(host, sample(guest.rgb, map_x, map_y) + light.astype(np.float32), cover)


def _another(site: Site, part: Component, parts: list[Component], rng: np.random.Generator) -> Edit | None:
    """Another of the round parts in the place of this one, turned so that it faces the others as this one does."""
    others = [other for other in parts if other is not part]
    if not others:
        return None
    other = others[int(rng.integers(len(others)))]
    middle = np.mean([each.center_xy for each in parts], axis=0)
    facing = [float(np.arctan2(*(middle - each.center_xy)[::-1])) for each in (part, other)]
    host = cut_out(site, part, 2.0, rng)
    map_x, map_y = turn_map(host.window.shape, host.center_xy, facing[0] - facing[1])
    shift = np.array(other.center_xy) - np.array(host.center_xy)
    guest = sample(site.scene.photo.rgb, (map_x + shift[0]).astype(np.float32), (map_y + shift[1]).astype(np.float32))
    return put_down(host, guest, host.cover)


def _turn(site: Site, part: Component, parts: list[Component], rng: np.random.Generator) -> Edit | None:
    """The component turned or mirrored in its place."""
    del parts
    mirror = bool(rng.random() < 0.3)
    by_quarters, askew = rng.choice([0.5, 1.0, 1.5]) * np.pi, rng.uniform(0.2, 1.2) * rng.choice([-1.0, 1.0])
    angle = 0.0 if mirror else float(by_quarters if rng.random() < 0.6 else askew)
    lifted = cut_out(site, part, 0.25 * part.length_px, rng)
    maps = turn_map(lifted.window.shape, lifted.center_xy, angle, mirror)
    turned = sample_cover(lifted.matte, *maps)
    return put_down(lifted, sample(lifted.rgb, *maps), turned) if _lies_free(site.scene, part, lifted.window, turned) else None


def _move(site: Site, part: Component, parts: list[Component], rng: np.random.Generator) -> Edit | None:
    """The component a little beside its place, often slightly turned."""
    del parts
    far = float(rng.uniform(0.25, 0.8)) * float(np.sqrt(part.area_px))
    barred = _barred(site.scene, part)
    steps = [(far * np.cos(heading), far * np.sin(heading)) for heading in rng.uniform(0.0, 2.0 * np.pi, _HEADINGS)]
    free = [(float(dx), float(dy)) for dx, dy in steps if _has_room(part, (dx, dy), barred)]
    if not free:
        return None
    dx, dy = free[0]
    lifted = cut_out(site, part, far + 0.1 * part.length_px, rng)
    middle = lifted.center_xy[0] + dx, lifted.center_xy[1] + dy
    map_x, map_y = turn_map(lifted.window.shape, middle, float(rng.normal(0.0, 0.25)))
    maps = map_x - np.float32(dx), map_y - np.float32(dy)
    return put_down(lifted, sample(lifted.rgb, *maps), sample_cover(lifted.matte, *maps))


def _barred(scene: Scene, part: Component) -> Mask:
    """(H, W) bool: where a part may not come to lie: on other pieces or what else is mounted, print not beside its body."""
    others, body = scene.other_pieces(*part.center_xy), scene.foreground
    barred = np.zeros_like(body) if others is None else others.copy()
    if body[part.window.slices][part.mask].mean() > _ON_IT:
        barred |= ~body
    for other in mounted_on(scene):
        if other.center_xy != part.center_xy:
            barred[other.window.slices] |= other.mask
    return barred


def _lies_free(scene: Scene, part: Component, window: Window, cover: Field) -> bool:
    """True when what is mounted, laid down where `cover` (h, w) 0..1 says, lies on its board and on nothing else."""
    if not any(part.center_xy == thing.center_xy for thing in mounted_on(scene)):
        return True
    shown = cover > 0.5
    return bool(not shown.any() or _barred(scene, part)[window.slices][shown].mean() < _MAY_OVERLAP)


def _has_room(part: Component, step: tuple[float, float], barred: Mask) -> bool:
    """True when a part moved by `step` stays in the frame and off what is barred, (H, W) bool."""
    half = 0.5 * part.length_px
    height, width = barred.shape
    x, y = part.center_xy[0] + step[0], part.center_xy[1] + step[1]
    if not (half < x < width - half and half < y < height - half):
        return False
    ys, xs = np.nonzero(part.mask)
    rows = np.clip(np.rint(ys + part.window.y0 + step[1]).astype(int), 0, height - 1)
    columns = np.clip(np.rint(xs + part.window.x0 + step[0]).astype(int), 0, width - 1)
    return bool(barred[rows, columns].mean() < _MAY_TOUCH)


def _recolor(site: Site, part: Component, parts: list[Component], rng: np.random.Generator) -> Edit | None:
    """The component of another colour."""
    del parts
    return recolored(site, part, rng)


def _region(site: Site, rng: np.random.Generator) -> Edit | None:
    """A region that edges of the photo bound on all sides is of another colour; None where there is none."""
    region = region_at(site)
    edit = None if region is None else recolored(site, region, rng)
    return edit if edit is not None and is_noticed(site, edit) else None
