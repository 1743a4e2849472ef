"""quality_eval by several judges together, the measuring one and a vision language model as a rule.

    quality_eval:
      backend: ensemble
      options:
        judges:
          - {backend: features, weight: 0.5}
          - {backend: vlm, weight: 0.5, options: {model: "google_genai:gemini-3.8-flash"}}

The scores are the weighted mean (or the lowest of all). Where the judges disagree, the result says so: as a finding, and with
each one's scores in the review. A judge that fails makes the call fail: half an ensemble would be another judge.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from pydantic import Field, field_validator

from anomalyagent.errors import BackendError, ConfigError
from anomalyagent.mcp_tools.backends.base import QualityEvalBackend
from anomalyagent.mcp_tools.backends.options import BackendOptions, read_options
from anomalyagent.mcp_tools.contracts import Finding, QualityResult, sum_up
from anomalyagent.mcp_tools.imaging.photo import Photo

__all__ = ["EnsembleJudge", "EnsembleOptions"]

BACKEND = "quality_eval backend 'ensemble'"
DISAGREEMENT = "judges_disagree"


class Maker(Protocol):
    """Makes another backend of the same tool by its name."""

    def __call__(self, backend: str, options: Mapping[str, Any]) -> Any: ...


class JudgeChoice(BackendOptions):
    """One of the judges."""

    backend: str
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    weight: float = Field(default=1.0, gt=0)


class EnsembleOptions(BackendOptions):
    """Options of quality_eval backend `ensemble`."""

    judges: list[JudgeChoice] = Field(min_length=2, max_length=8, description="two or more of {backend, options, weight}")
    combine: Literal["mean", "lowest"] = Field(default="mean", description="mean: weighted; lowest: of each of both scores.")
    disagree_from: float = Field(default=2.0, gt=0, le=10, description="Difference of two judges' sums (0..10) that is told.")

    @field_validator("judges")
    @classmethod
    def _no_nesting(cls, value: list[JudgeChoice]) -> list[JudgeChoice]:
        if any(each.backend == "ensemble" for each in value):
            raise ValueError("an ensemble cannot be one of its own judges")
        return value


class EnsembleJudge:
    """Asks all of its judges. Options: see `EnsembleOptions`."""

    name = "ensemble"

    def __init__(self, options: Mapping[str, Any], make: Maker) -> None:
        """Make the judges.

        Raises:
            ConfigError, BackendUnavailableError: an option is wrong, or a judge cannot be made; the message names it.
        """
        self.options = read_options(EnsembleOptions, BACKEND, options)
        self._judges: list[tuple[JudgeChoice, QualityEvalBackend]] = []
        for choice in self.options.judges:
            judge: Any = make(choice.backend, choice.options)
            if not hasattr(judge, "judge"):
                raise ConfigError(f"{BACKEND}: '{choice.backend}' is no judge.")
            self._judges.append((choice, judge))

    def judge(self, normal: Photo, anomaly: Photo, item_name: str, anomaly_type: str, threshold: float) -> QualityResult:
        """The judges' scores combined, their findings together, and where they disagree.

        Raises:
            BackendError: one of them failed; with what all of them spent.
        """
        results: list[QualityResult] = []
        for _, judge in self._judges:
            try:
                results.append(judge.judge(normal, anomaly, item_name, anomaly_type, threshold))
            except BackendError as error:
                error.cost_usd += sum(each.cost_usd for each in results)
                error.tokens += sum(each.tokens for each in results)
                raise
        location = self._combined([each.location_score for each in results])
        quality = self._combined([each.quality_score for each in results])
        each_said = "; ".join(
            f"{each.backend} {each.score:.2f} (location {each.location_score:.2f}, quality {each.quality_score:.2f})"
            for each in results
        )
        apart = max(each.score for each in results) - min(each.score for each in results)
        findings = _together(results)
        if apart >= self.options.disagree_from:
            told = Finding(
                name=DISAGREEMENT,
                weight=min(1.0, apart / 10.0),
                message=f"the judges are {apart:.1f} of 10 apart: {each_said}",
                hint="Trust the score less; a person should look at this image.",
            )
            findings.append(told)
        reviews = " ".join(f"{each.backend}: {each.review}" for each in results)
        return QualityResult(
            backend=self.name,
            cost_usd=sum(each.cost_usd for each in results),
            tokens=sum(each.tokens for each in results),
            **sum_up(location, quality, threshold),
            findings=findings,
            review=f"Scores: {each_said}. {reviews}",
        )

    def _combined(self, scores: Sequence[float]) -> float:
        if self.options.combine == "lowest":
            return round(min(scores), 2)
        weights = [choice.weight for choice, _ in self._judges]
        return round(sum(w * score for w, score in zip(weights, scores, strict=True)) / sum(weights), 2)


def _together(results: Sequence[QualityResult]) -> list[Finding]:
    """All findings, the most serious first; of one name only the most serious."""
    found: dict[str, Finding] = {}
    for finding in sorted((one for each in results for one in each.findings), key=lambda one: -one.weight):
        found.setdefault(finding.name, finding)
    return list(found.values())
