"""What a whole-frame editor changed without meaning to, told from what it drew: JPEG blocks, noise of an autoencoder, softness.

noise floor   how strongly it changed places like this one. Its own picture tells: most of it was not meant to change, so the
              typical change around a place, and at places with as much structure, is noise (JPEG and autoencoders err most
              beside edges)
parts         connected places above the floor; one that nowhere stands far out of it, neither seen closely nor from three
              times as far, is noise: from there noise averages out, and a wide faint change does not
borders       a part that was drawn sharp comes back soft; its border lies where the change has fallen to a share of its
              strength beside it
"""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.color import ciede2000, lab_from_rgb, luminance
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.scene import scene_of

__all__ = ["drop_drift"]

_SIGMA_PX = 1.2
_FAINTEST, _STANDS_OUT = 0.6, 1.5  # JND: what a part extends down to, and must reach somewhere
_LOW, _HIGH = 2.0, 7.0
"""The same, in floors. Noise of two and three components exceeds k medians with a probability of about 2 ** -k**2: with 7, one
place in 10 ** 14. Measured on re-encoded photos the tail is heavier: the largest of 65,536 pixels lies at 4.5 to 6.5."""
_AFAR, _STANDS_OUT_AFAR = 3, 1.0
_BORDER_SHARE, _BORDER_PX = 0.25, 2
_FLOOR_SIDE = 128
_TYPICAL = 1.5  # of the calm quarter's bound: about the median of noise
_FLOOR_MOST = 2.0  # JND: where everything differs by more, it is another picture
_LEVELS = 16  # of structure, as many places in each
_WHITE = 0.98  # sRGB 0..1: clipped, so no noise shows there


def drop_drift(normal: Photo, edited: RGB) -> RGB:
    """`edited` with everything that was not meant set back to `normal`.

    Args:
        edited: (H, W, 3) float32 0..1, aligned to `normal`.
    """
    scene, difference = scene_of(normal), edited - normal.rgb
    strength, floor = _seen(normal.rgb, difference, scene.lab, scene.jnd)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _BORDER_PX + 1, 2 * _BORDER_PX + 1))
    beside = np.asarray(cv2.dilate(strength, disc), np.float32)
    seen = (strength >= np.maximum(_FAINTEST, _LOW * floor)) & (strength >= _BORDER_SHARE * beside)
    opened = cv2.morphologyEx(seen.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, found = cv2.connectedComponents(opened, connectivity=8)
    parts = np.asarray(found, np.int32)
    far_out = strength >= np.maximum(_STANDS_OUT, _HIGH * floor)
    far_out |= _stands_out_from_afar(normal.rgb, difference, scene.jnd)
    meant = np.bincount(parts[far_out], minlength=int(parts.max()) + 1) > 0
    meant[0] = False
    return np.where(meant[parts][..., None], edited, normal.rgb)


def _stands_out_from_afar(rgb: RGB, difference: RGB, jnd: Field) -> Mask:
    """(H, W) bool: as `far_out`, on pictures of a third of the size."""
    height, width = jnd.shape
    size = max(1, round(width / _AFAR)), max(1, round(height / _AFAR))
    small, change = (np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_AREA), np.float32) for each in (rgb, difference))
    seen_jnd = np.asarray(cv2.resize(jnd, size, interpolation=cv2.INTER_AREA), np.float32)
    strength, floor = _seen(small, change, lab_from_rgb(small), seen_jnd)
    found = (strength >= np.maximum(_STANDS_OUT_AFAR, _HIGH * floor)).astype(np.uint8)
    return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST), np.bool_)


def _seen(rgb: RGB, difference: RGB, lab: Lab, jnd: Field) -> tuple[Field, Field]:
    """Strength of the change and its noise floor, (h, w) in JND.

    What vanishes when looked at from a little further away is noise and resampling, no defect.
    """
    smooth = np.asarray(cv2.GaussianBlur(difference, (0, 0), _SIGMA_PX, borderType=cv2.BORDER_REFLECT), np.float32)
    strength = ciede2000(lab, lab_from_rgb(np.clip(rgb + smooth, 0.0, 1.0))) / jnd
    red, green, blue = cv2.split(rgb)
    shows = np.minimum(np.minimum(red, green), blue) < _WHITE
    return strength, _noise_floor(strength, luminance(rgb), shows)


def _noise_floor(strength: Field, luma: Field, shows: Mask) -> Field:
    """(H, W) float32, JND: the typical change around each place or at places of its structure, whichever is more.

    Typical is judged by the calm quarter, so that a large defect is not taken for noise.

    Args:
        shows: (H, W) bool, where noise would show.
    """
    height, width = strength.shape
    scale = min(1.0, _FLOOR_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(strength, size, interpolation=cv2.INTER_AREA), np.float32)
    counts = cv2.resize(shows.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    if not counts.any():
        return np.zeros_like(strength)
    steps = np.rint(np.clip(small / _FLOOR_MOST, 0.0, 1.0) * 255.0).astype(np.uint8)
    around = cv2.medianBlur(steps, 2 * (min(size) // 6) + 1).astype(np.float32) * np.float32(_FLOOR_MOST / 255.0)
    edges = np.hypot(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1))
    structure = cv2.blur(cv2.resize(edges, size, interpolation=cv2.INTER_AREA), (3, 3))
    bounds = np.quantile(structure[counts], np.linspace(0.0, 1.0, _LEVELS + 1)[1:-1])
    level = np.digitize(structure, bounds)
    typical = np.zeros(_LEVELS, np.float32)
    for one in range(_LEVELS):
        places = small[counts & (level == one)]
        typical[one] = _TYPICAL * np.percentile(places, 25.0) if places.size else 0.0
    around = np.minimum(around, _TYPICAL * np.float32(np.percentile(small[counts], 25.0)))
    floor = np.minimum(np.maximum(around, cv2.blur(typical[level], (3, 3))), _FLOOR_MOST)
    return np.asarray(cv2.resize(floor, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
