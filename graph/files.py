"""Writing files so that a reader, or a run that was killed, never sees half of one."""

import contextlib
import shutil
from collections.abc import Generator
from pathlib import Path

from filelock import FileLock, Timeout

from anomalyagent.configs.paths import TEMPORARY_SUFFIX, temporary_beside, write_whole
from anomalyagent.errors import RunError

__all__ = ["alone_in", "link_or_copy", "remove_temporaries", "write_atomically"]

LOCK_FILE = ".lock"


@contextlib.contextmanager
def alone_in(folder: Path) -> Generator[None]:
    """Make `folder` and keep others who ask in this way out of it. A hidden file stays there.

    Raises:
        RunError: another process (or thread) works there, or it cannot be written.
    """
    lock = FileLock(folder / LOCK_FILE, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunError(f"another process writes into {folder}. Wait for it to end, or choose another folder.") from None
    except OSError as error:
        raise RunError(_cannot_write(folder, error)) from error
    try:
        yield
    finally:
        lock.release()


def write_atomically(path: Path, data: bytes) -> None:
    """As `configs.paths.write_whole`, with an error of this layer.

    Raises:
        RunError: the disk is full or the folder cannot be written; the old file, if any, is untouched.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise RunError(_cannot_write(path, error)) from error


def link_or_copy(source: Path, target: Path, *, link: bool) -> None:
    """Make `target` the same file as `source` (hard link), or a copy where links are unwanted or impossible. Atomic.

    Raises:
        RunError: `source` is gone, the disk is full, or the folder cannot be written.
    """
    temporary = temporary_beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if link:
            try:
                temporary.hardlink_to(source)
            except (OSError, NotImplementedError):
                shutil.copyfile(source, temporary)
        else:
            shutil.copyfile(source, temporary)
        temporary.replace(target)
        temporary.unlink(missing_ok=True)  # renaming one hard link of a file onto another one does nothing
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunError(_cannot_write(target, error)) from error


def remove_temporaries(folder: Path) -> None:
    """Delete what killed processes left half-written directly in `folder`, images of tools (`.tmp`) included."""
    if folder.is_dir():
        for suffix in (TEMPORARY_SUFFIX, ".tmp"):
            for path in folder.glob(f".*{suffix}"):
                path.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> str:
    return (
        f"cannot write {path}: {error.strerror or error}. Free some space or fix the permissions, "
        "then give the same command again: the run continues where it stopped."
    )
