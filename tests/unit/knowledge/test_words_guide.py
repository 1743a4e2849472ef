"""docs/prompts.md says what the code does."""

import re
from pathlib import Path

import pytest

from anomalyagent.errors import KnowledgeError
from anomalyagent.knowledge.words import mechanism_of, parse_prompt
from anomalyagent.knowledge.words.guide import fill_page
from anomalyagent.knowledge.words.lexer import mend_typos, plain
from anomalyagent.knowledge.words.terms import TERMS
from anomalyagent.knowledge.words.values import COLORS, DIRECTIONS, NUMBERS, SEVERITIES, SHAPES_FIXED, SIZES

PAGE = Path(__file__).parents[3] / "docs" / "prompts.md"


def test_the_table_of_the_page_is_the_codes_own() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert fill_page(page) == page, "run: python -m anomalyagent.knowledge.words.guide docs/prompts.md"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(KnowledgeError, match="words: start"):
        fill_page("# Nothing here")


@pytest.mark.parametrize(("mechanism", "terms"), TERMS.items())
def test_every_listed_term_names_its_mechanism_as_a_type_and_in_a_prompt(mechanism: str, terms: tuple[str, ...]) -> None:
    wrong = [term for term in terms if mechanism_of(term).mechanism != mechanism]
    assert wrong == []
    wrong = [term for term in terms if parse_prompt(f"add a {term} here").mechanism != mechanism]
    assert wrong == []


def test_every_listed_word_of_size_strength_shape_direction_number_and_colour_is_read() -> None:
    unread: list[str] = []
    for table, name in (
        (SIZES, "area_fraction"),
        (SEVERITIES, "severity"),
        (SHAPES_FIXED, "elongation"),
        (DIRECTIONS, "orientation_deg"),
    ):
        base = getattr(parse_prompt("a dent"), name)
        for word, value in table.items():
            found = getattr(parse_prompt(f"a {word} dent"), name)
            expected = value * base if table is SIZES else value
            unread += [] if found == pytest.approx(expected) else [f"{word}: {found} instead of {expected}"]
    for word, value in NUMBERS.items():
        found = parse_prompt(f"{word} dents").count
        unread += [] if found == min(value, 16) else [f"{word}: {found}"]
    for word, shift in COLORS.items():
        found = parse_prompt(f"a {word} dent").color_shift
        unread += [] if found == pytest.approx(shift) else [f"{word}: {found}"]
    assert unread == []


def test_no_word_of_the_page_is_taken_for_a_misspelling() -> None:
    text = re.sub(r"<!-- words: start.*", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert mend_typos(plain(text))[1] == []
