"""A decoded photo and its native pixels: reading, checking and writing image files.

Everything is computed on `rgb` (what a person sees); what is stored is `native`, and an edit touches only the native
pixels that it names. So an edited 16-bit grey photo is still a 16-bit grey photo, identical outside the edit.
"""

import errno
import hashlib
import struct
import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from anomalyagent.configs.paths import write_whole
from anomalyagent.errors import ImageError, ToolInputError, WorkspaceError
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.decoding import PhotoMode, decode_image, read_image_file

__all__ = [
    "MAX_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE_PX",
    "Photo",
    "PhotoMode",
    "encode_png",
    "photo_from_array",
    "read_mask",
    "read_own_photo",
    "read_photo",
    "write_atomically",
    "write_mask",
    "write_photo",
]

MAX_PIXELS = 4096 * 4096
MAX_BYTES = 256 * 2**20
MIN_SIDE_PX = 32
_NO_LIMIT = 2**62

_GREY_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as in every grey conversion of sRGB-encoded values
_PNG_COLOR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> grey, grey + alpha, RGB, RGBA
_WRITE_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EISDIR: "a directory has that name",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EEXIST: "a file is in the place of its folder",
}


@dataclass(frozen=True, eq=False)
class Photo:
    """One image, decoded once.

    Attributes:
        native: (H, W) or (H, W, C) uint8 or uint16, as stored (after EXIF rotation and palette/CMYK conversion).
        mode: kind of `native`; an edit never changes it.
        rgb: (H, W, 3) float32 0..1, what a person sees (grey repeated, 16 bit scaled by `scale`).
        scale: (low, high) native values shown as 0 and 1.
        notes: what had to be converted while reading, in words.
    """

    native: NDArray[Any]
    mode: PhotoMode
    rgb: RGB
    scale: tuple[float, float]
    notes: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """Of the native pixels and mode, the identity of the photo."""
        return _identity(self.native, self.mode)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.native.shape[0], self.native.shape[1]

    @cached_property
    def is_grey(self) -> bool:
        """True when the photo shows no colour, whatever its mode: edits of it should be grey too."""
        if self.mode in ("L", "LA", "I;16"):
            return True
        color = self.native[..., :3]
        return bool((color[..., 0] == color[..., 1]).all() and (color[..., 1] == color[..., 2]).all())

    def shown_with(self, scale: tuple[float, float]) -> RGB:
        """`rgb` as it looks with another photo's `scale`: for comparing two 16-bit photos."""
        return self.rgb if scale == self.scale else _shown(self.native, self.mode, scale)

    def edited(self, rgb: RGB, where: Mask) -> "Photo":
        """This photo with `rgb` written into the native pixels where `where` is true; all others stay identical.

        Args:
            rgb: (H, W, 3) float32, clipped to 0..1. Grey photos take its luminance. Alpha is never touched.
            where: (H, W) bool.
        Raises:
            ToolInputError: the sizes differ from the photo's.
        """
        if rgb.shape != (*self.shape, 3) or where.shape != self.shape:
            raise ToolInputError(
                f"edit of {rgb.shape} with mask {where.shape} does not fit a photo of {self.shape}. Pass arrays of its size."
            )
        rows = np.flatnonzero(where.any(axis=1))
        if rows.size == 0:
            return self
        columns = np.flatnonzero(where.any(axis=0))
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        inside = where[box]
        low, high = self.scale
        values = np.clip(rgb[box], 0.0, 1.0)
        if self.mode in ("L", "LA", "I;16"):
            values = values @ _GREY_WEIGHTS
        stored = np.rint(values * np.float32(high - low) + np.float32(low)).astype(self.native.dtype)
        native = self.native.copy()
        shown = self.rgb.copy()
        target = native[box]
        if self.mode == "LA":
            target = target[..., 0]
        elif self.mode == "RGBA":
            target = target[..., :3]
        target[inside] = stored[inside]
        shown[box][inside] = _shown(native[box], self.mode, self.scale)[inside]
        return replace(self, native=native, rgb=shown)


def photo_from_array(native: NDArray[Any], mode: PhotoMode | None = None, notes: tuple[str, ...] = ()) -> Photo:
    """A photo made in memory from (H, W) or (H, W, C) uint8 or uint16; the array's kind must be `mode` when that is given.

    Raises:
        ImageError: no mode holds such an array.
    """
    modes: dict[tuple[str, int], PhotoMode] = {
        ("uint8", 1): "L",
        ("uint8", 2): "LA",
        ("uint8", 3): "RGB",
        ("uint8", 4): "RGBA",
        ("uint16", 1): "I;16",
        ("uint16", 3): "RGB;16",
    }
    channels = 1 if native.ndim == 2 else native.shape[-1]
    found = modes.get((native.dtype.name, channels)) if native.ndim in (2, 3) else None
    if found is None or (mode is not None and mode != found) or (native.ndim == 3 and channels == 1):
        raise ImageError(
            f"no photo of mode {mode or 'any'} holds a {native.shape} {native.dtype} array. Use (H, W[, C]) uint8 or uint16."
        )
    native = np.ascontiguousarray(native)
    scale = _choose_scale(native)
    return Photo(native, found, _shown(native, found, scale), scale, notes)


def read_photo(
    path: Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES, min_side_px: int = MIN_SIDE_PX
) -> Photo:
    """Decode an image file after checking its size.

    Raises:
        ImageError: it is missing, not an image, damaged, or of a size outside the limits; the message names the file.
    """
    data = read_image_file(path, max_bytes)
    decoded = decode_image(data, str(path), max_pixels=max_pixels, min_side_px=min_side_px)
    return photo_from_array(decoded.native, decoded.mode, decoded.notes)


def read_own_photo(path: Path) -> Photo:
    """`read_photo` of a file that a run made, or that its settings name: of whatever size the user's limits allow.

    Raises:
        ImageError: it is missing, not an image, or damaged.
    """
    return read_photo(path, max_pixels=_NO_LIMIT, max_bytes=_NO_LIMIT, min_side_px=1)


def write_photo(photo: Photo, path: Path) -> None:
    """Write `photo.native` as PNG, atomically (temporary name, then rename).

    Raises:
        WorkspaceError: the place cannot be written or is full; nothing partial is left behind.
    """
    write_atomically(path, encode_png(photo.native))


def write_mask(mask: Mask, path: Path) -> None:
    """Write a mask as 8-bit grey PNG, 0 or 255, atomically."""
    write_atomically(path, encode_png(mask.astype(np.uint8) * np.uint8(255)))


def read_mask(path: Path) -> Mask:
    """(H, W) bool: pixels of a mask file that are at least half bright; where none is (0 and 1, a palette), all but black ones.

    Raises:
        ImageError: as `read_own_photo`.
    """
    bright = read_own_photo(path).rgb.max(axis=2)
    return bright >= 0.5 if (bright >= 0.5).any() else bright > 0.0


def encode_png(native: NDArray[Any]) -> bytes:
    """Lossless PNG of (H, W) or (H, W, C) uint8 or uint16 pixels; the same pixels give the same bytes.

    Written here because it is needed in every mode, fast, and independent of the defaults of a codec: rows as differences
    to the row above (filter 2), compressed at level 1.
    """
    height, width = native.shape[:2]
    channels = 1 if native.ndim == 2 else native.shape[2]
    bits = 8 * native.dtype.itemsize
    stored = native if bits == 8 else native.astype(">u2")
    rows = np.ascontiguousarray(stored).view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    head = struct.pack(">IIBBBBB", width, height, bits, _PNG_COLOR_TYPES[channels], 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(filtered.data, 1)), (b"IEND", b"")
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in chunks:
        parts += [struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))]
    return b"".join(parts)


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` at `path` in one step: readers see the old file or the whole new one. Missing folders are made.

    Raises:
        WorkspaceError: the place cannot be written or is full.
    """
    try:
        write_whole(path, data, ".tmp")
    except OSError as error:
        reason = _WRITE_REASONS.get(error.errno or 0, error.strerror or str(error))
        raise WorkspaceError(f"cannot write {path}: {reason}. Choose another output folder or make room.") from error


def _identity(native: NDArray[Any], mode: PhotoMode) -> str:
    digest = hashlib.sha256(f"{mode} {native.shape} {native.dtype.newbyteorder('<').str}\n".encode())
    digest.update(native.data if native.flags.c_contiguous else native.tobytes())
    return digest.hexdigest()


def _choose_scale(native: NDArray[Any]) -> tuple[float, float]:
    """Native values to show as black and white.

    A 10-, 12- or 14-bit camera in a 16-bit file uses only the lowest part: white is the top of the smallest such range
    that holds 99.9 % of the pixels. Black stays 0 unless the whole picture lies in a narrow band far above it.
    """
    if native.dtype == np.uint8:
        return 0.0, 255.0
    low, high = (float(value) for value in np.percentile(native, (0.1, 99.9)))
    top = float(2 ** max(int(high).bit_length(), 8) - 1)
    if high - low >= 0.2 * top or high == low:
        return 0.0, top
    margin = 0.5 * (high - low)
    return max(0.0, float(int(low - margin))), min(65535.0, float(int(high + margin) + 1))


def _shown(native: NDArray[Any], mode: PhotoMode, scale: tuple[float, float]) -> RGB:
    low, high = scale
    color = native[..., 0] if mode == "LA" else native[..., :3] if native.ndim == 3 else native
    values = color.astype(np.float32)
    if low:
        values -= np.float32(low)
    values *= np.float32(1.0 / (high - low))
    if native.dtype != np.uint8:
        np.clip(values, 0.0, 1.0, out=values)
    if values.ndim == 2:
        return np.repeat(values[..., None], 3, axis=2)
    return values
