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

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import ciede2000, lab_from_rgb
from anomalyagent.mcp_tools.imaging.ground import LEVELS, Ground
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.scene import Scene, scene_of

__all__ = ["drop_drift"]

_SIGMA_PX = 1.2
_FAINTEST, _STANDS_OUT = 0.6, 1.5  # JND: what a part extends down to, and must reach somewhere
_LOW, _HIGH = 2.0, 7.0
"""The same, in floors. Noise of two and three components exceeds k medians with a probability of about 2 ** -k**2: with 7, one
place in 10 ** 14. Measured on re-encoded photos the tail is heavier: the largest of 65,536 pixels lies at 4.5 to 6.5."""
_STANDS_OUT_AFAR = 1.0
_BORDER_SHARE, _BORDER_PX = 0.25, 2
_TYPICAL = 1.5  # of the calm quarter's bound: about the median of noise
_FLOOR_MOST = 2.0  # JND: where everything differs by more, it is another picture


def drop_drift(normal: Photo, edited: RGB) -> RGB:
    """`edited` with everything that was not meant set back to `normal`.

    Args:
        edited: (H, W, 3) float32 0..1, aligned to `normal`.
    """
    scene, difference = scene_of(normal), edited - normal.rgb
    strength, floor = _seen(scene.ground, difference)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _BORDER_PX + 1, 2 * _BORDER_PX + 1))
    beside = np.asarray(cv2.dilate(strength, disc), np.float32)
    seen = (strength >= np.maximum(_FAINTEST, _LOW * floor)) & (strength >= _BORDER_SHARE * beside)
    opened = cv2.morphologyEx(seen.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, found = cv2.connectedComponents(opened, connectivity=8)
    parts = np.asarray(found, np.int32)
    far_out = strength >= np.maximum(_STANDS_OUT, _HIGH * floor)
    far_out |= _stands_out_from_afar(scene, difference)
    meant = np.bincount(parts[far_out], minlength=int(parts.max()) + 1) > 0
    meant[0] = False
    out = normal.rgb.copy()
    if meant.any():
        x, y, width, height = cv2.boundingRect(opened)
        box = slice(y, y + height), slice(x, x + width)
        out[box] = np.where(meant[parts[box]][..., None], edited[box], out[box])
    return out


def _stands_out_from_afar(scene: Scene, difference: RGB) -> Mask:
    """(H, W) bool: as `far_out`, on pictures of a third of the size."""
    height, width = scene.photo.shape
    ground = scene.ground_afar
    change = cv2.resize(difference, ground.jnd.shape[::-1], interpolation=cv2.INTER_AREA)
    strength, floor = _seen(ground, np.asarray(change, np.float32))
    found = (strength >= np.maximum(_STANDS_OUT_AFAR, _HIGH * floor)).astype(np.uint8)
    return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST), np.bool_)


def _seen(ground: Ground, difference: RGB) -> tuple[Field, Field]:
    """Strength of the change and its noise floor, (h, w) in JND.

    What vanishes when looked at from a little further away is noise and resampling, no defect.
    """
    smooth = np.asarray(cv2.GaussianBlur(difference, (0, 0), _SIGMA_PX, borderType=cv2.BORDER_REFLECT), np.float32)
    smooth += ground.rgb
    strength = ciede2000(ground.lab, lab_from_rgb(smooth)) / ground.jnd
    return strength, _noise_floor(strength, ground)


def _noise_floor(strength: Field, ground: Ground) -> Field:
    """(H, W) float32, JND: the typical change around each place or at places of its structure, whichever is more.

    Typical is judged by the calm quarter, so that a large defect is not taken for noise.
    """
    height, width = strength.shape
    shows, level = ground.shows, ground.level
    if not shows.any():
        return np.zeros_like(strength)
    small = np.asarray(cv2.resize(strength, shows.shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
    steps = np.rint(np.clip(small / _FLOOR_MOST, 0.0, 1.0) * 255.0).astype(np.uint8)
    around = cv2.medianBlur(steps, 2 * (min(small.shape) // 6) + 1).astype(np.float32) * np.float32(_FLOOR_MOST / 255.0)
    typical = np.zeros(LEVELS, np.float32)
    for one in range(LEVELS):
        places = small[shows & (level == one)]
        typical[one] = _TYPICAL * np.percentile(places, 25.0) if places.size else 0.0
    around = np.minimum(around, _TYPICAL * np.float32(np.percentile(small[shows], 25.0)))
    floor = np.minimum(np.maximum(around, cv2.blur(typical[level], (3, 3))), _FLOOR_MOST)
    return np.asarray(cv2.resize(floor, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
