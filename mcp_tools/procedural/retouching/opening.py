"""What lies behind an object, seen through where a piece of it broke out."""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask, SmallMask
from anomalyagent.mcp_tools.imaging.inpainting import continue_smoothly, fill_from_surroundings
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.texture import local_statistics
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import smooth_step
from anomalyagent.mcp_tools.procedural.retouching.cutout import SMOOTH_GRAIN

__all__ = ["cut_through", "of_own_tone", "with_what_falls_off"]

_HELD = 0.2  # of the largest piece: what is smaller and hangs on nothing falls off
_OWN_TONE = 0.3  # of the way from what lies behind an object to its own tone: what is farther on it belongs to it
_SHADE_TONE = 0.35  # of the same way back: what along the outline has gone farther may be no part of it
_LEAST_SEEN_PX = 24  # in the window, to tell by it what lies behind


def with_what_falls_off(site: Site, opening: Field) -> Field | None:
    """The opening with the pieces of the object that nothing holds any more; None where one reaches out of the window."""
    rest = site.scene.foreground.astype(np.uint8)
    rest[site.window.slices] &= opening < 0.5
    loose = _small_pieces(rest)
    inside = loose[site.window.slices]
    if np.count_nonzero(inside) < np.count_nonzero(loose & ~_small_pieces(site.scene.foreground.astype(np.uint8))):
        return None
    return np.maximum(opening, cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8))).astype(np.float32)


def _small_pieces(body: SmallMask) -> Mask:
    """(H, W) bool: the pieces of a body that are much smaller than its largest one."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(body, connectivity=4)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    small = 1 + np.flatnonzero(areas < _HELD * areas.max(initial=0))
    return np.asarray(np.isin(labels, small))


def cut_through(
    site: Site,
    opening: Field,
    behind: NDArray[np.float32],
    slender: Mask | None,
    paint: RGB,
    cover: Field,
    rng: np.random.Generator,
    beside: Field | None = None,
) -> tuple[RGB, Field]:
    """Paint and cover of the break with what lies behind the object seen through its opening.

    Args:
        beside: (h, w) pixels inside the border of the piece, for one with a sharp outline: what goes with it is all within
            that border, and beyond what the lens blurs only what has the tone of the object; None: see below.
    """
    reach = _outline_reach(site.scene)
    solid = site.scene.foreground[site.window.slices]
    beyond = _with_outline(solid if slender is None else solid & ~slender, reach)
    # beside the object the opening goes on as far as the soft outline of the piece reached, and fades out along it
    away = cv2.distanceTransform((opening < 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    wide = smooth_step((1.75 - 1.25 * away / reach).astype(np.float32)) if beside is None else smooth_step(0.5 + beside / 5.0)
    through = np.where(solid, opening, wide).astype(np.float32) * beyond
    if slender is not None:  # what stands beside the break stays, with its soft outline
        around = cv2.dilate(slender.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        through = np.where(around, 0.0, through).astype(np.float32)
    backdrop = _backdrop(site, (beyond > 0) | solid, behind, rng)
    if beside is not None and (solid & (opening > 0.5)).any():
        rgb = site.scene.photo.rgb[site.window.slices]
        own = rgb[solid & (opening > 0.5)].mean(axis=0) - backdrop
        toned = ((rgb - backdrop) * own).sum(axis=2) / np.maximum((own * own).sum(axis=2), 1e-3) > _OWN_TONE
        near = _with_outline(solid | toned, 1.0 + 3.0 * site.scene.blur_sigma_px)
        through *= np.asarray(cv2.GaussianBlur(near, (0, 0), 0.7), np.float32)
    share = np.where(solid, through, 1.0)[..., None]  # beside the object there is no fracture to mix in
    return (paint + share * (backdrop - paint)).astype(np.float32), np.maximum(cover, through)


def of_own_tone(site: Site, broken: Mask, behind: NDArray[np.float32], rng: np.random.Generator) -> Field:
    """(h, w) 0..1: 0 for the strip along the outline that is no part of the object, but shade below it that passed for one.

    Args:
        broken: (h, w) bool, where the object is broken.
    """
    solid, depth = site.scene.foreground[site.window.slices], site.scene.depth_px[site.window.slices]
    reach = _outline_reach(site.scene)
    deep = solid & (depth > reach)
    if not deep.any():
        return np.ones(solid.shape, np.float32)
    rgb = site.scene.photo.rgb[site.window.slices]
    own = np.median(rgb[deep & broken] if (deep & broken).any() else rgb[deep], axis=0)
    backdrop = _backdrop(site, _with_outline(solid, reach) > 0, behind, rng)
    toward = own - backdrop
    far = ((rgb - own) * toward).sum(axis=2) / np.maximum((toward * toward).sum(axis=2), 1e-3)
    # what is lighter than what lies behind is no shade on it, but a side of the object that is turned from the light
    shade = (far < -_SHADE_TONE) & (depth <= reach) & (rgb.mean(axis=2) < backdrop.mean(axis=2))
    if not shade.any():
        return np.ones(solid.shape, np.float32)
    return cv2.GaussianBlur(1.0 - shade.astype(np.float32), (0, 0), 0.6).astype(np.float32)


def _with_outline(solid: Mask, reach_px: float) -> Field:
    """The object and the pixels beside it that its blurred outline still tints, 0..1: no trace of it may hang over a notch.

    Rounded and transparent parts fade out over more than the lens blur: a share of the object's size is added.
    """
    size = 2 * int(np.ceil(reach_px)) + 1
    grown = cv2.dilate(solid.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return grown.astype(np.float32)


def _outline_reach(scene: Scene) -> float:
    """Pixels beyond the outline that the object may still tint."""
    return 2.0 + 3.0 * scene.blur_sigma_px + 0.02 * float(np.sqrt(scene.object_area_px))


def _backdrop(site: Site, covered: Mask, usual: NDArray[np.float32], rng: np.random.Generator) -> RGB:
    """(h, w, 3) what lies behind the object, continued from what is seen of it in the window; `usual` when too little is."""
    if np.count_nonzero(~covered) < _LEAST_SEEN_PX:
        return np.broadcast_to(usual, (*covered.shape, 3)).astype(np.float32)
    rgb = np.ascontiguousarray(site.scene.photo.rgb[site.window.slices])
    if local_statistics(rgb, ~covered).grain.mean() >= SMOOTH_GRAIN:  # a weave or a perforated board
        return fill_from_surroundings(rgb, covered, rng)
    return continue_smoothly(rgb, ~covered)
