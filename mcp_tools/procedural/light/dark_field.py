"""What a change of a dark surface looks like where the light grazes it and the camera sees none of it (dark field).

Sound glass, film or polish mirrors the light past the lens and is black. Whatever breaks its smoothness, lighter or darker in
daylight, throws some of that light into the lens: grooves, rims, edges and films glow, faint ones as well as gross ones, and
how much has nothing to do with the little light that the surface itself gives back.
"""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["is_dark_field", "scattered"]

_BLACK = 5.0  # CIELAB lightness: below it a photo's median surface gives the lens nothing
_UNLIT, _LIT = 0.004, 0.008  # linear light: up to the first a place is black, from the second on it is lit as usual
_GLOW = 0.13  # linear light that a wholly altered surface throws back at gain 1
_STEEP = 0.5  # slope from which a flank throws back all that it can
_UNEVEN = 0.3  # deviation of the glow along the photo's grain
_LEAST = 0.02  # |log reflectance|: less is no change
_BRIGHTEST = 0.95


@once_per_scene
def is_dark_field(scene: Scene) -> bool:
    """True where the photographed surface itself is black."""
    step = max(1, int(np.sqrt(scene.object_area_px) / 96))
    lightness = scene.lab[::step, ::step, 0][scene.foreground[::step, ::step]]
    return lightness.size > 16 and float(np.median(lightness)) < _BLACK


def scattered(edit: Edit, around: RGB, grain: Field, gain: float) -> RGB:
    """(h, w, 3) linear light that the change adds.

    Args:
        around: (h, w, 3) linear light of the surface without its fine texture.
        grain: (h, w) noise of unit variance.
        gain: how many times as strongly as given the edit is applied.
    """
    altered = np.zeros(edit.support.shape, np.float32)
    if edit.height is not None:
        slope_x = cv2.Sobel(edit.height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
        slope_y = cv2.Sobel(edit.height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125, borderType=cv2.BORDER_REPLICATE)
        altered = np.minimum(np.hypot(slope_x, slope_y) / _STEEP, 1.0)
    if edit.log_reflectance is not None:
        change = np.abs(edit.log_reflectance).mean(axis=2)  # of black next to nothing can be taken: only its profile counts
        altered = np.maximum(altered, change / max(float(change.max()), _LEAST))
    if edit.roughness is not None:
        altered = np.maximum(altered, np.clip(edit.roughness, 0.0, 1.0))
    unlit = np.clip((_LIT - around.mean(axis=2)) / (_LIT - _UNLIT), 0.0, 1.0)
    glow = _GLOW * gain * altered * np.clip(1.0 + _UNEVEN * grain, 0.3, 2.0) * unlit
    return np.repeat(np.minimum(glow, _BRIGHTEST)[..., None], 3, axis=2).astype(np.float32)
