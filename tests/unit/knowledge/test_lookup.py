"""Cards by the names that people use for items and types."""

import pytest

from anomalyagent.knowledge.cards import Card, find_card, guess_material, match_item, types_for_item
from anomalyagent.knowledge.fitting import choose_cards


@pytest.mark.parametrize(
    ("item", "kind", "card_id"),
    [
        ("metal_nut", "bent", "mvtec/metal_nut/bent"),
        ("Metal Nuts", "BENT", "mvtec/metal_nut/bent"),
        ("hex nut", "scuff", "mvtec/metal_nut/scratch"),
        ("a glass bottle", "broken-small", "mvtec/bottle/broken_small"),
        ("MagneticTile", "fissures", "magnetic_tile/crack"),
        ("old green glass bottle", "contamination", "mvtec/bottle/contamination"),
        ("zip", "missing tooth", "mvtec/zipper/broken_teeth"),
        ("syringe", "air bubble", "syringe/air_bubble"),
        ("capsule", "scratch", "mvtec/capsule/scratch"),
        ("capsules", "scratch", "visa/capsules/scratch"),
        ("wood", "scratch", "mvtec/wood/scratch"),
        ("wood", "dent", "material/wood/dent"),
        ("circuit board", "mouse bites", "pcb/mouse_bite"),
        ("carpet", "deep hole", "mvtec/carpet/hole"),
        ("tile", "crack on the glaze", "mvtec/tile/crack"),
        ("aluminium profile", "leaking base", "profile/exposed_base"),
        ("cold rolled strip", "welding line", "strip/weld_line"),
        ("galvanized sheet", "white rust", "galvanized/white_rust"),
        ("x-ray casting", "void", "radiograph/gas_pore"),
        ("knitted fabric", "dropped stitch", "knit/ladder"),
        ("terrazzo", "crack", "stone/crack"),
    ],
)
def test_names_and_aliases_find_their_card(cards: list[Card], item: str, kind: str, card_id: str) -> None:
    found = find_card(cards, item, kind)
    assert found is not None
    assert found.id == card_id


def test_what_is_missing_in_a_casting_is_bright_in_its_radiograph_and_dark_in_its_photo(cards: list[Card]) -> None:
    for item, contrast in (("x-ray image", "lighter"), ("casting", "darker")):
        card = find_card(cards, item, "porosity")
        assert card is not None
        assert {variant.priors.contrast for variant in card.variants} == {contrast}


def test_aluminium_does_not_turn_brown(cards: list[Card]) -> None:
    for card in types_for_item(cards, "aluminium profile"):
        assert card.anomaly_type != "rust"
        assert all(variant.priors.tint_ab is None for variant in card.variants)
        if card.anomaly_type == "corrosion":
            assert {variant.priors.contrast for variant in card.variants} == {"lighter"}


def test_an_unknown_item_or_type_finds_no_card(cards: list[Card]) -> None:
    assert find_card(cards, "zeppelin", "scratch") is None
    assert find_card(cards, "bottle", "sunburn") is None
    assert find_card(cards, "", "") is None


@pytest.mark.parametrize(
    ("item", "material"),
    [("brass candlestick", "metal"), ("leather handbag strap", "leather"), ("steel pipe clamp", "metal"), ("zeppelin", None)],
)
def test_the_material_is_guessed_from_the_words_of_an_item(cards: list[Card], item: str, material: str | None) -> None:
    assert guess_material(cards, item) == material


def test_types_of_a_listed_item_are_its_own(cards: list[Card]) -> None:
    assert [card.anomaly_type for card in types_for_item(cards, "bottles")] == ["broken_large", "broken_small", "contamination"]
    assert {card.item for card in types_for_item(cards, "zipper")} == {"zipper"}


def test_types_of_an_unknown_item_come_from_its_material(cards: list[Card]) -> None:
    assert {card.item for card in types_for_item(cards, "brass candlestick")} == {"metal"}
    assert {card.item for card in types_for_item(cards, "zeppelin", material="textile")} == {"textile"}
    assert {card.item for card in types_for_item(cards, "zeppelin")} == {"any"}


def test_types_come_most_frequent_first_and_once(cards: list[Card]) -> None:
    for item in ("casting", "zeppelin", "metal"):
        found = types_for_item(cards, item)
        assert [card.frequency for card in found] == sorted((card.frequency for card in found), reverse=True)
        assert len({card.anomaly_type for card in found}) == len(found)


def test_items_do_not_mix(cards: list[Card]) -> None:
    assert {card.item for card in match_item(cards, "pcb")} == {"pcb"}
    assert match_item(cards, "zeppelin") == []


@pytest.mark.parametrize(
    ("item", "listed"),
    [
        ("transistor1", "transistor"),
        ("bracket_black", "metal_bracket"),
        ("terminalblock", "connector"),
        ("wallplugs", "small_plastic_part"),
        ("macaroni2", "macaroni2"),
        ("plastic_nut", "small_plastic_part"),
        ("toy_brick", "small_plastic_part"),
        ("rice", "bulk_food"),
        ("tubes", "metal_tube"),
        ("can", "beverage_can"),
        ("rail", "rail_surface"),
        ("asphalt road", "road_pavement"),
        ("concrete wall", "concrete"),
        ("steel sheet", "flat_steel"),
        ("hot rolled steel sheet", "hot_rolled_steel"),
    ],
)
def test_items_as_data_sets_and_factories_spell_them(cards: list[Card], item: str, listed: str) -> None:
    assert {card.item for card in match_item(cards, item)} == {listed}
    assert choose_cards(cards, item, types_for_item(cards, item)[0].anomaly_type).cards[0].item == listed


def test_a_number_alone_is_no_item(cards: list[Card]) -> None:
    assert match_item(cards, "42") == []
