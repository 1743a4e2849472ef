"""Detection metrics: AUROC, average precision (AP), the best F1, and PRO, at image and pixel level.

AUROC, AP and the precision-recall curve are scikit-learn's. PRO (Bergmann et al. 2020) is the area under the mean overlap
of the true regions against the false-positive rate, up to a rate of 0.3, divided by 0.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from anomalyagent.errors import ImageError
from anomalyagent.training.datasets.files import GOOD

__all__ = ["Maps", "Scores", "best_f1", "image_scores", "per_region_overlap", "pixel_ap", "pixel_ap_by_type", "score_maps"]

Maps = NDArray[np.float32]
"""(N, S, S) float32, anomaly probability of each pixel."""
_Masks = NDArray[np.bool_]

_PRO_LIMIT = 0.3
_POOL_PX, _POOL_AT_PX = 21, 256


@dataclass(frozen=True)
class Scores:
    """All in 0..1."""

    image_auroc: float
    image_ap: float
    image_f1: float
    pixel_auroc: float
    pixel_ap: float
    pixel_f1: float
    pro: float


def score_maps(maps: Maps, masks: _Masks, types: Sequence[str]) -> Scores:
    """All metrics of (N, S, S) anomaly maps against (N, S, S) masks.

    Args:
        types: of the N images; one that is not "good" is anomalous as an image, also where its mask vanished when it was
            made smaller.
    Raises:
        ImageError: all images are good, or none is: nothing can be told apart.
    """
    labels = np.array([name != GOOD for name in types])
    if labels.all() or not labels.any():
        raise ImageError(f"the test set needs good and anomalous images, got {int(labels.sum())} anomalous of {len(labels)}.")
    images = image_scores(maps)
    pixels, truth = maps.ravel(), masks.ravel()
    return Scores(
        float(roc_auc_score(labels, images)),
        float(average_precision_score(labels, images)),
        best_f1(labels, images),
        float(roc_auc_score(truth, pixels)),
        pixel_ap(maps, masks),
        best_f1(truth, pixels),
        per_region_overlap(maps, masks),
    )


def pixel_ap(maps: Maps, masks: _Masks) -> float:
    """Average precision over all pixels, 0..1."""
    return float(average_precision_score(masks.ravel(), maps.ravel()))


def pixel_ap_by_type(maps: Maps, masks: _Masks, types: Sequence[str], good: str = "good") -> dict[str, float]:
    """Pixel AP of each anomaly type against the good images, which says what kind of defect is missed.

    A type without a single mask pixel is left out.
    """
    names = np.array(types)
    found: dict[str, float] = {}
    for name in sorted(set(types) - {good}):
        chosen = (names == name) | (names == good)
        if masks[chosen].any():
            found[name] = pixel_ap(maps[chosen], masks[chosen])
    return found


def image_scores(maps: Maps) -> NDArray[np.float64]:
    """(N,) score of each image: the highest value of its map after a 21 x 21 average, zeros beyond the frame.

    The window is meant for maps of 256 x 256 and scales with their size.
    Source: the paper's protocol, after DRAEM.
    """
    window = max(1, round(_POOL_PX * maps.shape[1] / _POOL_AT_PX) | 1)
    pooled = [cv2.blur(one, (window, window), borderType=cv2.BORDER_CONSTANT) for one in maps]
    return np.array([float(np.max(one)) for one in pooled])


def best_f1(truth: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """The highest F1 over all thresholds."""
    precision, recall, _ = precision_recall_curve(truth, scores)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


def per_region_overlap(maps: Maps, masks: _Masks) -> float:
    """PRO of (N, S, S) maps against (N, S, S) masks, 0..1; regions are 8-connected.

    Exact: every distinct value is a threshold, and the curve is cut at a false-positive rate of 0.3 by interpolation.
    """
    gain = np.zeros(masks.shape, np.float64)  # what a pixel adds to the mean overlap once it is above the threshold
    regions = 0
    for mask, added in zip(masks, gain, strict=True):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        added[mask] = (1.0 / np.maximum(stats[:, cv2.CC_STAT_AREA], 1))[np.asarray(labels)[mask]]
        regions += count - 1  # label 0 is the good rest
    order = np.argsort(maps, axis=None)[::-1]
    values, good = maps.ravel()[order], ~masks.ravel()[order]
    rate = np.cumsum(good) / max(1, int(good.sum()))
    overlap = np.cumsum(gain.ravel()[order]) / max(1, regions)
    last_of_value = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)
    rate = np.concatenate([[0.0], rate[last_of_value]])
    overlap = np.concatenate([[0.0], overlap[last_of_value]])
    at_limit = float(np.interp(_PRO_LIMIT, rate, overlap))
    inside = rate < _PRO_LIMIT
    x, y = np.append(rate[inside], _PRO_LIMIT), np.append(overlap[inside], at_limit)
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2 / _PRO_LIMIT)
