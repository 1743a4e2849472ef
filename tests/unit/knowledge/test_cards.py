"""Knowledge cards: the shipped ones are complete and sensible, broken files say what is broken, users' cards join."""

import os
from pathlib import Path

import pytest

from anomalyagent.errors import KnowledgeError
from anomalyagent.knowledge import card_files
from anomalyagent.knowledge.cards import Card, load_cards

MVTEC = {
    "bottle": "broken_large broken_small contamination",
    "cable": "bent_wire cable_swap combined cut_inner_insulation cut_outer_insulation missing_cable missing_wire "
    "poke_insulation",
    "capsule": "crack faulty_imprint poke scratch squeeze",
    "carpet": "color cut hole metal_contamination thread",
    "grid": "bent broken glue metal_contamination thread",
    "hazelnut": "crack cut hole print",
    "leather": "color cut fold glue poke",
    "metal_nut": "bent color flip scratch",
    "pill": "color combined contamination crack faulty_imprint pill_type scratch",
    "screw": "manipulated_front scratch_head scratch_neck thread_side thread_top",
    "tile": "crack glue_strip gray_stroke oil rough",
    "toothbrush": "defective",
    "transistor": "bent_lead cut_lead damaged_case misplaced",
    "wood": "color combined hole liquid scratch",
    "zipper": "broken_teeth combined fabric_border fabric_interior rough split_teeth squeezed_teeth",
}
VISA = "candle capsules cashew chewinggum fryum macaroni1 macaroni2 pcb1 pcb2 pcb3 pcb4 pipe_fryum"
CARD = """
- id: mine/gizmo/{name}
  item: gizmo
  anomaly_type: {name}
  material: metal
  appearance: a
  cause: b
  location: c
  inspection: d
  source: me
  variants: [{{mechanism: scratch, priors: {{area_fraction: [0.01, 0.1]}}}}]
"""


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path) -> list[Card]:
    return load_cards([folder], with_user_folder=False, cache_dir=folder / "cache")


def test_all_73_types_of_mvtec_ad_have_a_card(cards: list[Card]) -> None:
    wanted = {(item, kind) for item, kinds in MVTEC.items() for kind in kinds.split()}
    assert len(wanted) == 73
    have = {(card.item, card.anomaly_type) for card in cards if card.id.startswith("mvtec/")}
    assert have == wanted


def test_visa_steel_and_magnetic_tile_are_covered(cards: list[Card]) -> None:
    items = {card.item for card in cards}
    assert set(VISA.split()) <= items
    assert {card.anomaly_type for card in cards if card.item == "magnetic_tile"} == {
        "blowhole",
        "break",
        "crack",
        "fray",
        "uneven",
    }
    assert len([card for card in cards if card.item == "hot_rolled_steel"]) == 6


def test_variant_weights_of_a_card_add_up_to_one(cards: list[Card]) -> None:
    assert [card.id for card in cards if abs(sum(variant.weight for variant in card.variants) - 1.0) > 1e-6] == []


def test_ids_follow_item_names_and_aliases_are_not_repeated(cards: list[Card]) -> None:
    assert len({card.id for card in cards}) == len(cards)
    for card in cards:
        assert len(set(card.type_aliases)) == len(card.type_aliases), card.id
        assert card.type_aliases, card.id
        assert card.is_generic or card.item_aliases, card.id


def test_every_material_of_the_grid_covers_most_mechanisms(cards: list[Card]) -> None:
    general = [card for card in cards if card.is_general]
    for material in {card.item for card in general}:
        assert len({card.mechanism for card in general if card.item == material}) >= 10, material
    assert len({card.mechanism for card in general if card.is_generic}) == 15


def test_the_cache_gives_the_same_cards_as_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_files, "_parsed", {})
    first = load_cards(with_user_folder=False, cache_dir=tmp_path)
    assert list(tmp_path.glob("cards-*.json"))
    monkeypatch.setattr(card_files, "_parsed", {})
    assert load_cards(with_user_folder=False, cache_dir=tmp_path) == first


def test_a_damaged_cache_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_files, "_parsed", {})
    first = load_cards(with_user_folder=False, cache_dir=tmp_path)
    for file in tmp_path.glob("cards-*.json"):
        file.write_bytes(file.read_bytes()[:1000])
    monkeypatch.setattr(card_files, "_parsed", {})
    assert load_cards(with_user_folder=False, cache_dir=tmp_path) == first


def test_a_users_card_with_the_same_id_replaces_the_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, CARD.format(name="x").replace("mine/gizmo/x", "mvtec/bottle/contamination"))
    found = [card for card in load(tmp_path) if card.id == "mvtec/bottle/contamination"]
    assert [card.item for card in found] == ["gizmo"]


def test_cards_of_users_come_first(tmp_path: Path) -> None:
    write(tmp_path, CARD.format(name="x"))
    assert load(tmp_path)[0].id == "mine/gizmo/x"


def test_the_users_card_folder_is_always_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "own", CARD.format(name="x"))
    monkeypatch.setattr(card_files, "user_card_folder", lambda: tmp_path / "own")
    assert load_cards(cache_dir=tmp_path / "cache")[0].id == "mine/gizmo/x"


def test_a_card_folder_that_may_not_be_entered_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        card_files, "user_card_folder", lambda: tmp_path / ("x" * 300)
    )  # looking for it fails, as for a locked one
    assert load_cards(cache_dir=tmp_path / "cache") == load_cards(with_user_folder=False, cache_dir=tmp_path / "cache")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    write(tmp_path, CARD.format(name="x"))
    load(tmp_path)
    write(tmp_path, CARD.format(name="longer_name"))
    assert load(tmp_path)[0].id == "mine/gizmo/longer_name"


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_read_again(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write(tmp_path, CARD.format(name=name))
        os.utime(tmp_path / "mine.yaml", ns=(1, 1))
        assert load(tmp_path)[0].id == f"mine/gizmo/{name}"


def test_a_group_shares_its_fields(tmp_path: Path) -> None:
    text = """
    - {item: gizmo, material: metal, appearance: a, cause: b, location: c, inspection: d, source: me,
       variants: [{mechanism: dent, priors: {area_fraction: [0.01, 0.1]}}],
       cards: [{id: g/a, anomaly_type: a}, {id: g/b, anomaly_type: b, material: wood}]}
    """
    write(tmp_path, text)
    assert [(card.id, card.material) for card in load(tmp_path)[:2]] == [("g/a", "metal"), ("g/b", "wood")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CARD.format(name="x").replace("mechanism: scratch", "mechanism: sneeze"), ["mine/gizmo/x", "variants.0.mechanism"]),
        (CARD.format(name="x").replace("[0.01, 0.1]", "[0.5, 0.1]"), ["mine/gizmo/x", "area_fraction"]),
        (CARD.format(name="x").replace("[0.01, 0.1]", "[0.01, 0.9]"), ["mine/gizmo/x", "area_fraction"]),
        (CARD.format(name="x").replace("source: me", "sauce: me"), ["mine/gizmo/x", "source"]),
        (CARD.format(name="x").replace("id: mine", "id: My"), ["id"]),
        (CARD.format(name="x") + CARD.format(name="x"), ["mine/gizmo/x", "id", "already used"]),
        ("just words", ["a list of cards"]),
        ("- 5", ["mapping"]),
        ("- {cards: 5}", ["must be a list"]),
        ("- {cards: [5]}", ["mapping"]),
        ("- [unclosed", ["not valid YAML"]),
    ],
)
def test_an_invalid_card_file_says_file_card_and_field(tmp_path: Path, text: str, words: list[str]) -> None:
    write(tmp_path, text)
    with pytest.raises(KnowledgeError) as caught:
        load(tmp_path)
    for word in ["mine.yaml", *words]:
        assert word in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"\xff\xfe\x00\x81 binary")
    with pytest.raises(KnowledgeError, match=r"mine\.yaml"):
        load(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="nowhere"):
        load_cards([tmp_path / "nowhere"], with_user_folder=False)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("- id: \xe4".encode("latin-1"), r"not valid YAML in UTF-8: [^\n]*position 6\. Save the file as UTF-8 text\.$"),
        (b"- id: a\n  item: [\n", r"not valid YAML: [^\n]* \(line 3, column 1\)$"),
    ],
)
def test_a_file_in_another_encoding_or_with_a_slip_is_told_in_one_line(data: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(data)
    with pytest.raises(KnowledgeError, match=told):
        card_files.read_card_file(tmp_path / "mine.yaml")


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "lost.yaml").symlink_to(tmp_path / "nothing.yaml")
    (tmp_path / "loop.yml").symlink_to(tmp_path / "loop.yml")
    with pytest.raises(KnowledgeError, match=r"cannot read the card file .*(lost\.yaml|loop\.yml)"):
        load(tmp_path)
