"""Specs drawn from a card stay inside its priors and use all of them."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalyagent.knowledge.cards import Card, Priors, Variant
from anomalyagent.knowledge.sampling import clamp_to_priors, sample_spec, sample_typical
from anomalyagent.knowledge.spec import MECHANISMS, RANGES, ZONES, DefectSpec, Mechanism


def make_priors(**changes: Any) -> Priors:
    values: dict[str, Any] = {
        "area_fraction": (0.001, 0.1),
        "elongation": (1.0, 20.0),
        "severity": (3.0, 30.0),
        "count": (1, 8),
    }
    return Priors.model_validate(values | {"zones": ("edge", "center", "top")} | changes)


def make_card(*variants: Variant) -> Card:
    prose = dict.fromkeys(("appearance", "cause", "location", "inspection", "source"), "text")
    return Card.model_validate(
        {"id": "test/card", "item": "cup", "anomaly_type": "x", "material": "glass", "variants": variants, **prose}
    )


SCRATCH = Variant.model_validate({"mechanism": "scratch", "weight": 0.75, "priors": make_priors(orientation_deg=(20.0, 60.0))})
STAIN = Variant.model_validate(
    {"mechanism": "stain", "weight": 0.25, "priors": make_priors(contrast="darker", tint_ab=(12.0, 25.0))}
)
CARD = make_card(SCRATCH, STAIN)
SPECS = [sample_spec(CARD, seed) for seed in range(2000)]


def test_every_draw_is_inside_the_priors() -> None:
    for spec in SPECS:
        assert 0.001 <= spec.area_fraction <= 0.1
        assert 1.0 <= spec.elongation <= 20.0
        assert 3.0 <= spec.severity <= 30.0
        assert 1 <= spec.count <= 8
        assert spec.zone in ("edge", "center", "top")
        assert spec.center is None
        if spec.mechanism == "scratch":
            assert spec.orientation_deg is not None
            assert 20.0 <= spec.orientation_deg <= 60.0
            assert spec.color_shift is None
        else:
            assert spec.orientation_deg is None
            assert spec.color_shift is not None
            assert spec.color_shift[0] < 0
            assert 8.0 <= spec.color_shift[1] <= 16.0
            assert 17.0 <= spec.color_shift[2] <= 33.0


def test_sizes_are_log_uniform_so_that_small_is_common_and_large_is_rare() -> None:
    middle = math.sqrt(0.001 * 0.1)
    share_small = sum(spec.area_fraction < middle for spec in SPECS) / len(SPECS)
    assert 0.45 < share_small < 0.55
    assert max(spec.area_fraction for spec in SPECS) > 0.09
    assert min(spec.area_fraction for spec in SPECS) < 0.0012


def test_variants_follow_their_weights_and_zones_their_order() -> None:
    share = sum(spec.mechanism == "scratch" for spec in SPECS) / len(SPECS)
    assert 0.71 < share < 0.79
    zones = Counter(spec.zone for spec in SPECS)
    assert zones["edge"] > zones["center"] > zones["top"] > 300


def test_every_count_occurs_and_few_are_more_common_than_many() -> None:
    counts = Counter(spec.count for spec in SPECS)
    assert set(counts) == set(range(1, 9))
    assert counts[1] > counts[4] > counts[8]


def test_the_same_seed_gives_the_same_spec_and_another_seed_another() -> None:
    assert sample_spec(CARD, 5) == sample_spec(CARD, 5)
    assert len({spec.model_dump_json() for spec in SPECS}) == len(SPECS)
    assert [spec.seed for spec in SPECS[:3]] == [0, 1, 2]


def test_a_generator_gives_another_spec_at_each_draw() -> None:
    rng = np.random.default_rng(0)
    first, second = sample_spec(CARD, rng), sample_spec(CARD, rng)
    assert first != second
    assert first == sample_spec(CARD, np.random.default_rng(0))


def test_contrast_lighter_brightens_and_either_leaves_the_colour_to_the_mechanism() -> None:
    def colors(contrast: str, mechanism: Mechanism) -> list[Any]:
        variant = Variant.model_validate({"mechanism": mechanism, "priors": make_priors(contrast=contrast)})
        return [sample_spec(make_card(variant), seed).color_shift for seed in range(30)]

    assert all(color[0] > 0 for color in colors("lighter", "scratch"))
    assert colors("either", "stain") == [None] * 30
    assert colors("darker", "missing") == [None] * 30


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_mechanism_without_a_card_varies_with_the_seed(mechanism: Mechanism) -> None:
    specs = [sample_typical(mechanism, seed) for seed in range(20)]
    assert len({spec.area_fraction for spec in specs}) == 20
    assert {spec.mechanism for spec in specs} == {mechanism}


ANY_SPEC = st.builds(
    DefectSpec,
    mechanism=st.sampled_from(MECHANISMS),
    zone=st.sampled_from(ZONES),
    center=st.none() | st.just((0.5, 0.5)),
    area_fraction=st.floats(1e-5, 0.7),
    elongation=st.floats(1.0, 200.0),
    orientation_deg=st.none() | st.floats(-180.0, 180.0),
    severity=st.floats(0.5, 60.0),
    color_shift=st.none() | st.tuples(*[st.floats(-60.0, 60.0)] * 3),
    count=st.integers(1, 16),
    seed=st.integers(0, 1000),
)


@settings(max_examples=150)
@given(ANY_SPEC)
def test_a_clamped_spec_is_allowed_by_a_variant_and_clamping_again_changes_nothing(spec: DefectSpec) -> None:
    clamped = clamp_to_priors(spec, CARD.variants)
    DefectSpec.model_validate(clamped.model_dump())
    assert clamped.mechanism in ("scratch", "stain")
    assert 0.001 <= clamped.area_fraction <= 0.1
    assert 1.0 <= clamped.elongation <= 20.0
    assert 3.0 <= clamped.severity <= 30.0
    assert 1 <= clamped.count <= 8
    assert clamped.zone in ("edge", "center", "top")
    if clamped.mechanism == "scratch" and clamped.orientation_deg is not None:
        assert 20.0 - 1e-6 <= clamped.orientation_deg % 180.0 <= 60.0 + 1e-6
    if clamped.mechanism == "stain" and clamped.color_shift is not None:
        assert clamped.color_shift[0] <= 0.0
    assert clamped.seed == spec.seed
    assert clamp_to_priors(clamped, CARD.variants) == clamped


def test_a_spec_inside_the_priors_is_left_alone() -> None:
    for spec in SPECS[:200]:
        assert clamp_to_priors(spec, CARD.variants) == spec


def test_a_foreign_mechanism_becomes_the_most_likely_one_without_its_colour() -> None:
    spec = DefectSpec.model_validate({"mechanism": "bend", "color_shift": (5.0, 1.0, 1.0), "orientation_deg": 3.0})
    clamped = clamp_to_priors(spec, CARD.variants)
    assert (clamped.mechanism, clamped.color_shift, clamped.orientation_deg) == ("scratch", None, None)


def test_no_variants_leave_the_spec_as_it_is() -> None:
    assert clamp_to_priors(SPECS[0], []) is SPECS[0]


@pytest.mark.parametrize("name", RANGES)
def test_the_ranges_are_those_of_the_fields(name: str) -> None:
    schema = DefectSpec.model_json_schema()["properties"][name]
    assert RANGES[name] == (schema["minimum"], schema["maximum"])
