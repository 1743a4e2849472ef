"""What a photo tells of the noise to expect in changes of it: measured once, and while a model still paints if need be.

Noise of JPEG blocks and autoencoders is strongest beside edges, and does not show where the photo is clipped to white.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb, luminance
from anomalyagent.mcp_tools.imaging.sizes import size_within

__all__ = ["LEVELS", "Ground", "ground_of", "seen_from_afar"]

LEVELS = 16
"""Of structure, as many places in each."""
_PLACES_SIDE = 128
_WHITE = 0.98  # sRGB 0..1: clipped, so no noise shows there


class Ground(NamedTuple):
    """A photo, and its places: cells of a grid with at most 128 on a side.

    Attributes:
        rgb, lab: (H, W, 3) float32.
        jnd: (H, W) float32, the just-noticeable difference.
        shows: (h, w) bool, where noise would show.
        level: (h, w) int, how much structure is there: 0 .. LEVELS - 1.
    """

    rgb: RGB
    lab: Lab
    jnd: Field
    shows: Mask
    level: NDArray[np.int64]


def ground_of(rgb: RGB, lab: Lab, jnd: Field) -> Ground:
    """Measure the places of a photo."""
    size = size_within(jnd.shape, _PLACES_SIDE)
    red, green, blue = cv2.split(rgb)
    darkest = np.minimum(np.minimum(red, green), blue)
    shows = cv2.resize((darkest < _WHITE).astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
    luma = luminance(rgb)
    edges = cv2.magnitude(cv2.Sobel(luma, cv2.CV_32F, 1, 0), cv2.Sobel(luma, cv2.CV_32F, 0, 1))
    structure = cv2.blur(cv2.resize(edges, size, interpolation=cv2.INTER_AREA), (3, 3))
    level = np.zeros(structure.shape, np.int64)
    if shows.any():
        level = np.digitize(structure, np.quantile(structure[shows], np.linspace(0.0, 1.0, LEVELS + 1)[1:-1]))
    return Ground(rgb, lab, jnd, shows, level)


def seen_from_afar(ground: Ground, times: int) -> Ground:
    """The ground as it looks from so many times as far: smaller."""
    height, width = ground.jnd.shape
    size = max(1, round(width / times)), max(1, round(height / times))
    rgb, jnd = (np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32) for one in (ground.rgb, ground.jnd))
    return ground_of(rgb, lab_from_rgb(rgb), jnd)
