"""The candidate for the object: what lies off the backdrop's colour, without its holes, shadows and bridges between parts.

`lab` is a small copy of the photo, `expected` the backdrop at every pixel of it, and `light` how much of its full light the
backdrop would get at a pixel if it were seen there.
"""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Field, Lab, Mask, SmallMask
from anomalyagent.mcp_tools.imaging.backdrop import CAST_SHADE, UMBRA, color_length, is_shaded, median_color
from anomalyagent.mcp_tools.imaging.color import light_on
from anomalyagent.mcp_tools.imaging.sides import MANY

__all__ = ["MIN_SEPARATION", "find_candidate", "reaching_outside"]

MIN_SEPARATION = 8.0  # CIELAB units between object and background
_MIN_SHARE = 0.02  # of the frame, for the object and for the background
_HOLE_SHADE, _DEEP_SHADE = 0.2, 0.02  # light of the backdrop, see `CAST_SHADE`, in a hole: typically, and deep in it
_SURE_TINT, _SURE_MATCH = 6.0, 0.35  # CIELAB chroma of the shade of a coloured background, and how far off it a pixel may be
# CIELAB L within 3 pixels of the small copy that a shadow does not exceed, and its border in that share
_CALM_SHADE, _PENUMBRA, _FADING = 12.0, 9.0, 0.8
_CUT_SHARE = 0.8  # of a background that lies along the border, how much at least hangs together with the frame
_MIN_FILLED = 0.1  # share of the frame that parts on an uneven backdrop must fill; a few scratches fill less
_SCATTERED, _MIN_PIECE = 0.25, 0.002  # share of the pieces beside the main ones, and of each in the frame, to be parts as well
_CALM = 4.0  # CIELAB L from pixel to pixel that an uneven backdrop does not exceed

_BOX3, _BOX5 = (np.ones((side, side), np.uint8) for side in (3, 5))


def find_candidate(lab: Lab, expected: Lab, spread: float, *, faint: bool) -> SmallMask | None:
    """The candidate for the object, (h, w) 0 or 1; None when there is none, or it would fill the frame.

    Args:
        expected, spread: of the background, see `fit_backdrop`.
        faint: all that differs from the background, however little.
    """
    distance = color_length(lab - expected)
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
            mask = _open_holes(mask, alike | is_shaded(light, least), light, lab, expected)
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


def _closed(apart: SmallMask, alike: Mask) -> SmallMask:
    """Small gaps of the candidate closed, and specks removed.

    Args:
        alike: what looks like the background. Where closing would join parts of a tray, the gaps between them stay.
    """
    closed = np.asarray(cv2.morphologyEx(apart, cv2.MORPH_CLOSE, _BOX5), np.uint8)
    bridges = reaching_outside(closed & (1 - apart) & np.asarray(alike, np.uint8), closed)
    whole, split = (
        np.asarray(cv2.morphologyEx(one, cv2.MORPH_OPEN, _BOX3), np.uint8) for one in (closed, closed & (1 - bridges))
    )
    return np.asarray(split if _pieces(split) > _pieces(whole) else whole, np.uint8)


def _keep_main_parts(mask: SmallMask) -> SmallMask:
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
    if len(small) >= MANY - 1 and small.sum() > _SCATTERED * areas.sum():
        kept |= areas * 4 >= np.median(small)
    return np.asarray(kept[np.asarray(labels)], np.uint8) * np.asarray(mask > 0, np.uint8)


def _lies_along_border(mask: SmallMask) -> bool:
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


def _share_of_center_and_frame(mask: SmallMask) -> tuple[float, float]:
    height, width = mask.shape
    center = mask[height // 3 : height - height // 3, width // 3 : width - width // 3]
    frame = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return float(center.mean()), float(frame.mean())


def _fill_holes(mask: SmallMask, like_background: Mask | None) -> SmallMask:
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


def _without_cast_shadow(mask: SmallMask, light: Field, lab: Lab, expected: Lab) -> SmallMask:
    """The candidate without shadows on the background around it: smooth, and clearly lighter than what stays.

    A grey object also looks like a shadow of a lighter grey background, and so do parts of it; only what lies between
    the background and a much darker or otherwise coloured main part is taken away. On a coloured background no grey part
    looks so: there deep and sharp shadows are taken away, too.
    """
    shaded = is_shaded(light, CAST_SHADE)
    shade = expected[..., 1:] * np.cbrt(light)[..., None]
    tint = color_length(shade)
    sure = (tint > _SURE_TINT) & (color_length(lab[..., 1:] - shade) < _SURE_MATCH * tint) & is_shaded(light, UMBRA)
    calm = np.asarray(cv2.morphologyEx(np.ascontiguousarray(lab[..., 0]), cv2.MORPH_GRADIENT, _BOX3) < _CALM_SHADE)
    doubtful = reaching_outside(np.asarray((mask > 0) & ((shaded & calm) | sure), np.uint8), mask)
    rest = np.asarray(cv2.morphologyEx(mask * (1 - doubtful), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)), np.uint8)
    if not doubtful.any() or int(rest.sum()) * 2 < int(mask.sum()):
        return mask
    # the blurred outline of the object looks like shadow as well
    kept = np.asarray(cv2.dilate(rest, _BOX3), np.uint8) & mask
    kept = np.asarray(cv2.morphologyEx(kept, cv2.MORPH_OPEN, _BOX3), np.uint8) | rest
    return _keep_main_parts(kept)


def _without_deep_shadow(mask: SmallMask, light: Field, lab: Lab) -> SmallMask:
    """The candidate without the shadow close beside it, which may be nearly black.

    Black and grey pieces of the part look like shade as well; but they end in a step, and a shadow in its penumbra.
    """
    shaded = is_shaded(light, UMBRA)
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


def _without_bridges(mask: SmallMask, light: Field, lab: Lab) -> SmallMask:
    """A tray of parts without those of its backdrop that are darker or lighter than its border told, and so count as object.

    Nothing but the threshold divides them from the rest of the backdrop, and they look like it in some light. They are taken
    away if more parts are found so, and the parts are most of it.
    """
    calm = np.asarray(cv2.morphologyEx(np.ascontiguousarray(lab[..., 0]), cv2.MORPH_GRADIENT, _BOX3) < _CALM, np.uint8)
    bridges = reaching_outside(mask & calm & np.asarray(light > 0.0, np.uint8), mask)
    parts = _keep_main_parts(np.asarray(cv2.morphologyEx(mask & (1 - bridges), cv2.MORPH_OPEN, _BOX3), np.uint8))
    more = _pieces(parts) >= max(MANY, _pieces(mask) + 1)
    filled = float(parts.mean()) > max(_MIN_FILLED, 0.5 * float(mask.mean()))
    return parts if more and filled else mask


def _pieces(mask: SmallMask) -> int:
    return int(cv2.connectedComponents(mask)[0]) - 1


def reaching_outside(part: SmallMask, mask: SmallMask) -> SmallMask:
    """The components of `part` that touch what is not in `mask`."""
    labels = np.asarray(cv2.connectedComponents(part, connectivity=4)[1])
    touching = np.unique(labels[cv2.erode(mask, _BOX3) == 0])
    return np.asarray(np.isin(labels, touching[touching > 0]), np.uint8)


def _open_holes(mask: SmallMask, like_background: Mask, light: Field, lab: Lab, expected: Lab) -> SmallMask:
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
        to_background = float(np.median(color_length(lab[inside] - expected[inside])))
        to_object = np.percentile(color_length(lab[ring] - median_color(lab[inside])), 20.0)
        if to_object > max(1.5 * to_background, MIN_SEPARATION):
            mask = mask & (1 - np.asarray(cv2.dilate(hole, _BOX3), np.uint8))
    return mask
