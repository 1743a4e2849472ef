"""A drawn zip fastener, for tests of what happens to rows of alike elements."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["CLOTH", "HALF", "MIDDLE", "PITCH", "SIZE", "TOOTH", "zip_fastener"]

SIZE, MIDDLE, PITCH, HALF = 240, 120, 12, 26
CLOTH, TOOTH = 45, 150


def zip_fastener() -> NDArray[np.uint8]:
    """Two rows of pale teeth on dark cloth, one above the other's gaps."""
    photo = np.full((SIZE, SIZE), CLOTH, np.uint8)
    photo[:, :30] = photo[:, -30:] = 205  # the bench
    for row in range(-1, SIZE // PITCH + 2):
        for side in (-1, 1):
            y = row * PITCH + (PITCH // 2 if side > 0 else 0)
            cv2.ellipse(photo, (MIDDLE + side * 11, y), (15, 3), 0, 0, 360, (TOOTH,), -1, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0.0, 2.0, photo.shape)
    return np.clip(cv2.GaussianBlur(photo, (0, 0), 0.7) + noise, 0, 255).astype(np.uint8)
