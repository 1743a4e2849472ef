"""mask_gen backend `change`: the mask is what visibly changed against the normal photo. No model, no options."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from anomalyagent.mcp_tools.backends.base import Segmented
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.change import mask_of_visibility, visible_change
from anomalyagent.mcp_tools.imaging.photo import Photo

__all__ = ["ChangeMask"]


class ChangeMask:
    """Masks by visible change (CIEDE2000 over the local just-noticeable difference)."""

    name = "change"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self.options = dict(options or {})

    def segment(self, normal: Photo, anomaly: Photo) -> Segmented:
        """Find the pixels whose change can be seen.

        The confidence tells how clearly they stand out: the share of all changed strength that lies inside the mask, times how
        far the mask's typical strength is above the threshold of visibility (0 at 1 JND, near 1 from 4 JND on).
        """
        field = visible_change(normal, anomaly)
        mask = mask_of_visibility(field)
        return Segmented(mask, _confidence(field, mask))


def _confidence(field: Field, mask: Mask) -> float:
    total = float(field.sum())
    if not mask.any():
        # nothing visible: sure of it when nothing changed at all, unsure when much lies just below the threshold
        return float(1.0 - min(1.0, float(field.max(initial=0.0))))
    inside = field[mask]
    clear = 1.0 - float(np.exp(-max(0.0, float(np.percentile(inside, 75.0)) - 0.6) / 1.2))
    return float(np.clip(float(inside.sum()) / total * clear, 0.0, 1.0))
