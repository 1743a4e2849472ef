"""A drawn board with components, and where they are."""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene

__all__ = ["CANS", "CHIPS", "EYES", "board", "owners", "sensor_board"]

_MARGIN = 16
CHIPS = ((74, 60, 64, 40), (190, 70, 50, 50), (330, 74, 70, 34), (80, 200, 46, 46), (200, 190, 80, 60))
CANS = ((320, 170, 16), (370, 210, 16), (310, 240, 14), (400, 140, 16))

EYES = ((110, 110, 72), (330, 110, 72))


def board(seed: int = 0) -> Scene:
    """A green board on a pale table: tracks, white print, black chips with leads, grey cans."""
    rng = np.random.default_rng(seed)
    photo = np.full((300, 440, 3), (30, 105, 55), np.uint8)
    for _ in range(40):
        x, y = int(rng.integers(0, 440)), int(rng.integers(0, 300))
        cv2.line(photo, (x, y), (x + int(rng.integers(20, 90)), y), (60, 150, 85), 2)
    cv2.putText(photo, "HC-SR V2 REV B", (150, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (225, 230, 220), 1, cv2.LINE_AA)
    for x, y, width, height in CHIPS:
        for at in range(x - width // 2 + 4, x + width // 2 - 4, 8):
            cv2.rectangle(photo, (at, y - height // 2 - 6), (at + 3, y + height // 2 + 6), (190, 192, 188), cv2.FILLED)
        cv2.rectangle(photo, (x - width // 2, y - height // 2), (x + width // 2, y + height // 2), (32, 32, 34), cv2.FILLED)
    for x, y, radius in CANS:
        cv2.circle(photo, (x, y), radius, (175, 176, 172), cv2.FILLED)
    photo[[*range(_MARGIN), *range(-_MARGIN, 0)]] = photo[:, [*range(_MARGIN), *range(-_MARGIN, 0)]] = (222, 221, 218)
    noise = rng.normal(0.0, 2.0, photo.shape)
    return Scene(photo_from_array(np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)))


def owners() -> np.ndarray:
    """(H, W) int, 1 and on for each component with room for its leads and shadow; 0 for the board."""
    found = np.zeros((300, 440), np.uint8)
    for index, (x, y, width, height) in enumerate(CHIPS, 1):
        cv2.rectangle(found, (x - width // 2, y - height // 2), (x + width // 2, y + height // 2), index, cv2.FILLED)
    for index, (x, y, radius) in enumerate(CANS, len(CHIPS) + 1):
        cv2.circle(found, (x, y), radius, index, cv2.FILLED)
    return found


def sensor_board() -> Scene:
    """A blue board on a black bench that two large cans mostly cover, with a quartz, a chip and pads at its corners."""
    photo = np.full((260, 440, 3), (20, 21, 22), np.uint8)
    photo[20:200, 20:420] = (14, 45, 115)
    for x, y, radius in EYES:
        cv2.circle(photo, (x, y), radius, (175, 178, 180), cv2.FILLED, cv2.LINE_AA)
    for x, y in ((32, 32), (408, 32), (32, 188), (408, 188)):
        cv2.circle(photo, (x, y), 9, (190, 182, 150), cv2.FILLED, cv2.LINE_AA)
        cv2.circle(photo, (x, y), 4, (20, 21, 22), cv2.FILLED, cv2.LINE_AA)
    cv2.rectangle(photo, (194, 80), (246, 106), (182, 184, 180), cv2.FILLED)
    cv2.rectangle(photo, (206, 120), (234, 150), (28, 28, 30), cv2.FILLED)
    noise = np.random.default_rng(0).normal(0.0, 1.5, photo.shape)
    return Scene(photo_from_array(np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)))
