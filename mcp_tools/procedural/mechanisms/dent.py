"""A dent: a blow pushed the surface in (or, from behind, out) without breaking it.

Physics: a smooth skewed hollow with no edge, deepest off its middle, with a low rim of displaced material. Nothing changes
but the slope: the flank that turns to the light brightens, the other darkens, highlights move, and whatever the surface
mirrors or carries is slightly displaced.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.shapes import fractal_noise, pixel_grid, smooth_step

__all__ = ["render"]


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One hollow or bump. None when it would be too small to have a slope."""
    if site.area_px < 9 or min(site.window.shape) < 5:
        return None
    x, y = pixel_grid(site.window)
    stretch = float(np.sqrt(spec.elongation))
    radius = float(np.sqrt(site.area_px / np.pi))
    dx, dy = x - site.center_xy[0], y - site.center_xy[1]
    cosine, sine = np.cos(site.angle_rad), np.sin(site.angle_rad)
    u, v = (dx * cosine + dy * sine) / (stretch * radius), (-dx * sine + dy * cosine) * stretch / radius
    warp = 0.16 * fractal_noise(site.window.shape, max(1.2 * radius, 4.0), rng, octaves=2)
    skew = rng.normal(0.0, 0.22, 2)
    rho = np.hypot(u, v) * (1.0 + warp)
    # The deepest point lies off the middle: distances from it are measured in units of the way to the outline.
    reach = 1.0 - 0.9 * np.clip((u * skew[0] + v * skew[1]) / np.maximum(rho, 0.2), -0.6, 0.6)
    depth_at = np.clip(1.0 - (rho / reach) ** 2, 0.0, 1.0) ** float(rng.uniform(1.3, 2.2))
    rim = float(rng.uniform(0.0, 0.12)) * np.exp(-(((rho / reach - 1.0) / 0.22) ** 2))
    sign = -1.0 if rng.random() < 0.8 else 1.0
    height = (sign * 0.55 * radius / stretch * (depth_at - rim)).astype(np.float32)
    inside = smooth_step((1.45 - rho / reach) / 0.3)
    height = height * inside
    moved = _displaced(site, height)
    return Edit(
        window=site.window,
        support=inside > 0.01,
        height=height,
        paint=moved,
        opacity=(0.85 * smooth_step(1.6 * depth_at)).astype(np.float32),
    )


def _displaced(site: Site, height: np.ndarray) -> np.ndarray:
    """The photo as seen on the tilted surface: sampled a little further along the slope."""
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
    reach = 0.12 * float(np.sqrt(site.area_px))
    rows, columns = height.shape
    map_x = np.arange(columns, dtype=np.float32)[None, :] + reach * slope_x
    map_y = np.arange(rows, dtype=np.float32)[:, None] + reach * slope_y
    patch = np.ascontiguousarray(site.scene.photo.rgb[site.window.slices])
    return cv2.remap(patch, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
