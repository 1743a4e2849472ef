"""Fits the judge's model to labelled cases: looks of mechanisms, scales of faults, weights of the two scores.

The weights are those of two logistic regressions with soft targets and weights >= 0, so the model stays monotone. A score
is also allowed to lose a little by faults that belong to the other one: an image that fails must fail in the sum.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import Mechanism
from anomalyagent.mcp_tools.judge.cases import GOOD, REAL
from anomalyagent.mcp_tools.judge.findings import FAULTS
from anomalyagent.mcp_tools.judge.likeness import Look
from anomalyagent.mcp_tools.judge.measuring import Measured
from anomalyagent.mcp_tools.judge.scoring import Calibration, FaultScale, score

__all__ = ["Record", "Report", "area_under_curve", "fit_calibration", "verify"]

Floats = NDArray[np.float64]

LEAST_GROSS: dict[str, float] = {
    "too_faint": 3.0,
    "too_strong": 1.0,
    "oversized": 1.5,
    "undersized": 1.5,
    "off_object": 0.4,
    "wrong_zone": 0.6,
    "wrong_shape": 1.2,
    "fragmented": 1.0,
    "hard_cut": 0.2,
    "halo": 0.4,
    "noise_mismatch": 1.0,
    "sharpness_mismatch": 1.0,
    "flat_interior": 0.2,
    "compression": 0.6,
    "wrong_light": 0.15,
    "implausible_color": 6.0,
    "background_drift": 0.4,
}
"""A fault below this amount is never called gross, however the cases lie."""
HARMLESS_QUANTILE = {GOOD: 0.95, REAL: 0.9}
"""Share of the good examples of a set whose amount is harmless; the area filled in a real one's twin is not always clean."""
GROSS_QUANTILE = 0.2
MOST_HARMLESS = 0.6
"""Harmless amounts end at this share of the gross one at the latest."""
STRONG = 0.5
"""Strength from which a spoilt case must be told from good ones."""
STIFFNESS = 0.0003
LEAST_COST, LEAST_COST_ELSEWHERE = 1.0, 0.3
"""Every fault costs the score that it belongs to, and the other one, also where a fault that comes with it explains them."""
MIN_LOOKS = 6


@dataclass(frozen=True)
class Record:
    """A measured case; looks are compared anew for every fit."""

    group: str
    label: str
    strength: float
    mechanism: Mechanism
    measured: Measured

    @property
    def is_good(self) -> bool:
        """Drawn well, or real."""
        return self.label in (GOOD, REAL)


class Report(NamedTuple):
    """How a calibration does on a group.

    Attributes:
        auc: for each fault, the probability that a good example scores higher than a spoilt one.
        named: share of the strongly spoilt cases of each fault for which its own finding is reported.
        good_passed, real_passed: share that passes; None without cases.
    """

    auc: dict[str, float]
    named: dict[str, float]
    good_passed: float | None
    real_passed: float | None


def fit_calibration(records: Sequence[Record]) -> Calibration:
    """Fit looks, scales and weights; deterministic."""
    looks = _fit_looks(records)
    amounts = np.array([[fault.amount(record.measured.with_looks(looks)) for fault in FAULTS] for record in records])
    scales = [_fit_scale(records, amounts[:, i], fault.name) for i, fault in enumerate(FAULTS)]
    serious = np.array([[scale.seriousness(value) for scale, value in zip(scales, row, strict=True)] for row in amounts])
    weights = _case_weights(records)
    (base_l, cost_l), (base_q, cost_q) = (
        _fit_logistic(serious**2, np.array([_target(record, about) for record in records]), weights, _least_costs(about))
        for about in ("location", "quality")
    )
    faults = {
        fault.name: FaultScale(round(scale.harmless, 4), round(scale.gross, 4), round(float(loc), 3), round(float(qual), 3))
        for fault, scale, loc, qual in zip(FAULTS, scales, cost_l, cost_q, strict=True)
    }
    return Calibration(round(base_l, 3), round(base_q, 3), faults, looks)


def _fit_looks(records: Sequence[Record]) -> dict[Mechanism, Look]:
    """Mean and spread of the descriptor of good examples, groups counting alike; narrow spreads are widened."""
    vectors: dict[Mechanism, list[tuple[float, ...]]] = defaultdict(list)
    for record in records:
        if record.is_good:
            vectors[record.mechanism].append(record.measured.appearance.descriptor)
    everything = np.array([vector for found in vectors.values() for vector in found])
    overall = everything.std(axis=0)
    looks: dict[Mechanism, Look] = {}
    for mechanism in sorted(vectors):
        found = np.array(vectors[mechanism])
        if len(found) < MIN_LOOKS:
            continue
        spread = np.sqrt((found.var(axis=0) * len(found) + overall**2 * 4.0) / (len(found) + 4.0))
        spread = np.maximum(spread, np.maximum(0.35 * overall, 0.03))
        looks[mechanism] = Look(
            tuple(round(float(x), 4) for x in np.median(found, axis=0)), tuple(round(float(x), 4) for x in spread)
        )
    return looks


def _fit_scale(records: Sequence[Record], amounts: Floats, name: str) -> FaultScale:
    """Harmless: what nearly all good examples stay below, in every group. Gross: twice that, or what most spoilt ones reach."""
    harmless = 0.0
    for group, label in sorted({(record.group, record.label) for record in records if record.is_good}):
        found = [a for a, r in zip(amounts, records, strict=True) if r.group == group and r.label == label]
        if len(found) >= 5:
            harmless = max(harmless, float(np.quantile(found, HARMLESS_QUANTILE[label])))
    spoilt = [a for a, r in zip(amounts, records, strict=True) if r.label == name and r.strength >= STRONG]
    reached = float(np.quantile(spoilt, GROSS_QUANTILE)) if len(spoilt) >= 5 else 0.0
    gross = max(LEAST_GROSS[name], min(reached, harmless / 0.5))
    # Where good ones overlap with spoilt ones, the scale starts lower and the weight decides.
    return FaultScale(min(harmless, MOST_HARMLESS * gross), gross, 0.0, 0.0)


def _case_weights(records: Sequence[Record]) -> Floats:
    """Each fault counts alike, drawn and real good examples as much as a quarter of all faults each."""
    counts: dict[str, int] = defaultdict(int)
    for record in records:
        counts[record.label] += 1
    faults = sum(1 for label in counts if label not in (GOOD, REAL))
    share = {label: 0.25 * faults if label in (GOOD, REAL) else 1.0 for label in counts}
    return np.array([share[record.label] / counts[record.label] for record in records])


def _target(record: Record, about: str) -> float:
    """Wished score 0..1."""
    if record.is_good:
        return 0.93
    own = next((fault.about for fault in FAULTS if fault.name == record.label), "quality")
    lowest = 0.08 if own == about else 0.4
    return 0.93 - (0.93 - lowest) * min(1.0, record.strength / 0.4)


def _least_costs(about: str) -> Floats:
    return np.array([LEAST_COST if fault.about == about else LEAST_COST_ELSEWHERE for fault in FAULTS])


def _fit_logistic(inputs: Floats, targets: Floats, weights: Floats, least: Floats) -> tuple[float, Floats]:
    """(base, costs >= least) of target = sigmoid(base - inputs @ costs) by weighted cross-entropy."""
    from scipy.optimize import minimize  # of the extra `eval`: needed for fitting only

    total = weights.sum()

    def loss(parameters: Floats) -> tuple[float, Floats]:
        logit = parameters[0] - inputs @ parameters[1:]
        error = weights * (1.0 / (1.0 + np.exp(-logit)) - targets)
        value = (weights * (np.logaddexp(0.0, logit) - targets * logit)).sum() / total + STIFFNESS * (parameters[1:] ** 2).sum()
        slope = np.concatenate([[error.sum()], -(inputs.T @ error)]) / total
        slope[1:] += 2.0 * STIFFNESS * parameters[1:]
        return float(value), slope

    start = np.concatenate([[2.5], least])
    bounds = [(2.0, 4.0), *((float(lowest), 8.0) for lowest in least)]
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), found[1:]


def _total_score(record: Record, calibration: Calibration) -> float:
    """Sum of both scores, 0..10."""
    scores = score(record.measured.with_looks(calibration.looks), calibration)
    return scores.location + scores.quality


def area_under_curve(high: Sequence[float], low: Sequence[float]) -> float:
    """Probability that one of `high` exceeds one of `low`, ties count half; nan when one is empty."""
    if not high or not low:
        return float("nan")
    difference = np.array(high)[:, None] - np.array(low)[None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def verify(records: Sequence[Record], calibration: Calibration, threshold: float = 5.0) -> Report:
    """Measure a calibration on records that it was (or was not) fitted on."""
    scores: dict[str, list[float]] = defaultdict(list)
    named: dict[str, list[bool]] = defaultdict(list)

    def reported(record: Record) -> dict[str, float]:
        return score(record.measured.with_looks(calibration.looks), calibration).seriousness

    for record in records:
        if record.is_good or record.strength >= STRONG:
            scores[record.label].append(_total_score(record, calibration))
            if not record.is_good:
                named[record.label].append(reported(record)[record.label] >= 0.25)
    good, real = scores.get(GOOD, []), scores.get(REAL, [])
    faults = sorted(label for label in scores if label not in (GOOD, REAL))
    return Report(
        auc={label: round(area_under_curve(good, scores[label]), 3) for label in faults},
        named={label: round(float(np.mean(named[label])), 3) for label in faults},
        good_passed=round(float(np.mean([value > threshold for value in good])), 3) if good else None,
        real_passed=round(float(np.mean([value > threshold for value in real])), 3) if real else None,
    )
