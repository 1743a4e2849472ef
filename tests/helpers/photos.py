"""Small photos that look a little like industrial ones, generated on the spot: same arguments, same pixels.

surface   a brushed or grainy sheet that fills the frame, lit from one side
part      a round machined part on a darker bench, with a hole in its middle
"""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Kind", "make_photo", "make_photos", "rgb_of"]

Kind = Literal["surface", "part"]


def make_photo(kind: Kind = "surface", seed: int = 0, size: int = 96) -> NDArray[np.uint8]:
    """(size, size, 3) uint8 RGB."""
    rng = np.random.default_rng([seed, size, len(kind)])
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    grain = cv2.GaussianBlur(rng.normal(0, 1, (size, size)).astype(np.float32), (0, 0), 4.0, sigmaY=0.7)
    light = 0.9 + 0.18 * x + 0.06 * y
    metal = np.stack([0.52 + 0.05 * grain, 0.53 + 0.05 * grain, 0.55 + 0.05 * grain], axis=-1) * light[..., None]
    if kind == "surface":
        photo = metal
    else:
        center = 0.5 + rng.uniform(-0.03, 0.03, 2)
        radius = np.hypot(x - center[0], y - center[1])
        disc = np.clip((0.4 - radius) * size / 1.5 + 0.5, 0, 1) * np.clip((radius - 0.13) * size / 1.5 + 0.5, 0, 1)
        bench = np.stack([0.14 + 0.03 * y, 0.15 + 0.03 * y, 0.17 + 0.02 * y], axis=-1)
        rim = np.exp(-(((radius - 0.37) / 0.012) ** 2))[..., None] * 0.18
        photo = bench + (metal + rim - bench) * disc[..., None]
    photo = photo + rng.normal(0, 0.008, (size, size, 1))
    return np.clip(photo * 255, 0, 255).astype(np.uint8)


def make_photos(folder: Path, kind: Kind = "surface", count: int = 3, size: int = 96) -> Path:
    """Write `count` photos as PNG into `folder`, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        photo = make_photo(kind, number, size)
        (folder / f"good_{number:02d}.png").write_bytes(cv2.imencode(".png", photo[..., ::-1])[1].tobytes())
    return folder


def rgb_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) float32 0..1 of a photo."""
    return np.asarray(pixels, np.float32) / np.float32(255.0)
