"""The library ChromaDB, loaded when it is needed (about 1 s), and how its clients are set."""

import os
from pathlib import Path
from typing import Any

from anomalyagent.configs.paths import expand_home

__all__ = ["chroma_settings", "load_chroma"]


def load_chroma() -> Any:
    """The module. It looks for the user's home while it is imported, and would end where there is none."""
    if expand_home("~") == Path("~"):
        os.environ["HOME"] = os.devnull
    import chromadb

    return chromadb


def chroma_settings() -> Any:
    """Nothing is reported to anybody."""
    from chromadb.config import Settings

    return Settings(anonymized_telemetry=False)
