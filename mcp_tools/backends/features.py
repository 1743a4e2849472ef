"""quality_eval without weights: measured features, named findings and a calibrated monotone model (`mcp_tools/judge`)."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.errors import ConfigError
from anomalyagent.knowledge.cards import Card, load_cards
from anomalyagent.knowledge.fitting import choose_cards
from anomalyagent.knowledge.words import mechanism_of
from anomalyagent.knowledge.words.more import names_one_more
from anomalyagent.mcp_tools.contracts import QualityResult
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.judge.expectation import Expectation, expect, with_one_more
from anomalyagent.mcp_tools.judge.measuring import measure
from anomalyagent.mcp_tools.judge.pair import Pair
from anomalyagent.mcp_tools.judge.scoring import (
    SHIPPED_CALIBRATION,
    Calibration,
    read_calibration,
    review_change,
    review_nothing,
)
from anomalyagent.mcp_tools.procedural.breaking.named_body import named_body

__all__ = ["FeatureJudge"]


class FeatureJudge:
    """Judges an anomaly photo beside its normal photo by measurement.

    Options:
        calibration: path of a calibration file made with `python -m anomalyagent.mcp_tools.judge.calibration`;
            default: the shipped one.
    """

    name = "features"

    def __init__(self, options: Mapping[str, Any], knowledge: KnowledgeSettings) -> None:
        unknown = sorted(set(options) - {"calibration"})
        if unknown:
            raise ConfigError(f"unknown option {unknown[0]!r} of quality_eval backend 'features'; known: calibration.")
        self._calibration_path = Path(options.get("calibration", SHIPPED_CALIBRATION))
        self._folders = tuple(knowledge.folders)
        self._expectations: dict[tuple[str, str], Expectation] = {}

    @cached_property
    def _calibration(self) -> Calibration:
        return read_calibration(self._calibration_path)

    @cached_property
    def _cards(self) -> list[Card]:
        return load_cards(self._folders)

    def judge(self, normal: Photo, anomaly: Photo, item_name: str, anomaly_type: str, threshold: float) -> QualityResult:
        """Location and quality score, findings and review.

        Raises:
            ToolInputError: the photos have different sizes.
            ConfigError: the calibration file cannot be read.
            KnowledgeError: the knowledge cards cannot be read.
        """
        pair = Pair.compare(normal, anomaly)
        if pair is None:
            return review_nothing(self.name, threshold)
        measured = measure(pair, self.expectation_of(item_name, anomaly_type), self._calibration.looks)
        return review_change(measured, self._calibration, self.name, anomaly_type, threshold)

    def expectation_of(self, item_name: str, anomaly_type: str) -> Expectation:
        """What is expected of this item and type, from its card or from the words of the type."""
        key = (item_name, anomaly_type)
        if key not in self._expectations:
            choice = choose_cards(self._cards, item_name, anomaly_type)  # the same that prompt_gen draws from
            guess = mechanism_of(anomaly_type, item_name)
            found = expect(choice.cards, guess.mechanism if guess.confidence > 0 else None)
            found = with_one_more(found) if names_one_more(anomaly_type, item_name) else found
            coated = named_body(f"{anomaly_type.replace('_', ' ')} of the {item_name}").coated
            self._expectations[key] = replace(found, bares_ground=coated)
        return self._expectations[key]
