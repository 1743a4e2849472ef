"""Random shapes that the mechanisms share: noise, blobs and rectangles; `paths.py` has lines, `facets.py` broken faces.

Points are (x, y) in photo pixels, pixel centres at integers. Fields cover one `Window` only, so that the cost of a shape
grows with the shape and not with the photo. Everything random comes from the generator that is passed in.

Source: Perlin-like value noise after Perlin 1985; noisy radial blobs as level sets with a given area.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Site, Window

__all__ = ["blob_at", "blob_distance", "fractal_noise", "pixel_grid", "rectangle_at", "smooth_step"]


def smooth_step(x: Field) -> Field:
    """Hermite step of (h, w) values: 0 below 0, 1 above 1."""
    t = np.clip(x, 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


def pixel_grid(window: Window) -> tuple[Field, Field]:
    """(x, y) photo coordinates of a window's pixels, shapes (1, w) and (h, 1), to broadcast."""
    x = np.arange(window.x0, window.x1, dtype=np.float32)[None, :]
    y = np.arange(window.y0, window.y1, dtype=np.float32)[:, None]
    return x, y


def fractal_noise(
    shape: tuple[int, int], scale_px: float, rng: np.random.Generator, *, octaves: int = 3, gain: float = 0.5
) -> Field:
    """(h, w) smooth noise with zero mean and unit variance (in expectation), whose largest features are `scale_px` wide.

    Args:
        octaves: number of layers, each half as wide as the one before; layers below a pixel are left out.
        gain: amplitude of a layer relative to the one before.
    """
    height, width = shape
    total = np.zeros(shape, np.float32)
    amplitude, power, scale = 1.0, 0.0, max(scale_px, 1.0)
    for octave in range(octaves):
        if octave and scale < 1.0:
            break
        rows, columns = int(height / scale) + 4, int(width / scale) + 4
        grid = rng.standard_normal((rows, columns), np.float32)
        dy, dx = rng.random(2)
        # Sampling the grid at a random offset keeps the lattice from showing in the same place everywhere.
        matrix = np.array([[1.0 / scale, 0.0, 1.0 + dx], [0.0, 1.0 / scale, 1.0 + dy]], np.float32)
        layer = cv2.warpAffine(
            grid, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
        )
        total += np.float32(amplitude) * layer
        power += amplitude**2 * 0.74  # variance that cubic interpolation leaves of white noise, measured
        amplitude *= gain
        scale /= 2.0
    return total / np.float32(np.sqrt(power))


def blob_distance(
    window: Window,
    center_xy: tuple[float, float],
    area_px: float,
    rng: np.random.Generator,
    *,
    elongation: float = 1.0,
    angle_rad: float = 0.0,
    lobes: float = 0.25,
    roughness: float = 0.15,
    warp: float = 0.0,
    across_px: Field | None = None,
) -> Field:
    """Signed distance (pixels, approximate, positive inside) to the outline of an irregular blob.

    Args:
        area_px: area of the blob; met exactly when the window holds all of it.
        elongation: length over width.
        lobes: relative size of slow waves of the outline (3 to 6 around).
        roughness: relative size of its fine fractal irregularity.
        warp: how far the plane is bent under the blob, relative to its radius: bays, necks and tongues that no waves around a
            middle make; from 0.5 on little is left of the ellipse.
        across_px: (h, w) replaces the straight coordinate across the long axis, so that the blob follows a curve.
    """
    radius = float(np.sqrt(max(area_px, 1.0) / np.pi))
    x, y = pixel_grid(window)
    dx, dy = x - center_xy[0], y - center_xy[1]
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    stretch = float(np.sqrt(elongation))
    u = (dx * cosine + dy * sine) / stretch
    v = (-dx * sine + dy * cosine if across_px is None else across_px) * stretch
    if warp > 0:
        bent = [
            np.float32(warp * radius) * fractal_noise(window.shape, max(1.2 * radius, 4.0), rng, gain=0.6) for _ in range(2)
        ]
        u, v = u + bent[0], v + bent[1]
    rho = np.hypot(u, v)
    outline = np.ones(window.shape, np.float32)
    if lobes > 0:
        theta = np.arctan2(v, u)
        for k in range(3, 7):  # two waves would be an elongation that nobody asked for
            outline += lobes * float(rng.normal()) * 2.2 / k**1.8 * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
    if roughness > 0:
        outline += roughness * fractal_noise(window.shape, max(radius / stretch, 2.0), rng, octaves=4, gain=0.6)
    # Distances shrink with the stretch across the blob: dividing by it keeps a pixel at the flanks a pixel.
    field = (np.maximum(outline, 0.2) * radius - rho) / stretch
    wanted = int(np.clip(area_px, 1, field.size))
    inside = int((field > 0).sum())
    if abs(inside - wanted) > 0.02 * wanted + 1 and wanted < field.size:
        field -= np.partition(field.ravel(), field.size - wanted)[field.size - wanted]
    field = _without_islands(field.astype(np.float32))
    # Near the outline the level set is divided by its slope, so that a ragged outline is as smooth to the pixel as a round one.
    rise, run = np.gradient(field)
    steepness = np.hypot(rise, run)
    return (field / np.maximum(1.0, 1.0 + (steepness - 1.0) * np.exp(-((field / 4.0) ** 2)))).astype(np.float32)


def _without_islands(field: Field) -> Field:
    """The level set with only its largest connected inside left."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((field > 0).astype(np.uint8), connectivity=4)
    if count <= 2:
        return field
    main = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.where((labels == 0) | (labels == main), field, -1.0).astype(np.float32)


def blob_at(
    site: Site,
    rng: np.random.Generator,
    *,
    share: float = 1.0,
    elongation: float,
    lobes: float,
    roughness: float = 0.15,
    warp: float = 0.0,
) -> Field:
    """`blob_distance` over a site's window: at its place, along its axis, of `share` times its area."""
    return blob_distance(
        site.window,
        site.center_xy,
        share * site.area_px,
        rng,
        elongation=elongation,
        angle_rad=site.angle_rad,
        lobes=lobes,
        roughness=roughness,
        warp=warp,
    )


def rectangle_at(site: Site, elongation: float) -> NDArray[np.floating]:
    """Signed distance (pixels, positive inside; short beyond corners) to the rectangle of a site's area, along its axis."""
    long = float(np.sqrt(site.area_px * elongation))
    wide = site.area_px / long
    x, y = pixel_grid(site.window)
    dx, dy = x - site.center_xy[0], y - site.center_xy[1]
    cos, sin = np.cos(site.angle_rad), np.sin(site.angle_rad)
    return np.minimum(long / 2 - np.abs(dx * cos + dy * sin), wide / 2 - np.abs(-dx * sin + dy * cos))
