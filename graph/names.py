"""Folder and task names from free text: any language, safe on every file system, distinct."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence

from anomalyagent.configs.paths import RESERVED_NAME
from anomalyagent.errors import RunError

__all__ = ["choose_folders", "safe_name"]

MOST_BYTES = 80
"""Longer names are cut: room is left for numbers and suffixes below the usual limit of 255 bytes."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')


def safe_name(text: str) -> str:
    """A folder name for `text`: unicode kept, white space and what file systems refuse replaced by `_`, at most 80 bytes.

    Raises:
        RunError: nothing that can be named is left.
    """
    kept = "".join(" " if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in text)
    name = re.sub(r"\s+", "_", _FORBIDDEN.sub("_", unicodedata.normalize("NFC", kept)).strip())
    name = name.strip(".").rstrip("_") or name.strip(".")
    if not name.strip("_."):
        raise RunError(f"{text!r} has no letter or digit that a folder could be named after. Give it a name in words.")
    if RESERVED_NAME.fullmatch(name):
        name = f"{name.replace('.', '_')}_"
    if len(name.encode()) > MOST_BYTES:
        cut = name.encode()[: MOST_BYTES - 9].decode(errors="ignore").rstrip("._")
        name = f"{cut}-{_digest(text)}"
    return name


def choose_folders(anomaly_types: Sequence[str]) -> list[str]:
    """One folder name for each anomaly type, distinct even where upper and lower case are the same.

    Raises:
        RunError: a type is called `good`, the folder of normal images in this layout, or cannot be named.
    """
    folders: list[str] = []
    taken: set[str] = {"good"}
    for anomaly_type in anomaly_types:
        name = safe_name(anomaly_type)
        if name.casefold() == "good":
            raise RunError(
                f"an anomaly type cannot be called {anomaly_type!r}: that is the folder of normal images here. Rename it."
            )
        if name.casefold() in taken:
            name = f"{name}-{_digest(anomaly_type)}"
        taken.add(name.casefold())
        folders.append(name)
    return folders


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
