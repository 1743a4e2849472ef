"""An object before a backdrop with a regular pattern: a part on a perforated board, on a grating, on a checked mat.

The pattern hides an object from whoever compares colours pixel by pixel. Seen without detail the backdrop is even, so that the
body stands out; that a pattern repeats beside it tells it from the spots of a surface. Slender parts of the object (leads) are
lost with the detail: they are what hangs on the body in a colour that the backdrop does not have.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.repetition import autocorrelation, find_shifts

__all__ = ["over_pattern", "repeats_beside", "without_detail"]

_DETAIL = 0.05  # of the longer side, to either side of a pixel
_PITCH = (5.0, 0.35)  # of a pattern: pixels at least, share of the shorter side at most
_BESIDE = 0.1  # of the picture: where less of the backdrop is seen, nothing can be told of it
_LEAST = 0.35  # correlation at the shortest shift, at the shortest across it, and at both together
_TRIES = 4  # shifts, the shortest first
_ACROSS = 0.5  # sine of the angle between the two
_OVERLAP = 0.3  # of the most that two copies of what is seen share: where they share less, nothing can be told
_RIM = 0.12  # of the shorter side: the backdrop's colours are those along the frame
_COLORS = 6  # of the backdrop
_SAMPLE = 4000
_KEPT = 0.6  # of a body that has not the backdrop's usual colour, else it says nothing
_OWN = 12.0  # CIELAB units, at least, by which an object differs from a colour of the backdrop or a mixture of two


def without_detail(lab: Lab) -> Lab:
    """(H, W, 3) CIELAB without what is smaller than a twentieth of the picture."""
    size = 2 * round(_DETAIL * max(lab.shape)) + 1
    coded = np.clip(lab * np.array([2.55, 1.0, 1.0]) + np.array([0.0, 128.0, 128.0]), 0, 255).astype(np.uint8)
    even = np.stack([cv2.medianBlur(np.ascontiguousarray(coded[..., i]), size) for i in range(3)], -1).astype(np.float32)
    return ((even - np.array([0.0, 128.0, 128.0])) / np.array([2.55, 1.0, 1.0])).astype(np.float32)


def repeats_beside(lab: Lab, body: NDArray[np.uint8]) -> bool:
    """True when what lies beside `body`, (H, W) 0 and 1, repeats in two directions."""
    beside = (cv2.dilate(body, np.ones((9, 9), np.uint8)) == 0).astype(np.float32)
    lightness = np.ascontiguousarray(lab[..., 0])
    level, share = (cv2.GaussianBlur(one, (0, 0), 6.0) for one in (lightness * beside, beside))
    detail = np.asarray((lightness - level / np.maximum(share, 1e-3)) * beside, np.float32)
    if beside.mean() < _BESIDE or not detail.any():
        return False
    seen = autocorrelation(beside)
    alike = autocorrelation(detail) / np.maximum(seen, _OVERLAP * seen.max())
    height, width = alike.shape
    alike = (alike / alike[height // 2, width // 2]).astype(np.float32)
    shifts = find_shifts(alike, _LEAST)
    length = np.hypot(shifts.xy[:, 0], shifts.xy[:, 1])
    order = np.argsort(length)
    shortest = shifts.xy[order[(length[order] > _PITCH[0]) & (length[order] < _PITCH[1] * min(height, width))]]
    near = np.asarray(cv2.dilate(alike, np.ones((3, 3), np.uint8)), np.float32)
    return any(_spans_lattice(near, first, shortest) for first in shortest[:_TRIES])


def _spans_lattice(alike: Field, first: NDArray[np.float32], shifts: NDArray[np.float32]) -> bool:
    """True when a picture also falls on itself when moved by one shift and the next across it, and by both together."""
    sine = np.abs(shifts[:, 0] * first[1] - shifts[:, 1] * first[0]) / np.hypot(*shifts.T) / np.hypot(*first)
    across = shifts[sine > _ACROSS]
    if not len(across):
        return False
    row, column = alike.shape[0] // 2, alike.shape[1] // 2
    sums = (first + across[0], first - across[0])
    found = [float(alike[round(row + float(y)), round(column + float(x))]) for x, y in sums]
    return max(found) >= _LEAST and min(found) >= 0.5 * _LEAST


def over_pattern(lab: Lab, body: Mask) -> Mask:
    """(H, W) bool: the object of which `body` is the bulk: without what has the backdrop's usual colour, with slender parts.

    Slender parts are what hangs on the body in a colour that the backdrop does not have.
    """
    beside = cv2.dilate(body.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    rim = round(_RIM * min(body.shape))  # there a lead seldom lies
    beside[rim:-rim, rim:-rim] = False
    if np.count_nonzero(beside) < 4 * _COLORS:
        return body
    palette = _palette(lab[beside])
    apart = _from_palette(lab, palette) > _OWN
    usual = np.linalg.norm(lab - palette[0], axis=2) < _OWN
    bulk = np.asarray(cv2.morphologyEx((body & ~usual).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
    bulk = bulk if int(bulk.sum()) > _KEPT * np.count_nonzero(body) else body.astype(np.uint8)
    slender = cv2.morphologyEx((apart & (bulk == 0)).astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    whole = cv2.morphologyEx(bulk | np.asarray(slender, np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    labels = np.asarray(cv2.connectedComponents(whole, connectivity=8)[1])
    counts = np.bincount(labels[bulk > 0])
    counts[0] = 0
    return np.asarray(labels == int(counts.argmax()), np.bool_)


def _palette(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 3) the usual colours among many: farthest points first, each then the mean of what is nearest to it."""
    some = colors[:: max(1, len(colors) // _SAMPLE)]
    found = np.median(some, axis=0, keepdims=True)
    for _ in range(_COLORS - 1):
        away = np.linalg.norm(some[:, None] - found[None], axis=2).min(axis=1)
        found = np.concatenate([found, some[[int(np.argsort(away)[int(0.98 * (len(away) - 1))])]]])
    nearest = np.linalg.norm(some[:, None] - found[None], axis=2).argmin(axis=1)
    return np.stack([some[nearest == i].mean(axis=0) if (nearest == i).any() else found[i] for i in range(len(found))])


def _from_palette(lab: Lab, palette: NDArray[np.float32]) -> Field:
    """(H, W) distance to the nearest colour of a palette or mixture of two of them, CIELAB units."""
    best = np.linalg.norm(lab - palette[0], axis=2)
    for i, one in enumerate(palette):
        for other in palette[i + 1 :]:
            run = other - one
            share = np.clip((lab - one) @ run / max(float(run @ run), 1e-3), 0.0, 1.0)
            best = np.minimum(best, np.linalg.norm(lab - one - share[..., None] * run, axis=2))
    return best.astype(np.float32)
