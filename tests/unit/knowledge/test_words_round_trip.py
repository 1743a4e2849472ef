"""A spec written as a prompt and read back is the same spec, within the stated tolerances."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalyagent.knowledge.spec import MECHANISMS, ZONES, DefectSpec
from anomalyagent.knowledge.words import parse_prompt, read_prompt, render_prompt

UNIT = st.floats(0.0, 1.0)


def logarithmic(low: float, high: float) -> st.SearchStrategy[float]:
    """Floats whose logarithm is spread evenly."""
    return st.floats(math.log(low), math.log(high)).map(lambda x: min(max(math.exp(x), low), high))


SPECS = st.builds(
    DefectSpec,
    mechanism=st.sampled_from(MECHANISMS),
    zone=st.sampled_from(ZONES),
    center=st.none() | st.tuples(UNIT, UNIT),
    area_fraction=logarithmic(1e-5, 0.7),
    elongation=logarithmic(1.0, 200.0),
    orientation_deg=st.none() | st.floats(-180.0, 180.0),
    severity=logarithmic(0.5, 60.0),
    color_shift=st.none() | st.tuples(*[st.floats(-100.0, 100.0)] * 3),
    count=st.integers(1, 16),
    seed=st.integers(0, 2**63 - 1),
)

ITEMS = [
    "metal nut",
    "bottle",
    "printed circuit board",
    "top cap",
    "left bracket",
    "three pin plug",
    "rusty tile",
    "2 mm drill",
    "hole plate",
    "zipper",
    'a "quoted" thing',
    "O'Ring",
    "",
    "pièce 7",
    "large dark crack tester",
    "center punch",
    "no name",
    "scratch card",
    "edge",
]
TYPES = [
    "scratch",
    "broken_large",
    "hole at the top",
    "three spots",
    "print",
    "big red dent",
    "",
    'x"y',
    "no defect",
    "keep out",
    "90 %",
    "line\nbreak",
]


def check_equal(spec: DefectSpec, read: DefectSpec) -> None:
    assert (read.mechanism, read.zone, read.count) == (spec.mechanism, spec.zone, spec.count)
    for name in ("area_fraction", "elongation", "severity"):
        assert math.isclose(getattr(read, name), getattr(spec, name), rel_tol=0.06), name
    for name, tolerance in (("center", 0.006), ("color_shift", 0.51)):
        wanted, found = getattr(spec, name), getattr(read, name)
        assert (wanted is None) == (found is None), name
        assert wanted is None or max(abs(a - b) for a, b in zip(wanted, found, strict=True)) <= tolerance, name
    assert (spec.orientation_deg is None) == (read.orientation_deg is None)
    if spec.orientation_deg is not None and read.orientation_deg is not None:
        assert abs((spec.orientation_deg - read.orientation_deg + 90.0) % 180.0 - 90.0) <= 0.51


@settings(max_examples=200)
@given(spec=SPECS, item=st.sampled_from(ITEMS), anomaly_type=st.sampled_from(TYPES))
def test_a_written_prompt_reads_back_as_the_same_spec(spec: DefectSpec, item: str, anomaly_type: str) -> None:
    check_equal(spec, parse_prompt(render_prompt(spec, item, anomaly_type)))


@settings(max_examples=60)
@given(spec=SPECS, default=SPECS)
def test_a_written_prompt_overrides_every_field_of_another_default_but_the_seed(spec: DefectSpec, default: DefectSpec) -> None:
    read = parse_prompt(render_prompt(spec, "metal nut", "scratch"), default)
    check_equal(spec, read)
    assert read.seed == default.seed


@settings(max_examples=60)
@given(spec=SPECS, item=st.text(max_size=30), anomaly_type=st.text(max_size=30))
def test_no_item_or_type_name_disturbs_the_round_trip(spec: DefectSpec, item: str, anomaly_type: str) -> None:
    check_equal(spec, parse_prompt(render_prompt(spec, item, anomaly_type)))


@pytest.mark.parametrize("item", ["KEEP", "rest", "leave", "avoid", "without", "identical"])
def test_a_name_that_is_a_word_of_command_does_not_swallow_what_comes_after_it(item: str) -> None:
    spec = DefectSpec(mechanism="scratch", center=(0.25, 0.75), area_fraction=0.02, elongation=8.0, seed=3)
    check_equal(spec, parse_prompt(render_prompt(spec, item, "scratch")))


@settings(max_examples=60)
@given(spec=SPECS)
def test_a_written_prompt_leaves_nothing_unclear(spec: DefectSpec) -> None:
    reading = read_prompt(render_prompt(spec, "metal nut", "scratch_neck"))
    assert set(DefectSpec.model_fields) - set(reading.understood) <= {"seed", "center"}
    assert reading.notes == []


def test_the_same_spec_gives_the_same_words_and_seeds_vary_them() -> None:
    specs = [DefectSpec.model_validate({"mechanism": "scratch", "seed": seed}) for seed in range(40)]
    texts = [render_prompt(spec, "bottle", "scratch") for spec in specs]
    assert texts == [render_prompt(spec, "bottle", "scratch") for spec in specs]
    assert len(set(texts)) >= 20


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_prompt_says_what_it_is_where_it_is_how_small_and_what_stays(mechanism: str) -> None:
    spec = DefectSpec.model_validate({"mechanism": mechanism, "zone": "edge", "area_fraction": 0.02})
    text = render_prompt(spec, "glass bottle", "my_type")
    assert "glass bottle" in text
    assert '"my_type"' in text
    assert "2 % of the visible area" in text
    assert any(word in text for word in ("Keep", "Leave", "Preserve", "Everything else"))
