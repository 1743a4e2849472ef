"""NSA: patches of another normal image, resized and blended in with Poisson editing.

Half-widths are 0.03 + Gamma(2, 0.05) of the side, clipped to 0.03-0.4; scale N(1, 0.5) clipped to 0.7-1.3; up to three
more patches, each on the toss of a coin. Source and target must lie on the object and overlap. Mask: what really changed
(mean absolute difference above 1, then a 5 px median), where a patch was laid.
Source: Schlueter, Tan, Hou, Kainz: Natural Synthetic Anomalies, ECCV 2022, section 3.
"""

import cv2
import numpy as np

from anomalyagent.training.evaluation.datasets import Stack
from anomalyagent.training.evaluation.peers.base import Image, Mask, Material, make_each

__all__ = ["make"]

_MOST_PATCHES = 4
_MIN_SHARE = 0.03
_MAX_SHARE = 0.4
_MIN_OBJECT = 0.5  # of the patch lies on the object
_MIN_OVERLAP = 0.25  # of the patch's object part falls on the target's object
_PLACES = 50


def make(material: Material, count: int, seed: int) -> Stack:
    """`count` anomaly images with masks; see the module docstring."""

    def make_one(index: int, rng: np.random.Generator) -> tuple[Image, Mask]:
        other = int(rng.integers(len(material.normals)))
        before = material.normals[index]
        image, touched = before, np.zeros(before.shape[:2], np.bool_)
        for number in range(_MOST_PATCHES):
            if number == 0 or rng.random() < 0.5:
                image, patch = _clone(
                    image, material.normals[other], material.foregrounds[index], material.foregrounds[other], rng
                )
                touched |= patch
        difference = np.abs(image.astype(np.int16) - before).mean(axis=2) > 1
        changed = cv2.medianBlur((difference & touched).astype(np.uint8), 5)
        return image, np.asarray(changed, np.bool_)

    return make_each("nsa", material, count, seed, make_one)


def _clone(
    target: Image, source: Image, target_object: Mask, source_object: Mask, rng: np.random.Generator
) -> tuple[Image, Mask]:
    """One patch; unchanged, with an empty mask, where no place was found."""
    side = target.shape[0]
    nothing = target, np.zeros(target.shape[:2], np.bool_)
    for _ in range(_PLACES):
        half = np.clip(_MIN_SHARE + rng.gamma(2, 0.05, 2), _MIN_SHARE, _MAX_SHARE) * side
        center = rng.uniform(_MIN_SHARE * side, (1 - _MIN_SHARE) * side, 2)
        (top, left), (bottom, right) = (
            np.clip(np.rint(corner), 0, side).astype(int).tolist() for corner in (center - half, center + half)
        )
        if source_object[top:bottom, left:right].mean() >= _MIN_OBJECT:
            break
    else:
        return nothing
    scale = float(np.clip(rng.normal(1, 0.5), 0.7, 1.3))
    width, height = (min(side - 4, max(3, round((b - a) * scale))) for a, b in ((left, right), (top, bottom)))
    patch = cv2.resize(source[top:bottom, left:right], (width, height), interpolation=cv2.INTER_LINEAR)
    piece = cv2.resize(source_object[top:bottom, left:right].astype(np.uint8), (width, height)) > 0
    for _ in range(_PLACES):
        y, x = int(rng.integers(1, side - height)), int(rng.integers(1, side - width))
        ground = target_object[y : y + height, x : x + width]
        if (piece & ground).sum() >= _MIN_OVERLAP * max(1, int(piece.sum())):
            break
    else:
        return nothing
    laid = piece | ground
    # The solver takes its boundary from the frame of the patch, so patch and mask get a margin of one pixel.
    framed = cv2.copyMakeBorder(np.asarray(patch, np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    shape = np.pad(laid.astype(np.uint8) * np.uint8(255), 1)
    columns, rows = np.flatnonzero(laid.any(axis=0)), np.flatnonzero(laid.any(axis=1))
    # seamlessClone centres the bounding box of the mask on the given point.
    middle = x + int(columns[0] + columns[-1] + 1) // 2, y + int(rows[0] + rows[-1] + 1) // 2
    cloned = np.asarray(cv2.seamlessClone(framed, target, shape, middle, cv2.NORMAL_CLONE), np.uint8)
    touched = np.zeros(target.shape[:2], np.bool_)
    touched[y : y + height, x : x + width] = True
    return cloned, touched
