"""Clean twins of real defects: the area under the true mask filled from normal photos, so that a real defect can be judged.

The filling is real texture: the piece of a normal photo (or of the same photo, away from the defect) whose surroundings
fit best, its colours bent towards the rim, faded in around the mask. Outside, both photos are identical.
"""

import cv2
import numpy as np

from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.judge.pair import dilate

__all__ = ["make_clean_twin"]

CANDIDATES = 160


def make_clean_twin(defect: Photo, mask: Mask, normals: list[Photo], rng: np.random.Generator) -> Photo | None:
    """The photo without its defect.

    Args:
        defect: photo of a real defect.
        mask: (H, W) bool, its area.
        normals: photos of flawless parts, any size; may be empty.
        rng: chooses which places are tried.
    Returns:
        A photo identical to `defect` away from the mask; None when no place for the filling was found.
    Raises:
        ToolInputError: the mask is empty or has another size.
    """
    if mask.shape != defect.shape or not mask.any():
        raise ToolInputError(
            f"the mask of a defect must be {defect.shape} and not empty, received {mask.shape} with {mask.sum()} px."
        )
    fade = max(3, round(0.012 * min(mask.shape)))
    hole = dilate(mask, fade)
    ring = dilate(hole, 2 * fade) & ~hole
    if not ring.any():
        return None
    box = cv2.boundingRect((hole | ring).view(np.uint8))
    rows, columns = slice(box[1], box[1] + box[3]), slice(box[0], box[0] + box[2])
    window, hole_part, ring_part = defect.rgb[rows, columns], hole[rows, columns], ring[rows, columns]
    best: RGB | None = None
    lowest = np.inf
    for piece in _pieces(defect, hole, normals, (box[0], box[1]), window.shape[:2], rng):
        offset = (window[ring_part] - piece[ring_part]).mean(axis=0)
        cost = float(((window[ring_part] - piece[ring_part] - offset) ** 2).mean() + 0.2 * (offset**2).mean())
        if cost < lowest:
            best, lowest = piece, cost
    if best is None:
        return None
    filled = best + _bend(window - best, ~hole_part)
    inside = cv2.distanceTransform(hole_part.view(np.uint8), cv2.DIST_L2, 3)
    cover = np.clip(inside / fade, 0.0, 1.0)[..., None].astype(np.float32)
    rgb = defect.rgb.copy()
    rgb[rows, columns] = window * (1.0 - cover) + filled * cover
    return defect.edited(rgb, hole)


def _pieces(
    defect: Photo,
    hole: Mask,
    normals: list[Photo],
    corner_xy: tuple[int, int],
    shape: tuple[int, ...],
    rng: np.random.Generator,
) -> list[RGB]:
    """Windows of this shape: the same place on normal photos of the same size, and random places anywhere without a defect."""
    tall, wide = shape[0], shape[1]
    x, y = corner_xy
    pieces = [photo.rgb[y : y + tall, x : x + wide] for photo in normals if photo.shape == defect.shape]
    sources = [*((photo.rgb, np.zeros(photo.shape, bool)) for photo in normals), (defect.rgb, hole)]
    for _ in range(CANDIDATES):
        source, forbidden = sources[int(rng.integers(len(sources)))]
        height, width = source.shape[:2]
        if height < tall or width < wide:
            continue
        top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
        if not forbidden[top : top + tall, left : left + wide].any():
            pieces.append(source[top : top + tall, left : left + wide])
    return pieces


def _bend(error: RGB, known: Mask) -> RGB:
    """Smooth continuation of `error` from the known pixels into the unknown ones (normalised convolution, coarse to fine)."""
    weight: Field = known.astype(np.float32)
    result = np.zeros_like(error)
    filled = np.zeros_like(weight)
    for sigma in (3.0, 8.0, 20.0, 60.0):
        total = cv2.GaussianBlur(error * weight[..., None], (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        count = cv2.GaussianBlur(weight, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        share = np.clip(count * 4.0, 0.0, 1.0) * (1.0 - filled)
        result += (total / np.maximum(count, 1e-4)[..., None]) * share[..., None]
        filled += share
    return np.asarray(result / np.maximum(filled, 1e-3)[..., None], np.float32)
