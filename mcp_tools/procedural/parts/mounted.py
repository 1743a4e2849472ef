"""What is mounted on a board or panel: chips, capacitors, switches, which stand out of its own dye.

Tracks, print and pads are thin; what is left of the rest when those are taken away is mounted. A board under a solder mask has
one dye, whatever the light; print and parts have others. Such a search is believed when many solid things of more than one
kind are found.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Lab, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.measures import solidity
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import scale_within, size_within
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.parts.component import Component, Region, measured_part
from anomalyagent.mcp_tools.procedural.parts.regions import dye_of
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["mounted_on"]

_SIDE_PX = 320  # longer side of the copy
_THIN = 0.011  # of it: half the width of tracks, print and pads at the most
_OTHER_DYE = 11.0  # units of `dye_of` from the board's own
_COLOURED = 14.0  # tint of a board that has a dye of its own
_OF_ONE_DYE = 0.35  # least share of the photo's object that has it
_LEAST, _LARGEST = 0.0007, 0.3  # of the object, for a thing on it
_SOLID = 0.8  # of its convex hull
_MIDDLE, _BEHIND, _ALL_OF_IT = 0.6, 12.0, 0.9  # of its depth; CIELAB units from what lies behind: so is that share of a hole
_RIM, _CORE = 0.4, 0.8  # of the depth: where a pad is seen, and the hole in it
_MANY = 6
_KINDS, _APART = 2, 14.0  # things at least that differ by so many CIELAB units from the most frequent ones


class _Thing(NamedTuple):
    part: Component
    look: NDArray[np.float32]  # (3,) CIELAB
    is_hole: bool


@once_per_scene
def mounted_on(scene: Scene) -> tuple[Component, ...]:
    """The things on a board, the largest first; empty where the photo shows none, or too few of them."""
    size = size_within(scene.photo.shape, _SIDE_PX, 8)
    board = cv2.resize(scene.foreground.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    if not board.any() or scene.alike_pieces is not None:
        return ()
    contours, _ = cv2.findContours(board, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(board, contours, -1, 1, cv2.FILLED)  # cans of the backdrop's colour are no holes
    lab = lab_from_rgb(np.asarray(cv2.resize(scene.photo.rgb, size, interpolation=cv2.INTER_AREA), np.float32))
    other = _of_another_dye(lab, board > 0)
    things = [] if other is None else _things(scene, board, lab, other)
    if len(things) < _MANY:
        return ()
    looks = np.stack([thing.look for thing in things])
    unlike = np.linalg.norm(looks[:, None] - looks[None], axis=2) > _APART
    if int(unlike.sum(axis=1).min()) < _KINDS:
        return ()
    return tuple(sorted((thing.part for thing in things if not thing.is_hole), key=lambda part: -part.area_px))


def _things(scene: Scene, board: NDArray[np.uint8], lab: Lab, other: NDArray[np.uint8]) -> list[_Thing]:
    """Solid things of another dye than the board, (h, w) 0 or 1 as `other` is, that do not end with the photo."""
    pieces = _thick(other)
    beyond = cv2.erode(1 - board, np.ones((5, 5), np.uint8)) > 0
    background = np.median(lab[beyond], axis=0) if np.count_nonzero(beyond) > 0.02 * beyond.size else None
    scale, area = scale_within(scene.photo.shape, _SIDE_PX), int(board.sum())
    photo_height, photo_width = scene.photo.shape
    whole = Window(0, 0, photo_height, photo_width)
    site = Site(scene, (0.5 * photo_width, 0.5 * photo_height), float(area) / scale**2, 0.0, whole)
    region = Region(whole, scale, board)
    count, labels, stats, centers = cv2.connectedComponentsWithStats(pieces, connectivity=4)
    height, width = pieces.shape
    found: list[_Thing] = []
    for one in range(1, count):
        x, y, w, h, pixels = (int(value) for value in stats[one])
        if not _LEAST * area < pixels < _LARGEST * area or x == 0 or y == 0 or x + w == width or y + h == height:
            continue
        body = labels == one
        if solidity(body[y : y + h, x : x + w]) < _SOLID:
            continue
        with_leads = _with_leads(body, pieces, other)
        x, y, w, h = cv2.boundingRect(with_leads)
        center = float(centers[one][0]), float(centers[one][1])
        part = measured_part(site, region, with_leads[y : y + h, x : x + w], x, y, center, 0.0)
        look = np.asarray(np.median(lab[body], axis=0), np.float32)
        found.append(_Thing(part, look, _is_hole(lab, body, background)))
    return found


def _of_another_dye(lab: Lab, solid: Mask) -> NDArray[np.uint8] | None:
    """(h, w) 0 or 1: what has not the board's dye; None where no coloured dye covers most of the object."""
    tint = dye_of(lab)[..., 1:]
    tints = tint[solid]
    coloured = tints[np.hypot(tints[:, 0], tints[:, 1]) >= _COLOURED]  # cans may cover half of a board
    if len(coloured) < _OF_ONE_DYE * len(tints):
        return None
    own = np.median(coloured, axis=0)
    for _ in range(5):  # to the most frequent one
        near = np.linalg.norm(tints - own, axis=1) < 2.0 * _OTHER_DYE
        if not near.any():
            return None
        own = np.median(tints[near], axis=0)
    if float(np.hypot(*own)) < _COLOURED:
        return None
    along = own / float(np.hypot(*own))
    # of its dye is what has its hue: bright tracks and shaded mask differ in strength
    strength, aside = tint @ along, tint @ np.array([-along[1], along[0]])
    other = (strength < 0.45 * float(np.hypot(*own))) | (np.abs(aside) > np.maximum(_OTHER_DYE, 0.5 * strength))
    if 1.0 - float(other[solid].mean()) < _OF_ONE_DYE:
        return None
    return (other & solid).astype(np.uint8)


def _thick(other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w) 0 or 1: without what is thin; small gaps (print on a chip, a lamp mirrored in a can) are closed."""
    reach = max(2, round(_THIN * max(other.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    contours, hierarchy = cv2.findContours(other, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    filled = other.copy()
    for index, contour in enumerate(contours):  # holes that are small
        if hierarchy[0][index][3] >= 0 and cv2.contourArea(contour) < 2.0 * reach**2:
            cv2.drawContours(filled, contours, index, 1, cv2.FILLED)
    return np.asarray(cv2.morphologyEx(filled, cv2.MORPH_OPEN, disc), np.uint8)


def _with_leads(body: Mask, pieces: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w) 0 or 1: a body and the short thin things that begin at it, end near it and touch no other."""
    reach = 3 * max(2, round(_THIN * max(body.shape)))
    near = cv2.dilate(body.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    rest = (other > 0) & (pieces == 0)
    labels = np.asarray(cv2.connectedComponents(rest.astype(np.uint8), connectivity=4)[1])
    begun = np.unique(labels[cv2.dilate(body.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0])
    beside = cv2.dilate(((pieces > 0) & ~body).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    leaving = np.unique(labels[~near | beside])
    return (body | np.isin(labels, np.setdiff1d(begun[begun > 0], leaving))).astype(np.uint8)


def _is_hole(lab: Lab, body: Mask, background: Lab | None) -> bool:
    """True of a hole in the board, or of a pad around one: in its middle one sees what lies behind."""
    if background is None:
        return False
    depth = cv2.distanceTransform(np.pad(body, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    deepest = float(depth.max())
    behind = np.linalg.norm(lab - background, axis=2) < _BEHIND
    is_pad = not behind[body & (depth < _RIM * deepest)].any() and bool(behind[depth > _CORE * deepest].all())
    return is_pad or float(behind[depth > _MIDDLE * deepest].mean()) > _ALL_OF_IT
