"""Whether a candidate is an object: well apart in colour from its background, with its outline on real edges, in few pieces.

It is measured between what is surely object and what is surely background on either side of the outline.
"""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Lab, Mask, SmallMask
from anomalyagent.mcp_tools.imaging.backdrop import UMBRA, border_of, color_length, median_color, some_of
from anomalyagent.mcp_tools.imaging.color import light_on
from anomalyagent.mcp_tools.imaging.measures import pixels_within

__all__ = ["MANY", "Sides", "is_object", "measure_sides"]

_MIN_EDGE = 0.45  # part of the separation (10 units are always enough) that must happen within a few pixels of the outline
_MIN_EDGE_RATIO = 3.0  # steepness of the outline against the steepest tenth of the background
_MIN_CLEARNESS = 5.0  # step that four fifths of the outline exceed, against how uneven the background is beside it
_LIT = 0.9  # light from which on a background is not shaded but uneven
# share of the outline, and of the background, that an object may throw shade on; more if it is no more than its own size
_MAX_THROWN_BESIDE, _MAX_THROWN, _MAX_THROWN_SIZE = 0.7, 0.4, 1.0
_EVEN, _MIN_EVEN = 4.0, 0.7  # CIELAB units about its fit within which an even border lies, and the share of it that must
_MIN_THROWING = 0.05  # share of the frame from which on an object is no spot with a soft border
MANY = 4  # pieces from which on they are looked at as a set
_MIN_SOLIDITY, _MIN_TRAY_SOLIDITY = 0.85, 0.9  # median share of its convex hull that a piece of several, of very many fills
_MIN_ALIKE = 0.6  # share of very many pieces that have about the usual size
# pieces of one shape, convex or not (hooks, pasta): share of them that are, how far their sizes (octaves) and solidities lie
# from the usual ones, and the usual share of the frame
_MIN_SAME, _SAME_SIZE, _SAME_SOLIDITY, _MIN_SAME_PIECE = 0.8, 0.5, 0.1, 0.01
_MAX_COMPLEXITY = 220.0  # outline^2 / area: 13 for a disc, about 130 for ten discs
_MAX_PIECE_COMPLEXITY = 40.0  # outline^2 / area for each of many like pieces: 13 for a disc, 23 for a bar of 1 : 4

_BOX3, _BOX5 = (np.ones((side, side), np.uint8) for side in (3, 5))


class Sides(NamedTuple):
    """Surely object and surely background around the outline of a small mask, and their local mean colours.

    `lit` is the background without the shade that the object throws on it: how even a backdrop is shows there.
    """

    lab: Lab
    inner: Mask
    outer: Mask
    lit: Mask
    inside: Lab
    outside: Lab


def measure_sides(mask: SmallMask, lab: Lab, expected: Lab) -> Sides | None:
    """The two sides of a candidate's outline; None when one of them is nowhere sure."""
    inner, outer = np.asarray(cv2.erode(mask, _BOX5) > 0), np.asarray(cv2.dilate(mask, _BOX5) == 0)
    if not inner.any() or not outer.any():
        return None
    lit = outer & ~_thrown_shade(mask, lab, expected)
    return Sides(lab, inner, outer, lit, _local_mean(lab, inner, 13), _local_mean(lab, outer, 13))


def _thrown_shade(mask: SmallMask, lab: Lab, expected: Lab) -> Mask:
    """Shade of the background that hangs together with the object.

    Nothing on an uneven backdrop, beside a spot, or where most is shade: a spotted surface has it all over.
    """
    light = light_on(lab, expected)
    shaded = np.asarray((light >= UMBRA) & (light <= _LIT) & (mask == 0), np.uint8)
    labels = np.asarray(cv2.connectedComponents(np.asarray(cv2.morphologyEx(shaded, cv2.MORPH_OPEN, _BOX3)), connectivity=4)[1])
    near = np.asarray(cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0) & (mask == 0)
    touching = np.unique(labels[near])
    thrown = np.asarray(np.isin(labels, touching[touching > 0]))
    even = color_length((lab - expected).reshape(-1, 3)[border_of(*mask.shape)]) < _EVEN
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


def is_object(mask: SmallMask, sides: Sides, least: float) -> bool:
    """Well apart in colour from the background, with its outline on real edges, and in few pieces."""
    lab = sides.lab
    if _is_ragged(mask):
        return False
    along = np.asarray(cv2.dilate(mask, _BOX3) - cv2.erode(mask, _BOX3), np.bool_)
    jump = color_length(sides.inside[along] - sides.outside[along])
    background = lab[sides.outer]
    separation = float(color_length(median_color(lab[sides.inner]) - median_color(background)))
    if max(separation, float(np.median(jump))) < least:
        return False
    # the colour must change within a few pixels, and more than it does from pixel to pixel of the background
    spread = 1.4826 * float(np.median(some_of(np.abs(background[:, 0] - sides.outside[..., 0][sides.outer]))))
    crisp = float((jump > max(min(_MIN_EDGE * max(separation, least), 10.0), 2.0 * spread)).mean())
    steepest = np.asarray(cv2.morphologyEx(lab, cv2.MORPH_GRADIENT, _BOX3), np.float32)
    slope = np.maximum(np.maximum(steepest[..., 0], steepest[..., 1]), steepest[..., 2])
    edge = float(np.median(cv2.dilate(slope, _BOX3)[along]))
    calm = sides.lit if sides.lit.any() else sides.outer
    if crisp < 0.7 or edge < _MIN_EDGE_RATIO * float(np.percentile(some_of(slope[calm]), 90.0)):
        return False
    return _is_clear(along, sides)


def _is_ragged(mask: SmallMask) -> bool:
    """True when the outline is longer, or its pieces are less round and alike, than an object or a tray of parts shows.

    The blots of a patterned surface differ in size, and bays and necks cut into them.
    """
    contours, _ = cv2.findContours(np.pad(mask, 1), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    complexity = sum(cv2.arcLength(contour, True) for contour in contours) ** 2 / max(float(mask.sum()), 1.0)
    outer, _ = cv2.findContours(np.pad(mask, 1), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if len(outer) < MANY:
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


def _is_clear(along: Mask, sides: Sides) -> bool:
    """True when nearly the whole outline is a step that the background beside it could not show by itself.

    It tells an object from the brighter part of an unevenly lit or spotted surface, whose outline is drawn by the threshold.
    """
    calm = sides.lit if sides.lit.any() else sides.outer
    inside, outside = _local_mean(sides.lab, sides.inner, 7), _local_mean(sides.lab, calm, 7)
    known = along & inside.any(axis=2) & outside.any(axis=2)
    if not known.any():
        return False
    step = float(np.percentile(color_length(inside[known] - outside[known]), 20.0))
    uneven = np.abs(sides.lab[calm] - sides.outside[calm]).max(axis=1)
    return step >= _MIN_CLEARNESS * float(np.percentile(some_of(uneven), 90.0))
