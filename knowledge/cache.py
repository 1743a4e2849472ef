"""Where built things are kept between processes. All of it can be deleted at any time."""

from pathlib import Path

from anomalyagent.configs.paths import user_folder

__all__ = ["cache_folder"]


def cache_folder(cache_dir: Path | None) -> Path:
    """The given folder, else `knowledge` in the user's cache folder; it need not exist."""
    return cache_dir if cache_dir is not None else user_folder("cache") / "knowledge"
