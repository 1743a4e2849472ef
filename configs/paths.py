"""Paths as people write them."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

__all__ = ["HomePath", "expand_home", "is_text"]


def expand_home(path: Path | str) -> Path:
    """The path with `~` at its start as the user's folder; what only looks so (`~$plan.png`) stays, and is no error."""
    return Path(os.path.expanduser(path))  # noqa: PTH111


def is_text(name: str) -> bool:
    """False of a name that is no Unicode: a file or an argument may have bytes that are no UTF-8, which nothing can write."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


HomePath = Annotated[Path, AfterValidator(expand_home)]
"""A path in the settings: no shell expands what stands in a file."""
