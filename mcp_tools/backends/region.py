"""Where an inpainting model may paint: soft strokes and blobs from a spec, and the crop of the photo that the model sees.

A spec says where, how large, how long and in which direction; the model gets some room around that. The crop is taken so
that the region fills a good part of what the model sees, at most twice enlarged, and strokes are kept as wide as the model
can draw: latent diffusion cannot draw what is thinner than a few pixels of its own.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.placement import extent_of, place_instance

__all__ = ["Region", "fit_size", "plan_region"]

_LARGEST_ZOOM = 2.0
_LEAST_HALF_WIDTH_PX = 8.0  # as the model sees it: one cell of its latent grid, so that strokes are two wide
_LEAST_FEATHER_PX = 2.0
_MOST_FEATHER = 0.03  # of the photo's shorter side
_BEYOND_OBJECT = 0.06  # of the object's size: so far a region may leave it


class Region(NamedTuple):
    """What to inpaint.

    Attributes:
        window: the crop of the photo that the model sees.
        weight: (h, w) float32 0..1 over the window, how much of the model's pixels is taken; 0 outside the region.
        size_hw: (height, width) in pixels at which the model works.
    """

    window: Window
    weight: Field
    size_hw: tuple[int, int]


def plan_region(
    scene: Scene, spec: DefectSpec, seed: int, *, native_px: int, multiple_px: int, grow: float, context: float
) -> Region:
    """Place the instances of a spec and choose the crop around them.

    Args:
        native_px: side of the square pictures that the model was trained on.
        multiple_px: both sides that the model works on are multiples of this.
        grow: width of the region over the width of the defect; the model needs room to blend.
        context: side of the crop over the extent of the region.
    """
    rng = np.random.default_rng([seed, 0x1A5])
    area_px = spec.instance_px(scene.object_area_px)
    sites: list[Site] = []
    for _ in range(spec.count):
        sites.append(place_instance(scene, spec, area_px, sites, rng, clustered=False))
    length, width = (0.5 * side for side in extent_of(scene, area_px, spec.elongation))
    window = _crop(scene, sites, length + width * grow, round(native_px / _LARGEST_ZOOM), context)
    height_px, width_px = window.shape
    size = fit_size(height_px, width_px, native_px, multiple_px)
    half_width = max(width * grow, _LEAST_HALF_WIDTH_PX * math.sqrt(height_px * width_px / (size[0] * size[1])))
    weight = np.zeros(window.shape, np.float32)
    for site in sites:
        np.maximum(weight, _stroke(window, site, length, half_width), out=weight)
    return Region(window, weight * _near_object(scene, window, half_width), size)


def fit_size(height_px: int, width_px: int, native_px: int, multiple_px: int) -> tuple[int, int]:
    """(height, width) of about `native_px` squared pixels, of the same shape, both multiples of `multiple_px`."""
    scale = native_px / math.sqrt(height_px * width_px)
    height, width = (max(1, round(side * scale / multiple_px)) * multiple_px for side in (height_px, width_px))
    return height, width


def _crop(scene: Scene, sites: list[Site], reach_px: float, least_px: int, context: float) -> Window:
    height, width = scene.photo.shape
    middles = np.array([site.center_xy for site in sites])
    low, high = middles.min(axis=0) - reach_px, middles.max(axis=0) + reach_px
    side = max(least_px, math.ceil(context * float((high - low).max())))
    x0, x1 = _span(float(low[0] + high[0]) / 2.0, side, width)
    y0, y1 = _span(float(low[1] + high[1]) / 2.0, side, height)
    return Window(y0, x0, y1, x1)


def _span(middle: float, side: int, length: int) -> tuple[int, int]:
    """A range of `side` pixels around `middle`, moved into 0..length; all of it when `side` is longer."""
    if side >= length:
        return 0, length
    first = int(np.clip(round(middle - side / 2.0), 0, length - side))
    return first, first + side


def _stroke(window: Window, site: Site, half_length_px: float, half_width_px: float) -> Field:
    """(h, w) 0..1: a straight stroke with round ends and soft borders; a disc when it is as long as wide."""
    x = np.arange(window.x0, window.x1, dtype=np.float32)[None, :] - site.center_xy[0]
    y = np.arange(window.y0, window.y1, dtype=np.float32)[:, None] - site.center_xy[1]
    cosine, sine = math.cos(site.angle_rad), math.sin(site.angle_rad)
    along, across = np.abs(x * cosine + y * sine), y * cosine - x * sine
    inside_px = half_width_px - np.hypot(np.maximum(along - max(half_length_px - half_width_px, 0.0), 0.0), across)
    feather = max(_LEAST_FEATHER_PX, min(0.4 * half_width_px, _MOST_FEATHER * min(site.scene.photo.shape)))
    return np.clip(inside_px / feather, 0.0, 1.0).astype(np.float32)


def _near_object(scene: Scene, window: Window, reach_px: float) -> Field:
    """(h, w) 0..1: falls to 0 away from the object, so that a long stroke does not run across the background."""
    if scene.fills_frame:
        return np.ones(window.shape, np.float32)
    background = np.logical_not(scene.foreground).astype(np.uint8)
    distance = cv2.distanceTransform(background, cv2.DIST_L2, 3)[window.slices]
    reach = max(1.0, min(reach_px, _BEYOND_OBJECT * math.sqrt(scene.object_area_px)))
    return np.clip(1.5 - np.asarray(distance, np.float32) / reach, 0.0, 1.0).astype(np.float32)
