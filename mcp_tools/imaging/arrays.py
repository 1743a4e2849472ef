"""Names for the arrays that the imaging code passes around."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["RGB", "Field", "Lab", "Mask", "SmallMask"]

RGB = NDArray[np.float32]
"""(H, W, 3) float32, sRGB-encoded, 0..1."""
Lab = NDArray[np.float32]
"""(H, W, 3) float32, CIELAB (D65): L 0..100, a and b about -128..127."""
Field = NDArray[np.float32]
"""(H, W) float32, meaning and unit given where used."""
Mask = NDArray[np.bool_]
"""(H, W) bool."""
SmallMask = NDArray[np.uint8]
"""(H, W) uint8, 0 or 1: a mask of a small copy, as OpenCV takes it."""
