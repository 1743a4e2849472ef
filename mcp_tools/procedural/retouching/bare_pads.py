"""What a component that is not there leaves on a board: its pads, tinned or golden, for no iron has touched them.

They lie where its leads are seen; a small angular one has a pad under each end, a round can two drilled ones under its middle.
Of others nothing is known.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import pixel_grid
from anomalyagent.mcp_tools.procedural.light.surface import linear_from_srgb, srgb_from_linear
from anomalyagent.mcp_tools.procedural.parts.component import Component, mask_in
from anomalyagent.mcp_tools.procedural.parts.pin_rows import pins_in
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["with_bare_pads"]

_ANGULAR = 0.86  # of the smallest rectangle around it that an angular component fills; a disc fills 0.785
_SLENDER = 1.25  # length over width from which a component has two ends
_LEADS = 6  # seen at the least, each counted for both neighbours, for its pads to be known
_LARGEST = 0.12  # of the board's size: what is longer has many leads
_END = (0.2, 0.3)  # of its length, that each pad covers
_WIDE = (0.7, 0.95)  # of its width, that a pad is wide
_APART, _RADIUS, _DRILL = 0.23, 0.12, 0.45  # of a can's diameter: its pads off the middle, and their radius; the hole, of that
_LEAST_PX = 1.4  # radius of a pad that can be seen
_GREY = 10.0  # CIELAB chroma: what has less is tin or steel
_BRIGHT = 92.0  # percentile of the lightness of what is grey
_SHINE = 0.12  # share of its light by which a pad is brighter on one side


def with_bare_pads(scene: Scene, part: Component, window: Window, ground: RGB, rng: np.random.Generator) -> RGB:
    """`ground`, (h, w, 3) over the window, with the pads of a component of a board."""
    mask = mask_in(window, part)
    ys, xs = np.nonzero(mask)
    (x, y), sides, turn = cv2.minAreaRect(np.stack([xs, ys], axis=1).astype(np.float32))
    long, wide = max(sides), min(sides)
    leads = _leads(scene, window, mask)
    soft = 1.0 + 1.2 * scene.blur_sigma_px
    if leads is not None:
        return _painted(scene, ground, leads, np.full(leads.shape, -np.inf, np.float32), soft)
    if wide < 4.0 or long > _LARGEST * float(np.sqrt(scene.object_area_px)):
        return ground
    angle = np.deg2rad(turn) + (0.0 if sides[0] >= sides[1] else 0.5 * np.pi)
    grid_x, grid_y = pixel_grid(Window(0, 0, *window.shape))
    dx, dy = grid_x - np.float32(x), grid_y - np.float32(y)
    along = (dx * np.cos(angle) + dy * np.sin(angle)).astype(np.float32)
    across = (dy * np.cos(angle) - dx * np.sin(angle)).astype(np.float32)
    angular = np.count_nonzero(mask) > _ANGULAR * long * wide
    if angular and long > _SLENDER * wide:
        end, half = float(rng.uniform(*_END)) * long, 0.5 * float(rng.uniform(*_WIDE)) * wide
        inside = np.minimum(0.5 * end - np.abs(np.abs(along) - 0.5 * (long - end)), half - np.abs(across))
        return _painted(scene, ground, inside, np.full(inside.shape, -np.inf, np.float32), soft)
    if angular or long > _SLENDER * wide:
        return ground
    radius = max(_RADIUS * wide, _LEAST_PX)
    inside = radius - np.hypot(np.abs(along) - max(_APART * wide, 1.5 * radius), across)
    return _painted(scene, ground, inside, inside - (1.0 - _DRILL) * radius, soft)


def _leads(scene: Scene, window: Window, mask: Mask) -> Field | None:
    """Distance to the outlines of the leads that are seen, pixels, positive inside; None where they are too few."""
    near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    grid_x, grid_y = pixel_grid(Window(0, 0, *window.shape))
    inside = np.full(window.shape, -np.inf, np.float32)
    count = 0
    for pair in pins_in(scene, window):
        run = pair.step / np.linalg.norm(pair.step)
        for x, y in (pair.pin.xy, pair.pin.xy + pair.step):
            if not near[min(round(float(y)), near.shape[0] - 1), min(round(float(x)), near.shape[1] - 1)]:
                continue
            along, across = (grid_x - x) * run[0] + (grid_y - y) * run[1], (grid_y - y) * run[0] - (grid_x - x) * run[1]
            one = np.minimum(0.5 * pair.pin.width_px - np.abs(along), 0.5 * pair.pin.length_px - np.abs(across))
            inside, count = np.maximum(inside, one), count + 1
    return inside.astype(np.float32) if count >= _LEADS else None


def _painted(scene: Scene, ground: RGB, inside: Field, drilled: Field, soft: float) -> RGB:
    """The ground with metal where `inside` (pixels to the outline) is positive, and holes where `drilled` is."""
    y, x = np.mgrid[: inside.shape[0], : inside.shape[1]].astype(np.float32)
    towards = x * np.cos(scene.light[0]) + y * np.sin(scene.light[0])
    slope = (towards - towards.mean()) / max(float(np.abs(towards - towards.mean()).max()), 1.0)
    metal = linear_from_srgb(np.broadcast_to(_metal(scene), ground.shape).astype(np.float32))
    shown = srgb_from_linear((metal * (1.0 + _SHINE * slope)[..., None]).astype(np.float32))
    cover, hole = (np.clip(one / soft + 0.5, 0.0, 1.0)[..., None] for one in (inside, drilled))
    paint = ground + (shown - ground) * cover
    return np.clip(paint * (1.0 - 0.8 * hole), 0.0, 1.0).astype(np.float32)


@once_per_scene
def _metal(scene: Scene) -> NDArray[np.float32]:
    """(3,) sRGB of the bright grey things on the board: leads and solder."""
    lab = scene.lab[scene.foreground][::7]
    grey = np.hypot(lab[:, 1], lab[:, 2]) < _GREY
    if np.count_nonzero(grey) < 20:
        return np.full(3, 0.7, np.float32)
    bright = lab[:, 0] >= np.percentile(lab[grey, 0], _BRIGHT)
    return np.asarray(np.median(scene.photo.rgb[scene.foreground][::7][grey & bright], axis=0), np.float32)
