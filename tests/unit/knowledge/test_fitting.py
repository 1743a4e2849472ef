"""Which card and which of its variants answer a task's words, and what the words change in what is drawn."""

import math

import pytest

from anomalyagent.knowledge.cards import Card, find_card
from anomalyagent.knowledge.fitting import adapt_spec, choose_cards, names_a_kind
from anomalyagent.knowledge.sampling import sample_spec
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.forms import IMPLIED_FORMS
from anomalyagent.knowledge.words.lexer import find_terms


def draw(cards: list[Card], item: str, kind: str, count: int = 12) -> list[DefectSpec]:
    card = choose_cards(cards, item, kind).cards[0]
    return [adapt_spec(sample_spec(card, seed), kind, card.variants) for seed in range(count)]


@pytest.mark.parametrize(
    ("item", "kind", "card_id"),
    [
        ("brushed steel plate", "dent", "material/metal/dent"),
        ("brushed steel plate", "rust stain", "material/metal/stain"),
        ("brushed steel plate", "hole", "material/metal/hole"),
        ("brushed steel plate", "scratch", "steel/scratches"),
        ("white tablet", "black speck", "mvtec/pill/contamination"),
        ("white tablet", "hair", "mvtec/pill/contamination"),
        ("white tablet", "chipped corner", "mvtec/pill/crack"),
        ("connector", "bent pin", "connector/bent_pin"),
        ("connector", "crack in the housing", "connector/cracked_housing"),
        ("gear", "chipped tooth", "machined/missing_tooth"),
        ("PCB", "missing component", "material/electronics/missing_part"),
        ("bottle", "chip on the rim", "mvtec/bottle/broken_small"),
        ("bottle", "large chip", "mvtec/bottle/broken_large"),
        ("wind turbine blade", "oil stain", "material/composite/stain"),
        ("paper", "wrinkle", "material/paper/dent"),
        ("transistor", "missing lead", "mvtec/transistor/cut_lead"),
        ("gasket", "missing piece", "material/any/missing_part"),
        ("phone case", "burr", "material/any/contamination"),
        ("apple", "insect bite", "produce/insect_hole"),
        ("concrete wall", "water stain", "material/stone/stain"),  # not what else stains concrete: salt, rust
        ("concrete", "oil stain", "material/stone/stain"),
        ("concrete", "rust stain", "concrete/rust_stain"),
    ],
)
def test_words_choose_the_card(cards: list[Card], item: str, kind: str, card_id: str) -> None:
    assert [card.id for card in choose_cards(cards, item, kind).cards] == [card_id]


def test_a_cards_own_name_uses_the_card_as_it_is(cards: list[Card]) -> None:
    for card in [card for card in cards if not card.is_general]:
        found = find_card(cards, card.item, card.anomaly_type)
        choice = choose_cards(cards, card.item, card.anomaly_type)
        assert choice.has_own_name
        assert choice.cards == [found]


@pytest.mark.parametrize(
    ("item", "kind", "mechanism"),
    [
        ("white tablet", "black speck", "contamination"),
        ("white tablet", "hair", "fibre"),
        ("white tablet", "chipped tablet", "chip"),
        ("leather seat", "wrinkle", "dent"),
        ("shirt", "yellow stain", "stain"),
        ("lens", "red mark", "stain"),
        ("label", "bubble", "dent"),
        ("car door", "paint run", "dent"),
        ("PCB", "corrosion", "stain"),
        ("zipper", "loose thread", "fibre"),
        ("fabric", "fuzzyball", "fibre"),
        ("fabric", "warp ball", "fibre"),
    ],
)
def test_every_draw_is_of_the_mechanism_that_the_words_name(cards: list[Card], item: str, kind: str, mechanism: str) -> None:
    assert {spec.mechanism for spec in draw(cards, item, kind)} == {mechanism}


def test_a_grid_alias_does_not_override_the_mechanism_of_the_words(cards: list[Card]) -> None:
    assert {spec.mechanism for spec in draw(cards, "paper", "crease")} == {"dent"}


def test_words_without_meaning_leave_the_items_usual_types(cards: list[Card]) -> None:
    assert len(choose_cards(cards, "bottle", "blorb").cards) == 3


@pytest.mark.parametrize("item", ["white tablet", "lens", "carpet", "PCB", "chocolate bar", "hex nut", "qwertz"])
def test_a_hair_is_one_long_thin_fibre(cards: list[Card], item: str) -> None:
    for spec in draw(cards, item, "hair"):
        assert (spec.mechanism, spec.count) == ("fibre", 1)
        assert 0.2 <= math.sqrt(spec.area_fraction * spec.elongation) <= 1.0
        assert math.sqrt(spec.area_fraction / spec.elongation) <= 0.02


@pytest.mark.parametrize("item", ["white tablet", "wafer", "toothbrush", "bottle", "qwertz"])
def test_a_black_speck_is_small_compact_and_dark(cards: list[Card], item: str) -> None:
    for spec in draw(cards, item, "black speck"):
        assert spec.mechanism == "contamination"
        assert spec.area_fraction <= 0.004
        assert spec.elongation <= 1.5
        assert spec.color_shift is not None
        assert spec.color_shift[0] <= -40.0
        assert spec.severity >= 20.0


@pytest.mark.parametrize("item", ["brushed steel plate", "hex nut", "screw", "zipper", "concrete wall", "qwertz"])
def test_a_rust_stain_is_orange_brown(cards: list[Card], item: str) -> None:
    for spec in draw(cards, item, "brown rust stain" if item == "concrete wall" else "rust stain"):
        assert spec.color_shift is not None
        lightness, red, yellow = spec.color_shift
        assert lightness < 0.0
        assert red > 8.0
        assert yellow > red


@pytest.mark.parametrize("item", ["brushed steel plate", "car door", "wooden board", "bottle cap", "qwertz"])
def test_a_dent_is_one_compact_hollow_of_moderate_size(cards: list[Card], item: str) -> None:
    for spec in draw(cards, item, "dent"):
        assert spec.mechanism == "dent"
        assert spec.area_fraction <= 0.1


def test_hairline_is_counted_once(cards: list[Card]) -> None:
    for spec in draw(cards, "magnetic tile", "hairline crack"):
        assert spec.elongation <= 200.0
        assert spec.area_fraction >= 0.002


def test_what_the_words_say_is_laid_over_the_draw(cards: list[Card]) -> None:
    plain = draw(cards, "phone case", "scratch")
    for spec, faint in zip(plain, draw(cards, "phone case", "faint scratch"), strict=True):
        assert faint == spec.model_copy(update={"severity": 2.5})
    assert {spec.count for spec in draw(cards, "hex nut", "two scratches")} == {2}
    assert {spec.zone for spec in draw(cards, "hex nut", "dent near the rim")} == {"edge"}
    assert {spec.zone for spec in draw(cards, "shirt", "hole on the left side")} == {"left"}


def test_what_the_defect_lies_near_lends_it_neither_form_nor_size(cards: list[Card]) -> None:
    """A "scratch near the big hole" was drawn as big and as round as a hole, and judged to have the wrong shape."""
    for kind in ("scratch near the big hole", "scratch beside a large hole", "scratch around the round hole"):
        assert draw(cards, "steel bracket", kind) == draw(cards, "steel bracket", "scratch"), kind
    assert draw(cards, "white tablet", "stain near the tear") == draw(cards, "white tablet", "stain")


def test_small_and_large_are_meant_against_the_usual_area_of_the_card(cards: list[Card]) -> None:
    for kind in ("hole", "stain", "scratch"):
        small, usual, large = (
            [spec.area_fraction for spec in draw(cards, "leather seat", f"{size}{kind}", 40)]
            for size in ("small ", "", "large ")
        )
        assert sum(small) < 0.8 * sum(usual) < sum(usual) < 0.9 * sum(large), kind
        assert max(large) <= max(
            one.priors.area_fraction[1] for one in choose_cards(cards, "leather seat", kind).cards[0].variants
        )


def test_words_of_another_mechanism_leave_the_form_that_the_card_knows(cards: list[Card]) -> None:
    card = choose_cards(cards, "pcb", "two open circuits").cards[0]
    spec = sample_spec(card, 1).model_copy(update={"mechanism": "missing"})
    adapted = adapt_spec(spec, "two cut traces", card.variants)
    assert adapted == spec.model_copy(update={"count": 2})


def test_cracks_of_magnetic_tiles_are_thin(cards: list[Card]) -> None:
    for spec in draw(cards, "magnetic_tile", "crack", 40):
        assert math.sqrt(spec.area_fraction / spec.elongation) <= 0.0175
        assert math.sqrt(spec.area_fraction * spec.elongation) >= 0.28


def test_the_material_that_an_items_words_name_wins_over_that_of_its_last_word(cards: list[Card]) -> None:
    assert [card.id for card in choose_cards(cards, "plastic bottle", "dent").cards] == ["material/plastic/dent"]
    assert [card.id for card in choose_cards(cards, "metal bottle cap", "rust spots").cards] == ["material/metal/stain"]
    assert [card.id for card in choose_cards(cards, "bottle", "dent").cards] == ["material/glass/dent"]


def test_colour_and_size_hold_for_a_card_that_draws_the_type_by_another_mechanism(cards: list[Card]) -> None:
    for spec in draw(cards, "pasta", "black speck"):
        assert spec.mechanism == "stain"
        assert spec.color_shift == (-45.0, 0.0, 0.0)
        assert spec.area_fraction <= 0.004


def test_every_implied_form_is_of_a_known_term_and_makes_valid_priors(cards: list[Card]) -> None:
    for term in IMPLIED_FORMS:
        hits = find_terms(term)
        assert [hit.term for hit in hits] == [term]
        for spec in draw(cards, "qwertz", term, 2):
            assert spec.mechanism == hits[0].mechanism


@pytest.mark.parametrize(
    ("item", "kind", "tone"),
    [
        ("body panel", "white rust", "lighter"),
        ("wrench", "fading", "lighter"),
        ("tire", "dirt", "darker"),
        ("gear", "rust", "darker"),
    ],
)
def test_the_tone_that_the_words_name_is_the_tone_that_is_expected(cards: list[Card], item: str, kind: str, tone: str) -> None:
    """prompt_gen drew white rust, and the judge asked for dark rust."""
    for card in choose_cards(cards, item, kind).cards:
        assert {one.priors.contrast for one in card.variants} <= {tone, "either"}


def test_a_raised_or_sunken_place_has_a_light_and_a_dark_flank_and_so_no_tone(cards: list[Card]) -> None:
    for card in cards:
        for variant in card.variants:
            if variant.mechanism == "dent" and card.id.rpartition("/")[2] in ("blister", "bubble", "run"):
                assert variant.priors.contrast == "either", card.id


@pytest.mark.parametrize("words", ["Kratzer", "划痕", "NG", "type 1"])
def test_words_that_say_nothing_known_name_no_kind(cards: list[Card], words: str) -> None:
    assert not names_a_kind(cards, "bottle", words)


@pytest.mark.parametrize("words", ["scratch", "scrach", "broken_large", "large damage", "Mouse bite"])
def test_words_of_cards_and_terms_name_a_kind(cards: list[Card], words: str) -> None:
    assert names_a_kind(cards, "bottle", words)


def test_what_a_weft_lacks_lies_across_the_web(cards: list[Card]) -> None:
    assert {spec.orientation_deg for spec in draw(cards, "fabric", "broken pick")} == {0.0}
    assert all(85.0 <= (spec.orientation_deg or 0.0) <= 95.0 for spec in draw(cards, "fabric", "broken end"))


@pytest.mark.parametrize("item", ["breakfast box", "pushpins", "screw bag", "splicing connectors", "something unheard of"])
def test_a_logical_anomaly_is_something_missing_or_out_of_place(cards: list[Card], item: str) -> None:
    """It was drawn as whatever the item suffers: scratches, stains, dents."""
    assert names_a_kind(cards, item, "logical_anomalies")
    chosen = choose_cards(cards, item, "logical_anomalies").cards
    assert [variant.mechanism for card in chosen for variant in card.variants] == ["missing", "swap"]


@pytest.mark.parametrize(
    ("item", "kind", "card_id"),
    [
        ("breakfast box", "missing fruit", "packed_meal/missing_item"),
        ("lunchbox", "mouldy", "packed_meal/spoiled"),
        ("juice bottle", "torn label", "labelled_bottle/label_damage"),
        ("fruit jelly", "air bubble", "potted_food/bubble"),
    ],
)
def test_packed_food_and_labelled_bottles_have_cards(cards: list[Card], item: str, kind: str, card_id: str) -> None:
    """A breakfast box was a carton, a bottle of juice the mouth of an empty one."""
    assert [card.id for card in choose_cards(cards, item, kind).cards] == [card_id]


@pytest.mark.parametrize("kind", ["black spot", "rust"])
def test_stains_of_a_named_colour_go_from_faint_to_strong(cards: list[Card], kind: str) -> None:
    strengths = [spec.severity for spec in draw(cards, "steel part", kind, 24)]
    assert max(strengths) > 1.5 * min(strengths)
    assert min(strengths) > 4.0


@pytest.mark.parametrize("kind", ["particle", "bridge", "stain"])
def test_what_lies_on_a_wafer_has_a_colour_of_clean_rooms(cards: list[Card], kind: str) -> None:
    for spec in draw(cards, "wafer", kind):
        assert spec.color_shift is not None
        assert abs(spec.color_shift[1]) <= 4.0
        assert -6.0 <= spec.color_shift[2] <= 1.0  # grey to bluish, never brown


@pytest.mark.parametrize("kind", ["total_rust", "complete rust", "rusted all over", "entire surface corroded"])
def test_what_covers_a_part_covers_most_of_it_in_one_piece(cards: list[Card], kind: str) -> None:
    for spec in draw(cards, "metal plate", kind):
        assert spec.area_fraction >= 0.45, (kind, spec)
        assert spec.count == 1


@pytest.mark.parametrize("kind", ["major_rust", "heavy rust", "severe corrosion", "heavily rusted"])
def test_heavy_rust_covers_more_than_rust_usually_does(cards: list[Card], kind: str) -> None:
    usual = max(spec.area_fraction for spec in draw(cards, "metal plate", "rust"))
    for spec in draw(cards, "metal plate", kind):
        assert spec.area_fraction >= usual, (kind, spec)


def test_words_of_extent_leave_what_does_not_spread_as_large_as_usual(cards: list[Card]) -> None:
    for kind in ("severe scratch", "complete crack", "completely missing part"):
        plain = kind.replace("severe ", "").replace("complete ", "").replace("completely ", "")
        areas = [[spec.area_fraction for spec in draw(cards, "metal plate", name)] for name in (kind, plain)]
        assert areas[0] == areas[1], kind
    dents, major = ([spec.area_fraction for spec in draw(cards, "metal plate", kind)] for kind in ("dent", "major dent"))
    assert sorted(dents)[len(dents) // 2] <= min(major)
