"""A decoded photo and its native pixels: reading, checking and writing image files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask

__all__ = ["Photo", "read_photo", "write_photo"]

PhotoMode = Literal["L", "RGB", "RGBA", "LA", "I;16", "RGB;16"]


@dataclass(frozen=True, eq=False)
class Photo:
    """One image, decoded once.

    Attributes:
        native: (H, W) or (H, W, C) uint8 or uint16, as stored (after EXIF rotation and palette/CMYK conversion).
        mode: kind of `native`; an edit never changes it.
        rgb: (H, W, 3) float32 0..1, what a person sees (grey repeated, 16 bit scaled by `scale`).
        scale: (low, high) native values shown as 0 and 1.
        sha256: of the native pixels and mode, the identity of the photo.
        notes: what had to be converted while reading, in words.
    """

    native: NDArray[Any]
    mode: PhotoMode
    rgb: RGB
    scale: tuple[float, float]
    sha256: str
    notes: tuple[str, ...] = ()

    def edited(self, rgb: RGB, where: Mask) -> "Photo":
        """This photo with `rgb` written into the native pixels where `where` is true; all others stay identical."""
        raise NotImplementedError


def read_photo(path: Path, *, max_pixels: int = 4096 * 4096, max_bytes: int = 256 * 2**20, min_side_px: int = 32) -> Photo:
    """Decode an image file after checking its size (see module docstring)."""
    raise NotImplementedError


def write_photo(photo: Photo, path: Path) -> None:
    """Write `photo.native` as PNG, atomically (temporary name, then rename)."""
    raise NotImplementedError
