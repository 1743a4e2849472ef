"""The pictures of a trajectory as bytes for a browser. Nothing is served but what decodes as an image inside the run folder.

Photos of 8 bits go out as they lie on disk; others (16 bits) as a person would see them, with the scale of the normal photo.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomalyagent.errors import ImageError, WorkspaceError
from anomalyagent.graph.pictures import close_up, jpeg, outlined, small
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.photo import Photo, encode_png
from anomalyagent.mcp_tools.workspace import Workspace

__all__ = ["FileImage", "Images", "Picture", "missing_picture"]

THUMB_PX = 144
"""Twice what the table shows: sharp on dense screens."""
_KEPT_THUMBS = 6000
_COMPACT_QUALITY = 92
_BROWSER_SAFE = {"L", "LA", "RGB", "RGBA"}


class Picture(NamedTuple):
    """Bytes and their media type."""

    data: bytes
    media_type: str


@dataclass(frozen=True)
class FileImage:
    """An image that can be shown: its reference and size; `problem` says why not."""

    ref: str
    width: int = 0
    height: int = 0
    problem: str = ""


class Images:
    """The images of one run folder. Safe to share between threads."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._thumbs: OrderedDict[tuple[str, ...], Picture] = OrderedDict()

    def look_at(self, ref: str) -> FileImage:
        """Whether an image can be shown, and its size. Decodes it."""
        try:
            height, width = self._read(ref).shape
        except (ImageError, WorkspaceError) as error:
            return FileImage(ref, problem=str(error))
        return FileImage(ref, width, height)

    def full(self, ref: str, normal: str) -> Picture:
        """An image in all its pixels.

        Args:
            normal: reference of the normal photo, whose scale 16-bit photos are shown with.
        Raises:
            ImageError, WorkspaceError: it is no image inside the run folder.
        """
        photo = self._read(ref)
        if photo.mode in _BROWSER_SAFE:
            path = self._workspace.path_of(ref)
            if path.suffix.lower() == ".png":
                return Picture(path.read_bytes(), "image/png")
            return Picture(encode_png(photo.native), "image/png")
        return Picture(encode_png(_eight_bits(self._shown(photo, normal))), "image/png")

    def compact(self, ref: str, normal: str) -> Picture:
        """The same as a JPEG, for a page that is sent around: blocks that an edit did not touch stay the same."""
        return Picture(jpeg(self._shown(self._read(ref), normal), _COMPACT_QUALITY), "image/jpeg")

    def changed(self, normal: str, anomaly: str) -> Picture:
        """What differs between two photos, white on black.

        Raises:
            ImageError, WorkspaceError: as `full`, or their sizes differ.
        """
        return Picture(encode_png(self._changed(normal, anomaly).astype(np.uint8) * np.uint8(255)), "image/png")

    def thumb(self, part: str, normal: str, image: str | None, mask: str | None) -> Picture:
        """A small picture: `whole` with the defect outlined, or `close`, the defect enlarged. Kept in memory.

        Raises:
            ImageError, WorkspaceError: as `full`.
        """
        key = part, normal, image or "", mask or ""
        with self._lock:
            if key in self._thumbs:
                self._thumbs.move_to_end(key)
                return self._thumbs[key]
        made = Picture(jpeg(self._thumb(part, normal, image, mask)), "image/jpeg")
        with self._lock:
            self._thumbs[key] = made
            while len(self._thumbs) > _KEPT_THUMBS:
                self._thumbs.popitem(last=False)
        return made

    def _thumb(self, part: str, normal: str, image: str | None, mask: str | None) -> RGB:
        if image is None:
            return small(self._read(normal).rgb, THUMB_PX)
        shown = self._shown(self._read(image), normal)
        where = self._read(mask).rgb[..., 0] >= 0.5 if mask else self._changed(normal, image)
        if where.shape != shown.shape[:2] or not where.any():
            return small(shown, THUMB_PX)
        return small(close_up(shown, where), THUMB_PX) if part == "close" else outlined(shown, where, THUMB_PX)

    def _changed(self, normal: str, anomaly: str) -> Mask:
        one, other = self._read(normal), self._read(anomaly)
        if one.native.shape != other.native.shape:
            raise ImageError(
                f"{anomaly} {other.native.shape} and {normal} {one.native.shape} differ in size. Nothing can be compared."
            )
        differs = one.native != other.native
        return differs if differs.ndim == 2 else differs.any(axis=-1)

    def _shown(self, photo: Photo, normal: str) -> RGB:
        return photo.rgb if photo.mode in _BROWSER_SAFE else photo.shown_with(self._read(normal).scale)

    def _read(self, ref: str) -> Photo:
        return self._workspace.read_photo(ref)


def missing_picture(text: str = "image missing") -> Picture:
    """What stands where an image should be."""
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96"><rect width="96" height="96" fill="#8883"/>'
        '<path d="M24 24 72 72M72 24 24 72" stroke="#888" stroke-width="2"/>'
        f'<text x="48" y="90" font-family="sans-serif" font-size="10" fill="#888" text-anchor="middle">{text}</text></svg>'
    )
    return Picture(drawn.encode(), "image/svg+xml")


def _eight_bits(rgb: RGB) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.rint(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8)
