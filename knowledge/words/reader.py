"""Reads a DefectSpec out of an English editing prompt, written by a person, a language model or `writer`.

Steps: plain form and typos; what must be absent or stay unchanged is cut away; the mechanism is chosen among the terms found;
then direction, place, shape, strength, colour, size and number. What is read is blanked, so nothing is read twice.
"""

import re
from typing import Any, Final, NamedTuple

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.adjectives import read_adjectives, read_changes, read_color
from anomalyagent.knowledge.words.choice import choose_mechanism, note_other_defects
from anomalyagent.knowledge.words.lexer import find_terms, mend_typos, plain
from anomalyagent.knowledge.words.negation import cut_what_is_denied
from anomalyagent.knowledge.words.numbers import (
    read_area,
    read_count,
    read_direction,
    read_elongation,
    read_lengths,
    read_severity_number,
)
from anomalyagent.knowledge.words.page import Page
from anomalyagent.knowledge.words.places import read_place
from anomalyagent.knowledge.words.terms import TYPICAL, Typical

__all__ = ["MAX_PROMPT_CHARS", "PromptReading", "complete_spec", "read_prompt"]

MAX_PROMPT_CHARS: Final = 4000
"""Longer prompts are read up to here."""

_SIZES: Final = frozenset(Typical._fields)

_FIELD: Final = re.compile(r'"(\w+)"\s*:\s*(?:"([^"]*)")?')
"""A field of a JSON object."""

_QUOTED: Final = re.compile(r'"([^"]*)"|“([^”]*)”|(?<!\w)\'([^\'\n]{1,80})\'(?!\w)')


class PromptReading(NamedTuple):
    """A prompt as it was understood.

    Attributes:
        spec: the spec; fields that the text does not speak of come from the default, or are typical of the mechanism.
        understood: names of the spec's fields that the text spoke of.
        notes: what could not be used, was mended or was assumed, in words for the caller.
    """

    spec: DefectSpec
    understood: tuple[str, ...]
    notes: list[str]


def read_prompt(text: str, default: DefectSpec | None = None) -> PromptReading:
    """Read an editing prompt.

    Args:
        text: English, free form. Texts in quotes are names and are only used when nothing else names a defect.
        default: spec whose values stay where the text says nothing. When the text names another mechanism, only its
            place and seed stay, the rest is typical of the mechanism (`terms.TYPICAL`).
    """
    notes: list[str] = []
    if len(text) > MAX_PROMPT_CHARS:
        notes.append(f"the prompt has {len(text)} characters; only the first {MAX_PROMPT_CHARS} were read")
        text = text[:MAX_PROMPT_CHARS]
    text = _FIELD.sub(lambda match: f"{match.group(1)}: {match.group(2) or ''}", text)
    quoted = [next(filter(None, match.groups()), "") for match in _QUOTED.finditer(text)]
    body, typos = mend_typos(plain(_QUOTED.sub(lambda match: "~" * len(match.group()), text)))
    if quoted and not re.search(r"[^\W\d_]", body):
        body, typos = mend_typos(plain(text))
    notes += typos
    body, denied = cut_what_is_denied(body)
    notes += [f"left out: '{clause[:80]}'" for clause in denied if any(hit.strong for hit in find_terms(clause))]
    page = Page(body, find_terms(body), notes=notes)

    mechanism, hit = choose_mechanism(page, quoted, default)
    page.mechanism = mechanism
    same = default if default is not None and default.mechanism == mechanism else None
    values: dict[str, Any] = {"mechanism": mechanism, **TYPICAL[mechanism]._asdict()}
    if same is not None:
        values.update(same.model_dump())
    elif default is not None:
        values.update(default.model_dump(include={"zone", "center", "seed"}))

    read_direction(page, values, moves=mechanism in ("bend", "swap", "print"))
    place = read_place(page, moves=mechanism in ("bend", "swap"))
    if place is not None:
        values.update(zone=place.zone, center=place.center)
        page.says("zone")
        if place.center is not None:
            page.says("center")
    read_elongation(page, values)
    read_severity_number(page, values)
    read_color(page, values, hit)
    read_area(page, values)
    read_changes(page, values)
    read_adjectives(page, values, TYPICAL[mechanism])
    read_count(page, values, hit, same)
    read_lengths(page)
    note_other_defects(page, hit)
    if not page.understood:
        kept = "the given spec is kept" if default else "typical values are used"
        page.notes.append(f"nothing in the prompt could be read as a defect; {kept}")
    return PromptReading(_clamped(values, page), tuple(page.understood), page.notes)


def complete_spec(spec: DefectSpec, text: str) -> DefectSpec:
    """A spec that leaves out its size, shape or strength, with all that it leaves out as the text says, or as is typical.

    The defaults of a DefectSpec fit no mechanism in particular: a scratch is not 1.5 times as long as wide.
    """
    if spec.model_fields_set.issuperset(_SIZES):
        return spec
    reading = read_prompt(text).spec
    typical = DefectSpec(mechanism=spec.mechanism, **TYPICAL[spec.mechanism]._asdict())
    rest = reading if reading.mechanism == spec.mechanism else typical
    if "zone" in spec.model_fields_set:
        rest = rest.model_copy(update={"center": None})
    return rest.model_copy(update=spec.model_dump(include=spec.model_fields_set))


def _clamped(values: dict[str, Any], page: Page) -> DefectSpec:
    for name, low, high in (("area_fraction", 1e-5, 0.7), ("elongation", 1.0, 200.0), ("severity", 0.5, 60.0)):
        value = float(values[name])
        values[name] = min(max(value, low), high)
        if name in page.understood and not low <= value <= high:
            page.notes.append(f"{name} {value:.3g} is outside {low:g} to {high:g}; {values[name]:g} is used")
    return DefectSpec.model_validate(values)
