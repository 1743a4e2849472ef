"""What a mechanism measures of a whole photo, measured once for each Scene and forgotten together with it."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from anomalyagent.mcp_tools.imaging.scene import Scene

__all__ = ["once_per_scene"]

_Measured = TypeVar("_Measured")


def once_per_scene(measure: Callable[[Scene], _Measured]) -> Callable[[Scene], _Measured]:
    """`measure`, called once for each Scene. What it returns is shared: do not write into it."""
    known: WeakKeyDictionary[Scene, _Measured] = WeakKeyDictionary()

    @wraps(measure)
    def look_up(scene: Scene) -> _Measured:
        if scene not in known:
            known[scene] = measure(scene)
        return known[scene]

    return look_up
