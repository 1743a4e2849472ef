"""`auto`: kinds and shares from cards and from what the photos show."""

import pytest

from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.planning import Kind, Traits, allocate, plan_kinds

CARDS = load_cards(())
PLAIN = Traits(
    photos=8,
    surface=False,
    grey=False,
    aligned=0.9,
    directional=0.1,
    regular=0.1,
    texture=2.0,
    symmetry=0.3,
    gloss=20.0,
    chroma=20.0,
    hue_deg=200.0,
)


def seen(**fields: object) -> Traits:
    return Traits.model_validate(PLAIN.model_dump() | fields)


def share_of(kinds: list[Kind], anomaly_type: str) -> float:
    return next((kind.share for kind in kinds if kind.anomaly_type == anomaly_type), 0.0)


@pytest.mark.parametrize("item", ["bottle", "metal nut", "carpet", "widget of unobtainium"])
def test_shares_sum_to_one_and_every_kind_has_a_reason(item: str) -> None:
    kinds = plan_kinds(CARDS, item, PLAIN)
    assert sum(kind.share for kind in kinds) == pytest.approx(1.0)
    assert all(kind.reason for kind in kinds)
    assert [kind.share for kind in kinds] == sorted((kind.share for kind in kinds), reverse=True)


def test_a_listed_item_gets_its_own_types_and_nothing_else() -> None:
    kinds = plan_kinds(CARDS, "bottle", PLAIN)
    assert {kind.anomaly_type for kind in kinds} == {"broken_large", "broken_small", "contamination"}
    assert "listed for 'bottle'" in kinds[0].reason


@pytest.mark.parametrize(
    ("item", "belongs", "foreign"),
    [
        ("wicker chair", "broken_strand", "crack"),
        ("jute sack", "broken_yarn", "chip"),
        ("latex glove", "pinhole", "fibre"),
        ("plush toy", "open_seam", "pit"),
        ("doll", "paint_fault", "transplant"),
        ("ball bearing", "missing_ball", "missing_tooth"),
        ("compression spring", "deformed_coil", "hole"),
        ("tablet blister", "missing_tablet", "misprint"),
    ],
)
def test_goods_suffer_their_own_faults_and_not_those_of_their_kin(item: str, belongs: str, foreign: str) -> None:
    """Nothing was known of wicker; a glove was cloth, a plush toy hard plastic; a bearing lost teeth, a spring had holes."""
    kinds = {kind.anomaly_type for kind in plan_kinds(CARDS, item, PLAIN)}
    assert belongs in kinds
    assert foreign not in kinds


def test_the_material_that_the_words_name_decides_for_an_unlisted_item() -> None:
    kinds = plan_kinds(CARDS, "brass flange coupling", PLAIN)
    assert all("metal" in kind.reason for kind in kinds)
    assert share_of(kinds, "transplant") == 0.0


def test_photos_tell_the_material_when_the_words_do_not() -> None:
    brushed = seen(surface=True, directional=0.8, chroma=2.0)
    woven = seen(surface=True, regular=0.6, directional=0.1, texture=5.0)
    assert all("look like" in kind.reason and "metal" in kind.reason for kind in plan_kinds(CARDS, "thingamajig", brushed))
    assert all("textile" in kind.reason for kind in plan_kinds(CARDS, "thingamajig", woven))


def test_an_item_of_which_nothing_is_known_also_gets_transplants() -> None:
    kinds = plan_kinds(CARDS, "thingamajig", PLAIN)
    assert share_of(kinds, "transplant") == pytest.approx(0.25)
    assert share_of(plan_kinds(CARDS, "thingamajig"), "transplant") == pytest.approx(0.25)


def test_nothing_is_missing_or_bent_on_a_plain_surface() -> None:
    part, sheet = (plan_kinds(CARDS, "steel thing", seen(surface=surface)) for surface in (False, True))
    assert share_of(sheet, "bend") < 0.6 * share_of(part, "bend")
    assert "surface without outline" in next(kind.reason for kind in sheet if kind.anomaly_type == "bend")


def test_the_frame_of_a_surface_seldom_breaks_like_an_edge() -> None:
    part, sheet = (plan_kinds(CARDS, "thingamajig", seen(surface=surface)) for surface in (False, True))
    assert share_of(sheet, "chip") < 0.4 * share_of(part, "chip")


@pytest.mark.parametrize("count", range(1, 40))
def test_a_larger_count_never_means_fewer_samples_of_a_kind(count: int) -> None:
    kinds = plan_kinds(CARDS, "pill", PLAIN)
    fewer, more = allocate(kinds, count), allocate(kinds, count + 1)
    assert all(a <= b for a, b in zip(fewer, more, strict=True))
    assert all(fewer)
    assert abs(sum(fewer) - count * len(kinds)) <= len(kinds)


def test_on_a_tray_of_parts_one_may_be_missing_or_wrong() -> None:
    tray = PLAIN.model_copy(update={"surface": False, "pieces": 12, "symmetry": 0.1})
    alone = {kind.anomaly_type for kind in plan_kinds(CARDS, "frobnicator", tray.model_copy(update={"pieces": 1}))}
    found = {kind.anomaly_type: kind for kind in plan_kinds(CARDS, "frobnicator", tray)}
    assert "missing_part" not in alone
    assert found["missing_part"].share > 0.08
    assert "many parts" in found["missing_part"].reason


@pytest.mark.parametrize("item", ["metal plate", "brass flange coupling"])
def test_metal_that_is_only_handled_rusts_and_is_scratched_far_more_often_than_it_cracks(item: str) -> None:
    kinds = plan_kinds(CARDS, item, PLAIN)
    assert share_of(kinds, "crack") < 0.08
    assert share_of(kinds, "stain") > 2.0 * share_of(kinds, "crack")
    assert share_of(kinds, "scratch") > 2.0 * share_of(kinds, "crack")
