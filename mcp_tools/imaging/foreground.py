"""Object or surface? The object of a photo, told from its background without any weights.

1. On a small copy the border is taken as background: a smooth colour surface is fitted to it robustly, and what lies off
   that surface is a candidate for the object.
2. The candidate is an object when its colour is well apart, its outline lies on real edges and it holds together;
   otherwise the photo shows a surface that fills the frame. A candidate that only lies along the border is itself the
   background, seen beside an object that reaches most of the border.
3. Holes are filled unless they look like the background, in full light or in the object's shadow (a nut's hole stays a hole,
   the dark mouth of a bottle on a light table and a label with print do not). Shadows that the object casts beside itself
   are background too.
4. The outline is drawn again at the photo's own resolution, and small holes are opened where several are alike.
5. Where all that finds nothing, an object may lie before a regular pattern (`patterned.py`).
"""

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.color import SHADE_TINT, lab_from_rgb, light_on
from anomalyagent.mcp_tools.imaging.measures import pixels_within
from anomalyagent.mcp_tools.imaging.patterned import over_pattern, repeats_beside, without_detail
from anomalyagent.mcp_tools.imaging.printed_holes import fill_printed_holes
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.imaging.small_holes import open_small_holes

__all__ = ["find_foreground"]

_SIDE = 128  # longer side of the copy on which the object is found
_REFINED_SIDE = 1024  # longer side of the copy on which its outline is drawn
_MIN_SEPARATION = 8.0  # CIELAB units between object and background
_MIN_FAINT_SEPARATION = 5.0  # the same for the rest of an object of which a part was found
_MIN_SHARE = 0.02  # of the frame, for the object and for the background
_MIN_EDGE = 0.45  # part of the separation (10 units are always enough) that must happen within a few pixels of the outline
# (smoothing in pixels, how far a border pixel may lie off the background's colour and still shape it), most usual case first:
# an even or unevenly lit backdrop; an object that reaches much of the border; a textured backdrop
_ATTEMPTS = ((0.8, 20.0), (0.8, 3.0), (2.0, 6.0))
_MIN_EDGE_RATIO = 3.0  # steepness of the outline against the steepest tenth of the background
_MIN_CLEARNESS = 5.0  # step that four fifths of the outline exceed, against how uneven the background is beside it
# light that the background gets in the object's shadow, against full light: beside it, typically in a hole, deep in a hole
_CAST_SHADE, _HOLE_SHADE, _DEEP_SHADE, _FULL_LIGHT = 0.27, 0.2, 0.02, 0.97
_SURE_TINT, _SURE_MATCH = 6.0, 0.35  # CIELAB chroma of the shade of a coloured background, and how far off it a pixel may be
_UMBRA = 0.06  # close under a tall part, where what looks like it is told from the part by its soft border
_LIT = 0.9  # light from which on a background is not shaded but uneven
# share of the outline, and of the background, that an object may throw shade on; more if it is no more than its own size
_MAX_THROWN_BESIDE, _MAX_THROWN, _MAX_THROWN_SIZE = 0.7, 0.4, 1.0
_EVEN, _MIN_EVEN = 4.0, 0.7  # CIELAB units about its fit within which an even border lies, and the share of it that must
_MIN_THROWING = 0.05  # share of the frame from which on an object is no spot with a soft border
# CIELAB L within 3 pixels of the small copy that a shadow does not exceed, and its border in that share
_CALM_SHADE, _PENUMBRA, _FADING = 12.0, 9.0, 0.8
_CUT_SHARE = 0.8  # of a background that lies along the border, how much at least hangs together with the frame
_MANY = 4  # pieces from which on they are looked at as a set
_MIN_FILLED = 0.1  # share of the frame that parts on an uneven backdrop must fill; a few scratches fill less
_SCATTERED, _MIN_PIECE = 0.25, 0.002  # share of the pieces beside the main ones, and of each in the frame, to be parts as well
_MIN_SOLIDITY, _MIN_TRAY_SOLIDITY = 0.85, 0.9  # median share of its convex hull that a piece of several, of very many fills
_MIN_ALIKE = 0.6  # share of very many pieces that have about the usual size
# pieces of one shape, convex or not (hooks, pasta): share of them that are, how far their sizes (octaves) and solidities lie
# from the usual ones, and the usual share of the frame
_MIN_SAME, _SAME_SIZE, _SAME_SOLIDITY, _MIN_SAME_PIECE = 0.8, 0.5, 0.1, 0.01
_MIN_SHADED = 0.7  # share of the fringe of a part that is shade where it is the part's shadow
_PART = 1.5  # how much larger the object must be than the part of it that stands out most
_CALM = 4.0  # CIELAB L from pixel to pixel that an uneven backdrop does not exceed
_MAX_COMPLEXITY = 220.0  # outline^2 / area: 13 for a disc, about 130 for ten discs
_MAX_PIECE_COMPLEXITY = 40.0  # outline^2 / area for each of many like pieces: 13 for a disc, 23 for a bar of 1 : 4

_BOX3, _BOX5, _BOX7 = (np.ones((side, side), np.uint8) for side in (3, 5, 7))
_SmallMask = NDArray[np.uint8]


def find_foreground(rgb: RGB) -> Mask:
    """(H, W) bool, the object; all true when the photo is a surface that fills the frame. `rgb`: (H, W, 3) float32 0..1."""
    height, width = rgb.shape[:2]
    fine = reduced(rgb, _REFINED_SIDE, 8)
    coarse = reduced(fine, _SIDE, 8)
    lab = lab_from_rgb(coarse)
    for smoothing_px, pull in _ATTEMPTS:
        smooth = np.asarray(cv2.GaussianBlur(lab, (0, 0), smoothing_px, borderType=cv2.BORDER_REFLECT), np.float32)
        backdrop = _background_of(smooth, pull)
        standing_out = _checked(_find_object(smooth, *backdrop, faint=False), smooth, backdrop[0], _MIN_SEPARATION)
        if standing_out is not None:
            break
    else:
        found = _before_pattern(fine, lab)
        return np.ones((height, width), np.bool_) if found is None else _at_size(found, height, width)
    whole = _checked(_find_object(smooth, *backdrop, faint=True), smooth, backdrop[0], _MIN_FAINT_SEPARATION)
    chosen = whole if whole is not None and _is_part(standing_out[0], whole[0], smooth, backdrop[0]) else standing_out
    found = fill_printed_holes(_refine(fine, *chosen), fine)
    found = open_small_holes(found, fine, chosen[0], lab, backdrop[0])
    return _at_size(found, height, width)


def _at_size(found: Mask, height: int, width: int) -> Mask:
    if found.shape == (height, width):
        return found
    soft = cv2.resize(found.astype(np.uint8) * np.uint8(255), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(soft >= 128, np.bool_)


def _before_pattern(fine: RGB, lab: Lab) -> Mask | None:
    """The object before a backdrop with a regular pattern, of the size of `fine`; None when there is no such thing."""
    height, width = lab.shape[:2]
    small = without_detail(cv2.resize(lab, (width // 2, height // 2), interpolation=cv2.INTER_AREA).astype(np.float32))
    if float(np.percentile(_length(small - _median_color(small.reshape(-1, 3))), 97.0)) < _MIN_SEPARATION:
        return None  # even without its detail: a surface, and that is told fast
    even = without_detail(lab)
    backdrop = _background_of(even, _ATTEMPTS[0][1])
    body = _checked(_find_object(even, *backdrop, faint=False), even, backdrop[0], _MIN_SEPARATION)
    if body is None or not repeats_beside(lab, body[0]):
        return None
    found = _refine(fine, *body)
    scale = 2 if min(fine.shape[:2]) >= 2 * _SIDE else 1  # a lead is a few pixels wide there
    near = reduced(fine, scale * _SIDE, 8)
    solid = cv2.resize(found.astype(np.uint8), near.shape[1::-1], interpolation=cv2.INTER_AREA) > 0
    return _at_size(over_pattern(lab_from_rgb(near), np.asarray(solid, np.bool_)), *found.shape)


def _checked(mask: _SmallMask | None, lab: Lab, expected: Lab, least: float) -> tuple[_SmallMask, "_Sides"] | None:
    """The candidate and its sides, if it is an object that lies at least `least` CIELAB units from its background."""
    sides = None if mask is None else _measure_sides(mask, lab, expected)
    return None if mask is None or sides is None or not _is_object(mask, sides, least) else (mask, sides)


def _is_part(mask: _SmallMask, whole: _SmallMask, lab: Lab, expected: Lab) -> bool:
    """True when what stands out is but a part of a larger object: the core of a roll of white paper on a white table.

    What is added must not be a fringe alone: small things in their own soft shadows (capsules on a table) are no larger.
    A fringe that is no shade belongs to the part: the pale body around the contacts of a connector.
    """
    if int(whole.sum()) <= _PART * int(mask.sum()) or float(whole[mask > 0].mean()) <= 0.98:
        return False
    light = light_on(lab, expected)[(whole > 0) & (mask == 0)]
    if float(((light >= _UMBRA) & (light <= _FULL_LIGHT)).mean()) < _MIN_SHADED:
        return True
    beyond = int(whole[cv2.dilate(mask, _BOX7) == 0].sum())
    return 2 * beyond >= int(whole.sum()) - int(mask.sum())


def _find_object(lab: Lab, expected: Lab, spread: float, *, faint: bool) -> _SmallMask | None:
    """The candidate for the object on a small copy.

    Args:
        expected, spread: of the background, see `_background_of`.
        faint: all that differs from the background, however little.
    """
    distance = _length(lab - expected)
    levels = np.clip(distance * 4.0, 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    threshold = max(0.0 if faint else 0.7 * min(otsu / 4.0, 25.0), 3.0 * spread, 3.0)
    alike = distance < max(2.0 * spread, 0.35 * threshold, 2.0)
    mask = _keep_main_parts(_closed(np.asarray(distance > threshold, np.uint8), alike))
    if _lies_along_border(mask):
        mask = _keep_main_parts(1 - mask)
        mask = _fill_holes(mask, None)
    elif mask.any():
        light = light_on(lab, expected)
        mask = _fill_holes(mask, alike)
        for least in (_DEEP_SHADE, _HOLE_SHADE):  # a dark object looks like the deepest shade itself
            mask = _open_holes(mask, alike | ((light >= least) & (light <= _FULL_LIGHT)), light, lab, expected)
        mask = _without_cast_shadow(mask, light, lab, expected)
        mask = _without_deep_shadow(mask, light, lab)
        mask = _without_bridges(mask, light, lab)
    share = float(mask.mean())
    if not _MIN_SHARE <= share <= 1.0 - _MIN_SHARE:
        return None
    center, frame = _share_of_center_and_frame(mask)
    if share < 0.15 and center == 0.0 and frame > 0.0:  # nobody photographs a small part at the rim of the picture
        return None
    return mask


def _closed(apart: _SmallMask, alike: Mask) -> _SmallMask:
    """Small gaps of the candidate closed, and specks removed.

    Args:
        alike: what looks like the background. Where closing would join parts of a tray, the gaps between them stay.
    """
    closed = np.asarray(cv2.morphologyEx(apart, cv2.MORPH_CLOSE, _BOX5), np.uint8)
    bridges = _reaching_outside(closed & (1 - apart) & np.asarray(alike, np.uint8), closed)
    whole, split = (
        np.asarray(cv2.morphologyEx(one, cv2.MORPH_OPEN, _BOX3), np.uint8) for one in (closed, closed & (1 - bridges))
    )
    return np.asarray(split if _pieces(split) > _pieces(whole) else whole, np.uint8)


def _background_of(lab: Lab, pull: float) -> tuple[Lab, float]:
    """Background colour at every pixel, a quadratic surface fitted to the border, and the spread of the border about it."""
    everywhere, border = _terms(*lab.shape[:2])
    terms, target = everywhere[border], lab.reshape(-1, 3)[border]
    # start from the most frequent border colour, so that an object reaching the border does not pull the fit
    coefficients = np.zeros((terms.shape[1], 3), np.float32)
    coefficients[0] = _most_frequent(target)
    weight = np.ones(len(target), np.float32)
    stiffness = 1e-2 * np.diag(np.array([0, 0.3, 0.3, 1, 1, 1], np.float32))
    off = _length(target - coefficients[0])
    for _ in range(6):
        scale = min(max(1.0, 1.4826 * float(np.median(off))), pull)
        weight = 1.0 / (1.0 + (off / (2.0 * scale)) ** 2) ** 2
        normal = (terms * weight[:, None]).T @ terms + stiffness * weight.sum()
        coefficients = np.linalg.solve(normal, terms.T @ (target * weight[:, None])).astype(np.float32)
        off = _length(target - terms @ coefficients)
    expected = np.asarray(everywhere @ coefficients, np.float32).reshape(lab.shape)
    return expected, 1.4826 * float(np.median(off[weight >= np.median(weight)]))


def _length(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean length of (..., 3) colour differences."""
    return np.sqrt(np.einsum("...k,...k->...", difference, difference))


def _sample(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most about two thousand of many values, evenly: enough for a median."""
    return values[:: max(1, len(values) // 2048)]


def _median_color(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.median(_sample(colors), axis=0).astype(np.float32)


@lru_cache(maxsize=16)
def _terms(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Terms of a quadratic surface at every pixel, (H * W, 6), and the flat indices of about a thousand border pixels."""
    y, x = np.meshgrid(np.linspace(-1.0, 1.0, height), np.linspace(-1.0, 1.0, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1).reshape(-1, 6).astype(np.float32)
    ring = max(2, round(0.025 * min(height, width)))
    inside = np.zeros((height, width), np.bool_)
    inside[ring:-ring, ring:-ring] = True
    border = np.flatnonzero(~inside)
    return terms, border[:: max(1, len(border) // 1000)]


def _most_frequent(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the fullest cell of a coarse colour histogram (half-overlapping through a second, shifted one)."""
    best, most = colors[0], 0
    for shift in (0.0, 6.0):
        cells = np.floor((colors + shift) / 12.0).astype(np.int64)
        keys = (cells[:, 0] * 64 + cells[:, 1]) * 64 + cells[:, 2]
        values, counts = np.unique(keys, return_counts=True)
        if int(counts.max()) > most:
            most = int(counts.max())
            best = colors[keys == values[int(counts.argmax())]].mean(axis=0)
    return best


def _keep_main_parts(mask: _SmallMask) -> _SmallMask:
    """The largest component and those at least a quarter as large; of many scattered ones also the like of them.

    Where some of many parts touch, they are one large component; the others are whole parts all the same.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count <= 2:
        return mask
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0
    kept = areas * 4 >= areas.max()
    small = areas[~kept & (areas >= _MIN_PIECE * mask.size)]
    if len(small) >= _MANY - 1 and small.sum() > _SCATTERED * areas.sum():
        kept |= areas * 4 >= np.median(small)
    return np.asarray(kept[np.asarray(labels)], np.uint8) * np.asarray(mask > 0, np.uint8)


def _lies_along_border(mask: _SmallMask) -> bool:
    """True when the candidate is rather the background: it touches the frame and leaves the centre free.

    Parts that are scattered over a plain ground leave much of the centre free too, and the frame cuts some of them; but
    the others lie free.
    """
    center, frame = _share_of_center_and_frame(mask)
    if center >= 0.15 or frame <= max(0.1, 2.0 * center):
        return False
    labels = np.asarray(cv2.connectedComponents(mask, connectivity=8)[1])
    cut = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return float(np.isin(labels, cut[cut > 0]).sum()) > _CUT_SHARE * float(mask.sum())


def _share_of_center_and_frame(mask: _SmallMask) -> tuple[float, float]:
    height, width = mask.shape
    center = mask[height // 3 : height - height // 3, width // 3 : width - width // 3]
    frame = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return float(center.mean()), float(frame.mean())


def _fill_holes(mask: _SmallMask, like_background: Mask | None) -> _SmallMask:
    """Fill enclosed holes, except large ones that look mostly like the background."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(1 - mask, connectivity=4)
    height, width = mask.shape
    mask = mask.copy()
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[label])
        if x == 0 or y == 0 or x + w == width or y + h == height:
            continue
        hole = np.asarray(labels == label, np.bool_)
        if area < 0.003 * mask.size or like_background is None or float(like_background[hole].mean()) < 0.6:
            mask[hole] = 1
    return mask


def _without_cast_shadow(mask: _SmallMask, light: Field, lab: Lab, expected: Lab) -> _SmallMask:
    """The candidate without shadows on the background around it: smooth, and clearly lighter than what stays.

    A grey object also looks like a shadow of a lighter grey background, and so do parts of it; only what lies between
    the background and a much darker or otherwise coloured main part is taken away. On a coloured background no grey part
    looks so: there deep and sharp shadows are taken away, too.
    """
    shaded = (light >= _CAST_SHADE) & (light <= _FULL_LIGHT)
    shade = expected[..., 1:] * np.cbrt(light)[..., None]
    tint = _length(shade)
    sure = (
        (tint > _SURE_TINT) & (_length(lab[..., 1:] - shade) < _SURE_MATCH * tint) & (light >= _UMBRA) & (light <= _FULL_LIGHT)
    )
    calm = np.asarray(cv2.morphologyEx(np.ascontiguousarray(lab[..., 0]), cv2.MORPH_GRADIENT, _BOX3) < _CALM_SHADE)
    doubtful = _reaching_outside(np.asarray((mask > 0) & ((shaded & calm) | sure), np.uint8), mask)
    rest = np.asarray(cv2.morphologyEx(mask * (1 - doubtful), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)), np.uint8)
    if not doubtful.any() or int(rest.sum()) * 2 < int(mask.sum()):
        return mask
    # the blurred outline of the object looks like shadow as well
    kept = np.asarray(cv2.dilate(rest, _BOX3), np.uint8) & mask
    kept = np.asarray(cv2.morphologyEx(kept, cv2.MORPH_OPEN, _BOX3), np.uint8) | rest
    return _keep_main_parts(kept)


def _without_deep_shadow(mask: _SmallMask, light: Field, lab: Lab) -> _SmallMask:
    """The candidate without the shadow close beside it, which may be nearly black.

    Black and grey pieces of the part look like shade as well; but they end in a step, and a shadow in its penumbra.
    """
    shaded = (light >= _UMBRA) & (light <= _FULL_LIGHT)
    slope = np.asarray(cv2.morphologyEx(np.ascontiguousarray(lab[..., 0]), cv2.MORPH_GRADIENT, _BOX3))
    labels = np.asarray(
        cv2.connectedComponents(np.asarray((mask > 0) & shaded & (slope < _CALM_SHADE), np.uint8), connectivity=4)[1]
    )
    rim = np.asarray((mask > 0) & (cv2.erode(_fill_holes(mask, None), _BOX3) == 0))  # not of print or holes
    count = np.bincount(labels[rim], minlength=int(labels.max()) + 1)
    soft = np.bincount(labels[rim & (slope < _PENUMBRA)], minlength=len(count))
    fading = np.flatnonzero(soft > _FADING * np.maximum(count, 1))
    shadow = np.asarray(np.isin(labels, fading[fading > 0]), np.uint8)
    rest = np.asarray(cv2.morphologyEx(mask * (1 - shadow), cv2.MORPH_OPEN, _BOX3), np.uint8)
    if not shadow.any() or int(rest.sum()) * 2 < int(mask.sum()):
        return mask
    return _keep_main_parts(rest)


def _without_bridges(mask: _SmallMask, light: Field, lab: Lab) -> _SmallMask:
    """A tray of parts without those of its backdrop that are darker or lighter than its border told, and so count as object.

    Nothing but the threshold divides them from the rest of the backdrop, and they look like it in some light. They are taken
    away if more parts are found so, and the parts are most of it.
    """
    calm = np.asarray(cv2.morphologyEx(np.ascontiguousarray(lab[..., 0]), cv2.MORPH_GRADIENT, _BOX3) < _CALM, np.uint8)
    bridges = _reaching_outside(mask & calm & np.asarray(light > 0.0, np.uint8), mask)
    parts = _keep_main_parts(np.asarray(cv2.morphologyEx(mask & (1 - bridges), cv2.MORPH_OPEN, _BOX3), np.uint8))
    more = _pieces(parts) >= max(_MANY, _pieces(mask) + 1)
    filled = float(parts.mean()) > max(_MIN_FILLED, 0.5 * float(mask.mean()))
    return parts if more and filled else mask


def _pieces(mask: _SmallMask) -> int:
    return int(cv2.connectedComponents(mask)[0]) - 1


def _reaching_outside(part: _SmallMask, mask: _SmallMask) -> _SmallMask:
    """The components of `part` that touch what is not in `mask`."""
    labels = np.asarray(cv2.connectedComponents(part, connectivity=4)[1])
    touching = np.unique(labels[cv2.erode(mask, _BOX3) == 0])
    return np.asarray(np.isin(labels, touching[touching > 0]), np.uint8)


def _open_holes(mask: _SmallMask, like_background: Mask, light: Field, lab: Lab, expected: Lab) -> _SmallMask:
    """Cut regions out of the object that it encloses and that look like background in full light or in shadow.

    Such a region must be clearly nearer to the background than to the object right around it.
    """
    inner = np.asarray(cv2.erode(mask, _BOX3), np.uint8)
    candidate = np.asarray(cv2.morphologyEx(np.asarray(like_background, np.uint8) & inner, cv2.MORPH_OPEN, _BOX3), np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(candidate, connectivity=4)
    for label in range(1, count):
        if stats[label][cv2.CC_STAT_AREA] < 0.003 * mask.size:
            continue
        hole = np.asarray(labels == label, np.uint8)
        wide = np.asarray(cv2.dilate(hole, np.ones((9, 9), np.uint8)), np.bool_)
        ring = wide & (cv2.dilate(hole, _BOX5) == 0)
        if not ring.any() or float(mask[ring].mean()) < 0.95:  # it reaches the outside
            continue
        inside = np.asarray(hole, np.bool_)
        if float(np.median(light[inside])) < _HOLE_SHADE:
            continue
        to_background = float(np.median(_length(lab[inside] - expected[inside])))
        to_object = np.percentile(_length(lab[ring] - _median_color(lab[inside])), 20.0)
        if to_object > max(1.5 * to_background, _MIN_SEPARATION):
            mask = mask & (1 - np.asarray(cv2.dilate(hole, _BOX3), np.uint8))
    return mask


class _Sides(NamedTuple):
    """Surely object and surely background around the outline of a small mask, and their local mean colours.

    `lit` is the background without the shade that the object throws on it: how even a backdrop is shows there.
    """

    lab: Lab
    inner: Mask
    outer: Mask
    lit: Mask
    inside: Lab
    outside: Lab


def _measure_sides(mask: _SmallMask, lab: Lab, expected: Lab) -> _Sides | None:
    inner, outer = np.asarray(cv2.erode(mask, _BOX5) > 0), np.asarray(cv2.dilate(mask, _BOX5) == 0)
    if not inner.any() or not outer.any():
        return None
    lit = outer & ~_thrown_shade(mask, lab, expected)
    return _Sides(lab, inner, outer, lit, _local_mean(lab, inner, 13), _local_mean(lab, outer, 13))


def _thrown_shade(mask: _SmallMask, lab: Lab, expected: Lab) -> Mask:
    """Shade of the background that hangs together with the object.

    Nothing on an uneven backdrop, beside a spot, or where most is shade: a spotted surface has it all over.
    """
    light = light_on(lab, expected)
    shaded = np.asarray((light >= _UMBRA) & (light <= _LIT) & (mask == 0), np.uint8)
    labels = np.asarray(cv2.connectedComponents(np.asarray(cv2.morphologyEx(shaded, cv2.MORPH_OPEN, _BOX3)), connectivity=4)[1])
    near = np.asarray(cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0) & (mask == 0)
    touching = np.unique(labels[near])
    thrown = np.asarray(np.isin(labels, touching[touching > 0]))
    border = _terms(*mask.shape)[1]
    even = _length((lab - expected).reshape(-1, 3)[border]) < _EVEN
    doubtful = float(even.mean()) < _MIN_EVEN or float(mask.mean()) < _MIN_THROWING
    most = max(_MAX_THROWN * float((mask == 0).sum()), _MAX_THROWN_SIZE * float(mask.sum()))
    if doubtful or float(thrown[near].mean()) > _MAX_THROWN_BESIDE or float(thrown.sum()) > most:
        return np.zeros_like(thrown)
    return np.asarray(cv2.dilate(thrown.astype(np.uint8), _BOX5) > 0)


def _local_mean(lab: Lab, where: Mask, side_px: int) -> Lab:
    """Mean over a square window of those pixels that `where` is true for; 0 where there are none."""
    weight = where.astype(np.float32)
    stack = np.dstack([lab * weight[..., None], weight])
    total = np.asarray(cv2.blur(stack, (side_px, side_px), borderType=cv2.BORDER_REFLECT), np.float32)
    return np.asarray(total[..., :3] / np.maximum(total[..., 3:], 1e-6), np.float32)


def _is_object(mask: _SmallMask, sides: _Sides, least: float) -> bool:
    """Well apart in colour from the background, with its outline on real edges, and in few pieces."""
    lab = sides.lab
    if _is_ragged(mask):
        return False
    along = np.asarray(cv2.dilate(mask, _BOX3) - cv2.erode(mask, _BOX3), np.bool_)
    jump = _length(sides.inside[along] - sides.outside[along])
    background = lab[sides.outer]
    separation = float(_length(_median_color(lab[sides.inner]) - _median_color(background)))
    if max(separation, float(np.median(jump))) < least:
        return False
    # the colour must change within a few pixels, and more than it does from pixel to pixel of the background
    spread = 1.4826 * float(np.median(_sample(np.abs(background[:, 0] - sides.outside[..., 0][sides.outer]))))
    crisp = float((jump > max(min(_MIN_EDGE * max(separation, least), 10.0), 2.0 * spread)).mean())
    steepest = np.asarray(cv2.morphologyEx(lab, cv2.MORPH_GRADIENT, _BOX3), np.float32)
    slope = np.maximum(np.maximum(steepest[..., 0], steepest[..., 1]), steepest[..., 2])
    edge = float(np.median(cv2.dilate(slope, _BOX3)[along]))
    calm = sides.lit if sides.lit.any() else sides.outer
    if crisp < 0.7 or edge < _MIN_EDGE_RATIO * float(np.percentile(_sample(slope[calm]), 90.0)):
        return False
    return _is_clear(along, sides)


def _is_ragged(mask: _SmallMask) -> bool:
    """True when the outline is longer, or its pieces are less round and alike, than an object or a tray of parts shows.

    The blots of a patterned surface differ in size, and bays and necks cut into them.
    """
    contours, _ = cv2.findContours(np.pad(mask, 1), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    complexity = sum(cv2.arcLength(contour, True) for contour in contours) ** 2 / max(float(mask.sum()), 1.0)
    outer, _ = cv2.findContours(np.pad(mask, 1), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if len(outer) < _MANY:
        return complexity > _MAX_COMPLEXITY
    hulls = [cv2.convexHull(contour) for contour in outer]
    areas, hull_areas = (np.array([pixels_within(polygon) for polygon in polygons]) for polygons in (outer, hulls))
    solidities = areas / hull_areas
    solidity = float(np.median(solidities))
    if complexity <= _MAX_COMPLEXITY and float(np.median(areas)) >= _MIN_SAME_PIECE * mask.size:
        same = (np.abs(np.log2(areas / np.median(areas))) < _SAME_SIZE) & (np.abs(solidities - solidity) < _SAME_SOLIDITY)
        if float(same.mean()) >= _MIN_SAME:
            return False
    if complexity <= _MAX_COMPLEXITY:
        return solidity < _MIN_SOLIDITY
    alike = float((np.abs(np.log2(areas / np.median(areas))) < 1.0).mean())
    crowded = complexity > _MAX_PIECE_COMPLEXITY * len(outer)
    return crowded or solidity < _MIN_TRAY_SOLIDITY or alike < _MIN_ALIKE


def _is_clear(along: Mask, sides: _Sides) -> bool:
    """True when nearly the whole outline is a step that the background beside it could not show by itself.

    It tells an object from the brighter part of an unevenly lit or spotted surface, whose outline is drawn by the threshold.
    """
    calm = sides.lit if sides.lit.any() else sides.outer
    inside, outside = _local_mean(sides.lab, sides.inner, 7), _local_mean(sides.lab, calm, 7)
    known = along & inside.any(axis=2) & outside.any(axis=2)
    if not known.any():
        return False
    step = float(np.percentile(_length(inside[known] - outside[known]), 20.0))
    uneven = np.abs(sides.lab[calm] - sides.outside[calm]).max(axis=1)
    return step >= _MIN_CLEARNESS * float(np.percentile(_sample(uneven), 90.0))


def _refine(fine: RGB, mask: _SmallMask, sides: _Sides) -> Mask:
    """Draw the outline at the resolution of `fine`: each pixel near it joins the side whose local colour is closer."""
    height, width = fine.shape[:2]
    band = np.asarray(cv2.dilate(mask, _BOX5) - cv2.erode(mask, _BOX5), np.uint8)
    near = np.asarray(cv2.resize(band, (width, height), interpolation=cv2.INTER_NEAREST), np.bool_)
    soft = np.asarray(cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    found = soft >= 0.5
    rows, columns = np.nonzero(near)
    at = (rows * mask.shape[0] // height, columns * mask.shape[1] // width)
    here = lab_from_rgb(fine[near][None])[0]
    to_inside = _length(here - sides.inside[at])
    to_outside = _length(here - sides.outside[at])
    # closeness to each side, tempered by the coarse outline
    share = to_outside / np.maximum(to_inside + to_outside, 1e-3)
    # what the background shows in a cast shadow is background, unless the object looks like that itself
    light = light_on(here, sides.outside[at])
    shadow = (light >= _CAST_SHADE) & (light <= _FULL_LIGHT) & (to_inside > SHADE_TINT)
    inner = light_on(sides.lab[sides.inner], _median_color(sides.lab[sides.outer]))
    if float(((inner >= _CAST_SHADE) & (inner <= _FULL_LIGHT)).mean()) > 0.3:
        shadow &= light_on(sides.inside[at], sides.outside[at]) < _CAST_SHADE
    found[near] = (0.6 * share + 0.4 * soft[near] >= 0.5) & ~shadow
    cleaned = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, _BOX3)
    return np.asarray(cv2.morphologyEx(cleaned, cv2.MORPH_CLOSE, _BOX3), np.bool_)
