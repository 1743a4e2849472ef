"""Anomaly type names -> mechanism, for any words."""

from functools import lru_cache
from typing import NamedTuple

from anomalyagent.knowledge.spec import Mechanism
from anomalyagent.knowledge.words.lexer import find_terms, mend_typos, nearest_term, plain, stem
from anomalyagent.knowledge.words.terms import DEFAULT_MECHANISM, GENERIC_TERMS, ITEM_RULES, PART_TERMS
from anomalyagent.knowledge.words.values import COLORS

__all__ = ["MechanismGuess", "mechanism_of"]


class MechanismGuess(NamedTuple):
    """A mechanism and how sure the words make it: 1 = its own name, 0 = the default."""

    mechanism: Mechanism
    confidence: float


@lru_cache(maxsize=4096)
def mechanism_of(anomaly_type: str, item_name: str = "") -> MechanismGuess:
    """Mechanism that draws an anomaly type.

    Confidence: 1.0 the mechanism's own name; 0.95 a known term; 0.8 a known term among other words; 0.5 a vague word
    ("mark", "damage"); up to 0.6 a misspelling; 0.0 nothing known: the default, `DEFAULT_MECHANISM`.
    """
    text = " ".join(plain(anomaly_type).split())
    stems = [stem(word) for word in text.split()]
    if (by_item := _by_item(stems, item_name)) is not None:
        return by_item
    best = _by_terms(text)
    if best.confidence >= 0.8:
        return best
    mended, notes = mend_typos(text)
    if notes and (guess := _by_terms(mended)).confidence >= 0.8:
        return MechanismGuess(guess.mechanism, 0.6)
    if best.confidence > 0.0:
        return best
    for word in text.split():
        if word not in GENERIC_TERMS and len(word) >= 4 and (near := nearest_term(word)) is not None:
            return MechanismGuess(near[1], round(0.6 * near[2], 3))
    return MechanismGuess(DEFAULT_MECHANISM, 0.0)


def _by_item(stems: list[str], item_name: str) -> MechanismGuess | None:
    item = {stem(word) for word in plain(item_name).split()}
    if not item:
        return None
    for rule in ITEM_RULES:
        if item.isdisjoint(stem(word) for word in rule.item_words):
            continue
        if any(stems == [stem(word) for word in words.split()] for words in rule.type_words):
            return MechanismGuess(rule.mechanism, 0.95)
    return None


def _by_terms(text: str) -> MechanismGuess:
    hits = find_terms(text)
    strong = [hit for hit in hits if hit.strong]
    if strong:
        # the longest phrase; a defect before a part ("chunk of wax missing")
        best = max(strong, key=lambda hit: (hit.term not in PART_TERMS, len(hit.term.split())))
        following = next((hit for hit in strong if hit.start > best.end and not text[best.end : hit.start].strip()), None)
        # "oxide wear": the head noun comes last, unless it is a part ("missing label") or an adjective
        if following is not None and best.mechanism != "missing" and following.term not in PART_TERMS:
            best = best if text[: following.end].endswith("ed") else following
        whole = best.start == 0 and best.end == len(text)
        return MechanismGuess(best.mechanism, (1.0 if best.term == plain(best.mechanism) else 0.95) if whole else 0.8)
    if hits and hits[0].term == "mark" and any(word in COLORS for word in text.split()):
        return MechanismGuess("stain", 0.5)
    return MechanismGuess(hits[0].mechanism, 0.5) if hits else MechanismGuess(DEFAULT_MECHANISM, 0.0)
