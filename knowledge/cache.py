"""Where built things are kept between processes, and how a file gets there whole. All of it can be deleted at any time."""

import os
import tempfile
from pathlib import Path

import platformdirs

__all__ = ["cache_folder", "write_whole"]


def cache_folder(cache_dir: Path | None = None) -> Path:
    """The given folder, else `knowledge` in the user's cache folder; it need not exist."""
    return cache_dir if cache_dir is not None else Path(platformdirs.user_cache_dir("anomalyagent")) / "knowledge"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that other processes see all of it or nothing.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
