"""Transplant: a patch that does not belong where it sits, brought in without a seam. It stands for what nobody has described:
used where nothing is known of an item, or where a card calls for it.

Ways: `own` (a piece of the object itself, turned, mirrored, resized, blended in with its gradients kept, as Poisson editing
does, or half so), `foreign` (a drawn texture of another colour, partly transparent, in the shape of thresholded noise).
Source: own: Schlueter et al., NSA, ECCV 2022; Perez, Gangnet, Blake, Poisson image editing, 2003; foreign: Zavrtanik et al.,
DRAEM, ICCV 2021.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.imaging.inpainting import continue_smoothly
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import (
    blob_at,
    blob_distance,
    fractal_noise,
    pixel_grid,
    rectangle_at,
    smooth_step,
)
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import foreground_cover, grain_noise, window_guard
from anomalyagent.mcp_tools.procedural.geometry.warp import sample
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, measure_surroundings, rgb_of
from anomalyagent.mcp_tools.procedural.retouching.cutout import edit_of

__all__ = ["render"]

_FOREIGN_CHANCE = 0.3
_TRIES = 12
_VISIBLE = 3.0  # mean CIELAB-like distance in 1/255 of a channel below which a patch would not be noticed


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """A transplanted patch of the asked area (see module docstring); None when every piece looks the same."""
    if min(site.window.shape) < 6:
        return None
    if rng.random() < _FOREIGN_CHANCE:
        return _foreign(site, spec, rng)
    return _own(site, spec, rng) or _foreign(site, spec, rng)


def _own(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """A piece from elsewhere on the object."""
    cover = _patch_cover(site, spec, rng) * foreground_cover(site)
    shown = cover > 0.5
    if np.count_nonzero(shown) < 6:
        return None
    scene = site.scene
    rgb = scene.photo.rgb
    x0, y0, x1, y1 = scene.box_xyxy
    x, y = pixel_grid(site.window)
    dx = np.broadcast_to(x - site.center_xy[0], site.window.shape)
    dy = np.broadcast_to(y - site.center_xy[1], site.window.shape)
    host = np.ascontiguousarray(rgb[site.window.slices])
    keep_gradients = float(rng.choice([1.0, 1.0, 0.6]))
    for _ in range(_TRIES):
        source = float(rng.uniform(x0, x1 - 1)), float(rng.uniform(y0, y1 - 1))
        turn = float(rng.choice([0.0, 0.0, rng.uniform(-np.pi, np.pi)]))
        zoom = float(np.clip(rng.normal(1.0, 0.5), 0.7, 1.3)) * (-1.0 if rng.random() < 0.3 else 1.0)
        cos, sin = np.cos(turn) / abs(zoom), np.sin(turn) / abs(zoom)
        sx = dx * np.sign(zoom)
        map_x = (source[0] + sx * cos + dy * sin).astype(np.float32)
        map_y = (source[1] - sx * sin + dy * cos).astype(np.float32)
        rows, columns = np.rint(map_y[shown]).astype(int), np.rint(map_x[shown]).astype(int)
        if rows.min() < 0 or columns.min() < 0 or rows.max() >= rgb.shape[0] or columns.max() >= rgb.shape[1]:
            continue
        if scene.foreground[rows, columns].mean() < 0.8:
            continue
        guest = sample(rgb, map_x, map_y)
        # Poisson editing with the host's colours along the seam: what is missing there is spread smoothly over the inside
        seam = continue_smoothly((host - guest).astype(np.float32), ~shown)
        paint = np.clip(guest + keep_gradients * seam, 0.0, 1.0).astype(np.float32)
        if 255.0 * float(np.abs(paint - host)[shown].mean()) > _VISIBLE:
            return edit_of(site.window, paint, cover.astype(np.float32))
    return None


def _patch_cover(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Field:
    """A rectangle with soft borders or an irregular patch."""
    soft = 1.0 + 1.2 * site.scene.blur_sigma_px
    stretch = min(spec.elongation, 8.0)
    if rng.random() < 0.4:
        inside = rectangle_at(site, stretch)
    else:
        inside = blob_at(
            site, rng, elongation=stretch, lobes=float(rng.uniform(0.1, 0.35)), roughness=float(rng.uniform(0.0, 0.2))
        )
    return smooth_step(((inside + 0.5 * soft) / soft).astype(np.float32))


def _foreign(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit:
    """A texture that the object does not have."""
    near = measure_surroundings(site)
    size = float(np.sqrt(site.area_px))
    if rng.random() < 0.5:
        cover = _patch_cover(site, spec, rng)
    else:  # thresholded noise under a soft blob
        inside = blob_distance(site.window, site.center_xy, 2.0 * site.area_px, rng, elongation=min(spec.elongation, 6.0))
        depth = max(float(inside.max()), 1.0)
        noise = fractal_noise(site.window.shape, max(0.5 * size, 3.0), rng, octaves=3)
        cover = smooth_step(((inside / depth) * 2.0 - 0.7 + noise) / np.float32(0.25))
        cover = cover * smooth_step(inside / np.float32(2.0))
    cover = cover * foreground_cover(site) * window_guard(site, 2.0) * float(rng.uniform(0.35, 1.0))
    return Edit(
        window=site.window, support=cover > 0.01, paint=_texture(site, near, spec, size, rng), opacity=cover.astype(np.float32)
    )


def _texture(site: Site, near: Surroundings, spec: DefectSpec, size: float, rng: np.random.Generator) -> RGB:
    """(h, w, 3) sRGB: two tones, mixed by noise that is isotropic, drawn out or regular."""
    shape = site.window.shape
    reach = float(np.clip(spec.severity * near.jnd * 1.2, 6.0, 60.0))
    tones: list[np.ndarray] = []
    for _ in range(2):
        shift = rng.normal(0.0, 1.0, 3) * np.array([1.0, 0.4, 0.5])
        shift *= reach / max(float(np.linalg.norm(shift)), 1e-3)
        tone = near.lab + (np.array([shift[0], 0.0, 0.0]) if near.grey else shift)
        tones.append(np.clip(tone, [4.0, -60.0, -60.0], [96.0, 60.0, 60.0]).astype(np.float32))
    scale = max(float(rng.uniform(0.08, 0.6)) * size, 2.0)
    if rng.random() < 0.5:
        mix = fractal_noise(shape, scale, rng, octaves=4, gain=0.6)
    else:
        mix = grain_noise(shape, 6.0 * scale, scale, float(rng.uniform(0.0, np.pi)), rng)
    share = smooth_step((0.5 + 0.4 * mix).astype(np.float32))[..., None]
    lab = tones[0] + share * (tones[1] - tones[0])
    lab[..., 0] += float(rng.uniform(0.0, 4.0)) * fractal_noise(shape, 2.0, rng, octaves=1)
    lab[..., 0] = np.clip(lab[..., 0], 2.0, 98.0)
    return np.asarray(cv2.GaussianBlur(rgb_of(lab.astype(np.float32)), (0, 0), 0.5), np.float32)
