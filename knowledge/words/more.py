"""One too many: words that ask for one more of the things that the photo shows, not for more of some matter."""

import re

from anomalyagent.knowledge.words.lexer import plain, stem

__all__ = ["names_more", "names_one_more"]

_MORE = re.compile(r"\b(?:extra|additional|surplus|superfluous|redundant|one too many|one more|too many)\b")
_MATTER = re.compile(r" (?:material|hole|print|ink)")
_ANY_THING = frozenset(stem(word) for word in ["part", "piece", "item", "object", "unit", "product", "article", "thing", "one"])


def names_more(words: str) -> bool:
    """True when the words speak of one too many of anything."""
    said = plain(words)
    return any(_MATTER.match(said, found.end()) is None for found in _MORE.finditer(said))


def names_one_more(anomaly_type: str, item_words: str) -> bool:
    """True when it is one more of the item itself: "extra", "additional pushpin" of pushpins, "surplus part" of anything.

    Args:
        item_words: the item's name, or a prompt that holds it.
    """
    said = plain(anomaly_type)
    found = _MORE.search(said)
    if found is None:
        return False
    named = _stems(said[found.end() :])
    return not named or named[0] in _ANY_THING or named[0] in _stems(plain(item_words))


def _stems(words: str) -> list[str]:
    return [stem(word) for word in re.findall(r"\w+", words)]
