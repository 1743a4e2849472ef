"""Crazing: a net of fine cracks over an area, as of a glaze, a coating or a heated surface under tension.

The cracks divide the area into cells; the first ones run through and are the widest, later ones end at them and are finer.
Some never open, so that the net has gaps, and towards the border of the area they close.
"""

from dataclasses import replace

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.facets import borders_of, mosaic
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_distance, fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.light.material import dark_tone
from anomalyagent.mcp_tools.procedural.light.palette import measure_surroundings
from anomalyagent.mcp_tools.procedural.placement import Extent, window_around

__all__ = ["draw_net"]

_CELLS = (12, 90)
_MOST = 0.4  # of the object that the nets together cover
_FRINGE_PX = 1.0  # seen to be changed beyond both lips of a crack
_FINER = 2.0  # side of a cell of the first cracks, in cells of the later ones


def draw_net(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """A net whose lines together have the asked area. None when the window is too small to hold any."""
    width = max(0.004 * float(np.sqrt(site.scene.object_area_px)), 1.0) * float(rng.uniform(0.7, 1.6))
    cells = float(np.exp(rng.uniform(*np.log(_CELLS))))
    # n square cells of side s have lines of length 2 n s, of which about two in three open
    seen = 1.3 * (width + _FRINGE_PX)
    most = _MOST * site.scene.object_area_px / spec.count
    side = max(min(site.area_px / (cells * seen), most * seen / site.area_px), 4.0 * width)
    cells = site.area_px / (side * seen)
    area = cells * side**2
    long = float(np.sqrt(area * spec.elongation))
    window = window_around(site.scene, site.center_xy, Extent(long, area / long), site.angle_rad)
    site = replace(site, area_px=area, window=window)
    if min(site.window.shape) < 6:
        return None
    inner = blob_distance(
        site.window,
        site.center_xy,
        area,
        rng,
        elongation=spec.elongation,
        angle_rad=site.angle_rad,
        lobes=0.2,
        roughness=0.15,
        warp=0.3,
    )
    inside = inner > 0
    if np.count_nonzero(inside) < 16:
        return None
    held = np.count_nonzero(inside) / area
    opening = np.zeros(site.window.shape, np.float32)
    for finer, strength in ((_FINER, 1.0), (1.0, float(rng.uniform(0.35, 0.8)))):
        count = max(round(held * cells / finer**2), 2)
        label = mosaic(inside, count, 0.12 * finer * side, rng).label
        away = np.asarray(cv2.distanceTransform((~borders_of(label)).astype(np.uint8), cv2.DIST_L2, 3), np.float32)
        half = 0.5 * width * strength
        line = np.clip(half + 0.5 - away, 0.0, 1.0)
        opens = np.clip(1.0 + 0.8 * fractal_noise(site.window.shape, 1.5 * finer * side, rng), 0.0, 1.0)
        opening = np.maximum(opening, line * opens)
    opening = 1.2 * np.asarray(cv2.GaussianBlur(opening, (0, 0), 0.6), np.float32)  # nothing is as sharp as a pixel
    opening *= smooth_step((inner / max(0.35 * float(inner.max()), 2.0)).astype(np.float32))
    tone = dark_tone(measure_surroundings(site), spec, depth=float(rng.uniform(0.6, 0.9)))
    return Edit(
        window=site.window,
        support=opening > 0.02,
        height=(-0.25 * width * opening).astype(np.float32),
        log_reflectance=(opening[..., None] * tone).astype(np.float32),
        roughness=(0.3 * opening).astype(np.float32),
    )
