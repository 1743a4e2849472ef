"""Brings written English to one plain form: lower case, American spelling, known typos mended, words reduced to stems."""

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from rapidfuzz import process
from rapidfuzz.distance import OSA

from anomalyagent.knowledge.spec import MECHANISMS, Mechanism
from anomalyagent.knowledge.words.terms import GENERIC_TERMS, ITEM_RULES, SOUND_TERMS, TERMS, WEAK_TERMS
from anomalyagent.knowledge.words.values import CHANGES, COLORS, DIRECTIONS, NUMBERS, SEVERITIES, SHAPES, SIZES

__all__ = ["Hit", "find_terms", "mend_typos", "nearest_term", "plain", "stem", "word_set"]


def word_set(words: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(words.split())


_SPELLINGS: Final = (
    (re.compile(r"colour"), "color"),
    (re.compile(r"\bgrey"), "gray"),
    (re.compile(r"centre\b"), "center"),
    (re.compile(r"centred\b"), "centered"),
    (re.compile(r"fibre"), "fiber"),
    (re.compile(r"mould"), "mold"),
    (re.compile(r"plough"), "plow"),
    (re.compile(r"aluminium"), "aluminum"),
    (re.compile(r"\bmatt\b"), "matte"),
    (re.compile(r"isation\b"), "ization"),
    (re.compile(r"oxidis"), "oxidiz"),
    (re.compile(r"misaligne?ment"), "misalignment"),
)


def plain(text: str) -> str:
    """Lower case, American spelling, ASCII quotes, blanks for hyphens and underscores between letters."""
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", text).lower()
    text = text.replace("’", "'").replace("‘", "'").replace("“", '"').replace("”", '"').replace("−", "-")
    text = re.sub(r"[_/]+|(?<=[^\W\d])-(?=\w)|(?<=\d)-(?=[^\W\d])", " ", text)
    for pattern, american in _SPELLINGS:
        text = pattern.sub(american, text)
    return text


_IRREGULAR: Final = {
    "pilling": "pilling",
    "marking": "marking",
    "markings": "marking",
    "opening": "opening",
    "openings": "opening",
    "severed": "severed",
    "severe": "severe",
    "severely": "severe",
    "tore": "torn",
}


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """A stem shared by the inflections of a word: scratch, scratches, scratched, scratching -> scratch."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for suffixes in (("'s", "es", "s"), ("ing", "ed")):  # the plural first: shavings -> shaving -> shav
        for suffix in suffixes:
            base = word.removesuffix(suffix)
            if base != word and not word.endswith(("ss", "eed", "us", "is")) and len(base) >= 3 and re.search("[aeiou]", base):
                word = base
                break
    if word.endswith("ie") and len(word) > 4:
        word = word[:-2] + "y"
    if len(word) > 3 and word[-1] in "ey":
        word = word[:-1]
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word


class Hit(NamedTuple):
    """A term found in a text: characters [start, end), what it names and whether it does so by itself."""

    start: int
    end: int
    term: str
    mechanism: Mechanism
    strong: bool
    plural: bool


_WORD: Final = re.compile(r"[^\W\d_]+(?:'s)?")


def _stems(term: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in term.split())


def _build_index() -> dict[tuple[str, ...], tuple[str, Mechanism, bool]]:
    index: dict[tuple[str, ...], tuple[str, Mechanism, bool]] = {}
    for term, mechanism in WEAK_TERMS.items():
        index[_stems(term)] = (term, mechanism, False)
    for mechanism, terms in TERMS.items():
        for term in terms:
            index.setdefault(_stems(term), (term, mechanism, True))
            if not index[_stems(term)][2]:
                index[_stems(term)] = (term, mechanism, True)
    for mechanism in MECHANISMS:  # the project's own names mean themselves, whatever shares their stem
        name = plain(mechanism)
        index[_stems(name)] = (name, mechanism, True)
    return index


_SOUND: Final = frozenset(_stems(term) for term in SOUND_TERMS)
_INDEX: Final = _build_index()
_PLAIN_COLORS: Final = frozenset(word for word in COLORS if " " not in word and not word.endswith("ed"))
"""The adjective is no defect, though its stem is shared with one: a "yellow stain" is no yellowing."""

_LONGEST: Final = max(len(key) for key in (*_INDEX, *_SOUND))


def find_terms(text: str) -> list[Hit]:
    """Terms for defects in a plain text, in order, longest phrases first where they overlap."""
    words = [(match.start(), match.end(), match.group()) for match in _WORD.finditer(text)]
    stems = [stem(word) for _, _, word in words]
    hits: list[Hit] = []
    at = 0
    while at < len(words):
        for length in range(min(_LONGEST, len(words) - at), 0, -1):
            key = tuple(stems[at : at + length])
            if key in _SOUND:
                at += length - 1
                break
            found = None if length == 1 and words[at][2] in _PLAIN_COLORS else _INDEX.get(key)
            last = words[at + length - 1]
            if found is None or not re.fullmatch(r"[\w\s']*", text[words[at][0] : last[1]]):
                continue
            term, mechanism, strong = found
            plural = last[2].endswith("s") and not last[2].endswith(("ss", "us", "is", "'s")) and not term.endswith("s")
            hits.append(Hit(words[at][0], last[1], term, mechanism, strong, plural))
            at += length - 1
            break
        at += 1
    return [hit for index, hit in enumerate(hits) if not _is_component(text, hit, hits[index - 1] if index else None)]


def _is_component(text: str, hit: Hit, before: Hit | None) -> bool:
    """True of the chip in "rotated chip", "cracked chip": what is in such a state is a component, not a piece broken out."""
    if before is None or hit.term != "chip" or text[before.end : hit.start].strip():
        return False
    return before.mechanism in ("swap", "bend") or (before.mechanism != "chip" and text[: before.end].endswith("ed"))


_COMMON: Final = word_set(
    """about above across adjust after again against along also another appear apply approximately around background batch
    bearing because become before being below beneath beside better between bitter blend board border bottle bottom brace
    bracket brained butter cable calling calls camera capsule carpet carried carry casing catch ceramic change chart chase
    circuit clean clear close closer coating colored contrast corner could course cover coverage crash create crisp defect
    degrees detail difference different direction drained each either entire every exactly facet falling faucet field filled
    filling finish first flat floor flow flower fresh gasket glass glossy grain grained granted green ground hatch hazel
    horse house
    housing image inner insert inside into item just keep label large latch latter leather leave letter level light lighting
    local locket look made make match matter metal metallic model more natural near normal nothing object only other outer
    over package packaging paint panel part parting paste patch pattern pedal percent phone photo picture pill pixel place
    plain plane planned plastic plating please pocket point portion position preserve print product profile pulled quality
    realistic really region resist rest rolled rolling roughly rubber sample scaled scanned scene screw seamless seamlessly
    selling shade shadow shaft shape share sharp sheet shelf shell shells shift should side silicon since sized slice
    slightly small smells smooth socket some sound spelling sport sports stage stand start state steel still stock stone
    store strained stream strictly style such surface table taste teach telling texture than that their then there these
    they thing this those ticket tile toothbrush touch tough trace track trained transistor treat trick unchanged under
    until upper using wafer washer watch water wells where which while white whole with within without wood would zipper"""
)
"""Ordinary words that look like misspelt terms."""


def _typo_targets() -> tuple[str, ...]:
    words: set[str] = {word for terms in TERMS.values() for term in terms for word in term.split()}
    for table in (WEAK_TERMS, SIZES, SEVERITIES, CHANGES, SHAPES, DIRECTIONS, COLORS, NUMBERS):
        words.update(word for phrase in table for word in phrase.split())
    words.update(("corner", "center", "middle", "percent", "degrees", "surface"))
    return tuple(sorted(word for word in words if len(word) >= 5))


_TARGETS: Final = _typo_targets()
_KNOWN_STEMS: Final = frozenset(stem(word) for word in _TARGETS) | frozenset(
    stem(word)
    for key in (*_COMMON, *GENERIC_TERMS, *(w for rule in ITEM_RULES for w in rule.item_words))
    for word in key.split()
)


def _undoubled(word: str) -> str:
    return re.sub(r"(.)\1", r"\1", word)


@lru_cache(maxsize=4096)
def _mended(word: str) -> str | None:
    if len(word) < 5 or len(word) > 24 or stem(word) in _KNOWN_STEMS or not word.isascii():
        return None
    for candidate in (word, *(word.removesuffix(suffix) for suffix in ("es", "s", "ed", "ing") if word.endswith(suffix))):
        if len(candidate) < 5:
            continue
        found = process.extractOne(candidate, _TARGETS, scorer=OSA.distance, score_cutoff=1 if len(candidate) < 9 else 2)
        if found is None or found[0][0] != word[0]:
            continue
        if len(candidate) > 5 or sorted(found[0]) == sorted(candidate) or _undoubled(found[0]) == _undoubled(candidate):
            return found[0] + word[len(candidate) :]
    return None


def mend_typos(text: str) -> tuple[str, list[str]]:
    """The plain text with misspelt words of the vocabulary mended, and a note for each.

    A word is mended when it is unknown, starts with the right letter and is one edit away (two from nine letters on; swapped
    neighbours count as one edit; in words of five letters only these and a letter that should be doubled are mended).
    """
    notes: list[str] = []

    def mend(match: re.Match[str]) -> str:
        word = match.group()
        better = _mended(word)
        if better is None:
            return word
        notes.append(f"read '{word}' as '{better}'")
        return better

    return _WORD.sub(mend, text), notes


def nearest_term(word: str) -> tuple[str, Mechanism, float] | None:
    """The single-word term most like `word`, its mechanism and the likeness 0..1; None below 0.8."""
    singles = _single_terms()
    found = process.extractOne(word, list(singles), scorer=OSA.normalized_similarity, score_cutoff=0.8)
    return None if found is None else (found[0], singles[found[0]], float(found[1]))


@lru_cache(maxsize=1)
def _single_terms() -> dict[str, Mechanism]:
    return {term: mechanism for mechanism, terms in TERMS.items() for term in terms if " " not in term and len(term) >= 4}
