"""Corners of an object's outline, and how large a piece of one may be that is gone: words such as 'chipped corner' ask for it.

Corners are sought where two stretches of the outline meet at a clear angle, so a disc, a ring or a rounded bar has none.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site, Target
from anomalyagent.mcp_tools.procedural.parts.axis import near_protrusions
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["Corner", "corner_targets", "corners_of", "names_corner", "names_lost_corner", "nearest_corner"]

_CORNER = re.compile(r"\bcorners?\b")
_GONE = r"(?:missing|lost|gone|absent|broken(?: off)?|snapped(?: off)?)"
_AT_ONE = r"(?! (?:pins?|screws?|legs?|leads?|caps?|parts?|components?|marks?))"
_LOST = re.compile(rf"\b{_GONE} corners?\b{_AT_ONE}|\bcorners? (?:is |are )?{_GONE}\b")
_ARM = 0.13  # of the square root of a piece's area: the stretch of outline on either side that tells a corner
_LEAST_ARM_PX = 5.0
_WIDEST, _SHARPEST = np.radians(143.0), np.radians(35.0)  # between the two stretches; a hexagon has 120, a pin's end less
_STRAIGHT = 0.93  # of an arm's length, from end to end: a bay is no side of a corner
_SOLID = 0.7  # depth of the object inside a corner, in what its sides leave of it
_LEAST_PIECE = 0.2  # of the largest one
_LEAST_SHARE = 0.004  # of the object: a smaller piece is not missed
_BROADEST = 1.2  # half of a piece's width, in the object's greatest depth: a broader one is a side, not a corner
_REACH = 0.35  # of the square root of the object's area: how far from a named place its corner may be


class Corner(NamedTuple):
    """A convex corner of the outline.

    Attributes:
        tip_xy: where it ends, in photo pixels.
        inward_rad: direction of its bisector into the object.
        half_rad: half of the angle between its sides.
    """

    tip_xy: tuple[float, float]
    inward_rad: float
    half_rad: float

    def depth_px(self, area_px: float) -> float:
        """From the tip to a cut square to the bisector that takes so many pixels away."""
        return float(np.sqrt(area_px / np.tan(self.half_rad)))

    def piece_px(self, area_px: float, scene: Scene) -> float:
        """Pixels of a piece that is seen to be gone and no more than a corner, as near to `area_px` as may be."""
        broad = _BROADEST * float(scene.depth_px.max())  # half of its width
        return float(np.clip(area_px, _LEAST_SHARE * scene.object_area_px, broad**2 / np.tan(self.half_rad)))

    def inside(self, distance_px: float) -> tuple[float, float]:
        """Point (x, y) on the bisector, so far from the tip."""
        x, y = self.tip_xy
        return x + distance_px * float(np.cos(self.inward_rad)), y + distance_px * float(np.sin(self.inward_rad))


@lru_cache(maxsize=512)
def names_corner(prompt: str) -> bool:
    """True when the prompt speaks of a corner."""
    return bool(_CORNER.search(plain(prompt)))


@lru_cache(maxsize=512)
def names_lost_corner(prompt: str) -> bool:
    """True when it is a corner that the prompt says is gone, not something that sits at one."""
    return bool(_LOST.search(plain(prompt)))


@once_per_scene
def corners_of(scene: Scene) -> tuple[Corner, ...]:
    """Convex corners of the object, or of the larger ones of several; none on a surface, at the frame, or of pins and wires."""
    if scene.fills_frame:
        return ()
    body = scene.foreground.astype(np.uint8)
    contours, _ = cv2.findContours(body, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max((cv2.contourArea(one) for one in contours), default=0.0)
    slender = near_protrusions(scene)
    found: list[Corner] = []
    for contour in contours:
        area = cv2.contourArea(contour)
        if area > max(_LEAST_PIECE * largest, 16.0 * _LEAST_ARM_PX**2):
            arm = max(_ARM * float(np.sqrt(area)), _LEAST_ARM_PX)
            found.extend(one for one in _corners(contour[:, 0].astype(np.float64), arm) if _is_solid(scene, one, arm, slender))
    return tuple(found)


def corner_targets(scene: Scene, spec: DefectSpec) -> list[Target]:
    """Every corner, as a place for a piece of the asked size, or of one that is seen to be gone."""
    wanted = spec.instance_px(scene.object_area_px)
    sized = ((one, one.piece_px(wanted, scene)) for one in corners_of(scene))
    return [Target(one.inside(0.7 * one.depth_px(area)), area) for one, area in sized]


def nearest_corner(site: Site) -> Corner | None:
    """The corner that is meant by a site: the nearest one in reach of its piece; None where there is none."""
    x, y = site.center_xy
    found = min(corners_of(site.scene), key=lambda one: float(np.hypot(one.tip_xy[0] - x, one.tip_xy[1] - y)), default=None)
    if found is None or np.hypot(found.tip_xy[0] - x, found.tip_xy[1] - y) > _REACH * np.sqrt(site.scene.object_area_px):
        return None
    return found


def _is_solid(scene: Scene, corner: Corner, arm_px: float, slender: Mask) -> bool:
    """False at the frame of the photo, and for the end of what is too slender to have a corner."""
    height, width = scene.foreground.shape
    (x, y), (deep_x, deep_y) = corner.tip_xy, corner.inside(arm_px)
    if not (2.0 < x < width - 3.0 and 2.0 < y < height - 3.0) or slender[round(y), round(x)]:
        return False
    row, column = int(np.clip(round(deep_y), 0, height - 1)), int(np.clip(round(deep_x), 0, width - 1))
    return bool(scene.depth_px[row, column] > _SOLID * arm_px * np.sin(corner.half_rad))


def _corners(outline: NDArray[np.float64], arm_px: float) -> list[Corner]:
    """Of a closed outline of (n, 2) points (x, y): where its direction turns most over two arms, and enough."""
    smooth = _evened(_evened(outline, 0.12 * arm_px + 0.8), 0.0)  # stairs of pixels are longer than the line they follow
    count = len(smooth)
    step = round(arm_px)
    if count < 6 * step:
        return []
    ahead, back = np.roll(smooth, -step, axis=0) - smooth, np.roll(smooth, step, axis=0) - smooth
    lengths = np.hypot(*ahead.T), np.hypot(*back.T)
    cosine = (ahead * back).sum(1) / np.maximum(lengths[0] * lengths[1], 1e-6)
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    area2 = float((smooth[:, 0] * np.roll(smooth[:, 1], -1) - smooth[:, 1] * np.roll(smooth[:, 0], -1)).sum())
    convex = np.sign(back[:, 0] * ahead[:, 1] - back[:, 1] * ahead[:, 0]) == -np.sign(area2)
    straight = np.minimum(*lengths) > _STRAIGHT * step
    good = convex & straight & (angle < _WIDEST) & (angle > _SHARPEST)
    found: list[Corner] = []
    for index in np.argsort(np.where(good, angle, np.inf)):
        if not good[index]:
            break
        tip = smooth[index]
        if any(np.hypot(tip[0] - other.tip_xy[0], tip[1] - other.tip_xy[1]) < 1.5 * arm_px for other in found):
            continue
        inward = ahead[index] / lengths[0][index] + back[index] / lengths[1][index]
        found.append(Corner((float(tip[0]), float(tip[1])), float(np.arctan2(inward[1], inward[0])), 0.5 * float(angle[index])))
    return found


def _evened(outline: NDArray[np.float64], sigma_px: float) -> NDArray[np.float64]:
    """A closed outline with points a pixel apart, smoothed."""
    closed = np.concatenate([outline, outline[:1]])
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.linspace(0.0, way[-1], max(int(way[-1]), 4), endpoint=False)
    even = np.stack([np.interp(at, way, closed[:, i]) for i in range(2)], 1)
    if sigma_px == 0.0:
        return even
    room = min(int(4.0 * sigma_px) + 1, len(even))
    wrapped = np.concatenate([even[-room:], even, even[:room]])
    return np.asarray(cv2.GaussianBlur(wrapped, (1, 2 * room - 1), sigmaX=0.1, sigmaY=sigma_px), np.float64)[
        room : room + len(even)
    ]
