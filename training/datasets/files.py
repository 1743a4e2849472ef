"""Images with masks as files: what every reader of a data set gives, and how they are decoded."""

from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import ImageError

__all__ = [
    "GOOD",
    "SUFFIXES",
    "Labelled",
    "decode_image",
    "decode_mask",
    "decode_pair",
    "list_images",
    "sorted_images",
]

GOOD = "good"
"""The type of images without a defect."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_WHITE = 128


class Labelled(NamedTuple):
    """An image file with its mask file and anomaly type; mask is None for good images.

    Attributes:
        more_masks: further masks of the same image (MVTec LOCO); the defect is in any of them.
        least: a pixel of a mask belongs to the defect from this value on: 128, or 1 where a mask holds class numbers. A mask
            that holds nothing so bright holds class numbers too (0 and 1, a palette): then it is any value but 0.
    """

    image: Path
    mask: Path | None
    anomaly_type: str
    more_masks: tuple[Path, ...] = ()
    least: int = _WHITE


def list_images(folder: Path, *, deep: bool = False) -> list[Path]:
    """Image files of a folder, sorted; `deep`: of its subfolders too.

    Raises:
        ImageError: there are none.
    """
    found = sorted_images(folder, deep=deep)
    if not found:
        raise ImageError(f"{folder} holds no images.")
    return found


def sorted_images(folder: Path, *, deep: bool = False) -> list[Path]:
    """As `list_images`, and none is no error. Hidden files (`._000.png` of macOS) are no photos."""
    files = folder.glob("**/*" if deep else "*")
    return sorted(path for path in files if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))


def decode_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB.

    Raises:
        ImageError: the file cannot be read or decoded.
    """
    return np.asarray(_decode(path, cv2.IMREAD_COLOR_RGB), np.uint8)


def decode_mask(file: Labelled) -> NDArray[np.bool_] | None:
    """(H, W) bool, true where the defect is; None for a good image.

    Raises:
        ImageError: a file cannot be read or decoded, or its masks differ in size.
    """
    if file.mask is None:
        return None
    mask = _decode_one(file.mask, file.least)
    for path in file.more_masks:
        other = _decode_one(path, file.least)
        if other.shape != mask.shape:
            raise ImageError(f"{path} is {other.shape[1]} x {other.shape[0]}, {file.mask} {mask.shape[1]} x {mask.shape[0]}.")
        mask |= other
    return mask


def decode_pair(file: Labelled) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
    """(H, W, 3) uint8 RGB and (H, W) bool; the mask of a good image is None.

    Raises:
        ImageError: a file cannot be read or decoded, or image and mask differ in size.
    """
    image, mask = decode_image(file.image), decode_mask(file)
    if mask is not None and mask.shape != image.shape[:2]:
        raise ImageError(
            f"{file.mask} is {mask.shape[1]} x {mask.shape[0]}, its image {image.shape[1]} x {image.shape[0]}: one was resized."
        )
    return image, mask


def _decode_one(path: Path, least: int) -> NDArray[np.bool_]:
    values = _decode(path, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    return np.asarray(values >= (least if values.max() >= least else 1))


def _decode(path: Path, flags: int) -> NDArray[Any]:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror or error}.") from error
    image = cv2.imdecode(data, flags) if data.size else None
    if image is None:
        raise ImageError(f"{path} cannot be decoded as an image.")
    return np.asarray(image)
