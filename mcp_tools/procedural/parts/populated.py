"""Rigid flat bodies with things on them: boards with components, housings with levers. They do not bend in their plane."""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import size_within
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["is_populated"]

_SIDE_PX = 240
_STRAIGHT = 0.93  # of the smallest rectangle around it that a body with a straight outline fills
_APART, _OTHER = 18.0, 20.0  # CIELAB units from the body, and between two things on it of different kinds
_LEAST, _LARGEST = 0.0008, 0.15  # of the body's area, for a thing on it
_MANY, _OF_ANOTHER_KIND = 6, 3  # things at least, and those among them unlike the most frequent ones: print has one colour


@once_per_scene
def is_populated(scene: Scene) -> bool:
    """True for one body with a straight outline and many things on it, of more than one kind."""
    if scene.fills_frame:
        return False
    size = size_within(scene.photo.shape, _SIDE_PX, 8)
    solid = cv2.resize(scene.foreground.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    body = max(contours, key=cv2.contourArea)
    around = cv2.minAreaRect(body)[1]
    area = cv2.contourArea(body)
    if area < 0.9 * int(solid.sum()) or area < _STRAIGHT * (around[0] * around[1]):
        return False
    lab = cv2.resize(scene.lab, size, interpolation=cv2.INTER_AREA)
    inner = cv2.erode(solid, np.ones((5, 5), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    if not inner.any():
        return False
    away = np.linalg.norm(lab - np.median(lab[inner], axis=0), axis=2)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(((away > _APART) & inner).astype(np.uint8), connectivity=4)
    sizes = stats[:, cv2.CC_STAT_AREA]
    things = [one for one in range(1, count) if _LEAST * area < sizes[one] < _LARGEST * area]
    if len(things) < _MANY:
        return False
    looks = np.array([np.median(lab[labels == one], axis=0) for one in things])
    apart = np.linalg.norm(looks[:, None] - looks[None], axis=2) > _OTHER
    return int(apart.sum(axis=1).min()) >= _OF_ANOTHER_KIND
