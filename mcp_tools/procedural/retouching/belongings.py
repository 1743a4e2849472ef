"""What goes with a part that is lifted from an even ground: the rim that its outline missed, its thin ends, its shadow.

Without them a part that is taken away leaves its shadow, a ring of its colour or a stump behind.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask, SmallMask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb, light_on

__all__ = ["REACH", "Belongings", "belongings_of", "cast_shade_of"]

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
_BESIDE = 0.15  # of the size: so near a part its shadow is darkest
_AFAR = (0.5, 0.9)  # of the size: there lies ground in full light
_SHADED, _LIT = 0.9, 0.96  # of the light: so little there is in a shadow, so much on the side of the lamp and where it ends
_GREY_SHADE = 0.2  # spread of the light's share over the channels: a shadow dims them all
_BRIGHT, _BLACK, _BROAD = 1.5, 0.5, 0.05  # of the ground's light, of the shadow's light, and half its width: a neighbour
_LONGEST_SHADE = 0.8  # of the size
_LEAST_PICK = 12  # pixels on one side, of which a median says something; half as many of one distance


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


def cast_shade_of(rgb: RGB, mask: Mask) -> Mask | None:
    """(h, w) bool: the shadow that a part throws to one side over ground of several tones (a board with tracks); None where
    there is none. It is told by the medians of what lies equally far from the part, which tracks do not sway.

    Args:
        rgb, mask: see `belongings_of`.
    """
    size = float(np.sqrt(np.count_nonzero(mask)))
    away = np.asarray(cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5), np.float32)
    dy, dx = np.gradient(cv2.GaussianBlur(away, (0, 0), 1.0))
    light = np.asarray(rgb, np.float32) ** 2.2
    afar = (away > _AFAR[0] * size) & (away < _AFAR[1] * size)
    if np.count_nonzero(afar) < 0.3 * np.count_nonzero(mask):
        return None
    ground = np.maximum(np.median(light[afar], axis=0), 1e-3)
    share = np.asarray(light / ground, np.float32)
    weights = np.asarray(ground / ground.sum(), np.float32)  # in a dark channel one level of 8 bits is a large share
    heading = _heading_of_shade(share, weights, (away > 1.5) & (away < _BESIDE * size + 3.0), dx, dy)
    if heading is None:
        return None
    ahead = (dx * np.cos(heading) + dy * np.sin(heading) > 0.6) & ~mask
    profile = np.ones((int(_LONGEST_SHADE * size) + 1, 3))
    for step in range(1, len(profile)):
        pick = ahead & (away > step - 1.0) & (away <= step + 1.0)
        if np.count_nonzero(pick) >= _LEAST_PICK // 2:
            profile[step] = np.median(share[pick], axis=0)
    dim = profile @ weights
    ended = np.flatnonzero(dim[2:] > _LIT)
    if ended.size == 0 or ended[0] < 1 or np.ptp(profile[2 : 2 + ended[0]].mean(axis=0)) > _GREY_SHADE:
        return None
    swept = _swept(mask, heading, float(ended[0] + 2) + _PENUMBRA * size)
    soft = 2 * round(0.5 * _PENUMBRA * size + 1.0) + 1
    grown = cv2.dilate(swept, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (soft, soft)))
    # a neighbour in it, which is no ground in shade, stays
    other = (share.max(axis=2) > _BRIGHT) | (share @ weights < _BLACK * float(dim[2 : 2 + ended[0]].min()))
    broad = 2 * round(_BROAD * size) + 3
    other = cv2.morphologyEx((other & ~mask).astype(np.uint8), cv2.MORPH_OPEN, np.ones((broad, broad), np.uint8))
    other = cv2.dilate(other, np.ones((5, 5), np.uint8)) > 0
    return np.asarray((grown > 0) & ~mask & ~other, np.bool_)


def _heading_of_shade(share: RGB, weights: NDArray[np.float32], beside: Mask, dx: Field, dy: Field) -> float | None:
    """Direction in radians, image coordinates, to which a part throws its shadow; None where no side is dark and the opposite
    one in full light.

    Args:
        share: (h, w, 3) of the ground's light. weights: (3,) of the channels.
        beside: (h, w) bool, what lies right beside the part.
        dx, dy: (h, w) direction away from it.
    """
    turns = np.arange(8) * np.pi / 4
    shares = np.ones(8)
    for index, turn in enumerate(turns):
        pick = beside & (dx * np.cos(turn) + dy * np.sin(turn) > 0.85)
        if np.count_nonzero(pick) >= _LEAST_PICK:
            shares[index] = float(np.median(share[pick], axis=0) @ weights)
    darkest = int(shares.argmin())
    if shares[darkest] > _SHADED or shares[(darkest + 4) % 8] < _LIT:
        return None
    taken = np.clip(1.0 - shares, 0.0, 1.0)
    return float(np.arctan2((taken * np.sin(turns)).sum(), (taken * np.cos(turns)).sum()))


def _swept(mask: Mask, heading: float, reach_px: float) -> SmallMask:
    """(h, w) uint8, 1 over all that a part covers on a way to one side."""
    part = mask.astype(np.uint8)
    swept = part.copy()
    for step in np.arange(1.0, reach_px + 1.0):
        matrix = np.array([[1, 0, step * np.cos(heading)], [0, 1, step * np.sin(heading)]], np.float32)
        moved = cv2.warpAffine(part, matrix, mask.shape[::-1], flags=cv2.INTER_NEAREST)
        swept = np.maximum(swept, np.asarray(moved, np.uint8))
    return swept


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
