"""Optional modules: which are not installed, and the one line that installs them. Nothing is imported to find out."""

from collections.abc import Sequence
from importlib.util import find_spec

__all__ = ["is_installed", "missing_modules"]


def missing_modules(modules: Sequence[str], extra: str) -> str | None:
    """The line that says which of `modules` are not installed and how to install them; None when all are there."""
    absent = [name for name in modules if not is_installed(name)]
    if not absent:
        return None
    return f"not installed: {', '.join(absent)}. Run: pip install 'anomalyagent[{extra}]'"


def is_installed(module: str) -> bool:
    """Whether it could be imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is not there either
        return False
