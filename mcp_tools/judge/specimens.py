"""Generated normal photos of plausible surfaces and parts, for calibration and tests where no photos are at hand.

Each goes through the same camera: light fall-off, a lens blur and sensor noise.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array

__all__ = ["SPECIMENS", "make_specimen"]

Maker = Callable[[int, np.random.Generator], RGB]


def make_specimen(item: str, rng: np.random.Generator, size_px: int = 256) -> Photo:
    """A normal photo of one of `SPECIMENS`, (size_px, size_px) 8-bit RGB."""
    rgb = SPECIMENS[item](size_px, rng)
    rgb = cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(0.5, 0.9)))
    noise = rng.normal(0.0, float(rng.uniform(0.004, 0.012)), rgb.shape)
    grey_noise = rng.normal(0.0, float(rng.uniform(0.004, 0.012)), (*rgb.shape[:2], 1))
    return photo_from_array(np.rint(np.clip(rgb + noise + grey_noise, 0.0, 1.0) * 255.0).astype(np.uint8))


def _waves(size: int, rng: np.random.Generator, sigma_x: float, sigma_y: float) -> Field:
    """Smooth noise of mean 0 and standard deviation 1."""
    noise = rng.normal(0.0, 1.0, (size, size)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y, borderType=cv2.BORDER_REFLECT)
    return np.asarray((smooth - smooth.mean()) / max(1e-6, float(smooth.std())), np.float32)


def _lit(base: NDArray[Any], tone: tuple[float, float, float], rng: np.random.Generator) -> RGB:
    """A surface of this relative brightness and colour under light that falls off to one side."""
    size = base.shape[0]
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    falloff = 1.0 + float(rng.uniform(0.05, 0.2)) * (np.cos(angle) * x + np.sin(angle) * y)
    return np.asarray(np.clip((base * falloff)[..., None] * np.array(tone, np.float32), 0.0, 1.0), np.float32)


def _sheet_metal(size: int, rng: np.random.Generator) -> RGB:
    level = float(rng.uniform(0.45, 0.7))
    return _lit(
        1.0 + 0.06 * _waves(size, rng, 40.0, 0.7) + 0.03 * _waves(size, rng, 20.0, 20.0), (level, level, level * 1.02), rng
    )


def _painted_surface(size: int, rng: np.random.Generator) -> RGB:
    tone = rng.uniform(0.25, 0.75, 3)
    return _lit(1.0 + 0.01 * _waves(size, rng, 2.0, 2.0), (float(tone[0]), float(tone[1]), float(tone[2])), rng)


def _leather(size: int, rng: np.random.Generator) -> RGB:
    cells = np.abs(_waves(size, rng, 3.0, 3.0)) * 0.12 + 0.04 * _waves(size, rng, 1.2, 1.2)
    return _lit(np.asarray(0.9 + cells, np.float32), (float(rng.uniform(0.35, 0.55)), 0.3, 0.2), rng)


def _wood(size: int, rng: np.random.Generator) -> RGB:
    x = np.arange(size, dtype=np.float32)[None, :]
    rings = np.sin((x + 14.0 * _waves(size, rng, 12.0, 60.0)) * float(rng.uniform(0.12, 0.25)))
    return _lit(np.asarray(1.0 + 0.1 * rings + 0.04 * _waves(size, rng, 0.8, 12.0), np.float32), (0.7, 0.5, 0.32), rng)


def _carpet(size: int, rng: np.random.Generator) -> RGB:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    pitch = float(rng.uniform(5.0, 9.0))
    weave = np.sin(2 * np.pi * x / pitch) * np.sin(2 * np.pi * y / pitch)
    return _lit(np.asarray(1.0 + 0.15 * weave + 0.12 * _waves(size, rng, 1.0, 1.0), np.float32), (0.45, 0.45, 0.48), rng)


def _tile(size: int, rng: np.random.Generator) -> RGB:
    speckle = 0.09 * _waves(size, rng, 2.5, 2.5) + 0.06 * _waves(size, rng, 1.0, 1.0)
    level = float(rng.uniform(0.4, 0.7))
    return _lit(np.asarray(1.0 + speckle, np.float32), (level, level, level), rng)


def _radius(size: int, rng: np.random.Generator) -> tuple[Field, Field, Field]:
    """(distance from a centre near the middle, dx, dy), in units of the size."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    x, y = x - float(rng.uniform(-0.04, 0.04)), y - float(rng.uniform(-0.04, 0.04))
    return np.asarray(np.hypot(x, y), np.float32), x, y


def _on_background(part: RGB, inside: Field, backdrop: float, rng: np.random.Generator) -> RGB:
    size = inside.shape[0]
    behind = backdrop * (1.0 + 0.01 * _waves(size, rng, 30.0, 30.0))
    cover = inside[..., None]
    return np.asarray(part * cover + behind[..., None] * (1.0 - cover), np.float32)


def _soft_step(value: Field, size: int) -> Field:
    """1 where value > 0, over one pixel."""
    return np.asarray(np.clip(value * size + 0.5, 0.0, 1.0), np.float32)


def _bottle(size: int, rng: np.random.Generator) -> RGB:
    r, _, _ = _radius(size, rng)
    rings = 0.5 + 0.3 * np.sin(r * float(rng.uniform(45.0, 65.0))) + 0.05 * _waves(size, rng, 2.0, 2.0)
    part = _lit(np.asarray(rings, np.float32), (0.45, 0.3, 0.18), rng)
    return _on_background(part, _soft_step(float(rng.uniform(0.36, 0.44)) - r, size), 0.95, rng)


def _machined_part(size: int, rng: np.random.Generator) -> RGB:
    r, _, _ = _radius(size, rng)
    turned = 1.0 + 0.04 * np.sin(r * 400.0) + 0.05 * _waves(size, rng, 3.0, 3.0)
    part = _lit(np.asarray(turned, np.float32), (0.6, 0.6, 0.62), rng)
    inside = _soft_step(float(rng.uniform(0.34, 0.42)) - r, size) * _soft_step(r - 0.12, size)
    return _on_background(part, np.asarray(inside, np.float32), 0.08, rng)


def _hazelnut(size: int, rng: np.random.Generator) -> RGB:
    r, x, y = _radius(size, rng)
    scale = float(rng.uniform(0.3, 0.38))
    angle = float(rng.uniform(0, 2 * np.pi))
    bulge = np.sqrt(np.clip(1.0 - (r / scale) ** 2, 0.0, 1.0))
    shading = 0.35 + 0.5 * bulge + 0.35 * (np.cos(angle) * x + np.sin(angle) * y) / scale
    grain = 1.0 + 0.08 * _waves(size, rng, 1.0, 6.0)
    part = np.asarray((shading * grain)[..., None] * np.array((0.75, 0.5, 0.3), np.float32), np.float32)
    return _on_background(part, _soft_step(scale - r, size), 0.06, rng)


SPECIMENS: dict[str, Maker] = {
    "sheet_metal": _sheet_metal,
    "painted_surface": _painted_surface,
    "leather": _leather,
    "wood": _wood,
    "carpet": _carpet,
    "tile": _tile,
    "bottle": _bottle,
    "machined_part": _machined_part,
    "hazelnut": _hazelnut,
}
"""Item names as on the knowledge cards, each with what draws it: (size, rng) -> RGB before the camera."""
