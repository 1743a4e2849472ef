"""What a real defect is in the language of tools and agents: a DefectSpec measured from the photo, its twin and its mask."""

import math

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec, Mechanism, Zone
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.change import visible_change
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.scene import Scene, scene_of
from anomalyagent.mcp_tools.judge.expectation import FOREIGN
from anomalyagent.mcp_tools.judge.pair import Pair

__all__ = ["measure_defect"]

_MOST_IN_ZONE = 0.6  # of the mask lies in the zone that is named
_DIRECTED_FROM = 2.0  # length / width: below, a direction means nothing
_STRONG = 0.8  # quantile of the visible change inside the mask that speaks for its strength


def measure_defect(twin: Photo, defect: Photo, mask: Mask, mechanism: Mechanism, seed: int) -> DefectSpec:
    """Place, size, shape, strength and colour of a real defect.

    Args:
        twin: the photo without it.
        mask: (H, W) bool, its true area; not empty.
        mechanism: what the words of its type speak of.
        seed: of the spec.
    """
    scene = scene_of(twin)
    change = visible_change(twin, defect)
    pair = Pair(scene, defect.shown_with(twin.scale), change, mask)
    parts = pair.components
    areas = np.array([part.area for part in parts])
    elongation = float(np.exp((areas * np.log([part.elongation for part in parts])).sum() / areas.sum()))
    x0, y0, x1, y1 = scene.box_xyxy
    rows, columns = np.nonzero(mask)
    u, v = (float(columns.mean()) - x0) / (x1 - x0), (float(rows.mean()) - y0) / (y1 - y0)
    severity = float(np.quantile(change[mask], _STRONG))
    shift = pair.shift[pair.mask].mean(axis=0)
    return DefectSpec(
        mechanism=mechanism,
        zone=_zone(scene, mask),
        center=(round(min(max(u, 0.0), 1.0), 3), round(min(max(v, 0.0), 1.0), 3)),
        area_fraction=_rounded(min(max(np.count_nonzero(mask) / scene.object_area_px, 1e-5), 0.7)),
        elongation=_rounded(min(max(elongation, 1.0), 200.0)),
        orientation_deg=round(math.degrees(-parts[0].axis_rad) % 180.0, 1) if elongation >= _DIRECTED_FROM else None,
        severity=_rounded(min(max(severity, 0.5), 60.0)),
        color_shift=(round(float(shift[0]), 1), round(float(shift[1]), 1), round(float(shift[2]), 1))
        if mechanism in FOREIGN
        else None,
        count=min(len(parts), 16),
        seed=seed,
    )


def _zone(scene: Scene, mask: Mask) -> Zone:
    inside = mask & scene.foreground
    if not inside.any():
        return "any"
    zones: tuple[Zone, ...] = ("edge", "center")
    for zone in zones:
        if scene.zone_mask(zone)[inside].mean() >= _MOST_IN_ZONE:
            return zone
    return "any"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
