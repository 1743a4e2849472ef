"""Each known fault lowers the score of a good example and is named; generated photos, the real engine."""

import numpy as np
import pytest

from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.contracts import QualityResult
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.judge.expectation import expect
from anomalyagent.mcp_tools.judge.ladder import SPOILERS, Good, draw_good, spoil
from anomalyagent.mcp_tools.judge.measuring import measure
from anomalyagent.mcp_tools.judge.pair import Pair
from anomalyagent.mcp_tools.judge.scoring import read_calibration, review_change, review_nothing
from anomalyagent.mcp_tools.judge.specimens import SPECIMENS, make_specimen

OTHER_NAMES = {
    "sharpness_mismatch": {"noise_mismatch"},  # blur takes the grain away too
    "flat_interior": {"hard_cut", "noise_mismatch"},  # a sticker has all three
    "background_drift": {"oversized"},
    "compression": {"hard_cut", "halo", "noise_mismatch"},
    "fragmented": {"oversized"},
}


def _review(good: Good, photo: Photo) -> QualityResult:
    pair = Pair.compare(good.scene.photo, photo)
    if pair is None:
        return review_nothing("features", 5.0)
    calibration = read_calibration()
    measured = measure(pair, expect([good.card], good.spec.mechanism), calibration.looks)
    return review_change(measured, calibration, "features", good.card.anomaly_type, 5.0)


@pytest.fixture(scope="module")
def goods() -> list[Good]:
    cards = load_cards(with_user_folder=False)
    found: list[Good] = []
    for number, item in enumerate(SPECIMENS):
        for index in range(2):
            rng = np.random.default_rng([77, number, index])
            good = draw_good(make_specimen(item, rng, 192), item, cards, rng)
            if good is not None:
                found.append(good)
    return found


def test_good_examples_pass(goods: list[Good]) -> None:
    passed = [_review(good, good.photo).passed for good in goods]
    assert np.mean(passed) >= 0.9


@pytest.mark.parametrize(
    "fault", [name for name in SPOILERS if name not in ("wrong_light", "wrong_shape", "too_strong", "wrong_zone")]
)
def test_a_fault_lowers_the_score_and_is_named(goods: list[Good], fault: str) -> None:
    lowered: list[bool] = []
    named: list[bool] = []
    for number, good in enumerate(goods):
        spoilt = spoil(fault, good, 0.9, np.random.default_rng(number))
        if spoilt is None:
            continue
        result = _review(good, spoilt)
        lowered.append(result.score < _review(good, good.photo).score)
        accepted = {fault, "no_visible_change"} | OTHER_NAMES.get(fault, set())
        named.append(any(finding.name in accepted for finding in result.findings))
    assert len(lowered) >= 3
    assert np.mean(lowered) >= 0.8
    assert np.mean(named) >= 0.7


def test_every_adjustment_of_a_finding_fits_the_spec(goods: list[Good]) -> None:
    for number, good in enumerate(goods[::3]):
        for fault in SPOILERS:
            spoilt = spoil(fault, good, 0.9, np.random.default_rng(number))
            for finding in _review(good, spoilt).findings if spoilt is not None else []:
                adjust = finding.adjust
                if adjust is None or adjust.how == "resample":
                    continue
                value = adjust.value
                if adjust.how == "multiply":
                    assert isinstance(value, float)
                    value = min(0.7 if adjust.field == "area_fraction" else 60.0, getattr(good.spec, adjust.field) * value)
                DefectSpec.model_validate({**good.spec.model_dump(), adjust.field: value})


def test_the_ladder_is_deterministic() -> None:
    cards = load_cards(with_user_folder=False)
    normal = make_specimen("leather", np.random.default_rng(3), 128)
    first, again = (draw_good(normal, "leather", cards, np.random.default_rng(4)) for _ in range(2))
    assert first is not None
    assert again is not None
    assert np.array_equal(first.photo.native, again.photo.native)
    for fault in ("halo", "hard_cut", "background_drift"):
        one, two = (spoil(fault, first, 0.6, np.random.default_rng(5)) for _ in range(2))
        assert (one is None) == (two is None)
        assert one is None or two is None or np.array_equal(one.native, two.native)
