"""Printed marks of one ink: where they are, how much ink lies there, and the ground below."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.inpainting import fill_from_surroundings
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import scale_within, size_within
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene
from anomalyagent.mcp_tools.procedural.retouching.picture_print import find_inks

__all__ = ["Marks", "find_marks", "marked_places"]

_SEARCH_PX = 256  # longest side of the copy on which print is looked for
_PLACES = 40
_PLACE = 0.4  # of the object's size: side of the parts of it in which clear print is looked for,
_MOSTLY = 0.95  # of which lies on it,
_CLEAR = 25.0  # which stands off its ground by so many CIELAB units,
_CLEAN = 0.35  # in strokes with clean edges (see `_raggedness`)
_INKED = 0.7


class Marks(NamedTuple):
    """Existing print in a window.

    Attributes:
        window: where.
        coverage: (h, w) 0..1, how much ink.
        ground: (h, w, 3) the surface without ink.
        ink: (h, w, 3) the ink's colour, continued beyond the marks.
    """

    window: Window
    coverage: Field
    ground: RGB
    ink: RGB


class _Ink(NamedTuple):
    """(h, w) bool each: all that stands out, the ink, and the object without its rim."""

    marked: Mask
    ink: Mask
    inner: Mask


@once_per_scene
def marked_places(scene: Scene) -> list[tuple[float, float]]:
    """(x, y) of some pixels of the print, photo pixels; none without print."""
    scale, size = scale_within(scene.photo.shape, _SEARCH_PX), size_within(scene.photo.shape, _SEARCH_PX, 16)
    lab = cv2.resize(scene.lab, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    inside = cv2.resize(scene.foreground.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    stroke = max(3, round(0.06 * float(np.sqrt(scene.object_area_px)) * scale))
    found = _find_ink(lab, inside, stroke)
    if found is not None:
        places = found.ink
    else:
        inks = find_inks(lab, inside)
        places = _ink_in_places(lab, inside, stroke) if inks is None else inside & (inks.ink_at(lab)[0] > _INKED)
    ys, xs = np.nonzero(places)
    some = np.linspace(0, len(xs) - 1, _PLACES).astype(int) if len(xs) else ()
    return [((float(xs[i]) + 0.5) / scale, (float(ys[i]) + 0.5) / scale) for i in some]


def find_marks(site: Site, rng: np.random.Generator) -> Marks | None:
    """High-contrast fine structures near the site, all of about one colour; None when there are none."""
    size = float(np.sqrt(site.area_px))
    window = around(site.window, 0.3 * size, site.scene.foreground.shape)
    rgb = np.ascontiguousarray(site.scene.photo.rgb[window.slices])
    object_here = site.scene.foreground[window.slices]
    # strokes are thinner than this many pixels; the median over twice that sees only the ground
    stroke = max(5, round(0.06 * float(np.sqrt(site.scene.object_area_px))))
    found = _find_ink(site.scene.lab[window.slices], object_here, stroke)
    if found is None:
        return None
    marked, same, inner = found
    hole = cv2.dilate(same.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    if hole.mean() > 0.8 or not float(marked.mean()) > 0.01:
        return None
    ground = fill_from_surroundings(
        rgb, cv2.dilate(marked.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) | ~inner, rng
    )
    ink = np.median(rgb[same], axis=0).astype(np.float32)
    toward = ink - ground
    coverage = ((rgb - ground) * toward).sum(2) / np.maximum((toward * toward).sum(2), 1e-3)
    coverage = np.where(hole, np.clip(coverage, 0.0, 1.0), 0.0).astype(np.float32)
    return Marks(window, coverage, ground, np.broadcast_to(ink, rgb.shape))


def _find_ink(lab: Lab, inside: Mask, stroke: int) -> _Ink | None:
    """Pixels of one colour in strokes thinner than `stroke` pixels that stand out from the ground; None without print.

    Args:
        lab: (h, w, 3) CIELAB. inside: (h, w) bool, the object.
    """
    step = max(1, stroke // 12)
    thin = np.ascontiguousarray(lab[::step, ::step])
    coded = np.clip(thin * np.array([2.5, 1.0, 1.0]) + np.array([0.0, 128.0, 128.0]), 0, 255).astype(np.uint8)
    ground_lab = np.stack([cv2.medianBlur(np.ascontiguousarray(coded[..., i]), (2 * stroke // step) | 1) for i in range(3)], -1)
    ground_lab = (ground_lab.astype(np.float32) - np.array([0.0, 128.0, 128.0], np.float32)) / np.array(
        [2.5, 1.0, 1.0], np.float32
    )
    ground_lab = cv2.resize(ground_lab, (lab.shape[1], lab.shape[0]), interpolation=cv2.INTER_LINEAR)
    away = lab - ground_lab
    distance = np.linalg.norm(away, axis=2)
    inner = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    level = max(12.0, 5.0 * float(np.median(distance[inner]))) if inner.any() else np.inf
    marked = (distance > level) & inner
    share = float(marked.mean())
    if not 0.0 < share < 0.45:
        return None
    color = np.median(lab[marked], axis=0)
    same = marked & (np.linalg.norm(lab - color, axis=2) < max(12.0, 0.5 * float(np.median(distance[marked]))))
    # what touches the outline is a part of the object, not a mark on it
    labels = cv2.connectedComponents(same.astype(np.uint8), connectivity=8)[1]
    outer = cv2.dilate((~inner).astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    same &= ~np.isin(labels, np.unique(labels[outer & same]))
    # print is one colour with clean edges; texture and reflections are not
    if same.sum() < 0.5 * marked.sum() or same.sum() < 12 or _raggedness(same) > 0.75:
        return None
    return _Ink(marked, same, inner)


def _ink_in_places(lab: Lab, inside: Mask, stroke: int) -> Mask:
    """(h, w) bool: clear print that is seen in a part of the object, where the whole has joints, lights or several colours."""
    found = np.zeros(inside.shape, np.bool_)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return found
    side = max(round(_PLACE * float(np.sqrt(np.count_nonzero(inside)))), 4 * stroke)
    for top in range(int(rows[0]), int(rows[-1]) + 1, side // 3):
        for left in range(int(columns[0]), int(columns[-1]) + 1, side // 3):
            here = (slice(top, top + side), slice(left, left + side))
            if min(inside[here].shape) < 3 * stroke or inside[here].mean() < _MOSTLY:
                continue
            marks = _find_ink(lab[here], inside[here], stroke)
            if marks is None or _raggedness(marks.ink) > _CLEAN:
                continue
            ground = np.median(lab[here][~marks.marked], axis=0)
            if float(np.linalg.norm(np.median(lab[here][marks.ink], axis=0) - ground)) > _CLEAR:
                found[here] |= _whole(marks.ink)
    return found


def _whole(ink: Mask) -> Mask:
    """What does not run out of the frame: the upper end of a pin that a place cuts off is no print."""
    labels = np.asarray(cv2.connectedComponents(ink.astype(np.uint8))[1])
    at_frame = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return ink & ~np.isin(labels, at_frame)


def _raggedness(marked: NDArray[np.bool_]) -> float:
    """Share of the marked pixels that an opening with a 2 px square removes: near 0 for strokes, near 1 for noise."""
    opened = cv2.morphologyEx(marked.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    return 1.0 - float(opened.sum()) / max(float(marked.sum()), 1.0)
