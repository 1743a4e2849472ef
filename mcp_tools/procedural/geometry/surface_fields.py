"""Fields that follow the photographed surface: noise that runs along its grain, its own texture, where light is missing.

All cover one window of the photo, shape (h, w) float32.
"""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import smooth_step

__all__ = ["cast_shadow", "foreground_cover", "grain_noise", "lightness_of", "own_texture", "shade", "window_guard"]


def grain_noise(
    shape: tuple[int, int], length_px: float, width_px: float, angle_rad: float, rng: np.random.Generator, *, octaves: int = 2
) -> Field:
    """Noise of about unit variance whose features are `length_px` long along `angle_rad` and `width_px` wide."""
    height, width = shape
    reach = float(np.hypot(height, width))
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    total, power = np.zeros(shape, np.float32), 0.0
    for octave in range(octaves):
        long, wide, gain = max(length_px / 2**octave, 1.0), max(width_px / 2**octave, 1.0), 0.6**octave
        grid = rng.standard_normal((int(reach / wide) + 5, int(reach / long) + 5), np.float32)
        dx, dy = rng.random(2)
        # the middle of the window maps to the middle of the grid, so that the turned window never leaves it
        u0 = grid.shape[1] / 2 + dx - 0.5 - (cos * width + sin * height) / 2 / long
        v0 = grid.shape[0] / 2 + dy - 0.5 - (-sin * width + cos * height) / 2 / wide
        matrix = np.array([[cos / long, sin / long, u0], [-sin / wide, cos / wide, v0]], np.float32)
        total += np.float32(gain) * cv2.warpAffine(
            grid, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
        )
        power += gain**2 * 0.62
    return total / np.float32(np.sqrt(power))


def lightness_of(site: Site) -> Field:
    """L of CIELAB over the window, 0..100."""
    return np.ascontiguousarray(site.scene.lab[site.window.slices][..., 0], dtype=np.float32)


def own_texture(site: Site, scale_px: float) -> Field:
    """Lightness of the surface minus its mean within about `scale_px`, in units of its own spread, clipped to -2.5..2.5."""
    lightness = lightness_of(site)
    detail = lightness - cv2.blur(lightness, (2 * int(scale_px) + 1,) * 2, borderType=cv2.BORDER_REFLECT)
    return np.clip(detail / max(float(detail.std()), 0.8), -2.5, 2.5).astype(np.float32)


def foreground_cover(site: Site) -> Field:
    """1 on the object, 0 off it, soft over a pixel or two like the outline in the photo."""
    cover = site.scene.foreground[site.window.slices].astype(np.float32)
    sigma = max(site.scene.blur_sigma_px, 0.6)
    soft = cv2.GaussianBlur(cover, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.clip(2.0 * soft - 1.0, 0.0, 1.0).astype(np.float32)


def window_guard(site: Site, margin_px: float) -> Field:
    """1 inside, falling to 0 at those borders of the window that are not borders of the photo: no change may end in a box."""
    height, width = site.window.shape
    photo_height, photo_width = site.scene.foreground.shape
    margin = max(margin_px, 1.0)
    rows, columns = np.full(height, margin, np.float32), np.full(width, margin, np.float32)
    if site.window.y0 > 0:
        rows = np.minimum(rows, np.arange(height, dtype=np.float32))
    if site.window.y1 < photo_height:
        rows = np.minimum(rows, np.arange(height, dtype=np.float32)[::-1])
    if site.window.x0 > 0:
        columns = np.minimum(columns, np.arange(width, dtype=np.float32))
    if site.window.x1 < photo_width:
        columns = np.minimum(columns, np.arange(width, dtype=np.float32)[::-1])
    return smooth_step(rows / margin)[:, None] * smooth_step(columns / margin)[None, :]


def shade(height_px: Field, light: tuple[float, float]) -> Field:
    """Brightness of a matt relief relative to a flat surface in the same light, about 0.3..1.8 (Lambert)."""
    azimuth, elevation = light
    relief = np.asarray(height_px, np.float32)
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=0.125, borderType=cv2.BORDER_REPLICATE)
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=0.125, borderType=cv2.BORDER_REPLICATE)
    tilt = np.clip(elevation, 0.5, 1.2)
    towards_x, towards_y, up = np.cos(azimuth) * np.cos(tilt), np.sin(azimuth) * np.cos(tilt), np.sin(tilt)
    lit = (-slope_x * towards_x - slope_y * towards_y + up) / np.sqrt(1.0 + slope_x**2 + slope_y**2)
    return (0.3 + 0.7 * np.clip(lit / up, 0.0, 2.2)).astype(np.float32)


def cast_shadow(opacity: Field, light: tuple[float, float], thickness_px: float, depth: float) -> Field:
    """Share of light that a body of `thickness_px` keeps off the surface beside it, 0..`depth`: offset away from the light,
    soft with distance, with a thin contact line all around."""
    reach = max(thickness_px, 0.6)
    run = reach / np.tan(np.clip(light[1], 0.6, 1.2))
    matrix = np.array([[1, 0, -np.cos(light[0]) * run], [0, 1, -np.sin(light[0]) * run]], np.float32)
    moved = cv2.warpAffine(opacity, matrix, opacity.shape[::-1], flags=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(np.maximum(moved, 0.5 * opacity), (0, 0), 0.5 * reach + 0.5, borderType=cv2.BORDER_CONSTANT)
    return (depth * soft * (1.0 - opacity)).astype(np.float32)
