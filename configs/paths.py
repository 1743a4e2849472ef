"""Paths as people write them."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import platformdirs
from pydantic import AfterValidator

__all__ = [
    "RESERVED_NAME",
    "TEMPORARY_SUFFIX",
    "FileStamp",
    "HomePath",
    "expand_home",
    "is_text",
    "temporary_beside",
    "user_folder",
    "write_whole",
]

RESERVED_NAME = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""What Windows lets no file be called, whatever its suffix."""
TEMPORARY_SUFFIX = ".part"
_NAME = "anomalyagent"
_HOMELESS = Path(os.devnull, "set HOME", _NAME)
"""Where nothing can be made; messages that name it say what to do."""


class FileStamp(NamedTuple):
    """What tells whether a file still is the one that was read, without reading it.

    Its time and size alone do not. Uncompressed photos of one camera are of one size, and copies may take the time of what they
    are a copy of, in whole seconds (`cp -p` of what came out of an archive). What is replaced twice within a tick of the clock
    of files, up to 10 ms, keeps its time too, not its inode.
    """

    mtime_ns: int
    ctime_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "FileStamp":
        """The stamp of a file, to be taken before the file is read: what changes meanwhile then counts as changed."""
        return cls(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def expand_home(path: Path | str) -> Path:
    """The path with `~` at its start as the user's folder; what only looks so (`~$plan.png`) stays, and is no error."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def user_folder(kind: Literal["cache", "data"]) -> Path:
    """The program's folder for what it built (`cache`) or what the user gave it (`data`); it need not exist.

    Of a user without a home (HOME unset and an id that the system does not know, as in some containers) it cannot be made: all
    works without a cache and without cards of one's own.
    """
    try:
        folder = platformdirs.user_cache_path(_NAME) if kind == "cache" else platformdirs.user_data_path(_NAME)
    except RuntimeError:
        folder = _HOMELESS
    return folder if folder.is_absolute() else _HOMELESS  # older platformdirs: a folder called ~


def temporary_beside(path: Path, suffix: str = TEMPORARY_SUFFIX) -> Path:
    """A name beside `path` that no other thread or process has: what is written there is renamed when it is whole."""
    return path.with_name(f".{os.getpid()}-{secrets.token_hex(6)}{suffix}")


def write_whole(path: Path, data: bytes, suffix: str = TEMPORARY_SUFFIX) -> None:
    """Write a file so that other threads and processes see the old one or the whole new one; missing folders are made.

    Raises:
        OSError: the folder cannot be made or written, or the disk is full; the old file, if any, is untouched.
    """
    temporary = temporary_beside(path, suffix)
    try:
        try:
            temporary.write_bytes(data)  # not by tempfile, whose files nobody else may read
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def is_text(name: str) -> bool:
    """False of a name that is no Unicode: a file or an argument may have bytes that are no UTF-8, which nothing can write."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


HomePath = Annotated[Path, AfterValidator(expand_home)]
"""A path in the settings: no shell expands what stands in a file."""
