"""Small grammar shared by the readers: which words join, which locate, and whether an adjective is about the defect."""

import re
from itertools import pairwise
from typing import Final

from anomalyagent.knowledge.words.lexer import word_set
from anomalyagent.knowledge.words.page import Page
from anomalyagent.knowledge.words.terms import GENERIC_TERMS

__all__ = [
    "BE",
    "DETERMINERS",
    "LOCATING",
    "OF_SUBSTANCE",
    "describes_defect",
    "describes_part",
    "is_a_place",
    "names_defect_after",
]

LOCATING: Final = word_set(
    """on in at near around beside along from across over inside within of through to into onto under behind between by like
    resembling next off"""
)
"""After these comes the place of the defect, not the defect."""

OF_SUBSTANCE: Final = word_set("of with by from")
"""These also name what a defect consists of: "a spot of rust"."""

DETERMINERS: Final = word_set("the its this that a an each every one their")
BE: Final = word_set(
    """is are was were be been being gets get got become becomes look looks appears appear seems slightly partly badly stay
    stays"""
)
_STOPS: Final = (
    LOCATING | DETERMINERS | BE | word_set("these those with or but has have should must where which as it while")
) - {"one"}
_DEFINITE: Final = word_set("the its their")
_ABOUT_IT: Final = word_set("it them rather quite fairly make very only more")
_WORDS: Final = re.compile(r"[\w']+|~+|[.;:!?(]")


def is_a_place(text: str, start: int) -> bool:
    """Whether the noun at `start` says where something is, as "hole" in "a scratch near the big hole"."""
    clause = re.split(r"[.;:!?\n]", text[:start])[-1]
    phrase: list[str] = []
    for word in reversed(re.findall(r"[\w']+|,|~+", clause)[-5:]):
        if word in LOCATING:
            return word not in OF_SUBSTANCE or any(one in DETERMINERS for one in phrase)
        if word == "," or word in BE:
            return False
        phrase.append(word)
    return False


def names_defect_after(page: Page, end: int, skip: frozenset[str]) -> bool:
    """Whether a term for a defect follows within six words, with no other noun phrase in between.

    Args:
        page: the text.
        end: position to start from.
        skip: small words that may stand in between.
    """
    for number, match in enumerate(_WORDS.finditer(page.text, end)):
        word = match.group()
        if number > 6:
            return False
        hit = next((hit for hit in page.hits if hit.start <= match.start() < hit.end), None)
        if hit is not None and hit.mechanism != page.mechanism and is_a_place(page.text, hit.start):
            return False  # the "big hole" that a scratch is near
        if hit is not None or word.rstrip("s") in GENERIC_TERMS:
            return True
        if (word in _STOPS and word not in skip) or word in ".;:!?(":
            return False
    return False


def describes_defect(page: Page, start: int, end: int) -> bool:
    """Whether an adjective at [start, end) stands before a term for a defect, begins a clause, or follows "is", "make it"."""
    if names_defect_after(page, end, frozenset({"and", "or"})):
        return True
    before = re.findall(r"[\w']+|~+", re.split(r"[.;:!?\n]", page.text[:start])[-1])
    return not before or before[-1] in BE or before[-1] in _ABOUT_IT


def describes_part(page: Page, start: int) -> bool:
    """Whether an adjective at `start` belongs to the object: "on the small bottle", "the black background"."""
    before = re.findall(r"[\w']+|[,.;:!?~]", page.text[:start])[-3:]
    if any(a in LOCATING and b in DETERMINERS for a, b in pairwise(before)):
        return True
    if before and before[-1] in _DEFINITE:
        return True
    return bool(before) and before[-1] in LOCATING and before[-1] not in OF_SUBSTANCE
