"""What goes with a part that is lifted from an even ground: the rim that its outline missed, its thin ends, its shadow.

Without them a part that is taken away leaves its shadow, a ring of its colour or a stump behind.
"""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb, light_on

__all__ = ["REACH", "Belongings", "belongings_of"]

REACH = 1.3
"""So far beyond its mask, in sizes of the part, what belongs to it is looked for."""

_GROUND = (0.2, 0.8)  # of the size: from where to where the ground is measured
_ALIKE, _SHARE = 5.0, 0.35  # CIELAB units within which, and share of what lies around the part that must be ground
_EVEN = 3.0  # CIELAB units: what varies more by itself is no even ground
_APART, _SPREADS = 2.0, 3.5  # CIELAB units and spreads of the ground: what lies further off is not ground
_NEAR = 0.2  # of the size: so wide is a rim that the mask missed at the most
_EDGE = 0.1  # of the size: so wide is the edge of a part whose colour its rim has
_MOST = 1.2  # of the part's area: more than that is not its own
_LEAST = 0.02  # of the part's area: less is not worth it
_PENUMBRA = 0.06  # of the size: so far a shadow fades beyond what can be told from the ground


class Belongings(NamedTuple):
    """(h, w) bool each: what is of the part's own matter beside its mask, and the shade that it throws."""

    matter: Mask
    shade: Mask


def belongings_of(rgb: RGB, mask: Mask) -> Belongings | None:
    """What belongs to the part of a mask; None where it lies on no even ground, or has nothing beside it.

    Args:
        rgb: (h, w, 3) float32 0..1, the photo around the part, `REACH` sizes to each side where the photo goes so far.
        mask: (h, w) bool, the part.
    """
    area = int(np.count_nonzero(mask))
    size = float(np.sqrt(area))
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 3)
    ring = (away > _GROUND[0] * size) & (away < _GROUND[1] * size)
    if np.count_nonzero(ring) < 0.5 * area:
        return None
    lab = lab_from_rgb(np.asarray(cv2.GaussianBlur(rgb, (0, 0), 1.0), np.float32))
    ground, spread = _ground(lab[ring])
    if spread > _EVEN:
        return None
    off = np.linalg.norm(lab - ground, axis=2)
    apart = (off > max(_APART, _SPREADS * spread)) & ~mask & (away <= REACH * size)
    edge = mask & (cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3) < _EDGE * size + 2.0)
    alike = np.linalg.norm(lab - np.median(lab[edge], axis=0), axis=2) < off
    found = _own(np.asarray(apart, np.bool_), mask, np.asarray(away, np.float32), np.asarray(alike, np.bool_))
    if not _LEAST * area < np.count_nonzero(found) < _MOST * area:
        return None
    light = light_on(lab, ground)
    shade = found & (light > 0.0) & (light < 1.0)
    faint = round(_PENUMBRA * size) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * faint + 1, 2 * faint + 1))
    fading = (cv2.dilate(found.astype(np.uint8), disc) > 0) & ~mask & ~found & (off < 2.0 * _APART)
    return Belongings(found & ~shade, shade | fading)


def _ground(colors: Lab) -> tuple[Lab, float]:
    """The most frequent of (n, 3) colours and how far the ground strays from it; infinitely where there is no such ground."""
    colors = colors[:: max(1, len(colors) // 4096)]
    ordered = colors[np.argsort(colors[:, 0])]
    starts = ordered[(np.linspace(0.05, 0.95, 19) * (len(ordered) - 1)).astype(int)]
    near = [np.linalg.norm(colors - start, axis=1) < _ALIKE for start in starts]
    most = max(near, key=np.count_nonzero)
    if float(most.mean()) < _SHARE:
        return colors[0], np.inf
    ground = np.median(colors[most], axis=0)
    off = np.linalg.norm(colors - ground, axis=1)
    return ground, 1.4826 * float(np.median(off[off < 1.5 * _ALIKE]))


def _own(apart: Mask, mask: Mask, away: Field, alike: Mask) -> Mask:
    """Of what stands out from the ground that which begins at the part and ends within reach, and the part's missed rim.

    Where most of it goes on beyond the reach (traces of a board, walls of a tray) only the rim is the part's own.

    Args:
        away: pixels to the part. alike: what has the colour of the part's edge rather than that of the ground.
    """
    size = float(np.sqrt(np.count_nonzero(mask)))
    joined = cv2.morphologyEx(apart.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    joined = cv2.morphologyEx(joined, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)) * (~mask).astype(np.uint8)
    labels = np.asarray(cv2.connectedComponents(joined.astype(np.uint8), connectivity=8)[1])
    touching = np.unique(labels[cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0])
    at_border = np.zeros(mask.shape, np.bool_)
    at_border[[0, -1]], at_border[:, [0, -1]] = True, True
    leaving = np.unique(labels[at_border | (away > REACH * size - 2.0)])
    begun = np.isin(labels, touching[touching > 0])
    whole = begun & ~np.isin(labels, leaving)
    colored = np.asarray(cv2.connectedComponents((begun & alike).astype(np.uint8), connectivity=4)[1])
    neighbours = np.unique(colored[away > _NEAR * size])  # a rim ends there
    rim = begun & alike & ~np.isin(colored, neighbours)
    return np.asarray(rim if 2 * np.count_nonzero(whole) < np.count_nonzero(begun) else whole | rim, np.bool_)
