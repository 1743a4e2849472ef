"""The stage of a photo: its backdrop without the object, and the shade that the object throws on it.

Shade is what hangs together with the object and is darker than the backdrop is by itself; a tall object throws it further
than its own width, so it is followed as far as it goes. The ground that comes to light has the backdrop's light, which goes
on smoothly, and its mottle, which is copied from elsewhere.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.inpainting import continue_smoothly, fill_from_surroundings
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.texture import local_statistics
from anomalyagent.mcp_tools.procedural.geometry.shapes import smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import cast_shadow
from anomalyagent.mcp_tools.procedural.geometry.warp import feather, sample_cover
from anomalyagent.mcp_tools.procedural.retouching.cutout import SMOOTH_GRAIN, continue_backdrop, lowest_light

__all__ = ["clear_stage", "own_pixels", "shade_on"]

_ONE_SIDED = 0.25
_LIT = 0.97  # share of the backdrop's light that a place in full light gets
_REACHES = (0.2, 0.4, 0.8)  # of the object's size: how far shade is followed, further where it has not ended
_NEAR_THE_END, _NO_FRONT = 0.7, 0.3  # of the reach; shade that has ended covers no more there than this, of its size, pixels
_LEAST_BEYOND = 0.03  # share of the frame that must lie beyond, to tell the backdrop by
_SHADE = 0.04  # of the object's size: how deep shade reaches into a slot
_EVEN_SWEEPS = 24  # fewer leave an edge where a wide gap begins
_MOTTLED, _LEAST_MOTTLE = 0.5, 0.002  # an even backdrop has spots of this strength, of its grain and in sRGB units,
_SPOTS_PX = (2.0, 10.0)  # that are so wide (Gaussian sigma)
_STANDS_OFF = (0.03, 0.06, 0.1, 0.16, 0.24, 0.34)  # of the object's size: tried for how far it stands off its ground
_SMALL_TURN = 0.2  # radians: turned so little, shade keeps its shape


class Stage(NamedTuple):
    """A photo without its object.

    Attributes:
        ground: (H, W, 3) the backdrop.
        seat: (H, W) 0..1, where the object, its gaps and its shadow were.
        shadow: share of light that its shadow took; 0 when it threw none, as over a light table.
        light: (azimuth, elevation) in radians of the light that threw it, as of `Scene`: the azimuth points to the light.
        shade: (H, W) share of light that its shadow took there, continued under its rim; 0 where it threw none.
    """

    ground: RGB
    seat: Field
    shadow: float
    light: tuple[float, float]
    shade: Field


class _Shade(NamedTuple):
    """(H, W) bool, where shade lies; (H, W), the light that the backdrop gets; whether it ends within the reach."""

    shaded: NDArray[np.uint8]
    share: Field
    ended: bool


def clear_stage(scene: Scene, rng: np.random.Generator) -> Stage | None:
    """The backdrop where the whole object stood; None when the photo shows none."""
    rgb = scene.photo.rgb
    size = float(np.sqrt(scene.object_area_px))
    slot = 2 * round(0.08 * size) + 3
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (slot, slot))
    padded = cv2.copyMakeBorder(scene.foreground.astype(np.uint8), slot, slot, slot, slot, cv2.BORDER_CONSTANT, value=0)
    body = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)[slot:-slot, slot:-slot]  # with the slots between its pins
    away = np.asarray(cv2.distanceTransform(1 - body, cv2.DIST_L2, 3), np.float32)
    rim_px = 3.0 + 1.5 * scene.blur_sigma_px
    covered = away <= rim_px
    if covered.all():
        return None
    depth, (azimuth, elevation) = 0.0, scene.light
    shade = np.zeros(covered.shape, np.float32)
    found = _shade_beside(rgb, covered, away - rim_px, size)
    if found is not None:
        ys, xs = np.nonzero(found.shaded)
        if len(xs) > 0.01 * scene.object_area_px:
            x0, y0, x1, y1 = scene.box_xyxy
            heading = np.stack([xs - 0.5 * (x0 + x1), ys - 0.5 * (y0 + y1)])
            one_way = (heading / np.maximum(np.linalg.norm(heading, axis=0), 1.0)).mean(axis=1)
            if float(np.linalg.norm(one_way)) > _ONE_SIDED:  # blur and bloom lie on all sides
                depth = float(np.clip(1.0 - np.percentile(found.share[found.shaded > 0], 10), 0.0, 0.7))
                azimuth = float(np.arctan2(-one_way[1], -one_way[0]))
                shade = _continued(found, covered)
        covered |= cv2.dilate(found.shaded, np.ones((9, 9), np.uint8)) > 0
        if covered.all():
            return None
    ground = _uncovered(rgb, covered, rng)
    return Stage(ground, feather(covered, 1.5), depth, (azimuth, elevation), shade)


def _shade_beside(rgb: RGB, covered: Mask, away_px: Field, size: float) -> _Shade | None:
    """The shade that begins at what is covered, followed until it ends; None where the backdrop cannot tell it."""
    found = None
    for reach in _REACHES:
        beyond = np.asarray(away_px > reach * size)
        if np.count_nonzero(beyond) <= _LEAST_BEYOND * beyond.size:
            break
        if local_statistics(rgb, beyond).grain.mean() >= SMOOTH_GRAIN:
            break
        backdrop = cv2.GaussianBlur(continue_smoothly(rgb, beyond, _EVEN_SWEEPS).mean(2), (0, 0), 1.5)
        seen = np.asarray(cv2.GaussianBlur(rgb.mean(2), (0, 0), 1.5), np.float32)
        share = np.asarray(seen / np.maximum(backdrop, 1e-3), np.float32)
        lit = min(_LIT, lowest_light(seen, beyond, 0.5 * _REACHES[0] * size))
        shaded = (~covered & ~beyond & (share < lit)).astype(np.uint8)
        shaded = _touching(cv2.morphologyEx(shaded, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0, covered)
        front = np.count_nonzero(shaded[away_px > _NEAR_THE_END * reach * size])
        ended = bool(front <= _NO_FRONT * float(np.sqrt(shaded.sum())))
        if found is not None:  # near the object the ground beside it tells best what is shade
            shaded, share = np.maximum(shaded, found.shaded), np.minimum(share, found.share)
        found = _Shade(shaded, share, ended)
        if found.ended:
            break
    return found


def _touching(spots: Mask, body: Mask) -> NDArray[np.uint8]:
    """(H, W) 0 and 1: the components of `spots` that begin at `body`: a shadow does, unlike a dark spot of the backdrop."""
    labels = np.asarray(cv2.connectedComponents(spots.astype(np.uint8))[1])
    near = cv2.dilate(body.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    kept = np.unique(labels[near])
    return np.isin(labels, kept[kept > 0]).astype(np.uint8)


def _continued(found: _Shade, covered: Mask) -> Field:
    """(H, W) share of light that the shade took, continued smoothly under what is covered."""
    near = cv2.dilate(found.shaded, np.ones((9, 9), np.uint8)) > 0
    taken = np.where(near & ~covered, np.clip(1.0 - found.share, 0.0, 0.95), 0.0).astype(np.float32)
    return continue_smoothly(np.repeat(taken[..., None], 3, axis=2), ~covered)[..., 0]


def _uncovered(rgb: RGB, covered: Mask, rng: np.random.Generator) -> RGB:
    """The photo with what is covered replaced by the backdrop: an even one with its spots, if it has any."""
    grain = float(local_statistics(rgb, ~covered).grain.mean())
    if grain >= SMOOTH_GRAIN:
        return continue_backdrop(rgb, covered, ~covered, rng)
    fine, wide = (_mean_beside(rgb, covered, sigma) for sigma in _SPOTS_PX)
    if float((fine - wide)[~covered].mean(axis=1).std()) < max(_MOTTLED * grain, _LEAST_MOTTLE):
        return continue_backdrop(rgb, covered, ~covered, rng)
    even = continue_smoothly(wide, ~covered, _EVEN_SWEEPS)
    spots = np.clip(0.5 + rgb - even, 0.0, 1.0).astype(np.float32)
    drawn = fill_from_surroundings(spots, covered, rng) - 0.5 + even
    return np.where(covered[..., None], np.clip(drawn, 0.0, 1.0), rgb).astype(np.float32)


def _mean_beside(rgb: RGB, covered: Mask, sigma: float) -> RGB:
    """Gaussian mean of the photo over what is not covered."""
    weight = (~covered).astype(np.float32)
    total = cv2.GaussianBlur(rgb * weight[..., None], (0, 0), sigma)
    return (total / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-4)[..., None]).astype(np.float32)


def shade_on(stage: Stage, matte: Field, moved: Field, maps: tuple[Field, Field], turned: float | None) -> Field:
    """(H, W) share of light that the moved object keeps off the ground: the shade of the photo goes along while it is turned
    little; else one of the same depth and length falls away from the same light.

    Args:
        matte, moved: (H, W) 0..1, the object where it was and where it is.
        maps: where each pixel comes from, backward.
        turned: by so much, radians; None where it is mirrored.
    """
    if stage.shadow <= 0.0:
        return np.zeros_like(matte)
    if turned is not None and abs(turned) <= _SMALL_TURN:
        return (sample_cover(stage.shade, *maps) * (1.0 - moved)).astype(np.float32)
    size = float(np.sqrt(matte.sum()))
    beside = matte < 0.01
    seen = stage.shade[beside]
    casts = [(off * size, cast_shadow(matte, stage.light, off * size, stage.shadow)[beside]) for off in _STANDS_OFF]
    thick = min(casts, key=lambda cast: float(np.abs(cast[1] - seen).mean()))[0]
    return cast_shadow(moved, stage.light, thick, stage.shadow)


def own_pixels(scene: Scene, stage: Stage) -> Field:
    """(H, W) 0..1: the object with its whole rim, without the shade that the foreground holds in narrow slots."""
    ground = lab_from_rgb(stage.ground)
    away = np.linalg.norm(scene.lab - ground, axis=2)
    typical = max(float(np.percentile(away[scene.foreground], 75)), 1.0)
    least = np.where(scene.lab[..., 0] < ground[..., 0], 0.35, 0.08) * typical  # shade is only ever darker
    rim = cv2.dilate(scene.foreground.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.float32)
    clear = rim * smooth_step(((away - least) / (0.7 * least)).astype(np.float32))
    inside = scene.depth_px > 3.0 + _SHADE * float(np.sqrt(scene.object_area_px))
    own = np.where(inside, 1.0, clear).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(own, (0, 0), max(0.6 * scene.blur_sigma_px, 0.5)), np.float32)
