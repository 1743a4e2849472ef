"""Prompts as people and language models write them, with what must be read from them."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words import parse_prompt, read_prompt

# A value is compared exactly, a pair under a name ending in _in is a range, `tone` names the sign of the colour shift.
PROMPTS: list[tuple[str, dict[str, Any]]] = [
    (
        "make two faint diagonal scratches near the upper left corner",
        {
            "mechanism": "scratch",
            "count": 2,
            "orientation_deg": 45.0,
            "severity_in": (1.5, 4),
            "u_in": (0, 0.3),
            "v_in": (0, 0.3),
        },
    ),
    ("a big dark oil stain in the middle", {"mechanism": "stain", "zone": "center", "area_in": (0.05, 0.2), "tone": "darker"}),
    ("rust spot", {"mechanism": "stain", "tone": "red", "count": 1}),
    ("hairline crack running from the edge", {"mechanism": "crack", "zone": "edge", "elongation_in": (20, 60)}),
    ("a missing pin", {"mechanism": "missing", "count": 1, "zone": "any"}),
    ("bend the lead to the left", {"mechanism": "bend", "zone": "any", "orientation_deg": 0.0}),
    ("the label is printed off-centre", {"mechanism": "print", "zone": "any"}),
    ("deep gouge", {"mechanism": "scratch", "severity_in": (10, 20)}),
    ("tiny pinholes", {"mechanism": "hole", "area_in": (0, 0.003), "count": 3}),
    ("hair on the surface", {"mechanism": "fibre", "zone": "any", "count": 1}),
    ("yellowish discoloration", {"mechanism": "discoloration", "tone": "yellow"}),
    ("no scratches, only a dent", {"mechanism": "dent", "count": 1}),
    (
        "Add a single chip to the rim of the bottle, about 3 % of its area",
        {"mechanism": "chip", "zone": "edge", "area_in": (0.029, 0.031), "count": 1},
    ),
    ("there should be a crack at 2 o'clock", {"mechanism": "crack", "u_in": (0.7, 0.9), "v_in": (0.2, 0.4)}),
    ("Chip at the 6 o’clock position", {"mechanism": "chip", "u_in": (0.49, 0.51), "v_in": (0.75, 1.0)}),
    ("dent at nine o'clock on the rim", {"mechanism": "dent", "zone": "edge", "u_in": (0, 0.2), "v_in": (0.49, 0.51)}),
    ("a scratch, 30 degrees", {"mechanism": "scratch", "orientation_deg": 30.0}),
    ("scratch tilted 30° clockwise", {"mechanism": "scratch", "orientation_deg": 150.0}),
    ("vertical scratch on the left side", {"mechanism": "scratch", "orientation_deg": 90.0, "zone": "left"}),
    ("Three horizontal cuts across the top half", {"mechanism": "cut", "count": 3, "orientation_deg": 0.0, "zone": "top"}),
    ("a scratch running from top left to bottom right", {"mechanism": "scratch", "orientation_deg": 135.0, "zone": "any"}),
    (
        "Draw a long thin scratch from bottom-left to top-right",
        {"mechanism": "scratch", "orientation_deg": 45.0, "elongation_in": (25, 120)},
    ),
    ("barely visible hairline scratch", {"mechanism": "scratch", "severity_in": (0.5, 2)}),
    (
        "severe corrosion along the bottom edge",
        {"mechanism": "stain", "zone": "edge", "severity_in": (16, 30), "v_in": (0.9, 1.0), "tone": "red"},
    ),
    (
        "small brown coffee stain, lower right",
        {"mechanism": "stain", "u_in": (0.6, 0.9), "v_in": (0.6, 0.9), "area_in": (0.003, 0.02), "tone": "red"},
    ),
    ("A few specks of dust scattered across the surface", {"mechanism": "contamination", "count": 3}),
    ("several tiny black particles", {"mechanism": "contamination", "count": 4, "tone": "darker", "area_in": (0, 0.002)}),
    ("a couple of dents", {"mechanism": "dent", "count": 2}),
    ("5 small holes in the centre", {"mechanism": "hole", "count": 5, "zone": "center"}),
    ("2-4 nicks on the outer edge", {"mechanism": "chip", "count": 3, "zone": "edge"}),
    ("a dozen bubbles", {"mechanism": "hole", "count": 12}),
    ("a white thread lying on the carpet", {"mechanism": "fibre", "tone": "lighter"}),
    ("one long blue fibre, curled, in the lower part", {"mechanism": "fibre", "zone": "bottom", "count": 1, "tone": "blue"}),
    ("scartch on the rihgt side", {"mechanism": "scratch", "zone": "right"}),
    ("yelow discolouration", {"mechanism": "discoloration", "tone": "yellow"}),
    ("contaminaton with grey powder in the center", {"mechanism": "contamination", "zone": "center"}),
    ("the paint is peeling off near the top", {"mechanism": "chip", "zone": "top"}),
    ("surface is worn and scuffed around the middle", {"mechanism": "abrasion", "zone": "center"}),
    ("The wire insulation was cut", {"mechanism": "cut"}),
    ("one of the pins is bent", {"mechanism": "bend", "count": 1}),
    ("two of the leads are missing", {"mechanism": "missing", "count": 2}),
    ("three teeth are missing", {"mechanism": "missing", "count": 3}),
    ("a piece is broken off at the left edge", {"mechanism": "chip", "zone": "edge", "u_in": (0, 0.1)}),
    ("remove one screw", {"mechanism": "missing", "count": 1}),
    ("Swap two of the cables", {"mechanism": "swap", "count": 2}),
    ("component rotated and out of place", {"mechanism": "swap"}),
    ("the part is flipped upside down", {"mechanism": "swap"}),
    ("The logo is smeared", {"mechanism": "print"}),
    ("The imprint is faded and shifted", {"mechanism": "print"}),
    ("blurred print on the capsule", {"mechanism": "print"}),
    ("the label has a scratch", {"mechanism": "scratch"}),
    ("A tear in the fabric, 5 times as long as wide", {"mechanism": "cut", "elongation_in": (4.9, 5.1)}),
    ("scratch with an aspect ratio of 40:1", {"mechanism": "scratch", "elongation_in": (39, 41)}),
    ("a stain covering a tenth of the part", {"mechanism": "stain", "area_in": (0.099, 0.101)}),
    ("stain covering half the surface", {"mechanism": "stain", "area_in": (0.49, 0.51)}),
    ("dent, 0,5 % of the object area", {"mechanism": "dent", "area_in": (0.0049, 0.0051)}),
    ("a 3 mm scratch", {"mechanism": "scratch", "area_in": (0.003, 0.005)}),
    ("hole with a diameter of 12 px", {"mechanism": "hole", "count": 1}),
    ("A dent at 25% from the left and 70% from the top", {"mechanism": "dent", "u_in": (0.245, 0.255), "v_in": (0.695, 0.705)}),
    ("crack at (0.2, 0.8)", {"mechanism": "crack", "u_in": (0.199, 0.201), "v_in": (0.799, 0.801)}),
    ("a round burn mark", {"mechanism": "discoloration", "elongation_in": (1, 1.3), "tone": "darker"}),
    ("scorched area on the right-hand side", {"mechanism": "discoloration", "zone": "right", "tone": "darker"}),
    ("a greenish patch of mould", {"mechanism": "discoloration", "tone": "green"}),
    ("slightly darker spot", {"mechanism": "stain", "tone": "darker"}),
    ("very faint water mark", {"mechanism": "stain", "severity_in": (0.5, 2.5)}),
    ("Fingerprint on the glass", {"mechanism": "stain"}),
    ("glue residue near the edge", {"mechanism": "contamination", "zone": "edge"}),
    ("a crack without any discoloration", {"mechanism": "crack"}),
    ("not a scratch but a cut", {"mechanism": "cut"}),
    ("dent instead of a hole", {"mechanism": "dent"}),
    ("avoid scratches; add an oil smear", {"mechanism": "stain"}),
    ("Keep the background unchanged and add a small nick at the rim.", {"mechanism": "chip", "zone": "edge"}),
    ("Don't touch the label or the left side. Put a crack on the right side.", {"mechanism": "crack", "zone": "right"}),
    ("On the printed circuit board, add a solder bridge between two pins", {"mechanism": "contamination"}),
    ("mouse bite on the trace", {"mechanism": "chip"}),
    ("Blowholes in the casting", {"mechanism": "hole", "count": 3}),
    ("crazing over the whole glaze", {"mechanism": "crack"}),
    ("short shot at the corner", {"mechanism": "missing", "zone": "edge"}),
    ("burr along the parting line", {"mechanism": "contamination"}),
    ("The leather is wrinkled in the centre", {"mechanism": "dent", "zone": "center"}),
    ("frayed edges", {"mechanism": "cut"}),
    ("a crack with jagged edges in the interior", {"mechanism": "crack", "zone": "interior"}),
    ("scratch away from the border", {"mechanism": "scratch", "zone": "interior"}),
    ("not too deep scratch", {"mechanism": "scratch", "severity_in": (3, 7)}),
    (
        "dirt, clearly visible, upper right",
        {"mechanism": "contamination", "severity_in": (8, 11), "u_in": (0.6, 0.9), "v_in": (0.1, 0.4)},
    ),
    ("a scratch with severity 12", {"mechanism": "scratch", "severity_in": (11.9, 12.1)}),
    ("Realistically add a puncture just left of the center", {"mechanism": "hole", "u_in": (0.3, 0.45), "v_in": (0.49, 0.51)}),
    ("some lint", {"mechanism": "fibre"}),
    ("warped frame", {"mechanism": "bend"}),
    ("light scratches all over, anywhere", {"mechanism": "scratch", "severity_in": (3, 5), "count": 3, "zone": "any"}),
    ("a light blue smudge", {"mechanism": "stain", "tone": "blue"}),
    ("reddish stain on the white tile", {"mechanism": "stain", "tone": "red"}),
    ("a deep scratch on the large green bottle", {"mechanism": "scratch", "area_in": (0.003, 0.005), "tone": None}),
    ("A HUGE HOLE IN THE MIDDLE!!!", {"mechanism": "hole", "zone": "center", "area_in": (0.03, 0.2)}),
    ("metal shavings embedded in the grid", {"mechanism": "contamination", "count": 3}),
    ("Pilling on the sleeve", {"mechanism": "fibre"}),
    ("Loose thread hanging from the bottom edge", {"mechanism": "fibre", "zone": "edge", "v_in": (0.9, 1.0)}),
    (
        "Edit the image of the metal nut: on the upper right facet, add one fine, elongated scratch, tilted "
        "about 30 degrees, exposing bright "
        "bare metal. The scratch should taper smoothly at both ends and follow the curvature of the surface. "
        "It should be small, covering less "
        "than 1% of the part. Keep the background, lighting and all other regions unchanged.",
        {
            "mechanism": "scratch",
            "count": 1,
            "orientation_deg": 30.0,
            "u_in": (0.6, 0.9),
            "v_in": (0.1, 0.4),
            "area_in": (0.004, 0.0101),
        },
    ),
    (
        "Modify the hazelnut so that its shell shows a jagged crack running vertically through the center. The "
        "crack is dark inside, with sharp "
        "edges, and blends naturally into the shell texture. No other damage such as holes or prints should "
        "appear. Do not alter the background.",
        {"mechanism": "crack", "orientation_deg": 90.0, "zone": "center", "tone": "darker"},
    ),
    (
        "Please generate a realistic anomaly on the capsule: a faint, irregular stain of yellowish liquid near "
        "the left end, roughly 4 percent of "
        "the visible area, with soft borders that fade into the glossy surface. Preserve the imprint, the "
        "shape and the white background.",
        {"mechanism": "stain", "zone": "left", "area_in": (0.039, 0.041), "tone": "yellow", "severity_in": (1.5, 4)},
    ),
    (
        "Introduce a localized defect of type 'scratch_neck' on the screw. The neck bears two parallel, "
        "clearly visible scratches along the thread, "
        "slightly lighter than the surrounding metal. The rest of the image must remain identical.",
        {"mechanism": "scratch", "count": 2, "tone": "lighter"},
    ),
    (
        "Transistor with one lead bent sideways, the leftmost one; the deformation is strong and the metal stays shiny.",
        {"mechanism": "bend", "count": 1, "severity_in": (10, 20)},
    ),
    (
        "A small area on the lower left of the leather looks discolored, a bit darker and reddish, about 2.5% "
        "of the visible area, with gradual edges.",
        {"mechanism": "discoloration", "u_in": (0.1, 0.4), "v_in": (0.6, 0.9), "area_in": (0.024, 0.026), "tone": "darker"},
    ),
    (
        "Cover roughly a third of the tile with a rough, worn patch; leave the rest as it is.",
        {"mechanism": "abrasion", "area_in": (0.32, 0.34)},
    ),
    (
        "Refine: the previous scratch was too faint. Make a stronger scratch at the bottom of the cap, "
        "horizontal, severity about 14.",
        {"mechanism": "scratch", "zone": "bottom", "orientation_deg": 0.0, "severity_in": (13.9, 14.1)},
    ),
    ('{"mechanism": "dent", "zone": "top", "severity": 8}', {"mechanism": "dent", "zone": "top", "severity": 8.0}),
    (
        "mechanism: crack; zone: edge; area_fraction: 0.02; count: 2",
        {"mechanism": "crack", "zone": "edge", "count": 2, "area_in": (0.02, 0.02)},
    ),
    ("stain. yellow. bottom.", {"mechanism": "stain", "zone": "bottom", "tone": "yellow"}),
    ("the cap is dented in two places", {"mechanism": "dent", "count": 2}),
    ("oil drops, four of them, on the right half", {"mechanism": "stain", "count": 4, "zone": "right"}),
    ("pill with a missing chunk at the top", {"mechanism": "missing", "zone": "top"}),
    (
        "tiny dark speck slightly above the center",
        {"mechanism": "contamination", "v_in": (0.3, 0.45), "severity": 12.0, "tone": "darker"},
    ),
    ("label upside down", {"mechanism": "print"}),
    ("pin 3 is lifted", {"mechanism": "bend", "count": 1}),
    ("the thread near the screw head is stripped", {"mechanism": "abrasion"}),
    ("tear about 10% of the height of the bag", {"mechanism": "cut", "area_in": (0.0005, 0.002)}),
    ("Add a blob of white paint on the black housing", {"mechanism": "contamination", "tone": "lighter"}),
    ("glass shard missing from the neck of the bottle", {"mechanism": "missing"}),
    ("a barely-there smudge", {"mechanism": "stain", "severity_in": (0.5, 2)}),
    (
        "severe pitting corrosion over 30% of the surface",
        {"mechanism": "stain", "area_in": (0.29, 0.31), "severity_in": (16, 30)},
    ),
    ("a small puncture at the lower left, with slightly raised rim", {"mechanism": "hole", "severity": 16.0}),
    ("A piece of the rim is broken off. The black background must remain.", {"mechanism": "chip", "tone": None}),
    (
        "the scratch must be clearly visible, severity about 12 JND, area 0.8 %",
        {"mechanism": "scratch", "area_in": (0.008, 0.008)},
    ),
    (
        "crack at 10 o'clock towards the center, roughly a third of the radius long",
        {"mechanism": "crack", "area_in": (0.0005, 0.02)},
    ),
    ("a translucent droplet of glue", {"mechanism": "contamination"}),
    ("several (4-6) tiny pits clustered in the top-left region", {"mechanism": "hole", "count": 5, "u_in": (0.1, 0.4)}),
]

ODDITIES = ["99999999999999999999 %", "0 %", "-0", "(1,1)", '"', "'", "~~", "\n"]
PIECES = [*sorted({word for prompt, _ in PROMPTS for word in prompt.split()}), *ODDITIES]


def has_tone(tone: str, lab: tuple[float, float, float]) -> bool:
    """Whether a colour shift goes the way that the word says."""
    lightness, a, b = lab
    return {
        "darker": lightness < -4,
        "lighter": lightness > 4,
        "red": a > 4,
        "green": a < -4,
        "yellow": b > 6 and b > abs(a),
        "blue": b < -6,
    }[tone]


@pytest.mark.parametrize(("prompt", "expected"), PROMPTS, ids=[prompt[:60] for prompt, _ in PROMPTS])
def test_reads_what_people_and_language_models_write(prompt: str, expected: dict[str, Any]) -> None:
    spec = parse_prompt(prompt)
    u, v = spec.center or (None, None)
    found = {"area": spec.area_fraction, "severity": spec.severity, "elongation": spec.elongation, "u": u, "v": v}
    for name, value in expected.items():
        if name == "tone":
            assert (spec.color_shift is None) == (value is None), spec
            assert spec.color_shift is None or has_tone(value, spec.color_shift), spec
        elif name.endswith("_in"):
            number = found[name.removesuffix("_in")]
            assert number is not None, (name, spec)
            assert value[0] <= number <= value[1], (name, spec)
        else:
            assert getattr(spec, name) == value, (name, spec)


def test_there_are_at_least_eighty_prompts() -> None:
    assert len(PROMPTS) >= 80


DEFAULT = DefectSpec.model_validate(
    {
        "mechanism": "scratch",
        "zone": "top",
        "center": (0.2, 0.2),
        "area_fraction": 0.01,
        "elongation": 10.0,
        "severity": 6.0,
        "seed": 9,
    }
)


@pytest.mark.parametrize(
    ("prompt", "changed"),
    [
        ("make the scratch longer and fainter", {"elongation": 17.0, "severity": 3.6}),
        ("larger, please", {"area_fraction": 0.018}),
        ("much stronger", {"severity": 15.0}),
        ("move it to the bottom left", {"zone": "any", "center": (0.27, 0.73)}),
        ("", {}),
        ("as it was", {}),
    ],
)
def test_a_refinement_changes_only_what_it_speaks_of(prompt: str, changed: dict[str, Any]) -> None:
    spec = parse_prompt(prompt, DEFAULT)
    for name in DefectSpec.model_fields:
        assert getattr(spec, name) == pytest.approx(changed.get(name, getattr(DEFAULT, name))), name


def test_another_mechanism_keeps_place_and_seed_of_the_default_only() -> None:
    spec = parse_prompt("make it a dent", DEFAULT)
    assert (spec.mechanism, spec.zone, spec.center, spec.seed) == ("dent", "top", (0.2, 0.2), 9)
    assert spec.elongation < 5


def test_the_name_in_quotes_decides_only_when_nothing_else_names_a_defect() -> None:
    assert parse_prompt('add the defect "scratch"').mechanism == "scratch"
    assert parse_prompt('add a dent to the "scratch card"').mechanism == "dent"
    assert parse_prompt('"a deep cut"').mechanism == "cut"


def test_lengths_without_a_scale_are_left_out_and_said_so() -> None:
    reading = read_prompt("a scratch 40 px long")
    assert "area_fraction" not in reading.understood
    assert any("40 px" in note and "percent" in note for note in reading.notes)


def test_what_was_mended_denied_or_not_drawn_is_said() -> None:
    notes = read_prompt("a scartch and a dent, but no holes").notes
    assert any("'scartch' as 'scratch'" in note for note in notes)
    assert any("no holes" in note for note in notes)
    assert any("not drawn: dent" in note for note in notes)


def test_values_outside_the_limits_are_brought_inside_and_said_so() -> None:
    reading = read_prompt("40 huge stains covering 95 % of the part, severity 300")
    assert (reading.spec.count, reading.spec.area_fraction, reading.spec.severity) == (16, 0.7, 60.0)
    assert len(reading.notes) >= 3


def test_a_text_without_a_defect_word_says_what_was_assumed() -> None:
    assert any("no known defect word" in note for note in read_prompt("Loch in der Mitte").notes)


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=30).map(" ".join), st.none() | st.just(DEFAULT))
def test_any_text_gives_a_valid_spec(text: str, default: DefectSpec | None) -> None:
    spec = parse_prompt(text, default)
    assert DefectSpec.model_validate(spec.model_dump()) == spec


def test_a_very_long_prompt_is_read_up_to_the_limit() -> None:
    reading = read_prompt("a scratch at the top. " + "keep no ( 9 % not with every edge of the " * 2000)
    assert reading.spec.mechanism == "scratch"
    assert any("characters" in note for note in reading.notes)
