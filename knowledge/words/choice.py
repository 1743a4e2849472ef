"""Chooses the mechanism among the terms that a prompt mentions: the defect asked for, not the parts it is near."""

import re
from typing import Final

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.knowledge.words.grammar import BE, is_a_place
from anomalyagent.knowledge.words.lexer import Hit, find_terms, plain, word_set
from anomalyagent.knowledge.words.page import Page
from anomalyagent.knowledge.words.terms import DEFAULT_MECHANISM, PART_TERMS

__all__ = ["choose_mechanism", "note_other_defects"]

_PRINT_FAULTS: Final = word_set(
    """fade fading smear smudge blot shifted displaced misaligned misplaced distorted distortion deformed crooked rotated
    blotch mirrored skewed inverted stretched bleach tilted doubled flipped rotated"""
)
"""What a print can be: "the logo is smeared" is a print fault, "the label is scratched" is a scratch."""

_AMOUNTS: Final = word_set("droplet drip splash film smear streak splatter string strand lump deposit residue")
_MAKE: Final = re.compile(
    r"\b(?:add|make|create|draw|put|insert|introduce|generate|apply|place|simulate|render|paint|show|give)\b"
)


def choose_mechanism(page: Page, quoted: list[str], default: DefectSpec | None) -> tuple[Mechanism, Hit | None]:
    """The mechanism asked for, and the term that named it.

    Order: a clear term in the text, a clear term in quotes (the anomaly type's name), the default, a vague term,
    `DEFAULT_MECHANISM`.
    """
    hits = page.hits
    ranked = sorted(hits, key=lambda hit: (-_score(page, hit), hit.start))
    best = ranked[0] if ranked else None
    if best is not None and best.strong:
        following = next((hit for hit in hits if hit.start > best.end and not page.text[best.end : hit.start].strip()), None)
        # "oily scratch", "label tear": the head noun comes last, unless it is a part ("missing label")
        if following is not None and following.strong and following.term not in PART_TERMS and best.mechanism != "missing":
            best = following
        if best.term in _AMOUNTS:  # "a droplet of glue" is about glue
            substance = next(
                (h for h in hits if h.strong and page.text[best.end : h.start].strip() == "of" and h.start > best.end), None
            )
            best = substance or best
        printed = next((h for h in hits if h.mechanism == "print" and _same_clause(page, h, best)), None)
        if printed is not None and (best.term in _PRINT_FAULTS or best.term in ("upside down", "turned over")):
            best = printed
        page.says("mechanism")
        return best.mechanism, best
    for name in quoted:
        named = [hit for hit in find_terms(plain(name)) if hit.strong]
        if named:
            page.says("mechanism")
            return named[0].mechanism, best
    if default is not None:
        return default.mechanism, best
    if best is not None:
        page.says("mechanism")
        page.notes.append(f"'{best.term}' was taken as {best.mechanism}; name the defect to be sure")
        return best.mechanism, best
    page.notes.append(f"no known defect word; drawn as {DEFAULT_MECHANISM}")
    return DEFAULT_MECHANISM, None


def _same_clause(page: Page, one: Hit, other: Hit) -> bool:
    first, second = sorted((one, other))
    return not re.search(r"[.;:!?\n]", page.text[first.end : second.start])


def _score(page: Page, hit: Hit) -> float:
    """How likely a term is the defect asked for rather than a part that is mentioned."""
    score = 0.0 if hit.strong else -4.0
    # the defect is named first, what follows describes it
    score -= 0.75 * len(re.findall(r"[.;!?\n]", page.text[page.hits[0].start : hit.start]))
    if hit.term in PART_TERMS:
        score -= 0.5
    clause = re.split(r"[.;:!?\n]", page.text[: hit.start])[-1]
    before = re.findall(r"[\w']+|,|~+", clause)
    if _MAKE.search(clause):
        score += 1.0
    if not before:
        score += 0.5
    elif before[-1] in BE:
        score += 1.0
    if is_a_place(page.text, hit.start):
        score -= 2.0
    following = re.match(r"\s*(is|are|has|have|with|shows?)\b", page.text[hit.end :])
    if following is not None and hit.term in PART_TERMS:
        score -= 1.0
    return score


def note_other_defects(page: Page, best: Hit | None) -> None:
    """A spec holds one mechanism: say which other defects the same sentence asks for."""
    if best is None:
        return
    start = max(page.text.rfind(mark, 0, best.start) for mark in ".;!?\n")
    end = min((at for mark in ".;!?\n" if (at := page.text.find(mark, best.end)) >= 0), default=len(page.text))
    others = {
        hit.term
        for hit in page.hits
        if hit.strong
        and hit.mechanism != best.mechanism
        and start < hit.start < end
        and "~" not in page.text[hit.start : hit.end]
        and page.text[min(hit.end, best.end) : max(hit.start, best.start)].strip()  # "foreign fibre", "crooked label"
        and not (best.mechanism == "print" and hit.term in _PRINT_FAULTS)
        and _score(page, hit) >= 0.0
    }
    if others:
        page.notes.append(
            f"drawn as {best.mechanism} ('{best.term}'); also mentioned and not drawn: {', '.join(sorted(others))}"
        )
