"""Pieces that lie apart or touch: candles on a tray, coins in a heap, sweets on a table.

What hangs together is one piece, unless it narrows between bodies that are convex by themselves and of about the size of the
others: such bodies only touch. Pieces are believed when a few alike hold most of the object, or when many compact ones do,
whatever their sizes.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.measures import solidity
from anomalyagent.mcp_tools.imaging.sizes import size_within

__all__ = ["Pieces", "find_pieces"]

_MOST_OF_IT = 0.8  # share of the foreground that the pieces hold
_ALIKE = 0.5  # of the largest one's area, for the least of a few pieces
_MANY, _UNLIKE = 5, 0.12  # so many compact pieces may be of several sizes, the least of them this share of the largest
_CONVEX = 0.9  # of its convex hull that a compact piece fills
_SIDE_PX = 192  # longer side of the copy on which touching pieces are parted
_NECKS = (0.6, 0.75, 0.87)  # of a body's depth: where what hangs together narrows to less, it may be two
_ROUNDED = 0.5  # of a body's depth: what is narrower and hangs on it is a neck or a shadow
_SHARED = 0.5  # of its border: where a body is one with others along more than that, it does not only touch them
_LEAST_DEPTH_PX = 3.0  # on the copy, of bodies that can be told
_LIKE_OTHERS = 2.5  # times larger or smaller than the usual one a body parted from another may be
_GROUND = 0.4  # of how far the object lies from the ground in CIELAB: what is nearer to it is ground


class Pieces(NamedTuple):
    """The pieces of an object.

    Attributes:
        labels: (H, W) int32, 0 where there is none.
        whole: labels of those that are no crumbs.
    """

    labels: NDArray[np.int32]
    whole: list[int]


def find_pieces(foreground: Mask, rgb: RGB) -> Pieces | None:
    """The pieces of an object; None when it is one, or in parts that are not alike.

    Args:
        foreground: (H, W) bool. rgb: (H, W, 3) float32 0..1, which shows the ground in the gaps that the foreground closed.
    """
    labels = np.asarray(cv2.connectedComponents(foreground.astype(np.uint8))[1], np.int32)
    parted = _parted(foreground, labels, rgb)
    return _believed(parted) if parted is not None else _believed(labels)


def _believed(labels: NDArray[np.int32]) -> Pieces | None:
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    largest, total = int(areas.max()), int(areas.sum())
    alike = np.flatnonzero((areas > 0) & (areas >= _ALIKE * largest))
    if len(alike) >= 2 and int(areas[alike].sum()) >= _MOST_OF_IT * total:
        return Pieces(labels, [int(one) for one in alike])
    mixed = np.flatnonzero((areas > 0) & (areas >= _UNLIKE * largest))
    if len(mixed) < _MANY or int(areas[mixed].sum()) < _MOST_OF_IT * total:
        return None
    compact = [int(one) for one in mixed if _is_convex(labels == one)]
    return Pieces(labels, compact) if len(compact) >= _MOST_OF_IT * len(mixed) else None


def _is_convex(piece: Mask) -> bool:
    return solidity(piece) > _CONVEX


def _parted(foreground: Mask, labels: NDArray[np.int32], rgb: RGB) -> NDArray[np.int32] | None:
    """(H, W) labels with bodies apart that only touch; None where there are none, or not like the others."""
    height, width = foreground.shape
    size = size_within(foreground.shape, _SIDE_PX, 8)
    hung = cv2.resize(labels.astype(np.float32), size, interpolation=cv2.INTER_NEAREST).astype(np.int32)
    solid = _without_ground((hung > 0).astype(np.uint8), rgb)
    depth = cv2.distanceTransform(np.pad(solid, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    usual = float(np.percentile(depth[depth > 0], 99.0)) if depth.any() else 0.0
    if usual < _LEAST_DEPTH_PX:
        return None
    best: tuple[int, NDArray[np.int32], list[list[int]]] | None = None
    for neck in _NECKS:
        found = _bodies(solid, hung, np.asarray(depth > neck * usual))
        if best is None or sum(map(len, found[1])) > best[0]:
            best = sum(map(len, found[1])), *found
    if best is None or not best[0]:
        return None
    rounded = _rounded(best[1], usual)
    apart, number = labels.copy(), int(labels.max()) + 1
    for together in best[2]:
        joined = np.unique(hung[np.isin(best[1], together)])
        apart[np.isin(apart, joined[joined > 0])] = 0
        cover = np.full(foreground.shape, 0.5, np.float32)
        for one in together:
            share = cv2.resize((rounded == one).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
            here = foreground & (share > cover)
            apart[here], cover[here] = number, share[here]
            number += 1
    return apart


def _bodies(solid: NDArray[np.uint8], hung: NDArray[np.int32], cores: Mask) -> tuple[NDArray[np.int32], list[list[int]]]:
    """(h, w) labels of the bodies around the cores, and those that hang together in one piece and are bodies by themselves."""
    count, seeds = cv2.connectedComponents(cores.astype(np.uint8), connectivity=8)
    bodies = np.where(solid > 0, _nearest_label(np.asarray(seeds, np.int32)), 0)
    piece_of = [int(np.bincount(hung[seeds == one]).argmax()) for one in range(1, count)]
    bodies[hung != np.array([0, *piece_of])[bodies]] = 0  # without a core of its own
    areas = np.bincount(bodies.ravel(), minlength=count)
    if count - 1 < _MANY:
        return bodies, []
    typical = float(np.median(areas[1:]))
    groups: list[list[int]] = []
    for piece in sorted(set(piece_of)):
        ones = [one for one in range(1, count) if piece_of[one - 1] == piece]
        good = [one for one in ones if 1.0 / _LIKE_OTHERS < areas[one] / typical < _LIKE_OTHERS and _is_convex(bodies == one)]
        if len(ones) > 1 and len(good) >= _MOST_OF_IT * len(ones) and _only_touch(bodies, ones):
            groups.append(ones)
    return bodies.astype(np.int32), groups


def _only_touch(bodies: NDArray[np.int32], ones: list[int]) -> bool:
    """False for one body with holes in it: it has a smooth outline, or its parts hang together along most of their borders."""
    together = np.isin(bodies, ones)
    contours, _ = cv2.findContours(np.pad(together, 1).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros(np.add(together.shape, 2), np.uint8), contours, -1, 1, cv2.FILLED)
    if _is_convex(filled > 0):
        return False
    shared: list[float] = []
    for one in ones:
        own = bodies == one
        ring = (cv2.dilate(own.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0) & ~own
        shared.append(float((bodies[ring] > 0).mean()))
    return float(np.median(shared)) < _SHARED


def _without_ground(solid: NDArray[np.uint8], rgb: RGB) -> NDArray[np.uint8]:
    """The mask without what looks like the ground beyond it."""
    beyond = cv2.erode(1 - solid, np.ones((3, 3), np.uint8)) > 0
    if np.count_nonzero(beyond) < 0.02 * beyond.size:
        return solid
    lab = lab_from_rgb(np.asarray(cv2.resize(rgb, solid.shape[::-1], interpolation=cv2.INTER_AREA), np.float32))
    away = np.linalg.norm(lab - np.median(lab[beyond], axis=0), axis=2)
    apart = float(np.median(away[solid > 0])) if solid.any() else 0.0
    own = ((solid > 0) & (away > _GROUND * apart)).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(own, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)), np.uint8)


def _rounded(bodies: NDArray[np.int32], depth_px: float) -> NDArray[np.int32]:
    """The labels without necks and shadows that hang on the bodies."""
    reach = max(1, round(_ROUNDED * depth_px))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    rounded = np.zeros(bodies.shape, np.int32)
    for one in np.unique(bodies[bodies > 0]):
        padded = np.pad((bodies == one).astype(np.uint8), reach + 1)  # the frame cuts it, it does not round it
        body = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc)[reach + 1 : -reach - 1, reach + 1 : -reach - 1]
        body = cv2.dilate(body, np.ones((3, 3), np.uint8)) > 0
        rounded[body & ((bodies == one) | (bodies == 0))] = one
    return rounded


def _nearest_label(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """(h, w) the label of each pixel, or of the nearest one that has any."""
    _, nearest = cv2.distanceTransformWithLabels((labels == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros(int(nearest.max()) + 1, np.int32)
    values[nearest[labels > 0]] = labels[labels > 0]
    return values[nearest]
