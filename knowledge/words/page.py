"""The text while it is being read: what has been read is blanked, so nothing is read twice."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from anomalyagent.knowledge.spec import Mechanism
from anomalyagent.knowledge.words.lexer import Hit

__all__ = ["NUMBER", "Page", "phrases", "squeeze", "to_float"]

NUMBER = r"(\d{1,9}(?:[.,]\d{1,9})?)"


def squeeze(text: str) -> str:
    """One blank between words, none around."""
    return " ".join(text.split())


def to_float(text: str) -> float:
    """A number with a decimal point or comma."""
    return float(text.replace(",", "."))


@lru_cache(maxsize=64)
def _alternation(terms: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(terms, key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(re.escape(term).replace(r"\ ", r"\s+") for term in longest_first) + r")\b")


def phrases(terms: Iterable[str]) -> re.Pattern[str]:
    """A pattern for any of the phrases as whole words, the longest first."""
    return _alternation(tuple(terms))


@dataclass
class Page:
    """A plain text, the terms for defects in it, and what has been understood so far."""

    text: str
    hits: list[Hit] = field(default_factory=list[Hit])
    mechanism: Mechanism | None = None
    understood: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    def take(self, pattern: str | re.Pattern[str]) -> re.Match[str] | None:
        """The first match, blanked in the text."""
        match = re.search(pattern, self.text)
        if match is not None:
            self.blank(match.start(), match.end())
        return match

    def blank(self, start: int, end: int) -> None:
        """Overwrite characters [start, end) so that positions stay the same."""
        self.text = self.text[:start] + "~" * (end - start) + self.text[end:]

    def says(self, field_name: str) -> None:
        """Remember that the text spoke about a field."""
        if field_name not in self.understood:
            self.understood.append(field_name)
