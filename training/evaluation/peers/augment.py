"""Changes of colour and geometry that several recipes share: CutPaste's jitter, DRAEM's ten augmentations."""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.training.evaluation.peers.base import Image

__all__ = ["augment", "blend", "jitter"]

_AUGMENTATIONS = 10


def jitter(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Brightness, contrast and saturation times 1 +- strength, hue turned by +- strength of a full turn."""
    bright, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3)
    values = image.astype(np.float32) * bright
    mean = float(values.mean())
    values = (values - mean) * contrast + mean
    grey = values @ np.array([0.299, 0.587, 0.114], np.float32)
    values = (values - grey[..., None]) * saturation + grey[..., None]
    return _turn_hue(_to_bytes(values), float(rng.uniform(-strength, strength)))


def augment(image: Image, rng: np.random.Generator) -> Image:
    """Three of the ten augmentations that DRAEM applies to a texture, one after another."""
    for kind in rng.choice(_AUGMENTATIONS, 3, replace=False).tolist():
        image = _augment_once(image, kind, rng)
    return image


def blend(normal: Image, foreign: Image, mask: NDArray[np.bool_], opacity: float) -> Image:
    """`foreign` over `normal` inside the mask; outside it nothing changes."""
    mixed = normal.astype(np.float32) * (1 - opacity) + foreign.astype(np.float32) * opacity
    return np.where(mask[..., None], _to_bytes(mixed), normal)


def _augment_once(image: Image, kind: int, rng: np.random.Generator) -> Image:
    values = image.astype(np.float32)
    match kind:
        case 0:  # gamma, each channel its own
            return _to_bytes(255 * (values / 255) ** rng.uniform(0.5, 2.0, 3).astype(np.float32))
        case 1:  # brightness, multiplied and added
            return _to_bytes(values * rng.uniform(0.8, 1.2) + rng.uniform(-30, 30))
        case 2:  # sharpened
            return _to_bytes(values + rng.uniform(0.5, 1.5) * (values - cv2.GaussianBlur(values, (0, 0), 1.0)))
        case 3:  # hue and saturation
            return _turn_hue(image, float(rng.uniform(-50 / 360, 50 / 360)), float(rng.uniform(0.5, 1.5)))
        case 4:  # solarized
            return np.where(image >= rng.integers(32, 129), 255 - image, image)
        case 5:  # posterized to 1 to 4 bits a channel
            keep = int(rng.integers(1, 5))
            return image & np.uint8(0xFF << (8 - keep) & 0xFF)
        case 6:  # inverted
            return 255 - image
        case 7:  # stretched to the full range, each channel its own
            low, high = values.min(axis=(0, 1)), values.max(axis=(0, 1))
            return _to_bytes((values - low) * 255 / np.maximum(high - low, 1))
        case 8:  # histogram equalized
            return np.dstack([np.asarray(cv2.equalizeHist(np.ascontiguousarray(image[..., c])), np.uint8) for c in range(3)])
        case _:  # turned
            side = image.shape[0]
            turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), float(rng.uniform(-45, 45)), 1.0)
            return np.asarray(cv2.warpAffine(image, turn, (side, side), borderMode=cv2.BORDER_REFLECT), np.uint8)


def _turn_hue(image: Image, turn: float, saturation: float = 1.0) -> Image:
    hsv = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2HSV), np.float32)
    hsv[..., 0] = (hsv[..., 0] + 180 * turn) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 255)
    return np.asarray(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB), np.uint8)


def _to_bytes(values: NDArray[np.floating]) -> Image:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
