"""Foreign bodies: their outline, their relief, and how they look in the light of the photo."""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import shade
from anomalyagent.mcp_tools.procedural.light.palette import Matter

__all__ = ["cut_outline", "dome", "edge_cover", "relief_tone"]


def relief_tone(height: Field, matter: Matter, site: Site, rng: np.random.Generator) -> Field:
    """Lightness offset of a body with the relief `height` (pixels): shading, gloss, grain."""
    lit = shade(height, site.scene.light)
    gleam = smooth_step((lit - 1.18) / 0.25) * 34.0 * matter.gloss
    grain = (
        0.5
        * matter.grain
        * (0.8 * fractal_noise(height.shape, 3.0, rng, octaves=2) + 0.6 * fractal_noise(height.shape, 14.0, rng))
    )
    return (38.0 * (lit - 1.0) + gleam + grain).astype(np.float32)


def dome(distance: Field, bulge: float) -> Field:
    """Height of a body that rises steeply at its outline and flattens on top, from the signed distance (pixels)."""
    depth = max(float(distance.max()), 1.0)
    t = np.clip(distance / depth, 0.0, 1.0)
    return (bulge * depth * np.sqrt(t * (2.0 - t))).astype(np.float32)


def edge_cover(distance: Field) -> Field:
    """Anti-aliased 0..1 coverage of what has this signed distance (pixels, positive inside)."""
    return np.clip(distance + 0.5, 0.0, 1.0).astype(np.float32)


def _evenly(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The polygon (N, 2) squeezed until it is as wide one way as the other (equal second moments), centred on its middle."""
    scale = 1000.0  # cv2 takes float32 points
    found = cv2.moments((points * scale).astype(np.float32).reshape(-1, 1, 2))
    area = found["m00"]
    middle = np.array([found["m10"], found["m01"]]) / area / scale
    spread = np.array([[found["mu20"], found["mu11"]], [found["mu11"], found["mu02"]]]) / area / scale**2
    values, axes = np.linalg.eigh(spread)
    level = float(np.sqrt(values.prod()) ** 0.5)
    return (points - middle) @ (axes * (level / np.sqrt(values))) @ axes.T


def cut_outline(
    site: Site, elongation: float, rng: np.random.Generator, *, corners: int, spread: float, convex: bool = True
) -> Field:
    """Signed distance to a random polygon of the site's area, positive inside."""
    turns = np.sort((np.arange(corners) + rng.uniform(-0.35, 0.35, corners)) * 2.0 * np.pi / corners)
    sizes = rng.uniform(1.0 - spread, 1.0 + spread, corners)
    stretch = np.sqrt(elongation)
    points = _evenly(np.stack([sizes * np.cos(turns), sizes * np.sin(turns)], 1)) * (stretch, 1.0 / stretch)
    if convex:
        points = cv2.convexHull(points.astype(np.float32))[:, 0]
    area = 0.5 * abs(float(np.dot(points[:, 0], np.roll(points[:, 1], 1)) - np.dot(points[:, 1], np.roll(points[:, 0], 1))))
    points = points * np.sqrt(site.area_px / max(area, 1e-3))
    cos, sin = np.cos(site.angle_rad), np.sin(site.angle_rad)
    points = points @ np.array([[cos, sin], [-sin, cos]]) + np.array(site.center_xy)
    x, y = pixel_grid(site.window)
    nearest = np.full(site.window.shape, np.inf, np.float32)
    inside = np.zeros(site.window.shape, bool)
    for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, axis=0), strict=True):
        ex, ey = bx - ax, by - ay
        t = np.clip(((x - ax) * ex + (y - ay) * ey) / max(ex * ex + ey * ey, 1e-6), 0.0, 1.0)
        nearest = np.minimum(nearest, np.hypot(x - ax - t * ex, y - ay - t * ey))
        if ey != 0.0:  # even-odd rule
            inside ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * ex / ey)
    return np.where(inside, nearest, -nearest).astype(np.float32)
