"""Anomaly type names -> mechanism: industrial terms written without looking at the vocabulary's spelling."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomalyagent.knowledge.spec import MECHANISMS
from anomalyagent.knowledge.words import mechanism_of
from anomalyagent.knowledge.words.terms import DEFAULT_MECHANISM, TERMS, TYPICAL

TERMS_OF_THE_TRADE: dict[str, list[str]] = {
    "scratch": [
        "scratch",
        "scratches",
        "Scratched",
        "scratch_head",
        "scratch_neck",
        "gouge",
        "deep gouges",
        "scrape",
        "score mark",
        "scoring",
        "tool mark",
        "drag mark",
        "swirl marks",
        "galling",
        "furrow",
    ],
    "crack": [
        "crack",
        "cracks",
        "small cracks",
        "hairline crack",
        "fissure",
        "crazing",
        "fracture",
        "cold shut",
        "hot tear",
        "stress cracking",
        "fatigue-crack",
        "micro crack",
        "weld line",
        "lap",
    ],
    "dent": [
        "dent",
        "ding",
        "dings",
        "dimple",
        "indentation",
        "bulge",
        "sink mark",
        "wrinkle",
        "crease",
        "fold",
        "squeeze",
        "blister",
        "orange peel",
        "buckle",
        "pimples",
    ],
    "hole": [
        "hole",
        "pinhole",
        "pin-holes",
        "pit",
        "pitting",
        "pitted_surface",
        "blowhole",
        "MT_Blowhole",
        "porosity",
        "gas pore",
        "void",
        "cavity",
        "puncture",
        "poke",
        "poke_insulation",
        "air bubbles",
        "worm hole",
        "perforation",
        "crater",
        "bubble",
    ],
    "chip": [
        "chip",
        "chipped",
        "chipping",
        "nick",
        "notch",
        "spalling",
        "broken_large",
        "broken_small",
        "breakage",
        "mouse bite",
        "mouse_bite",
        "chip around edge and corner",
        "flaking",
        "peeling",
        "delamination",
        "broken edge",
    ],
    "stain": [
        "stain",
        "oil",
        "oil stain",
        "same colour spot",
        "different colour spot",
        "colour spot",
        "liquid",
        "water mark",
        "fingerprint",
        "smudge",
        "rust",
        "corrosion",
        "smear",
        "coffee spill",
        "grease",
        "gray_stroke",
        "leak",
        "wet spot",
    ],
    "discoloration": [
        "discoloration",
        "discolouration",
        "color",
        "colour",
        "tarnish",
        "burn mark",
        "burnt",
        "yellowing",
        "oxidation",
        "heat tint",
        "bleached",
        "fading",
        "streaks",
        "bruise",
    ],
    "contamination": [
        "contamination",
        "metal_contamination",
        "glue",
        "glue_strip",
        "dust",
        "dirt",
        "debris",
        "foreign object",
        "foreign particles",
        "inclusion",
        "slag",
        "burr",
        "flash",
        "solder bridge",
        "short circuit",
        "short",
        "spur",
        "spurious_copper",
        "rolled-in_scale",
        "solder balls",
        "weld spatter",
        "residue",
        "metal shavings",
        "stuck together",
    ],
    "fibre": [
        "fibre",
        "fiber",
        "thread",
        "hair",
        "lint",
        "loose thread",
        "yarn",
        "pilling",
        "snag",
        "fluff",
        "fuzz",
        "stray fibres",
    ],
    "abrasion": ["abrasion", "scuff", "scuffing", "wear", "worn", "rough", "rub marks", "erosion", "chafing", "fretting"],
    "cut": [
        "cut",
        "cuts",
        "slit",
        "tear",
        "torn",
        "rip",
        "slash",
        "incision",
        "open circuit",
        "cut_inner_insulation",
        "cut_outer_insulation",
        "cut lead",
        "fraying",
        "gash",
    ],
    "bend": [
        "bend",
        "bent",
        "bent_wire",
        "bent_lead",
        "warp",
        "warpage",
        "deformation",
        "deformed",
        "twisted",
        "kink",
        "distortion",
        "split_teeth",
        "squeezed_teeth",
        "crooked",
    ],
    "missing": [
        "missing",
        "missing_cable",
        "missing_wire",
        "missing hole",
        "missing part",
        "short shot",
        "underfill",
        "absent",
        "incomplete",
        "broken_teeth",
        "corner missing",
        "insufficient solder",
        "not present",
    ],
    "swap": [
        "swap",
        "cable_swap",
        "flip",
        "flipped",
        "misplaced",
        "misaligned",
        "wrong part",
        "pill_type",
        "tombstoning",
        "reversed polarity",
        "upside down",
        "displacement",
        "wrong orientation",
    ],
    "print": [
        "print",
        "faulty_imprint",
        "misprint",
        "imprint",
        "smeared print",
        "label",
        "logo",
        "lettering",
        "barcode",
        "silkscreen",
        "date code",
    ],
}

PAIRS = [(term, mechanism) for mechanism, terms in TERMS_OF_THE_TRADE.items() for term in terms]


@pytest.mark.parametrize(("term", "mechanism"), PAIRS)
def test_terms_of_the_trade_name_their_mechanism(term: str, mechanism: str) -> None:
    guess = mechanism_of(term)
    assert guess.mechanism == mechanism
    assert guess.confidence >= 0.5


def test_there_are_at_least_120_terms() -> None:
    assert len(PAIRS) >= 120


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_mechanisms_own_name_is_certain(mechanism: str) -> None:
    assert mechanism_of(mechanism) == (mechanism, 1.0)


@pytest.mark.parametrize(
    ("item", "term", "mechanism"),
    [
        ("screw", "thread_side", "abrasion"),
        ("carpet", "thread", "fibre"),
        ("zipper", "split", "bend"),
        ("grid", "broken", "cut"),
        ("bottle", "broken", "chip"),
        ("zipper", "fabric_border", "cut"),
        ("painted door", "run", "dent"),
        ("wood", "knot", "discoloration"),
    ],
)
def test_the_item_decides_what_an_ambiguous_word_means(item: str, term: str, mechanism: str) -> None:
    assert mechanism_of(term, item).mechanism == mechanism


@pytest.mark.parametrize(
    ("misspelt", "mechanism"),
    [
        ("scrtach", "scratch"),
        ("contaminaton", "contamination"),
        ("discolration", "discoloration"),
        ("puncure", "hole"),
        ("corosion", "stain"),
    ],
)
def test_misspelt_words_are_understood_with_less_confidence(misspelt: str, mechanism: str) -> None:
    guess = mechanism_of(misspelt)
    assert guess.mechanism == mechanism
    assert 0.0 < guess.confidence <= 0.6


@pytest.mark.parametrize(
    "nonsense", ["", "   ", "blorb", "xqz-17", "defective", "anomaly", "combined", "划痕", "🙂", "_", "1234"]
)
def test_words_that_name_nothing_give_the_documented_default(nonsense: str) -> None:
    assert mechanism_of(nonsense) == (DEFAULT_MECHANISM, 0.0)


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_text_gives_a_mechanism_and_a_confidence(anomaly_type: str, item: str) -> None:
    guess = mechanism_of(anomaly_type, item)
    assert guess.mechanism in MECHANISMS
    assert 0.0 <= guess.confidence <= 1.0


def test_no_term_is_listed_under_two_mechanisms() -> None:
    seen: dict[str, str] = {}
    for mechanism, terms in TERMS.items():
        for term in terms:
            assert seen.setdefault(term, mechanism) == mechanism, term


def test_every_mechanism_has_terms_and_typical_values() -> None:
    assert set(TERMS) == set(TYPICAL) == set(MECHANISMS)


@pytest.mark.parametrize(
    ("text", "mechanism"),
    [
        ("yellow stain", "stain"),
        ("black mark", "stain"),
        ("yellowing", "discoloration"),
        ("bleached", "discoloration"),
        ("oxide wear", "abrasion"),
        ("printing smudge", "stain"),
        ("missing label", "missing"),
        ("chunk of wax missing", "missing"),
        ("insect bite", "hole"),
        ("paint run", "dent"),
        ("broken stitch", "cut"),
        ("water damage", "stain"),
        ("gloss difference", "discoloration"),
    ],
)
def test_colour_adjectives_name_no_defect_and_the_head_noun_decides(text: str, mechanism: str) -> None:
    assert mechanism_of(text).mechanism == mechanism


@pytest.mark.parametrize(
    ("name", "item", "mechanism"),
    [
        ("grinding burn", "roller", "discoloration"),
        ("colour shift", "label", "discoloration"),
        ("weld line", "steel strip", "scratch"),
        ("weld line", "plastic cover", "crack"),
    ],
)
def test_words_of_inspection_lines(name: str, item: str, mechanism: str) -> None:
    assert mechanism_of(name, item).mechanism == mechanism


@pytest.mark.parametrize(
    ("name", "mechanism"),
    [
        ("rotated chip", "swap"),
        ("swapped chips", "swap"),
        ("wrong chip", "swap"),
        ("bent chip", "bend"),
        ("cracked chip", "crack"),
        ("scratched chip", "scratch"),
        ("missing chip", "missing"),
        ("edge chip", "chip"),
        ("large chip", "chip"),
        ("tipped over", "swap"),
        ("toppled vial", "swap"),
    ],
)
def test_a_chip_in_a_state_is_a_component_and_what_tipped_over_is_out_of_place(name: str, mechanism: str) -> None:
    assert mechanism_of(name).mechanism == mechanism
