"""Features of where and how large the change is: object, zone, size, shape, number, and how far the expectation is missed."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.cards import Variant
from anomalyagent.knowledge.spec import NET_ELONGATION, Zone
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.judge.expectation import STRUCTURAL, THIN, Expectation, covers_object
from anomalyagent.mcp_tools.judge.pair import Pair, dilate

__all__ = ["Placing", "allowed_mask", "measure_placing"]

STROKE = 12.0
"""Length by width from which a winding shape is a stroke; below, a ring or a rim is as long as what it encloses."""
FINEST_WIDTH_PX = 3.0
"""The thinnest stroke that a photo shows: of so many pixels in all, no stroke can be more elongated than this allows."""
_MANY_PIECES = 4.0  # into which the change of a whole object may fall


@dataclass(frozen=True)
class Placing:
    """Where the change is and how it compares with the best fitting variant.

    Attributes:
        off_object: share of the visible change beside the object, 0..1.
        wrong_zone: how far from the allowed zones the change on the object lies, 1 = a fifth of the object's size or more.
        oversized, undersized: doublings by which the area misses the expected range.
        elongation_miss: doublings by which length / width misses the expected range.
        pieces: number of parts of about equal size that the change falls into.
        surplus: doublings by which `pieces` exceeds the expected number.
        tone_miss: 0..1, how clearly it is darker where lighter is expected, or the other way round.
        area_fraction, elongation, width_px: as measured.
        variant: the variant that was compared with.
    """

    off_object: float
    wrong_zone: float
    oversized: float
    undersized: float
    elongation_miss: float
    pieces: float
    surplus: float
    tone_miss: float
    area_fraction: float
    elongation: float
    width_px: float
    variant: Variant


def allowed_mask(scene: Scene, zones: tuple[Zone, ...]) -> Mask:
    """(H, W) bool, pixels of the object in one of the zones; rims inside the object count as edges too."""
    if "any" in zones:
        return scene.foreground
    allowed = np.zeros(scene.foreground.shape, bool)
    for zone in zones:
        allowed |= scene.zone_mask(zone)
    if "edge" in zones:
        allowed |= _inner_edges(scene) & scene.foreground
    return allowed


def _farness(scene: Scene, zones: tuple[Zone, ...]) -> Field:
    """(H, W) 0 in the zones, rising to 1 at a fifth of the object's size away from them: zones have no sharp borders."""
    outside = ~allowed_mask(scene, zones)
    distance = cv2.distanceTransform(outside.view(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(np.clip(distance / (0.2 * np.sqrt(scene.object_area_px)), 0.0, 1.0), np.float32)


def _inner_edges(scene: Scene) -> Mask:
    """Rims inside the object (of a hole, a mouth, a step): where the smoothed photo is steepest."""
    smooth = cv2.GaussianBlur(scene.luma, (0, 0), max(1.0, 0.01 * float(np.sqrt(scene.object_area_px))))
    steep = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    return np.asarray(steep > 0.4 * float(np.quantile(steep[scene.foreground], 0.98)), np.bool_)


def measure_placing(pair: Pair, expected: Expectation) -> Placing:
    """Compare place, size and shape with each variant; the one that is missed least speaks."""
    scene = pair.scene
    near = max(2, round(0.02 * np.sqrt(scene.object_area_px)))
    weight = np.minimum(pair.visibility, 10.0) * pair.mask
    total = max(1e-6, float(weight.sum()))
    around = dilate(scene.foreground, near)[pair.window]
    off_object = float(weight[~around].sum()) / total
    area_fraction = float(np.count_nonzero(pair.visible)) / scene.object_area_px
    components = pair.components
    areas = np.array([part.area for part in components], np.float64)
    pieces = float(areas.sum() ** 2 / (areas**2).sum())
    along = _typical([part.elongation for part in components], areas)
    extent = _typical([part.extent for part in components], areas)
    width_px = float((areas * [part.width for part in components]).sum() / areas.sum())
    resolvable = max(1.0, 0.6 * float(areas.max()) / (1.77 * FINEST_WIDTH_PX**2))
    lightness = pair.shift[..., 0] * pair.mask
    balance = float(lightness.sum()) / max(1e-6, float(np.abs(pair.shift).sum(axis=2)[pair.mask].sum()))
    candidates: list[tuple[float, Placing]] = []
    for order, variant in enumerate(expected.variants):
        priors = variant.priors
        on_object = weight * pair.foreground
        on_total = float(on_object.sum())
        structural = variant.mechanism in STRUCTURAL
        judged = on_total > 0 and not structural and "any" not in priors.zones
        wrong_zone = float((on_object * _farness(scene, priors.zones)[pair.window]).sum()) / on_total if judged else 0.0
        elongation = _elongation_as(variant, along, extent)
        low, high = priors.area_fraction
        fewest, most = min(priors.elongation[0], resolvable), priors.elongation[1]
        most_pieces = float(priors.count[1])
        beside = 0.0 if expected.lies_beside else 0.5 * off_object if structural else off_object
        if covers_object(variant):  # it lies beside where it was, or a second one beside it, and shows in the gaps of the first
            low, fewest, most, most_pieces, beside = 0.2 * low, 1.0, 1e3, max(most_pieces, _MANY_PIECES), 0.0
        tone = balance if priors.contrast == "darker" else -balance if priors.contrast == "lighter" else 0.0
        placing = Placing(
            off_object=beside,
            wrong_zone=wrong_zone,
            oversized=max(0.0, float(np.log2(area_fraction / high))),
            undersized=max(0.0, float(np.log2(low / area_fraction))),
            elongation_miss=max(0.0, float(np.log2(elongation / most)), float(np.log2(fewest / elongation))),
            pieces=pieces,
            surplus=max(0.0, float(np.log2(pieces / most_pieces))),
            tone_miss=max(0.0, tone),
            area_fraction=area_fraction,
            elongation=elongation,
            width_px=width_px,
            variant=variant,
        )
        miss = (
            wrong_zone + placing.oversized + placing.undersized + placing.elongation_miss + placing.tone_miss + placing.surplus
        )
        candidates.append((miss + 0.01 * order, placing))
    return min(candidates, key=lambda entry: entry[0])[1]


def _elongation_as(variant: Variant, along: float, extent: float) -> float:
    """Length by width as the mechanism means it: of strokes along their course, of patches and bodies that of the region in
    which they lie (of a dent only the flanks show, a stain may be a ring), unless what lies there is a stroke. Signs consist
    of strokes, and so does a net of cracks.
    """
    mechanism = variant.mechanism
    if mechanism == "crack" and variant.priors.elongation[1] <= NET_ELONGATION:
        return extent
    if mechanism in THIN or mechanism == "bend":
        return along
    return extent if mechanism == "print" else extent * max(1.0, along / STROKE)


def _typical(values: list[float], areas: NDArray[np.float64]) -> float:
    """Area-weighted geometric mean over the components."""
    return float(np.exp((areas * np.log(values)).sum() / areas.sum()))
