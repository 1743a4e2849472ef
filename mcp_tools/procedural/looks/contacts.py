"""Contacts that point at the lens: the pins of a header, the poles of a socket, alike and several.

Seen so, a contact is a tip in a seat: the hole it stands in, a shadow, a ring of another tone. A missing one leaves the seat,
or a hole where none is seen. A bent one leans: its tip lies beside its seat, and between them one sees its flank.
"""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.inpainting import fill_from_surroundings
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target, Window
from anomalyagent.mcp_tools.procedural.geometry.warp import shifted
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.parts.component import Component
from anomalyagent.mcp_tools.procedural.parts.protrusions import protrusions_of, targets_at
from anomalyagent.mcp_tools.procedural.parts.search import find_repeated
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene
from anomalyagent.mcp_tools.procedural.retouching.cutout import edit_of, edit_of_drawn

__all__ = ["Contacts", "contacts_of", "names_contacts"]

_CONTACTS = re.compile(r"\b(?:pins?|contacts?|terminals?|prongs?)\b")
_SIZES = (0.03, 0.006)  # of the object: about so large a contact may be
_SEVERAL, _MOST = 4, 0.8  # contacts at least, and what share of all that repeats they must be
_ALIKE, _SLENDER = 0.35, 2.5  # |log| of an area over the usual one, and length over width
_SEAT, _MIDDLE = (0.35, 0.6), 0.5  # of its depth: where the seat shows, if there is one, and from where on the tip
_TIP = (0.03, 0.6)  # of the contact: so large is the tip in it
_APART = 15.0  # CIELAB units by which a tip differs from its seat
_HOLE, _DEEP = 0.8, (0.15, 0.4)  # of the tip's size, and of the light: the hole that a contact without a seat leaves
_LEAN = (0.5, 2.0)  # tips' sizes by which a bent one may lie aside
_FLANK = 0.6  # of the light on the tip


class _Tip(NamedTuple):
    """A contact over the window of its part.

    Attributes:
        tip: (h, w) bool.
        seat: (h, w) bool, what is seen around the tip; None where that is the body itself.
        size_px: of the tip.
    """

    tip: Mask
    seat: Mask | None
    size_px: float


@dataclass(frozen=True)
class Contacts:
    """Draws one contact missing or bent; for photos on which `contacts_of` finds some."""

    fault: Literal["missing", "bend"]

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """The contacts."""
        del spec
        return targets_at(contacts_of(scene))

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit:
        """The contact nearest to the site."""
        x, y = site.center_xy
        part = min(contacts_of(site.scene), key=lambda one: np.hypot(one.center_xy[0] - x, one.center_xy[1] - y))
        tip = _tip_of(site, part)
        if self.fault == "bend":
            return _bent(site, part, tip, spec, rng)
        return _without(site, part, tip, rng) if tip.seat is not None else _emptied(site, part, tip, rng)


def names_contacts(prompt: str) -> bool:
    """True when the words speak of contacts."""
    return bool(_CONTACTS.search(plain(prompt)))


@once_per_scene
def contacts_of(scene: Scene) -> tuple[Component, ...]:
    """Alike compact parts on the object; empty where several contacts stand out of its outline, or nothing repeats."""
    if scene.fills_frame or len(protrusions_of(scene)) >= _SEVERAL:
        return ()
    for share in _SIZES:
        found = find_repeated(scene, share * scene.object_area_px)
        areas = np.array([part.area_px for part in found])
        alike = [part for part in found if abs(np.log(part.area_px / np.median(areas))) < _ALIKE and part.elongation < _SLENDER]
        if len(alike) >= max(_SEVERAL, _MOST * len(found)):
            return tuple(alike)
    return ()


def _tip_of(site: Site, part: Component) -> _Tip:
    """The tip of a contact and its seat, told by their tones."""
    depth = cv2.distanceTransform(np.pad(part.mask, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    depth = depth / float(depth.max())
    around_tip, within = (depth > _SEAT[0]) & (depth < _SEAT[1]), depth > _SEAT[0]
    lab = lab_from_rgb(np.ascontiguousarray(site.scene.photo.rgb[part.window.slices]))
    body, inner = (np.median(lab[where], axis=0) for where in (~part.mask, around_tip if around_tip.any() else within))
    off = np.linalg.norm(lab - inner, axis=2) * (depth > _MIDDLE)
    apart = float(np.percentile(off[within], 98.0))
    tip = np.asarray(off > 0.5 * apart, np.bool_)
    seated = apart > _APART and _TIP[0] < np.count_nonzero(tip) / np.count_nonzero(within) < _TIP[1]
    if seated and float(np.linalg.norm(inner - body)) > _APART:
        return _Tip(tip, np.asarray(within, np.bool_), float(np.sqrt(np.count_nonzero(tip))))
    off = np.linalg.norm(lab - body, axis=2) * part.mask
    tip = np.asarray(off > 0.5 * float(np.percentile(off[part.mask], 98.0)), np.bool_)
    return _Tip(tip, None, float(np.sqrt(np.count_nonzero(tip))))


def _cleared(site: Site, part: Component, tip: _Tip, rng: np.random.Generator) -> tuple[RGB, Field]:
    """What is seen when the tip is gone, (h, w, 3) over the part's window, and 0..1 where it was."""
    rgb = np.ascontiguousarray(site.scene.photo.rgb[part.window.slices])
    gone = np.asarray(cv2.dilate(tip.tip.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0, np.bool_)
    source = None if tip.seat is None else tip.seat & ~gone
    below = fill_from_surroundings(rgb, gone, rng, source if source is not None and source.any() else None)
    cover = cv2.GaussianBlur(gone.astype(np.float32), (0, 0), 0.8)[..., None]
    return (rgb + (below - rgb) * cover).astype(np.float32), np.asarray(cover[..., 0], np.float32)


def _without(site: Site, part: Component, tip: _Tip, rng: np.random.Generator) -> Edit:
    """The seat is empty."""
    seat, cover = _cleared(site, part, tip, rng)
    return edit_of(part.window, seat, cover, size_fixed=True)


def _emptied(site: Site, part: Component, tip: _Tip, rng: np.random.Generator) -> Edit:
    """Instead of a contact that has no seat one sees the hole that it stood in."""
    body, cover = _cleared(site, part, tip, rng)
    ys, xs = np.nonzero(tip.tip)
    rows, columns = np.ogrid[: cover.shape[0], : cover.shape[1]]
    inside = 0.5 * _HOLE * tip.size_px - np.hypot(rows - ys.mean(), columns - xs.mean())
    hole = np.clip(inside / (1.0 + site.scene.blur_sigma_px) + 0.5, 0.0, 1.0)
    paint = body * (1.0 - (1.0 - float(rng.uniform(*_DEEP))) * hole)[..., None]
    return edit_of(part.window, paint.astype(np.float32), cover, size_fixed=True)


def _bent(site: Site, part: Component, tip: _Tip, spec: DefectSpec, rng: np.random.Generator) -> Edit:
    """The tip lies beside its place, and its flank leads there."""
    scene = site.scene
    far = float(np.clip(0.08 * spec.severity * rng.uniform(0.8, 1.25), *_LEAN)) * tip.size_px
    way = float(rng.uniform(0.0, 2.0 * np.pi))
    window = around(part.window, far + 3.0, scene.photo.shape)
    rgb = np.ascontiguousarray(scene.photo.rgb[window.slices])
    inner = _within(part.window, window)
    drawn, here = rgb.copy(), np.zeros(window.shape, np.float32)
    drawn[inner], _ = _cleared(site, part, tip, rng)
    here[inner] = tip.tip
    color = _FLANK * np.median(rgb[here > 0.5], axis=0)
    here = np.asarray(cv2.GaussianBlur(here, (0, 0), 0.5 + 0.5 * scene.blur_sigma_px), np.float32)
    dx, dy = far * float(np.cos(way)), far * float(np.sin(way))
    flank, steps = here, max(2, int(np.ceil(far)))
    for step in range(1, steps + 1):
        flank = np.maximum(flank, shifted(here, step / steps * dx, step / steps * dy))
    drawn += (color - drawn) * flank[..., None]
    drawn += (shifted(rgb, dx, dy) - drawn) * shifted(here, dx, dy)[..., None]
    return edit_of_drawn(site, window, drawn.astype(np.float32), size_fixed=True)


def _within(inner: Window, outer: Window) -> tuple[slice, slice]:
    """The slices of arrays over `outer` that lie in `inner`."""
    y, x = inner.y0 - outer.y0, inner.x0 - outer.x0
    return slice(y, y + inner.shape[0]), slice(x, x + inner.shape[1])
