"""From text to the terms that search compares: word stems and concepts of the thesaurus.

terms("The lip of a glass flask is chipped")  ->  [lip, glas, flask, chip, ~edge, ~chip, ...]
"""

import re
from functools import cache, lru_cache

from anomalyagent.knowledge.names import plain_name, singular_word
from anomalyagent.knowledge.thesaurus import CONCEPTS

__all__ = ["concepts_of", "stem", "stems_of", "terms_of"]

_STOP_WORDS = """
a an the this that these those it its is are was were be been being am do does did has have had having i you he she we
they me my your our their his her them us of to and or but if then so as at by for from in into on onto with about than
too very can could should would will shall may might must what which who whom whose when where why how there here nor
only just also such own each every any some most like looks look looking see seen seems seem appears appear show shows
shown showing visible called call calls name named ones kind sort type thing things please tell explain describe get
gets got find found notice noticed observe observed because while during after before s t re ve ll d m
"""
_STOP = frozenset(_STOP_WORDS.split())
_IRREGULAR = {
    "broken": "break", "broke": "break", "torn": "tear", "tore": "tear", "worn": "wear", "wore": "wear", "bent": "bend",
    "stuck": "stick", "burnt": "burn", "molten": "melt", "lost": "lose", "gone": "go", "went": "go", "teeth": "tooth",
    "spilt": "spill", "swollen": "swell", "fallen": "fall", "fell": "fall", "ground": "ground", "colour": "color",
    "grey": "gray", "fibre": "fiber", "mould": "mold", "tyre": "tire", "aluminium": "aluminum", "centre": "center",
    "feet": "foot", "leaves": "leaf", "came": "come", "bitten": "bite", "driven": "drive", "written": "write",
    "wrote": "write", "left": "leave", "caught": "catch", "frozen": "freeze", "shorted": "short", "missing": "miss",
    "lying": "lie", "laid": "lie", "string": "string", "ring": "ring", "spring": "spring", "wing": "wing", "thing": "thing",
    "stitching": "stitch", "red": "red", "bled": "bleed", "chewing": "chewing", "pored": "pore", "tied": "tie", "holey": "hole",
}  # fmt: skip
_VOWEL = re.compile(r"[aeiouy]")


@lru_cache(maxsize=32768)
def stem(word: str) -> str:
    """Stem of a lower-case English word; the same for its usual forms (chip, chips, chipped, chipping)."""
    word = _IRREGULAR.get(word, word)
    word = _IRREGULAR.get(singular_word(word), singular_word(word))
    for british, american in (("colour", "color"), ("fibre", "fiber"), ("mould", "mold"), ("isation", "ization")):
        word = word.replace(british, american)
    for ending in ("ization", "ation", "ating", "ated", "ing", "edly", "ed", "ness", "ly"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) >= 3 and _VOWEL.search(rest):
            word = rest
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    if len(word) > 4 and word.endswith("y") and word[-2] not in "aeiou":
        word = word[:-1]
        if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
            word = word[:-1]
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


@lru_cache(maxsize=4096)
def stems_of(text: str) -> tuple[str, ...]:
    """Stems of the words of a text, in order, without stop words."""
    return tuple(stem(word) for word in plain_name(text).split() if word not in _STOP)


@cache
def _phrases() -> dict[tuple[str, ...], tuple[str, ...]]:
    found: dict[tuple[str, ...], list[str]] = {}
    for concept, entry in CONCEPTS.items():
        for phrase in entry.split(","):
            key = stems_of(phrase)
            if key:
                names = found.setdefault(key, [])
                if concept not in names:
                    names.append(concept)
    return {key: tuple(names) for key, names in found.items()}


def concepts_of(stems: tuple[str, ...]) -> dict[str, float]:
    """Concepts that the stems speak of, each 1.0 by a word, 1.5 by a phrase; phrases of two words may be one word apart."""
    phrases = _phrases()
    found: dict[str, float] = {}
    for start in range(len(stems)):
        candidates: list[tuple[tuple[str, ...], float]] = [(stems[start : start + 1], 1.0)]
        candidates += [(stems[start : start + length], 1.5) for length in (2, 3) if start + length <= len(stems)]
        for other in stems[start + 1 : start + 3]:
            candidates += [((stems[start], other), 1.2), ((other, stems[start]), 1.2)]
        for key, weight in candidates:
            for concept in phrases.get(key, ()):
                found[concept] = max(found.get(concept, 0.0), weight)
    return found


@lru_cache(maxsize=4096)
def terms_of(text: str) -> tuple[tuple[str, float], ...]:
    """(term, weight) of a text: its stems, counted, and its concepts, marked with a leading `~`."""
    stems = stems_of(text)
    counts: dict[str, float] = {}
    for name in stems:
        counts[name] = counts.get(name, 0.0) + 1.0
    for concept, weight in concepts_of(stems).items():
        counts[f"~{concept}"] = weight
    return tuple(counts.items())
