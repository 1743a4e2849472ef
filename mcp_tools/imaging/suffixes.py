"""By which names files are taken for photos; nothing heavy is imported here, so that servers start fast."""

from pathlib import PurePath

__all__ = ["IMAGE_SUFFIXES", "is_image_name"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".gif", ".jp2"})


def is_image_name(name: str) -> bool:
    """False of hidden files too: `._x.png` of other systems is no photo."""
    return not name.startswith(".") and PurePath(name).suffix.lower() in IMAGE_SUFFIXES
