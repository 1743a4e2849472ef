"""Names as people write them, brought to one form: case, separators, plurals.

plain_name("Metal_Nuts")   -> "metal nuts"
singular_name("metal nuts") -> "metal nut"
head_of("scratch on the neck") -> "scratch"
"""

import re
import unicodedata
from functools import lru_cache

__all__ = ["head_of", "is_suffix", "plain_name", "singular_name", "singular_word", "without_number"]

_SEPARATORS = re.compile(r"[\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_AFTER_HEAD = re.compile(r"\s(?:on|in|at|of|near|from|with|along|across|inside|under|over)\s.*$")
_NUMBER_AT_END = re.compile(r"\s*\d+$")
_ARTICLES = re.compile(r"^(?:a|an|the|some|our|my|this)\s+")
# Words whose final s belongs to the word.
_KEEP = frozenset({"glass", "brass", "lens", "gas", "bus", "chassis", "mess", "series", "canvas", "plus", "fungus", "abs"})


@lru_cache(maxsize=16384)
def plain_name(name: str) -> str:
    """Lower case, separators and CamelCase to single blanks, leading article dropped."""
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFKC", name))
    return _ARTICLES.sub("", _SEPARATORS.sub(" ", spaced.casefold()).strip())


@lru_cache(maxsize=16384)
def singular_word(word: str) -> str:
    """Singular of one lower-case English word by its ending; unknown endings stay."""
    if len(word) < 4 or word in _KEEP or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word == "leaves":
        return "leaf"
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes")):
        return word[:-2]
    return word[:-1]


@lru_cache(maxsize=16384)
def singular_name(name: str) -> str:
    """`plain_name` with every word in the singular."""
    return " ".join(singular_word(word) for word in plain_name(name).split())


def without_number(name: str) -> str:
    """`plain_name` without a number at its end: 'transistor1' -> 'transistor'; '' where nothing else is left."""
    return _NUMBER_AT_END.sub("", plain_name(name))


def head_of(name: str) -> str:
    """The name without what follows a preposition: 'crack in the lid' -> 'crack'."""
    return _AFTER_HEAD.sub("", singular_name(name))


def is_suffix(short: str, name: str) -> bool:
    """True when `name` ends with the words of `short`: in English the last words say what a thing is."""
    return name.endswith(" " + short)
