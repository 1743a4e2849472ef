"""Strands of a mesh: broken, or pushed out of their course.

Where a strand is gone one sees what is seen beside it, half a pitch further: the ground behind the mesh, and the strands that
cross. Its ends may stick out. A bent one lies beside its place and over its neighbours; a blow over several cells moves all
that is there. In a sheet with staggered holes there are no straight strands: what separates two holes breaks.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import pixel_grid
from anomalyagent.mcp_tools.procedural.geometry.warp import push_map, sample
from anomalyagent.mcp_tools.procedural.geometry.windows import around_point
from anomalyagent.mcp_tools.procedural.retouching.cutout import edit_of, edit_of_drawn
from anomalyagent.mcp_tools.procedural.structure.mesh import Mesh

__all__ = ["Strands"]

Vector = NDArray[np.float32]

_STRAIGHT = 0.9  # least share of strand along a line that lies within a straight one
_EDGE_PX, _EDGE_PITCH, _LEFT = 2.0, 0.08, 0.2  # so far beyond its last such line no more than this share of strand is left
_FADED = 0.06  # of a strand's greatest difference to the middle of the cells: where its border ends
_LOOKED_AT = 1.5  # pitches to both sides of the site over which a strand is measured
_STEEPEST = 0.24  # of the reach: how far all that is there is pushed at the most; more would draw strands out like rubber
_WIDE = 1.5  # pitches: what reaches further is a blow over several cells
_STICK_OUT = 0.6  # how often the ends of a broken strand do
_SEEN = 0.45  # share of a moved area in which the change can be seen


class _Strand(NamedTuple):
    """A straight strand near a site.

    Attributes:
        first_xy: a point on its middle line, between two crossings, photo pixels.
        run, rise: unit vectors along it and square to it.
        across: from the cell on one side to that on the other.
        half_px: half its width. outer_px: with its soft border.
    """

    first_xy: Vector
    run: Vector
    rise: Vector
    across: Vector
    half_px: float
    outer_px: float


@dataclass(frozen=True)
class Strands:
    """A mechanism that breaks or bends strands of `mesh`."""

    mesh: Mesh
    does: Literal["break", "bend"]

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One place of the mesh. None when no whole cells are near."""
        along, across = self.mesh.pitches if rng.random() < 0.5 else self.mesh.pitches[::-1]
        across = across * np.float32(rng.choice([-1.0, 1.0]))
        cell = self.mesh.nearest(np.array(site.center_xy, np.float32))
        other = self.mesh.beside(cell, across)
        if other is None:
            return None
        strand = _straight_strand(self.mesh, site, cell, other, along)
        if self.does == "break":
            return _cut_strand(site, strand, rng) if strand else _join_cells(self.mesh, site, cell, other)
        pitch = float(np.linalg.norm(across))
        stretch = float(rng.uniform(1.0, 2.0))
        reach = float(np.sqrt(site.area_px / (_SEEN * np.pi * stretch)))
        far = pitch * float(np.clip(0.2 + 0.03 * spec.severity, 0.25, 0.8)) * float(rng.uniform(0.7, 1.3))
        if strand and (reach < _WIDE * pitch or rng.random() < 0.3):
            return _lay_aside(site, strand, far, rng)
        middle = 0.5 * (self.mesh.centers_xy[cell] + self.mesh.centers_xy[other])
        return _push_all(site, middle, across / np.float32(pitch), far, max(reach, 0.8 * pitch), stretch)


def _straight_strand(mesh: Mesh, site: Site, cell: int, other: int, along: Vector) -> _Strand | None:
    """The strand between two cells, measured; None when what separates them does not run on straight."""
    before, after = mesh.beside(cell, -along), mesh.beside(cell, along)
    if before is None or after is None:
        return None
    centers = mesh.centers_xy
    pitch = 0.5 * (centers[after] - centers[before])
    run = pitch / np.linalg.norm(pitch)
    rise = np.array([-run[1], run[0]], np.float32)
    first, across = 0.5 * (centers[cell] + centers[other]), centers[other] - centers[cell]
    rise = rise * np.sign(rise @ across)
    reach = _LOOKED_AT * float(np.linalg.norm(pitch))
    window = around_point(first, reach, site.scene.photo.shape)
    ahead, aside = _along_and_aside(window, first, run, rise)
    near = np.abs(ahead) < reach
    lines = [near & (np.abs(np.abs(aside) - at) < 0.5) for at in np.arange(0.0, 0.5 * float(rise @ across))]
    solid = mesh.cells_in(window) == 0
    share = np.array([solid[line].mean() for line in lines])
    inner = int(np.argmax(share < _STRAIGHT)) - 1  # the last line within the strand
    beyond = inner + int(np.ceil(_EDGE_PX + _EDGE_PITCH * float(rise @ across)))
    if inner < 0 or beyond >= len(share) or share[beyond] > share[-1] + _LEFT * (1.0 - share[-1]):
        return None
    seen = mesh.seen[window.slices]
    profile = np.array([seen[line].mean() for line in lines])
    away = np.abs(profile - profile[-1])
    outer = int(np.flatnonzero(away > _FADED * max(float(away.max()), 1e-6)).max(initial=inner)) + 1.0
    return _Strand(first, run, rise, across, inner + 0.5, min(outer, 0.4 * float(rise @ across)))


def _cut_strand(site: Site, strand: _Strand, rng: np.random.Generator) -> Edit:
    """A stretch of the strand is gone; its ends stick out now and then."""
    rgb = site.scene.photo.rgb
    length = max(site.area_px / (2.0 * strand.half_px), 2.0 * strand.half_px)
    window = around_point(strand.first_xy, 0.5 * length + float(np.linalg.norm(strand.across)), site.scene.photo.shape)
    ahead, aside = _along_and_aside(window, strand.first_xy, strand.run, strand.rise)
    slanted = ahead + np.float32(rng.uniform(-0.7, 0.7)) * aside
    within = _ramp(0.5 * length - np.abs(slanted), site)
    cover = within * _ramp(strand.outer_px - np.abs(aside), site)
    broken = _mix(rgb[window.slices], _beside(rgb, window, strand, rng), cover)
    if rng.random() < _STICK_OUT:
        for side in (-0.5, 0.5):
            broken = _stick_out(broken, window, strand, side * length, rng)
    return _edit(site, window, broken)


def _stick_out(broken: RGB, window: Window, strand: _Strand, at_px: float, rng: np.random.Generator) -> RGB:
    """The end of a strand pushed to one side."""
    room = 0.5 * float(np.linalg.norm(strand.across))
    push = strand.rise * (float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.2, 0.5)) * room)
    tip = strand.first_xy + np.float32(at_px) * strand.run + push - np.array([window.x0, window.y0], np.float32)
    maps = push_map(window.shape, (float(tip[0]), float(tip[1])), (float(push[0]), float(push[1])), room)
    return sample(broken, *maps)


def _join_cells(mesh: Mesh, site: Site, cell: int, other: int) -> Edit | None:
    """What separates two cells is gone; there it is as dark or bright as deep in them."""
    middle = 0.5 * (mesh.centers_xy[cell] + mesh.centers_xy[other])
    window = around_point(middle, 1.5 * float(np.abs(mesh.pitches).max()), site.scene.photo.shape)
    labels = mesh.cells_in(window)
    both = np.isin(labels, [cell + 1, other + 1])
    if not both.any():
        return None
    hull = np.zeros(window.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(cv2.findNonZero(both.astype(np.uint8))), 1)
    gone = (hull > 0) & ~both
    border = 2 * int(np.ceil(1.0 + 1.5 * site.scene.blur_sigma_px)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (border, border))
    gone = (cv2.dilate(gone.astype(np.uint8), disc) > 0) & (hull > 0)
    deep = cv2.erode(both.astype(np.uint8), disc) > 0
    behind = np.median(site.scene.photo.rgb[window.slices][deep if deep.any() else both], axis=0)
    paint = np.broadcast_to(behind, (*window.shape, 3)).astype(np.float32)
    cover = cv2.GaussianBlur(gone.astype(np.float32), (0, 0), 0.7).astype(np.float32)
    edit = edit_of(window, paint, cover, size_fixed=True)
    return replace(edit, photographed=False, off_object=True)


def _lay_aside(site: Site, strand: _Strand, far_px: float, rng: np.random.Generator) -> Edit:
    """A stretch of one strand lies `far_px` beside its place, in a bow or with a kink."""
    rgb = site.scene.photo.rgb
    reach = max(0.5 * site.area_px / (3.0 * strand.half_px), 1.5 * far_px, 3.0 * strand.half_px)
    window = around_point(strand.first_xy, reach + far_px + strand.half_px + 2.0, site.scene.photo.shape)
    ahead, aside = _along_and_aside(window, strand.first_xy, strand.run, strand.rise)
    at = np.clip(1.0 - np.abs(ahead) / reach, 0.0, 1.0)
    bow = at * at * (3.0 - 2.0 * at) if rng.random() < 0.7 else np.minimum(1.15 * at, 1.0) ** 1.3
    shift = (far_px * bow).astype(np.float32)
    here = _ramp(strand.outer_px - np.abs(aside), site) * (shift > 0.0)
    ground = _mix(rgb[window.slices], _beside(rgb, window, strand, rng), here.astype(np.float32))
    x, y = pixel_grid(window)
    moved = sample(rgb, (x - shift * strand.rise[0]).astype(np.float32), (y - shift * strand.rise[1]).astype(np.float32))
    over = _ramp(strand.half_px + 0.5 - np.abs(aside - shift), site) * (shift > 0.0)
    return _edit(site, window, _mix(ground, moved, over.astype(np.float32)))


def _push_all(site: Site, middle: Vector, rise: Vector, far_px: float, reach: float, stretch: float) -> Edit:
    """All strands around a place pushed to one side."""
    push = rise * np.float32(min(far_px, _STEEPEST * reach))
    window = around_point(middle, stretch * reach + far_px + 2.0, site.scene.photo.shape)
    at = middle + push - np.array([window.x0, window.y0], np.float32)
    maps = push_map(window.shape, (float(at[0]), float(at[1])), (float(push[0]), float(push[1])), reach, stretch)
    return _edit(site, window, sample(np.ascontiguousarray(site.scene.photo.rgb[window.slices]), *maps))


def _along_and_aside(window: Window, first_xy: Vector, run: Vector, rise: Vector) -> tuple[Field, Field]:
    x, y = pixel_grid(window)
    ahead = (x - first_xy[0]) * run[0] + (y - first_xy[1]) * run[1]
    aside = (x - first_xy[0]) * rise[0] + (y - first_xy[1]) * rise[1]
    return ahead.astype(np.float32), aside.astype(np.float32)


def _ramp(inside_px: NDArray[np.floating], site: Site) -> Field:
    """0..1: 1 well inside, with a border as soft as the photo."""
    return np.clip(0.5 + inside_px / (1.0 + site.scene.blur_sigma_px), 0.0, 1.0).astype(np.float32)


def _beside(rgb: RGB, window: Window, strand: _Strand, rng: np.random.Generator) -> RGB:
    """What is seen half a pitch beside the strand, on one side; drawn out where the cell is narrower than the strand."""
    x, y = _shifted(window, 0.5 * strand.across * np.float32(rng.choice([-1.0, 1.0])))
    _, aside = _along_and_aside(window, strand.first_xy, strand.run, strand.rise)
    room = 0.5 * float(strand.rise @ strand.across) - strand.outer_px
    closer = np.float32(max(0.0, 1.0 - room / strand.outer_px)) * aside
    return sample(rgb, (x - closer * strand.rise[0]).astype(np.float32), (y - closer * strand.rise[1]).astype(np.float32))


def _shifted(window: Window, shift_xy: Vector) -> tuple[Field, Field]:
    """The maps (x, y) that show at each pixel of a window what lies `shift_xy` away from it."""
    x, y = pixel_grid(window)
    shape = np.zeros(window.shape, np.float32)
    return (x + shift_xy[0] + shape).astype(np.float32), (y + shift_xy[1] + shape).astype(np.float32)


def _mix(below: RGB, above: RGB, cover: Field) -> RGB:
    return (below * (1.0 - cover[..., None]) + above * cover[..., None]).astype(np.float32)


def _edit(site: Site, window: Window, drawn: RGB) -> Edit:
    return replace(edit_of_drawn(site, window, drawn), off_object=True)
