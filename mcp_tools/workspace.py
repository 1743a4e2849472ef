"""One folder of images, and the references by which tools name files in it.

    reference    path relative to the workspace, forward slashes: `dataset/bottle/train/good/000.png`
                 (`image://dataset/...`, percent-encoded, as in the resource links of results, means the same file)
    images/      what tools make, named by content: `<16 hex digits>.png`, `<16 hex digits>_mask.png`

Nothing outside the folder is read or written, whatever a reference says: it is checked as text first (`..`, absolute,
drive and UNC forms, control characters, look-alikes of separators, names reserved on Windows), then on disk, where
links are followed and must still end inside the folder, at a regular file. Somebody who can write into the folder
while a call runs could still exchange a folder for a link between check and use; such a person needs no tool.
"""

import hashlib
import os
import re
import stat
import unicodedata
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from mcp.shared.path_security import PathEscapeError, safe_join
from rapidfuzz import process

from anomalyagent.configs.paths import RESERVED_NAME, expand_home, is_text
from anomalyagent.configs.schema import LimitSettings
from anomalyagent.errors import ImageError, WorkspaceError
from anomalyagent.mcp_tools.imaging.suffixes import is_image_name

if TYPE_CHECKING:  # the arrays and codecs load on the first image, so that servers start fast
    from numpy.typing import NDArray

    from anomalyagent.mcp_tools.imaging.arrays import Mask
    from anomalyagent.mcp_tools.imaging.importing import PhotoCache
    from anomalyagent.mcp_tools.imaging.photo import Photo

__all__ = ["URI_PREFIX", "Workspace", "reference_problem", "uri_of"]

URI_PREFIX = "image://"

_MOST_CHARS = 1024
_MOST_NAME_BYTES = 255
_MOST_LISTED = 5000
_PAIR_BYTES = 200 * 2**20  # two decoded photos of 6 megapixels
_DATA = re.compile(rf"data:[^,]{{0,100}},|[A-Za-z0-9+/=_\s-]{{{_MOST_CHARS}}}")
_ADVICE = "Give the path of a file inside the workspace, relative to it, with forward slashes, e.g. images/part_012.png."


def reference_problem(ref: str) -> str | None:
    """What is wrong with `ref` as text, in a few words; None when nothing is."""
    if not ref or ref.isspace():
        return "is empty"
    if _DATA.match(ref):
        return "is the data of an image, not its path"
    if len(ref) > _MOST_CHARS:
        return f"is longer than {_MOST_CHARS} characters"
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in ref):
        return "has control characters or broken Unicode in it"
    if "\\" in ref:
        return "has a backslash in it"
    if ref.startswith(("/", "~")):
        return "is not relative"
    if re.match(r"[A-Za-z]:", ref) or "://" in ref:
        return "names a drive or another kind of address"
    # A percent-encoded or look-alike separator would become real in some file systems and web layers.
    for decoded in (unquote(ref), unicodedata.normalize("NFKC", ref)):
        if decoded != ref and _escapes(decoded, ref):
            return "hides a separator or a dot path in an unusual encoding"
    for name in ref.split("/"):
        if name == "..":
            return "has '..' in it"
        if len(name.encode()) > _MOST_NAME_BYTES:
            return f"has a name longer than {_MOST_NAME_BYTES} bytes"
        if name != "." and name.rstrip(" .") != name:
            return "has a name that ends in a dot or a space"
        if RESERVED_NAME.fullmatch(name) or (os.name == "nt" and re.search(r'[<>:"|?*]', name)):
            return "has a name that is reserved on Windows"
    return None


def _escapes(decoded: str, ref: str) -> bool:
    if any(unicodedata.category(char) == "Cc" for char in decoded) or decoded.startswith("~"):
        return True
    separators = re.compile(r"[/\\]")
    if len(separators.findall(decoded)) != len(separators.findall(ref)):
        return True
    dots = {".", ".."}
    return any(name in dots and raw not in dots for name, raw in zip(decoded.split("/"), ref.split("/"), strict=True))


class Workspace:
    """A folder, and confined reading and writing of images in it. Safe to share between threads.

    Args:
        root: existing folder.
        limits: caps on bytes and pixels, checked before decoding.
    Raises:
        WorkspaceError: `root` is not a folder.
    """

    def __init__(self, root: Path, limits: LimitSettings | None = None) -> None:
        try:
            self.root = expand_home(root).resolve(strict=True)
        except (OSError, RuntimeError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or error
            raise WorkspaceError(f"workspace folder {str(root)!r} cannot be opened: {why}. Create it first.") from error
        if not self.root.is_dir():
            raise WorkspaceError(f"workspace {str(root)!r} is not a folder. Give the folder that holds the images.")
        self.limits = limits or LimitSettings()

    @cached_property
    def _photos(self) -> "PhotoCache":
        from anomalyagent.mcp_tools.imaging.importing import PhotoCache

        return PhotoCache(pair_bytes=_PAIR_BYTES)

    def path_of(self, ref: str) -> Path:
        """The existing regular file that `ref` names, links resolved, inside `root`.

        Raises:
            WorkspaceError: the reference leaves the workspace, or there is no such file.
        """
        ref = _plain(ref)
        if problem := reference_problem(ref):
            raise WorkspaceError(f"image reference {_shown(ref)} {problem}. {self._advice(ref)}")
        path = self._confined(ref)
        for form in ("NFC", "NFD"):  # file systems differ in how they store accents
            if not path.exists():
                path = self._confined(unicodedata.normalize(form, ref))
        try:
            mode = path.stat().st_mode
        except OSError:
            raise WorkspaceError(f"no image {_shown(ref)} in the workspace. {self._closest(ref)}") from None
        if stat.S_ISDIR(mode):
            raise WorkspaceError(f"{_shown(ref)} is a folder, an image file is needed. {self._held(path)}")
        if not stat.S_ISREG(mode):
            raise WorkspaceError(f"{_shown(ref)} is not a regular file. {_ADVICE}")
        return path

    def ref_of(self, path: Path) -> str:
        """Reference of a file inside the workspace.

        Raises:
            WorkspaceError: `path` is not inside.
        """
        try:
            return path.resolve().relative_to(self.root).as_posix()
        except ValueError:
            raise WorkspaceError(
                f"{str(path)!r} is not inside the workspace {str(self.root)!r}. Copy it there first."
            ) from None

    def read_photo(self, ref: str) -> "Photo":
        """Decode the image named by `ref`, or take it from the cache when the file has not changed.

        Raises:
            WorkspaceError: as `path_of`.
            ImageError: not a readable image, or outside the limits.
        """
        path = self.path_of(ref)
        try:
            return self._photos.read(
                path,
                max_pixels=self.limits.max_image_pixels,
                max_bytes=self.limits.max_image_bytes,
                min_side_px=self.limits.min_image_side_px,
            )
        except ImageError as error:  # the reader of the message knows references, not where the folder is
            raise ImageError(str(error).replace(str(path), path.relative_to(self.root).as_posix())) from error

    def read_png(self, ref: str) -> bytes:
        """The image as PNG bytes, whatever its format on disk; nothing but images can be read this way."""
        from anomalyagent.mcp_tools.imaging.photo import encode_png

        return encode_png(self.read_photo(ref).native)

    def store_photo(self, photo: "Photo") -> str:
        """Write `photo` as PNG under its content's name, unless it is there, and return its reference.

        Raises:
            WorkspaceError: the folder cannot be written or is full.
        """
        ref = self._store(f"{photo.sha256[:16]}.png", photo.native)
        if photo.native.dtype.itemsize == 1:  # a 16-bit photo is shown with the scale found when it is read
            self._photos.put(self.root / ref, photo)
        return ref

    def store_mask(self, mask: "Mask") -> str:
        """Write (H, W) bool `mask` as 8-bit PNG (0 or 255) under its content's name and return its reference.

        Raises:
            WorkspaceError: as `store_photo`.
        """
        import numpy as np

        pixels = mask.astype(np.uint8) * np.uint8(255)
        digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).hexdigest()
        return self._store(f"{digest[:16]}_mask.png", pixels)

    def images(self, most: int = _MOST_LISTED) -> list[str]:
        """References of the image files in the workspace; linked and hidden folders and names that are no text are left out."""
        return self._images_under(self.root, most)

    def _images_under(self, top: Path, most: int) -> list[str]:
        found: list[str] = []
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and is_text(name))
            here = Path(folder).relative_to(self.root)
            found += [(here / name).as_posix() for name in sorted(names) if is_text(name) and is_image_name(name)]
            if len(found) >= most:
                break
        return found[:most]

    def _confined(self, ref: str) -> Path:
        try:
            return safe_join(self.root, ref)
        except (PathEscapeError, OSError, RuntimeError) as error:  # RuntimeError: a loop of links
            raise WorkspaceError(f"image reference {_shown(ref)} leads outside the workspace. {_ADVICE}") from error

    def _store(self, name: str, native: "NDArray[Any]") -> str:
        from anomalyagent.mcp_tools.imaging.photo import encode_png, write_atomically

        folder = self._confined("images")
        path = folder / name
        # The name is the content's, so a regular file of that name is the same image; writing replaces a link.
        if path.is_symlink() or not path.is_file():
            write_atomically(path, encode_png(native))
        return f"images/{name}"

    def _held(self, folder: Path) -> str:
        """What to name instead of a folder."""
        inside = self._images_under(folder, _MOST_LISTED)
        if not inside:
            return "It holds no images."
        more = f" and {len(inside) - 5}{_or_more(inside)} more" if len(inside) > 5 else ""
        return f"It holds {', '.join(inside[:5])}{more}: name one, and make a call for each."

    def _closest(self, ref: str) -> str:
        known = self.images()
        if not known:
            return "The workspace holds no images yet. Ask the user to copy the photos into it."
        stem = PurePosixPath(ref).stem.casefold()
        alike = [name for name in known if stem in name.casefold()]  # "nut.png": photos/metal_nut/000.jpg
        close = [match for match, _, _ in process.extract(ref, alike or known, limit=5)]
        return f"Closest of {len(known)}{_or_more(known)} images there: {', '.join(close)}."

    def _advice(self, ref: str) -> str:
        if _DATA.match(ref):
            return "Tools take images by their path: ask the user to put the file into the workspace, then give its path there."
        if (meant := self._meant(ref)) is not None:
            return f"Inside the workspace it is called {meant!r}: use that."
        return _ADVICE

    def _meant(self, ref: str) -> str | None:
        """The reference that an absolute path, a `file://` address or one with backslashes stands for."""
        if "://" in ref and not ref.startswith("file://"):
            return None
        for text in (ref, unquote(ref.removeprefix("file://")), ref.replace("\\", "/")):
            path = Path(text)
            inside = path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else text
            if reference_problem(inside) is None and (path.is_absolute() or self._confined(inside).is_file()):
                return inside
        return None


def uri_of(ref: str) -> str:
    """Address of a reference as an MCP resource: `image://images/part%20012.png`."""
    return URI_PREFIX + quote(ref, safe="/")


def _plain(ref: str) -> str:
    return unquote(ref.removeprefix(URI_PREFIX)) if ref.startswith(URI_PREFIX) else ref


def _shown(ref: str) -> str:
    printable = ref.encode("ascii" if not ref.isprintable() else "utf-8", "backslashreplace").decode()
    return repr(printable if len(printable) <= 200 else f"{printable[:200]}...")


def _or_more(listed: list[str]) -> str:
    return "+" if len(listed) == _MOST_LISTED else ""
