"""Checkpoints that are whole or refused: a folder with a manifest of hashes, written under another name and then renamed."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anomalyagent.errors import RunError

__all__ = ["keep_newest", "newest", "seal", "verify"]

MANIFEST = "manifest.json"


def seal(folder: Path, identity: Mapping[str, Any]) -> None:
    """Write the manifest of a checkpoint: the hashes of its files, and what it belongs to."""
    files = {str(path.relative_to(folder)): _hash(path) for path in _files(folder)}
    temporary = folder / f".{MANIFEST}"
    temporary.write_text(json.dumps({"identity": dict(identity), "files": files}, indent=1, sort_keys=True), "utf-8")
    temporary.replace(folder / MANIFEST)


def verify(folder: Path, identity: Mapping[str, Any]) -> None:
    """Check a checkpoint before it is read.

    Raises:
        RunError: it is damaged, or belongs to another training.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        files: dict[str, str] = manifest["files"]
        known: dict[str, Any] = manifest["identity"]
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"the checkpoint {folder} has no usable manifest ({error}). Delete this folder; {_EARLIER}") from error
    for name, digest in files.items():
        if not (folder / name).is_file() or _hash(folder / name) != digest:
            raise RunError(f"the checkpoint {folder} is damaged: {name} is missing or changed. Delete this folder; {_EARLIER}")
    differing = [key for key in {**known, **identity} if known.get(key) != json.loads(json.dumps(identity.get(key)))]
    if differing:
        key = differing[0]
        raise RunError(
            f"the checkpoint {folder} belongs to another training: {key} was {known.get(key)!r} and is "
            f"{identity.get(key)!r} now. Give another --out, or the former configuration and program version."
        )


def newest(folder: Path) -> Path | None:
    """The sealed checkpoint of the highest step in `folder` (`step-00010`, `checkpoint-10`); unsealed ones were cut off."""
    found = [path for path in folder.glob("*-*") if (path / MANIFEST).is_file()] if folder.is_dir() else []
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def keep_newest(folder: Path, count: int) -> None:
    """Delete all but the newest checkpoints."""
    found = sorted(folder.glob("*-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for path in found[:-count]:
        shutil.rmtree(path)


_EARLIER = "the training then resumes from an earlier checkpoint, or begins anew."


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(MANIFEST)]


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
