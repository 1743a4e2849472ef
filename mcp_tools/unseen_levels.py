"""Kinds of defect that photos of good parts cannot show: a wrong fill level, where no level is seen through the wall."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import ImageError
from anomalyagent.mcp_tools.imaging.photo import read_photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.looks.fill_level import names_filling_fault
from anomalyagent.mcp_tools.procedural.structure.liquid_level import find_level

__all__ = ["kinds_not_shown"]

_MOST_PHOTOS = 5
_MOST_OF_THEM = 0.75  # of the photos show the level where it can be moved


def kinds_not_shown(settings: Settings, anomaly_types: Sequence[str], photos: Sequence[Path]) -> set[str]:
    """Those of `anomaly_types` that move a level of liquid, when hardly any of `photos` shows one.

    None where a model or another server draws: it may know better. Files that cannot be read are left out.
    """
    drawn = settings.tools.image_gen
    levels = {name for name in anomaly_types if names_filling_fault(name) is not None}
    if not levels or drawn.backend != "procedural" or drawn.server is not None:
        return set()
    chosen = np.unique(np.linspace(0, len(photos) - 1, min(len(photos), _MOST_PHOTOS)).round().astype(int))
    limits = settings.limits
    seen = list[bool]()
    for index in chosen:
        try:
            photo = read_photo(photos[index], max_pixels=limits.max_image_pixels, min_side_px=limits.min_image_side_px)
        except ImageError:
            continue  # the import of the run tells about it
        seen.append(find_level(Scene(photo)) is not None)
    return levels if seen and sum(seen) < _MOST_OF_THEM * len(seen) else set()
