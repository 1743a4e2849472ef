"""Shadows beside a part that are too narrow for the small copy on which its foreground is found.

There a strip of shade between a part and the lit ground is blurred into both and looks like a step of the part. On a larger
copy it is calm, of just the ground's colour in less light, open to the outside, and a step away from a part that does not
look like shade itself.
"""

from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask, SmallMask
from anomalyagent.mcp_tools.imaging.backdrop import UMBRA, is_shaded
from anomalyagent.mcp_tools.imaging.candidate import reaching_outside
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb, light_on
from anomalyagent.mcp_tools.imaging.sizes import reduced

__all__ = ["without_narrow_shadow"]

_SIDE = 384  # longer side of the copy on which shade is sought
_LEAST_LIGHT = (UMBRA, 0.12, 0.2)  # light of the shade against full light: the deepest that is not the part's own look
_DARK = 20.0  # CIELAB L up to which a ground shows no shadows
_CALM = 12.0  # CIELAB L within 3 pixels that shade does not exceed
_SAME_TINT = 1.5  # CIELAB chroma off that of the ground in less light
_STEP = 12.0  # CIELAB units from the shade to the part beside it
_MOST = 0.35  # share of what was found that may be shade
_MOST_GREY = 0.35  # share of the part that may look like shade itself
_LEAST_PX, _MARGIN_PX = 40, 8  # area of a shadow on the copy; how far around the part one looks
_CRUMB = 0.02  # share of the rest up to which a piece is a remainder of the shadow's border

_BOX3, _BOX9 = (np.ones((side, side), np.uint8) for side in (3, 9))


def without_narrow_shadow(found: Mask, fine: RGB, expected: Lab) -> Mask:
    """The foreground without the narrow shadows beside it.

    Args:
        found, fine: (H, W) the foreground and (H, W, 3) the photo.
        expected: (h, w, 3) CIELAB colours of the ground in full light, on a small copy.
    """
    if not found.any():
        return found
    near = reduced(fine, _SIDE, 8)
    height, width = near.shape[:2]
    part = np.asarray(cv2.resize(found.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    x, y, wide, high = cv2.boundingRect(part)
    window = slice(max(y - _MARGIN_PX, 0), y + high + _MARGIN_PX), slice(max(x - _MARGIN_PX, 0), x + wide + _MARGIN_PX)
    lab = lab_from_rgb(np.ascontiguousarray(near[window]))
    lab = np.asarray(cv2.GaussianBlur(lab, (0, 0), 0.8, borderType=cv2.BORDER_REFLECT), np.float32)
    ground = np.asarray(cv2.resize(expected, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)[window]
    light = np.where(ground[..., 0] > _DARK, light_on(lab, ground), np.float32(0.0))
    calm = np.asarray(cv2.morphologyEx(np.ascontiguousarray(lab[..., 0]), cv2.MORPH_GRADIENT, _BOX3) < _CALM)
    for least in _LEAST_LIGHT:
        shadows = _shadows_of(part[window], is_shaded(light, least), calm, _Looks(lab, ground, light))
        if shadows.any():
            shade = np.zeros_like(part)
            shade[window] = cv2.dilate(shadows, _BOX3)
            return _cut(found, shade)
    return found


class _Looks(NamedTuple):
    """CIELAB colours of the photo and of its ground, (H, W, 3), and the light that makes the ground look like it, (H, W)."""

    lab: Lab
    ground: Lab
    light: Field


def _shadows_of(part: SmallMask, shaded: Mask, calm: Mask, looks: _Looks) -> SmallMask:
    """The shadows among what looks like shade; nothing when the rest is too little or looks like shade as well."""
    open_shade = reaching_outside(part & np.asarray(shaded & calm, np.uint8), part)
    open_shade = np.asarray(cv2.morphologyEx(open_shade, cv2.MORPH_OPEN, _BOX3), np.uint8)
    shadows = np.zeros_like(part)
    rest = part & (1 - np.asarray(cv2.dilate(open_shade, _BOX3), np.uint8))
    if int(open_shade.sum()) < _LEAST_PX or float(rest.sum()) < (1.0 - _MOST) * float(part.sum()):
        return shadows
    core = cv2.erode(rest, _BOX3) > 0
    if not core.any() or float(shaded[core].mean()) > _MOST_GREY:
        return shadows
    count, labels, stats, _ = cv2.connectedComponentsWithStats(open_shade, connectivity=4)
    for label in range(1, count):
        if stats[label][cv2.CC_STAT_AREA] < _LEAST_PX:
            continue
        one = np.asarray(labels == label)
        colours, light = looks.lab[one], looks.light[one]
        off_tint = np.linalg.norm(colours[:, 1:] - looks.ground[one][:, 1:] * np.cbrt(light)[:, None], axis=1)
        beside = looks.lab[(cv2.dilate(one.astype(np.uint8), _BOX9) > 0) & core]
        if len(beside) == 0 or float(np.median(off_tint)) > _SAME_TINT:
            continue
        if float(np.median(np.linalg.norm(beside - np.median(colours, axis=0), axis=1))) >= _STEP:
            shadows[one] = 1
    return shadows


def _cut(found: Mask, shade: SmallMask) -> Mask:
    """What was found without the shade, and without the crumbs that its border leaves."""
    soft = cv2.resize(shade * np.uint8(255), found.shape[::-1], interpolation=cv2.INTER_LINEAR)
    x, y, wide, high = cv2.boundingRect(found.astype(np.uint8))
    window = slice(y, y + high), slice(x, x + wide)
    rest = cv2.morphologyEx((found[window] & (soft[window] < 128)).astype(np.uint8), cv2.MORPH_OPEN, _BOX3)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=8)
    whole = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] > _CRUMB * float(rest.sum()))
    cut = np.zeros_like(found)
    cut[window] = np.isin(labels, whole[whole > 0])
    return cut
