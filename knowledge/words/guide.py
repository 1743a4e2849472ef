"""The words table of `docs/prompts.md`, made from the tables that the reader uses.

python -m anomalyagent.knowledge.words.guide docs/prompts.md      writes the table between the page's two marks
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from anomalyagent.errors import KnowledgeError
from anomalyagent.knowledge.words.terms import TERMS, TYPICAL
from anomalyagent.knowledge.words.values import (
    CHANGES,
    COLORS,
    DIRECTIONS,
    FRACTIONS,
    NUMBERS,
    PLACES,
    SEVERITIES,
    SHAPES,
    SHAPES_FIXED,
    SIZES,
)

__all__ = ["fill_page"]

_START: Final = "<!-- words: start (made by anomalyagent.knowledge.words.guide) -->"
_END: Final = "<!-- words: end -->"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _words_table() -> str:
    """The tables as Markdown."""
    lines = ["| mechanism | typical area, length / width, severity | words |", "|---|---|---|"]
    for mechanism, terms in TERMS.items():
        typical = TYPICAL[mechanism]
        numbers = f"{100 * typical.area_fraction:g} %, {typical.elongation:g}, {typical.severity:g}"
        lines.append(f"| **{mechanism}** | {numbers} | {', '.join(terms)} |")
    lines += ["", "| what | value: words |", "|---|---|"]
    rows: list[tuple[str, Iterable[tuple[str, str]]]] = [
        ("size (× typical area)", ((word, f"{value:g}") for word, value in SIZES.items())),
        ("share of the part", ((word, f"{100 * value:.3g} %") for word, value in FRACTIONS.items())),
        ("strength (JND)", ((word, f"{value:g}") for word, value in SEVERITIES.items())),
        (
            "shape (× length / width, × area)",
            ((word, f"{shape.elongation:g}, {shape.area:g}") for word, shape in SHAPES.items()),
        ),
        ("shape (length / width)", ((word, f"{value:g}") for word, value in SHAPES_FIXED.items())),
        ("direction (degrees)", ((word, f"{value:g}") for word, value in DIRECTIONS.items())),
        ("place (zone, centre)", ((word, f"{p.zone} {p.center or ''}".strip()) for word, p in PLACES.items())),
        ("number", ((word, f"{value}") for word, value in NUMBERS.items())),
        ("colour (CIELAB shift)", ((word, ", ".join(f"{x:g}" for x in value)) for word, value in COLORS.items())),
        ("change (field × factor)", ((word, f"{name} × {factor:g}") for word, (name, factor) in CHANGES.items())),
    ]
    for what, pairs in rows:
        by_value: defaultdict[str, list[str]] = defaultdict(list)
        for word, value in pairs:
            by_value[value].append(word)
        lines.append(f"| {what} | {'; '.join(f'**{value}**: {_listed(words)}' for value, words in by_value.items())} |")
    return "\n".join(lines)


def fill_page(page: str) -> str:
    """The page with a fresh table between its two marks.

    Raises:
        KnowledgeError: a mark is missing.
    """
    before, start, rest = page.partition(_START)
    _, end, after = rest.partition(_END)
    if not start or not end:
        raise KnowledgeError(f"the page has no table to fill. Put the two lines\n{_START}\n{_END}\nwhere it belongs.")
    return f"{before}{_START}\n\n{_words_table()}\n\n{_END}{after}"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(fill_page(target.read_text(encoding="utf-8")), encoding="utf-8")
