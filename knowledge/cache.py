"""Where built things are kept between processes, and how a file gets there whole. All of it can be deleted at any time."""

from pathlib import Path

from anomalyagent.configs.paths import temporary_beside, user_folder

__all__ = ["cache_folder", "write_whole"]


def cache_folder(cache_dir: Path | None = None) -> Path:
    """The given folder, else `knowledge` in the user's cache folder; it need not exist."""
    return cache_dir if cache_dir is not None else user_folder("cache") / "knowledge"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that other processes see all of it or nothing.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        temporary.write_bytes(data)  # not by tempfile, whose files nobody else may read
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
