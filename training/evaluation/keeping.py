"""Finished pieces of an evaluation on disk, one JSON file each, found again by a digest of all that they depend on."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from anomalyagent.errors import RunError
from anomalyagent.graph.files import write_atomically

__all__ = ["check_table", "digest_of", "keep", "make_work_folder"]

T = TypeVar("T", bound=BaseModel)


def keep(folder: Path, name: str, kind: type[T], make: Callable[[], T]) -> tuple[T, bool]:
    """The kept piece of that name, or a new one that is kept from now on; two processes never make the same one.

    Returns:
        The piece, and whether it was there already.
    Raises:
        RunError: the folder cannot be written, or the file is damaged.
    """
    path = folder / f"{name}.json"
    make_work_folder(folder)
    with FileLock(folder / f"{name}.lock"):
        if path.is_file():
            try:
                return kind.model_validate_json(path.read_bytes()), True
            except ValidationError as error:
                raise RunError(f"{path} is damaged; delete it, and it is made again. {error}") from error
        made = make()
        write_atomically(path, (made.model_dump_json(indent=2) + "\n").encode())
        return made, False


def make_work_folder(folder: Path) -> None:
    """The folder of finished pieces, if it is not there yet.

    Raises:
        RunError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot make the work folder {folder}: {error.strerror or error}. Choose another with --work."
        ) from error


def check_table(out: Path) -> None:
    """Before the work of hours: can a table be written there?

    Raises:
        RunError: it is a folder.
    """
    if out.is_dir():
        raise RunError(f"{out} is a folder; the table is a file, e.g. {out / 'table.md'}. Name it with --out.")


def digest_of(facts: Any, *arrays: NDArray[np.generic]) -> str:
    """16 hex digits of plain data and arrays."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
