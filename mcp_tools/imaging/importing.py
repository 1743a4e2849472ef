"""Users' photos on their way into the workspace, previews on their way out, and a small cache of decoded photos."""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from anomalyagent.configs.paths import FileStamp
from anomalyagent.errors import ImageError
from anomalyagent.mcp_tools.imaging.decoding import decode_image, read_image_file
from anomalyagent.mcp_tools.imaging.photo import (
    MAX_BYTES,
    MAX_PIXELS,
    MIN_SIDE_PX,
    Photo,
    encode_png,
    photo_from_array,
    read_photo,
    write_atomically,
)
from anomalyagent.mcp_tools.imaging.sizes import reduced

__all__ = ["Imported", "PhotoCache", "encode_preview", "import_photo"]


@dataclass(frozen=True, eq=False)
class Imported:
    """A photo brought into the workspace.

    Attributes:
        photo: the decoded photo; its `notes` say what was converted.
        source_sha256: of the bytes of the user's file.
        copied: True when the PNG is the user's file byte for byte, False when it was re-encoded.
    """

    photo: Photo
    source_sha256: str
    copied: bool


def import_photo(
    source: Path,
    target_png: Path,
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    min_side_px: int = MIN_SIDE_PX,
) -> Imported:
    """Bring a user's photo into the workspace as PNG: copied when it is a plain PNG already, else converted.

    It is never linked: editing the original later must not change a run.

    Raises:
        ImageError: the source cannot be read (see `read_photo`).
        WorkspaceError: the target cannot be written.
    """
    data = read_image_file(source, max_bytes)
    decoded = decode_image(data, str(source), max_pixels=max_pixels, min_side_px=min_side_px)
    photo = photo_from_array(decoded.native, decoded.mode, decoded.notes)
    write_atomically(target_png, data if decoded.plain_png else encode_png(photo.native))
    return Imported(photo, hashlib.sha256(data).hexdigest(), decoded.plain_png)


def encode_preview(photo: Photo, max_side_px: int = 768, max_bytes: int = 200_000) -> tuple[bytes, str]:
    """A small JPEG of what a person sees.

    Args:
        max_side_px: longer side of the preview; smaller photos are not enlarged.
        max_bytes: the quality, then the size is lowered until the preview fits.
    Returns:
        (bytes, MIME type).
    Raises:
        ImageError: `max_bytes` is too small for any preview.
    """
    side = min(max_side_px, max(photo.shape))
    while side >= 16:
        bgr = np.rint(reduced(photo.rgb, side)[..., ::-1] * 255.0).astype(np.uint8)
        for quality in (90, 80, 65, 45):
            done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if done and data.size <= max_bytes:
                return data.tobytes(), "image/jpeg"
        side = int(side * 0.7)
    raise ImageError(f"no preview fits into {max_bytes:,} bytes. Allow at least 2,000.")


class PhotoCache:
    """The most recently used photos, decoded once for each version of a file; safe for threads.

    Args:
        max_bytes: memory for decoded photos; the least recently used leave first.
        pair_bytes: memory that the two photos used last may take beyond that: a large photo and its edited copy, which one
            tool after the other asks for.
    """

    def __init__(self, max_bytes: int = 48 * 2**20, pair_bytes: int = 0) -> None:
        self._max_bytes = max_bytes
        self._pair_bytes = pair_bytes
        self._photos: OrderedDict[tuple[Path, FileStamp], Photo] = OrderedDict()
        self._used = 0
        self._lock = threading.Lock()

    @property
    def used_bytes(self) -> int:
        """Memory held by the photos in the cache."""
        return self._used

    def __len__(self) -> int:
        return len(self._photos)

    def read(
        self, path: Path, *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES, min_side_px: int = MIN_SIDE_PX
    ) -> Photo:
        """As `read_photo`, decoding only what has changed since.

        Raises:
            ImageError: as `read_photo`; failures are not kept.
        """
        try:
            status = path.stat()
        except OSError as error:
            raise ImageError(
                f"cannot read image {path}: {error.strerror or error}. Check the path and its permissions."
            ) from error
        key = (path, FileStamp.of(status))
        with self._lock:
            kept = self._photos.get(key)
            if kept is not None:
                self._photos.move_to_end(key)
        if kept is not None and kept.shape[0] * kept.shape[1] <= max_pixels and min(kept.shape) >= min_side_px:
            return kept
        photo = read_photo(path, max_pixels=max_pixels, max_bytes=max_bytes, min_side_px=min_side_px)
        self._keep(key, photo)
        return photo

    def put(self, path: Path, photo: Photo) -> None:
        """Remember a photo that was just written to `path`."""
        self._keep((path, FileStamp.of(path.stat())), photo)

    def _keep(self, key: tuple[Path, FileStamp], photo: Photo) -> None:
        size = photo.native.nbytes + photo.rgb.nbytes
        if size > max(self._max_bytes, self._pair_bytes):
            return
        with self._lock:
            if key in self._photos:
                return
            self._photos[key] = photo
            self._used += size
            while self._used > self._max_bytes and (len(self._photos) > 2 or self._used > self._pair_bytes):
                _, dropped = self._photos.popitem(last=False)
                self._used -= dropped.native.nbytes + dropped.rgb.nbytes
