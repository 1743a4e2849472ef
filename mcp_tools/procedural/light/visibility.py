"""How plainly what is painted over a photo shows, in multiples of the local just-noticeable difference."""

import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.color import ciede2000, lab_from_rgb
from anomalyagent.mcp_tools.procedural.edit import Edit, Site

__all__ = ["is_noticed", "jnd_of_change"]

_NOTICED_JND = 2.5


def is_noticed(site: Site, edit: Edit) -> bool:
    """True when a fifth of what an edit paints differs enough from the photo to be noticed."""
    assert edit.opacity is not None
    shown = edit.opacity > 0.5
    if not shown.any():
        return False
    return float(np.percentile(jnd_of_change(site, edit, shown), 80)) > _NOTICED_JND


def jnd_of_change(site: Site, edit: Edit, where: Mask) -> NDArray[np.float32]:
    """(n,) change of the pixels of a mask by what is painted, in multiples of the local just-noticeable difference."""
    assert edit.paint is not None
    before, jnd = (field[edit.window.slices][where] for field in (site.scene.lab, site.scene.jnd))
    return ciede2000(before, lab_from_rgb(edit.paint[where][None])[0]) / jnd
