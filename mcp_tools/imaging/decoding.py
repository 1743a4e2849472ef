"""From the bytes of an image file to native pixels: PNG, JPEG, BMP, TIFF, WebP and whatever else Pillow knows.

Size and dimensions are read from the header and checked before anything is decoded. What a photo cannot hold
(palette, CMYK, float, 16-bit alpha, further pages) is converted, and every conversion is noted in words.
"""

import io
import stat
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from anomalyagent.errors import ImageError

__all__ = ["Decoded", "PhotoMode", "decode_image", "read_image_file"]

PhotoMode = Literal["L", "RGB", "RGBA", "LA", "I;16", "RGB;16"]

_EXIF_ORIENTATION = 274
_TIFF_BITS_PER_SAMPLE = 258
_DIRECT: dict[str, PhotoMode] = {"L": "L", "RGB": "RGB", "RGBA": "RGBA", "LA": "LA"}
# kind of image -> (Pillow mode that holds it, what to tell the user)
_CONVERTED: dict[str, tuple[PhotoMode, str]] = {
    "1": ("L", "black-and-white image stored as 8-bit grey"),
    "P": ("RGB", "palette image converted to RGB"),
    "PA": ("RGBA", "palette image with alpha converted to RGBA"),
    "CMYK": ("RGB", "CMYK image converted to RGB without its colour profile"),
    "YCbCr": ("RGB", "YCbCr image converted to RGB"),
    "LAB": ("RGB", "CIELAB image converted to RGB"),
    "HSV": ("RGB", "HSV image converted to RGB"),
    "RGBX": ("RGB", "padding channel dropped"),
    "RGBa": ("RGBA", "premultiplied alpha converted to plain alpha"),
    "La": ("LA", "premultiplied alpha converted to plain alpha"),
}


class Decoded(NamedTuple):
    """Native pixels (H, W) or (H, W, C) uint8 or uint16, their mode, the conversions made, whether the file is a plain PNG."""

    native: NDArray[Any]
    mode: PhotoMode
    notes: tuple[str, ...]
    plain_png: bool


def read_image_file(path: Path, max_bytes: int) -> bytes:
    """All bytes of an image file.

    Raises:
        ImageError: missing, a directory, no file at all (a pipe, a device), unreadable, empty, or larger than `max_bytes`.
    """
    try:
        found = path.stat()
        size = found.st_size
        if stat.S_ISDIR(found.st_mode):
            raise ImageError(
                f"{path} is a directory, not an image file. Name the images in it, or pass it where a folder is asked for."
            )
        if not stat.S_ISREG(found.st_mode):
            raise ImageError(f"{path} is not a regular file. Copy the image into a file.")
        if size > max_bytes:
            raise ImageError(
                f"{path} has {size:,} bytes, more than the limit of {max_bytes:,}. "
                "Re-save it smaller or raise limits.max_image_bytes."
            )
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read image {path}: {error.strerror or error}. Check the path and its permissions.") from error
    if not data:
        raise ImageError(f"{path} is empty (0 bytes), not an image. Copy the file again.")
    return data


def decode_image(data: bytes, name: str, *, max_pixels: int, min_side_px: int) -> Decoded:
    """Decode `data`, the content of the image file called `name`.

    Raises:
        ImageError: not an image, damaged, or of a size outside `min_side_px` .. `max_pixels`.
    """
    image = _open(data, name)
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{name} has {width} x {height} pixels, more than the limit of {max_pixels:,}. "
            "Scale it down or raise limits.max_image_pixels."
        )
    if min(width, height) < min_side_px:
        raise ImageError(
            f"{name} has {width} x {height} pixels; at least {min_side_px} on each side are needed. Use a larger photo."
        )
    notes: list[str] = []
    try:
        if getattr(image, "n_frames", 1) > 1:
            notes.append("only the first page or frame was read")
        orientation = _orientation(image)
        sixteen_bit = _bits(image, data) > 8
        image.load()  # also where OpenCV decodes: it fills up a truncated file silently
    except Exception as error:  # Pillow's readers raise OSError, SyntaxError, ValueError, struct.error, zlib.error, ...
        raise ImageError(f"{name} is a damaged or truncated {image.format} file ({error}). Copy or export it again.") from error
    if sixteen_bit and image.mode not in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        native, mode = _decode_16_bit_color(data, name, notes)
    else:
        native, mode = _to_native(image, name, notes)
    if orientation != 1:
        native = _oriented(native, orientation)
        notes.append("rotated as its EXIF orientation says")
    plain_png = image.format == "PNG" and not notes
    return Decoded(np.ascontiguousarray(native), mode, tuple(notes), plain_png)


def _open(data: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} is too large: {error}. Scale it down.") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not a known image format ({len(data):,} bytes, first {data[:8]!r}). Use PNG, JPEG, BMP, TIFF or WebP."
        ) from error
    except Exception as error:  # damaged headers end in many kinds of exceptions
        raise ImageError(f"{name} has a damaged image header ({error}). Copy or export it again.") from error


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block says nothing about the pixels
        return 1
    return value if value in range(1, 9) else 1


def _bits(image: Image.Image, data: bytes) -> int:
    """Bits of one sample; Pillow itself shows 16-bit colour as 8-bit."""
    if image.format == "PNG":
        return data[24]  # IHDR: 8 signature + 8 chunk head + 8 size
    tags = getattr(image, "tag_v2", None)
    if image.format == "TIFF" and tags is not None:
        bits = tags.get(_TIFF_BITS_PER_SAMPLE, (8,))
        return int(max(bits)) if isinstance(bits, tuple) else int(bits)
    return 16 if image.mode.startswith("I") else 8


def _decode_16_bit_color(data: bytes, name: str, notes: list[str]) -> tuple[NDArray[Any], PhotoMode]:
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    array = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if array is None:
        raise ImageError(f"{name} is a 16-bit image of a kind that cannot be decoded. Export it as a 16-bit PNG.")
    if array.dtype != np.uint16:
        array = _squeeze_range(array.astype(np.float64), notes)
    if array.ndim == 2:
        return array, "I;16"
    if array.shape[2] == 4:
        notes.append("alpha of a 16-bit image dropped")
    elif array.shape[2] == 2:
        notes.append("alpha of a 16-bit image dropped")
        return array[..., 0], "I;16"
    return array[..., 2::-1], "RGB;16"


def _to_native(image: Image.Image, name: str, notes: list[str]) -> tuple[NDArray[Any], PhotoMode]:
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16), "I;16"
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        if not np.isfinite(values).all():
            raise ImageError(f"{name} holds values that are not finite (NaN or infinity). Export it as 8- or 16-bit.")
        if image.mode == "I" and values.min() >= 0 and values.max() <= 65535:
            return values.astype(np.uint16), "I;16"
        return _squeeze_range(values.astype(np.float64), notes), "I;16"
    if "transparency" in image.info and image.mode in ("1", "L", "RGB", "P"):
        target: PhotoMode = "LA" if image.mode in ("1", "L") else "RGBA"
        notes.append("transparent colour converted to an alpha channel")
        return np.array(image.convert(target)), target
    if image.mode in _DIRECT:
        return np.array(image), _DIRECT[image.mode]
    if image.mode not in _CONVERTED:
        raise ImageError(f"{name} has the unsupported pixel kind {image.mode!r}. Export it as RGB or grey PNG.")
    target, note = _CONVERTED[image.mode]
    notes.append(note)
    if image.mode in ("RGBa", "La", "PA"):
        image = image.convert("RGBA")
    return np.array(image.convert(target)), target


def _squeeze_range(values: NDArray[np.float64], notes: list[str]) -> NDArray[np.uint16]:
    """Values of any range spread over 0..65535."""
    low, high = float(values.min()), float(values.max())
    notes.append(f"values {low:g} .. {high:g} mapped to 16 bit")
    span = high - low if high > low else 1.0
    return np.round((values - low) / span * 65535.0).astype(np.uint16)


def _oriented(native: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation (2..8)."""
    if orientation >= 5:
        native = native.swapaxes(0, 1)
    # after the transposition of 5..8 each case is a flip of rows, columns or both
    flip_rows = orientation in (3, 4, 7, 8)
    flip_columns = orientation in (2, 3, 6, 7)
    return native[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
