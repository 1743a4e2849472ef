"""From amounts of faults to the two scores and the review: a small monotone additive model, stored as readable JSON.

    seriousness of a fault   g = (amount - harmless) / (gross - harmless), limited to 0..1.5
    location, quality        5 * sigmoid(base - sum of weight * g^2), each with its own base and weights >= 0

The square keeps many small blemishes from adding up to a fault. More of any fault never raises a score.
`calibration.py` fits the numbers; `calibration.json` holds them:

    {"base": {"location": .., "quality": ..},
     "faults": {"<name>": {"harmless": .., "gross": .., "location": weight, "quality": weight}, ...},
     "looks": {"<mechanism>": {"mean": [...], "spread": [...]}, ...},
     "report": {...}}                         what it was fitted on and how well it holds, for the reader
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from anomalyagent.errors import ConfigError
from anomalyagent.knowledge.spec import Mechanism
from anomalyagent.mcp_tools.contracts import QualityResult, Summed, sum_up
from anomalyagent.mcp_tools.judge.findings import FAULTS, Fault, make_finding, no_visible_change
from anomalyagent.mcp_tools.judge.likeness import Look
from anomalyagent.mcp_tools.judge.measuring import Measured

__all__ = ["SHIPPED_CALIBRATION", "Calibration", "FaultScale", "read_calibration", "review_change", "review_nothing", "score"]

SHIPPED_CALIBRATION = Path(__file__).with_name("calibration.json")
REPORTED_FROM = 0.25
"""Seriousness from which a fault becomes a finding."""


class FaultScale(NamedTuple):
    """Calibrated scale of one fault: amounts that are harmless and gross, and what a gross one costs each score."""

    harmless: float
    gross: float
    location: float
    quality: float

    def seriousness(self, amount: float) -> float:
        """0 harmless .. 1 gross .. 1.5 beyond."""
        return float(np.clip((amount - self.harmless) / max(1e-9, self.gross - self.harmless), 0.0, 1.5))


@dataclass(frozen=True)
class Calibration:
    """Everything fitted."""

    base_location: float
    base_quality: float
    faults: Mapping[str, FaultScale]
    looks: Mapping[Mechanism, Look]


class Scores(NamedTuple):
    """Scores, and the seriousness of each fault by name."""

    location: float
    quality: float
    seriousness: dict[str, float]


@cache
def read_calibration(path: Path = SHIPPED_CALIBRATION) -> Calibration:
    """Read a calibration file.

    Raises:
        ConfigError: the file is missing, damaged, or lacks a fault.
    """
    try:
        stored = cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))
        faults = {name: FaultScale(**values) for name, values in stored["faults"].items()}
        looks = {name: Look(tuple(look["mean"]), tuple(look["spread"])) for name, look in stored["looks"].items()}
        calibration = Calibration(float(stored["base"]["location"]), float(stored["base"]["quality"]), faults, looks)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"cannot read the judge's calibration {path}: {error}. Write it anew with "
            "`python -m anomalyagent.mcp_tools.judge.calibration --normals DIR --out FILE`."
        ) from error
    missing = [fault.name for fault in FAULTS if fault.name not in faults]
    if missing:
        raise ConfigError(f"the judge's calibration {path} lacks {', '.join(missing)}. Fit it anew.")
    return calibration


def score(measured: Measured, calibration: Calibration) -> Scores:
    """Location and quality, 0..5 each."""
    serious = {fault.name: calibration.faults[fault.name].seriousness(fault.amount(measured)) for fault in FAULTS}
    lost_location = sum(calibration.faults[name].location * g**2 for name, g in serious.items())
    lost_quality = sum(calibration.faults[name].quality * g**2 for name, g in serious.items())
    return Scores(
        5.0 / (1.0 + float(np.exp(lost_location - calibration.base_location))),
        5.0 / (1.0 + float(np.exp(lost_quality - calibration.base_quality))),
        serious,
    )


def review_nothing(backend: str, threshold: float) -> QualityResult:
    """The result when no change can be seen."""
    finding = no_visible_change()
    return QualityResult(
        backend=backend,
        **sum_up(0.0, 0.0, threshold),
        findings=[finding],
        review=f"No defect can be seen: {finding.message}. {finding.hint}",
    )


def review_change(
    measured: Measured, calibration: Calibration, backend: str, anomaly_type: str, threshold: float
) -> QualityResult:
    """Scores, findings and the review of a visible change."""
    scores = score(measured, calibration)
    summed = sum_up(scores.location, scores.quality, threshold)
    cost = {
        name: g * (calibration.faults[name].location + calibration.faults[name].quality)
        for name, g in scores.seriousness.items()
    }
    ranked = sorted(FAULTS, key=lambda fault: (-cost[fault.name], fault.name))
    reported = [fault for fault in ranked if scores.seriousness[fault.name] >= REPORTED_FROM and cost[fault.name] > 0]
    if not reported and not summed["passed"]:
        reported = [fault for fault in ranked[:1] if cost[fault.name] > 0]
    findings = [make_finding(fault, measured, min(1.0, scores.seriousness[fault.name])) for fault in reported]
    return QualityResult(
        backend=backend,
        **summed,
        findings=findings,
        review=_write_review(measured, reported, anomaly_type, summed),
    )


def _write_review(measured: Measured, reported: list[Fault], anomaly_type: str, summed: Summed) -> str:
    place = f"covers {100 * measured.placing.area_fraction:.2g} % of the object"
    kind = anomaly_type.replace("_", " ")
    numbers = f"(location {summed['location_score']:g}, quality {summed['quality_score']:g})"
    if not reported:
        return (
            f"A plausible {kind}: it {place}, is clearly visible ({measured.appearance.visibility:.1f} times the "
            f"just-noticeable difference) and meets the surface without artefacts {numbers}."
        )
    reasons = "; ".join(f"{fault.name.replace('_', ' ')}: {fault.message(measured)}" for fault in reported[:3])
    verdict = "Acceptable" if summed["passed"] else "Not acceptable"
    return f"{verdict} as {kind} {numbers}. {reasons[0].upper()}{reasons[1:]}."
