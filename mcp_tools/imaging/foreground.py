"""Object or surface? The object of a photo, told from its background without any weights.

1. On a small copy the border is taken as background: a smooth colour surface is fitted to it robustly (`backdrop.py`), and
   what lies off that surface is a candidate for the object (`candidate.py`).
2. The candidate is an object when its colour is well apart, its outline lies on real edges and it holds together
   (`sides.py`); otherwise the photo shows a surface that fills the frame. A candidate that only lies along the border is
   itself the background, seen beside an object that reaches most of the border.
3. Holes are filled unless they look like the background, in full light or in the object's shadow (a nut's hole stays a hole,
   the dark mouth of a bottle on a light table and a label with print do not). Shadows that the object casts beside itself
   are background too.
4. The outline is drawn again at the photo's own resolution; narrow shadows are left out there (`narrow_shadow.py`), and small
   holes opened where several are alike.
5. Where all that finds nothing, an object may lie before a regular pattern (`patterned.py`).
"""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Lab, Mask, SmallMask
from anomalyagent.mcp_tools.imaging.backdrop import CAST_SHADE, UMBRA, color_length, fit_backdrop, is_shaded, median_color
from anomalyagent.mcp_tools.imaging.candidate import MIN_SEPARATION, find_candidate
from anomalyagent.mcp_tools.imaging.color import SHADE_TINT, lab_from_rgb, light_on
from anomalyagent.mcp_tools.imaging.narrow_shadow import without_narrow_shadow
from anomalyagent.mcp_tools.imaging.patterned import over_pattern, repeats_beside, without_detail
from anomalyagent.mcp_tools.imaging.printed_holes import fill_printed_holes
from anomalyagent.mcp_tools.imaging.sides import Sides, is_object, measure_sides
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.imaging.small_holes import open_small_holes

__all__ = ["find_foreground"]

_SIDE = 128  # longer side of the copy on which the object is found
_REFINED_SIDE = 1024  # longer side of the copy on which its outline is drawn
_MIN_FAINT_SEPARATION = 5.0  # as `MIN_SEPARATION`, for the rest of an object of which a part was found
# (smoothing in pixels, how far a border pixel may lie off the background's colour and still shape it), most usual case first:
# an even or unevenly lit backdrop; an object that reaches much of the border; a textured backdrop
_ATTEMPTS = ((0.8, 20.0), (0.8, 3.0), (2.0, 6.0))
_MIN_SHADED = 0.7  # share of the fringe of a part that is shade where it is the part's shadow
_PART = 1.5  # how much larger the object must be than the part of it that stands out most

_BOX3, _BOX5, _BOX7 = (np.ones((side, side), np.uint8) for side in (3, 5, 7))


def find_foreground(rgb: RGB) -> Mask:
    """(H, W) bool, the object; all true when the photo is a surface that fills the frame. `rgb`: (H, W, 3) float32 0..1."""
    height, width = rgb.shape[:2]
    fine = reduced(rgb, _REFINED_SIDE, 8)
    coarse = reduced(fine, _SIDE, 8)
    lab = lab_from_rgb(coarse)
    for smoothing_px, pull in _ATTEMPTS:
        smooth = np.asarray(cv2.GaussianBlur(lab, (0, 0), smoothing_px, borderType=cv2.BORDER_REFLECT), np.float32)
        backdrop = fit_backdrop(smooth, pull)
        standing_out = _checked(find_candidate(smooth, *backdrop, faint=False), smooth, backdrop[0], MIN_SEPARATION)
        if standing_out is not None:
            break
    else:
        found = _before_pattern(fine, lab)
        return np.ones((height, width), np.bool_) if found is None else _at_size(found, height, width)
    whole = _checked(find_candidate(smooth, *backdrop, faint=True), smooth, backdrop[0], _MIN_FAINT_SEPARATION)
    chosen = whole if whole is not None and _is_part(standing_out[0], whole[0], smooth, backdrop[0]) else standing_out
    found = without_narrow_shadow(_refine(fine, *chosen), fine, backdrop[0])
    found = fill_printed_holes(found, fine)
    found = open_small_holes(found, fine, chosen[0], lab, backdrop[0])
    return _at_size(found, height, width)


def _at_size(found: Mask, height: int, width: int) -> Mask:
    if found.shape == (height, width):
        return found
    soft = cv2.resize(found.astype(np.uint8) * np.uint8(255), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(soft >= 128, np.bool_)


def _before_pattern(fine: RGB, lab: Lab) -> Mask | None:
    """The object before a backdrop with a regular pattern, of the size of `fine`; None when there is no such thing."""
    height, width = lab.shape[:2]
    small = without_detail(cv2.resize(lab, (width // 2, height // 2), interpolation=cv2.INTER_AREA).astype(np.float32))
    if float(np.percentile(color_length(small - median_color(small.reshape(-1, 3))), 97.0)) < MIN_SEPARATION:
        return None  # even without its detail: a surface, and that is told fast
    even = without_detail(lab)
    backdrop = fit_backdrop(even, _ATTEMPTS[0][1])
    body = _checked(find_candidate(even, *backdrop, faint=False), even, backdrop[0], MIN_SEPARATION)
    if body is None or not repeats_beside(lab, body[0]):
        return None
    found = _refine(fine, *body)
    scale = 2 if min(fine.shape[:2]) >= 2 * _SIDE else 1  # a lead is a few pixels wide there
    near = reduced(fine, scale * _SIDE, 8)
    solid = cv2.resize(found.astype(np.uint8), near.shape[1::-1], interpolation=cv2.INTER_AREA) > 0
    return _at_size(over_pattern(lab_from_rgb(near), np.asarray(solid, np.bool_)), *found.shape)


def _checked(mask: SmallMask | None, lab: Lab, expected: Lab, least: float) -> tuple[SmallMask, Sides] | None:
    """The candidate and its sides, if it is an object that lies at least `least` CIELAB units from its background."""
    sides = None if mask is None else measure_sides(mask, lab, expected)
    return None if mask is None or sides is None or not is_object(mask, sides, least) else (mask, sides)


def _is_part(mask: SmallMask, whole: SmallMask, lab: Lab, expected: Lab) -> bool:
    """True when what stands out is but a part of a larger object: the core of a roll of white paper on a white table.

    What is added must not be a fringe alone: small things in their own soft shadows (capsules on a table) are no larger.
    A fringe that is no shade belongs to the part: the pale body around the contacts of a connector.
    """
    if int(whole.sum()) <= _PART * int(mask.sum()) or float(whole[mask > 0].mean()) <= 0.98:
        return False
    light = light_on(lab, expected)[(whole > 0) & (mask == 0)]
    if float(is_shaded(light, UMBRA).mean()) < _MIN_SHADED:
        return True
    beyond = int(whole[cv2.dilate(mask, _BOX7) == 0].sum())
    return 2 * beyond >= int(whole.sum()) - int(mask.sum())


def _refine(fine: RGB, mask: SmallMask, sides: Sides) -> Mask:
    """Draw the outline at the resolution of `fine`: each pixel near it joins the side whose local colour is closer."""
    height, width = fine.shape[:2]
    band = np.asarray(cv2.dilate(mask, _BOX5) - cv2.erode(mask, _BOX5), np.uint8)
    near = np.asarray(cv2.resize(band, (width, height), interpolation=cv2.INTER_NEAREST), np.bool_)
    soft = np.asarray(cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    found = soft >= 0.5
    rows, columns = np.nonzero(near)
    at = (rows * mask.shape[0] // height, columns * mask.shape[1] // width)
    here = lab_from_rgb(fine[near][None])[0]
    to_inside = color_length(here - sides.inside[at])
    to_outside = color_length(here - sides.outside[at])
    # closeness to each side, tempered by the coarse outline
    share = to_outside / np.maximum(to_inside + to_outside, 1e-3)
    # what the background shows in a cast shadow is background, unless the object looks like that itself
    light = light_on(here, sides.outside[at])
    shadow = is_shaded(light, CAST_SHADE) & (to_inside > SHADE_TINT)
    inner = light_on(sides.lab[sides.inner], median_color(sides.lab[sides.outer]))
    if float(is_shaded(inner, CAST_SHADE).mean()) > 0.3:
        shadow &= light_on(sides.inside[at], sides.outside[at]) < CAST_SHADE
    found[near] = (0.6 * share + 0.4 * soft[near] >= 0.5) & ~shadow
    cleaned = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, _BOX3)
    return np.asarray(cv2.morphologyEx(cleaned, cv2.MORPH_CLOSE, _BOX3), np.bool_)
