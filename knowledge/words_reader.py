"""Reads a DefectSpec out of an English editing prompt, written by a person, a language model or `words_writer`.

Steps: plain form and typos -> what must stay unchanged or absent is cut away -> the mechanism is chosen among the terms found ->
numbers -> words for size, strength, shape, direction, colour, number and place. What is read is blanked, so nothing is read twice.
"""

import math
import re
from typing import Any, Final, NamedTuple

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.knowledge.words_lexer import Hit, find_terms, mend_typos, plain, stem
from anomalyagent.knowledge.words_negation import cut_what_is_denied
from anomalyagent.knowledge.words_page import NUMBER, Page, phrases, to_float
from anomalyagent.knowledge.words_places import read_place
from anomalyagent.knowledge.words_terms import DEFAULT_MECHANISM, GENERIC_TERMS, TYPICAL
from anomalyagent.knowledge.words_values import (
    CHANGES,
    COLOR_WEIGHTS,
    COLORS,
    DIRECTIONS,
    FRACTIONS,
    IMPLIED_COLORS,
    NUMBERS,
    SEVERITIES,
    SHAPES,
    SHAPES_FIXED,
    SIZES,
)

__all__ = ["MAX_PROMPT_CHARS", "PromptReading", "read_prompt"]

MAX_PROMPT_CHARS: Final = 8000
"""Longer prompts are read up to here."""


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


_QUOTED: Final = re.compile(r'"([^"]*)"|(?<!\w)\'([^\'\n]{1,80})\'(?!\w)')
_STOPS: Final = frozenset(
    [
        "a",
        "an",
        "the",
        "its",
        "this",
        "that",
        "these",
        "those",
        "each",
        "one",
        "on",
        "in",
        "at",
        "near",
        "around",
        "beside",
        "along",
        "from",
        "across",
        "over",
        "inside",
        "within",
        "of",
        "through",
        "to",
        "into",
        "onto",
        "under",
        "behind",
        "between",
        "by",
        "like",
        "resembling",
        "with",
        "and",
        "or",
        "but",
        "is",
        "are",
        "was",
        "were",
        "be",
        "has",
        "have",
        "should",
        "must",
        "where",
        "which",
        "as",
        "it",
        "while",
    ]
)
_LOCATING: Final = frozenset(
    [
        "on",
        "in",
        "at",
        "near",
        "around",
        "beside",
        "along",
        "from",
        "across",
        "over",
        "inside",
        "within",
        "of",
        "through",
        "to",
        "into",
        "onto",
        "under",
        "behind",
        "between",
        "by",
        "like",
        "resembling",
        "next",
    ]
)
_DETERMINERS: Final = frozenset(["the", "its", "this", "that", "a", "an", "each", "every", "one", "their"])
_PART_TERMS: Final = frozenset(
    [
        "label",
        "logo",
        "text",
        "letter",
        "lettering",
        "barcode",
        "thread",
        "string",
        "tape",
        "sticker",
        "hole",
        "seam",
        "groove",
        "notch",
        "ridge",
        "stamp",
        "engraving",
        "print",
        "printing",
        "imprint",
        "marking",
        "wool",
        "cotton",
        "yarn",
        "wire",
        "lead",
        "teeth",
        "sand",
        "wave",
        "color",
        "film",
        "bristle",
        "filament",
        "fiber",
        "open",
        "float",
        "bore",
        "gum",
        "lap",
        "fold",
        "extra",
        "short",
        "ink",
    ]
)
_BE: Final = frozenset(
    [
        "is",
        "are",
        "was",
        "were",
        "be",
        "been",
        "being",
        "gets",
        "get",
        "got",
        "become",
        "becomes",
        "look",
        "looks",
        "appears",
        "appear",
        "seems",
        "slightly",
        "partly",
        "badly",
    ]
)
_MAKE: Final = re.compile(
    r"\b(?:add|make|create|draw|put|insert|introduce|generate|apply|place|simulate|render|paint|show|give)\b"
)
_SUBSTANCE_OF: Final = frozenset(["of", "with", "by", "from"])


def read_prompt(text: str, default: DefectSpec | None = None) -> PromptReading:
    """Read an editing prompt.

    Args:
        text: English, free form. Texts in quotes are names and are only used when nothing else names a defect.
        default: spec whose values stay where the text says nothing. When the text names another mechanism, only place and seed stay.
    """
    notes: list[str] = []
    if len(text) > MAX_PROMPT_CHARS:
        notes.append(f"the prompt has {len(text)} characters; only the first {MAX_PROMPT_CHARS} were read")
        text = text[:MAX_PROMPT_CHARS]
    body, typos = mend_typos(plain(_QUOTED.sub(lambda match: "~" * len(match.group()), text)))
    quoted = [a or b for a, b in _QUOTED.findall(text)]
    if quoted and not re.search(r"[^\W\d_]", body):
        body, typos = mend_typos(plain(text))
    notes += typos
    body, denied = cut_what_is_denied(body)
    notes += [f"left out: '{clause[:80]}'" for clause in denied if find_terms(clause)]
    page = Page(body, find_terms(body), notes=notes)

    mechanism, hit = _choose_mechanism(page, quoted, default)
    typical = TYPICAL[mechanism]
    same = default is not None and default.mechanism == mechanism
    values: dict[str, Any] = {"mechanism": mechanism, "area_fraction": typical.area_fraction, "elongation": typical.elongation}
    values["severity"] = typical.severity
    if default is not None:
        kept = default.model_dump() if same else default.model_dump(include={"zone", "center", "seed"})
        values.update(kept)
    page.mechanism = mechanism
    _read_direction(page, values, moves=mechanism in ("bend", "swap", "print"))
    place = read_place(page, moves=mechanism in ("bend", "swap"))
    if place is not None:
        values.update(zone=place.zone, center=place.center)
        page.says("zone")
        if place.center is not None:
            page.says("center")
    _read_elongation(page, values)
    _read_severity(page, values)
    _read_color(page, values, hit)
    _read_area(page, values, mechanism)
    _read_changes(page, values)
    _read_words(page, values, mechanism)
    _read_count(page, values, hit, default if same else None)
    _read_lengths(page)
    _note_other_defects(page, hit)
    if not page.understood:
        page.notes.append(
            "nothing in the prompt could be read as a defect; " + ("the given spec is kept" if default else "defaults are used")
        )
    return PromptReading(_clamped(values, page), tuple(page.understood), page.notes)


def _score(page: Page, hit: Hit) -> float:
    """How likely a term is the defect asked for rather than a part that is mentioned."""
    score = 0.0 if hit.strong else -4.0
    # the defect is named first, what follows describes it
    score -= 0.75 * len(re.findall(r"[.;!?\n]", page.text[page.hits[0].start : hit.start]))
    if any(stem(word) in map(stem, _PART_TERMS) for word in (hit.term,)):
        score -= 0.5
    clause = re.split(r"[.;:!?\n]", page.text[: hit.start])[-1]
    before = re.findall(r"[\w']+|,|~+", clause)
    if _MAKE.search(clause):
        score += 1.0
    if not before or before[-1] == ",":
        score += 0.5
    elif before[-1] in _BE:
        score += 1.0
    phrase: list[str] = []
    for word in reversed(before[-5:]):
        if word in _LOCATING:
            has_determiner = any(w in _DETERMINERS for w in phrase)
            if has_determiner or word not in _SUBSTANCE_OF:
                score -= 2.0
            break
        if word == "," or word in _BE:
            break
        phrase.append(word)
    following = re.match(r"\s*(is|are|has|have|with|shows?)\b", page.text[hit.end :])
    if following is not None and hit.term in _PART_TERMS:
        score -= 1.0
    return score


def _choose_mechanism(page: Page, quoted: list[str], default: DefectSpec | None) -> tuple[Mechanism, Hit | None]:
    hits = page.hits
    ranked = sorted(hits, key=lambda hit: (-_score(page, hit), hit.start))
    best = ranked[0] if ranked else None
    if best is not None and best.strong:
        following = next((hit for hit in hits if hit.start > best.end and not page.text[best.end : hit.start].strip()), None)
        # "oily scratch", "label tear": the head noun comes last, unless it is a part ("missing label")
        if following is not None and following.strong and following.term not in _PART_TERMS and best.mechanism != "missing":
            best = following
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


def _note_other_defects(page: Page, best: Hit | None) -> None:
    """A spec holds one mechanism: say which other defects the same sentence asks for."""
    if best is None:
        return
    start = max(page.text.rfind(mark, 0, best.start) for mark in ".;!?\n")
    ends = [at for mark in ".;!?\n" if (at := page.text.find(mark, best.end)) >= 0]
    others = {
        hit.term
        for hit in page.hits
        if hit.strong
        and hit.mechanism != best.mechanism
        and start < hit.start < min(ends, default=len(page.text))
        and "~" not in page.text[hit.start : hit.end]
        and _score(page, hit) >= 0.0
    }
    if others:
        page.notes.append(
            f"drawn as {best.mechanism} ('{best.term}'); also mentioned and not drawn: {', '.join(sorted(others))}"
        )


_TIMES_LONG: Final = re.compile(
    rf"{NUMBER}\s*(?:times|x)\s+(?:as long as (?:it is |they are )?wide|longer than (?:it is |they are )?wide|(?:its|their) (?:own )?width)|"
    rf"\b(?:aspect ratio|length to width(?: ratio)?|elongation)\s*(?:of|is|=|:)?\s*(?:about |around )?{NUMBER}(?:\s*:\s*1)?|\b{NUMBER}\s*:\s*1\b"
)
_TIMES_VISIBLE: Final = re.compile(
    rf"{NUMBER}\s*(?:times|x)\s+(?:the |what is )?(?:just noticeable(?: difference)?|visibility threshold|threshold of visibility|visible threshold|jnds?)|"
    rf"{NUMBER}\s*jnds?\b|\b(?:severity|strength)\s*(?:of|is|=|:)?\s*(?:about |around )?{NUMBER}(?!\s*%)"
)
_LAB: Final = re.compile(
    r"(?:cie)?\s?lab\s*(?:color )?shift\s*(?:of|:|=)?\s*[(\[]?\s*([+-]?\d+(?:\.\d+)?)\s*,\s*([+-]?\d+(?:\.\d+)?)\s*,\s*([+-]?\d+(?:\.\d+)?)\s*[)\]]?"
)
_PERCENT: Final = re.compile(
    rf"(?:{NUMBER}\s*(?:-|–|to)\s*)?{NUMBER}\s*(?:%|percent\b|per cent\b)(\s*(?:darker|lighter|brighter|of the (?:width|length|height|diameter)|of its (?:width|length|height|diameter)|transparent|opaque|opacity))?"
)
_AREA: Final = re.compile(r"\barea(?: fraction)?\s*(?:of|is|=|:)\s*(?:about )?(0?\.\d+)\b")
_DEGREES: Final = re.compile(
    r"([+-]?\d+(?:[.,]\d+)?)\s*(?:°|degrees?\b|deg\b)(?!\s*(?:c|f|celsius)\b)(?:\s*(counter ?clockwise|anti ?clockwise|clockwise))?"
    r"(?:\s*(?:from|off|to|against|relative to)\s+(?:the\s+)?(horizontal|vertical))?|\borientation(?: deg)?\s*(?:of|is|=|:)?\s*([+-]?\d+(?:\.\d+)?)"
)
_FOLLOWS: Final = re.compile(
    r"\b(?:following|along|follows|parallel to|aligned with)\s+(?:the\s+)?(?:local\s+|surface\s+)?(?:structure|grain|texture|weave|surface|direction of the \w+)\b|"
    r"\bin whatever direction\b|\bin any direction\b|\bof no particular direction\b"
)
_OWN_COLOR: Final = re.compile(
    r"\b(?:in|with) (?:its|their) (?:own )?natural color\b|\bcolor(?:ed)? as such (?:a )?defects? (?:is|are)\b"
)
_MOVES: Final = re.compile(
    r"\b(?:to|towards?)\s+(?:the\s+)?(left|right|top|bottom)\b|\b(upwards?|downwards?|sideways|leftwards?|rightwards?)\b"
)
_LENGTHS: Final = re.compile(
    rf"{NUMBER}\s*(px|pixels?|mm|millimeters?|millimetres?|cm|centimeters?|µm|um|microns?|inch(?:es)?)\b"
)


def _read_direction(page: Page, values: dict[str, Any], moves: bool) -> None:
    angle: float | None = None
    if match := page.take(_DEGREES):
        angle = float((match.group(1) or match.group(4)).replace(",", "."))
        if match.group(2) == "clockwise":
            angle = -angle
        if match.group(3) == "vertical":
            angle = 90.0 + angle
    elif page.take(_FOLLOWS):
        values["orientation_deg"] = None
        page.says("orientation_deg")
        return
    elif match := page.take(phrases(DIRECTIONS)):
        angle = DIRECTIONS[re.sub(r"\s+", " ", match.group())]
    elif moves and (match := page.take(_MOVES)):
        to = match.group(1) or match.group(2)
        angle = 90.0 if to.startswith(("top", "bottom", "up", "down")) else 0.0
        page.notes.append(f"'{match.group().strip()}': the axis of the movement is drawn, its sign is chosen by the renderer")
    if angle is not None:
        values["orientation_deg"] = angle % 180.0
        page.says("orientation_deg")


def _read_elongation(page: Page, values: dict[str, Any]) -> None:
    if match := page.take(_TIMES_LONG):
        values["elongation"] = to_float(next(group for group in match.groups() if group))
    elif match := page.take(phrases(SHAPES_FIXED)):
        values["elongation"] = SHAPES_FIXED[re.sub(r"\s+", " ", match.group())]
    else:
        return
    page.says("elongation")


def _read_severity(page: Page, values: dict[str, Any]) -> None:
    if match := page.take(_TIMES_VISIBLE):
        values["severity"] = to_float(next(group for group in match.groups() if group))
        page.says("severity")


def _describes_defect(page: Page, start: int, end: int) -> bool:
    """Whether an adjective stands before a term for a defect, or after a verb: not on some part that is mentioned."""
    words = re.findall(r"[\w']+|~+|[.;:!?(]", page.text[end:])[:6]
    at = end
    for word in words:
        if word in _STOPS and word not in ("and", "or"):
            break
        at = page.text.index(word, at)
        if any(hit.start <= at < hit.end for hit in page.hits) or word.rstrip("s") in GENERIC_TERMS:
            return True
        at += len(word)
    before = re.findall(r"[\w']+|~+", re.split(r"[.;:!?\n]", page.text[:start])[-1])
    return not before or before[-1] in _BE or before[-1] in ("it", "them", "rather", "quite", "fairly", "make", "very", "only")


def _describes_part(page: Page, start: int) -> bool:
    """'on the small bottle': the adjective belongs to the object."""
    before = re.findall(r"[\w']+|[,.;:!?~]", page.text[:start])[-3:]
    return any(a in _LOCATING and b in _DETERMINERS for a, b in zip(before, before[1:], strict=False)) or (
        bool(before) and before[-1] in _LOCATING and before[-1] not in _SUBSTANCE_OF
    )


_AMBIGUOUS: Final = frozenset(
    [
        "light",
        "soft",
        "clear",
        "fine",
        "bold",
        "strong",
        "wide",
        "broad",
        "long",
        "short",
        "thick",
        "thin",
        "visible",
        "little",
        "clearly",
        "marked",
        "bright",
        "shiny",
        "cloudy",
        "milky",
        "gold",
        "cream",
        "tan",
        "olive",
        "visible",
        "minor",
        "medium",
        "weak",
        "serious",
    ]
)


def _take_adjective(page: Page, table: Any) -> str | None:
    """The first phrase of a table that describes the defect, blanked."""
    for match in phrases(table).finditer(page.text):
        word = re.sub(r"\s+", " ", match.group())
        about = _describes_defect(page, match.start(), match.end())
        if about or (word not in _AMBIGUOUS and not _describes_part(page, match.start())):
            page.blank(match.start(), match.end())
            return word
    return None


def _read_color(page: Page, values: dict[str, Any], hit: Hit | None) -> None:
    if match := page.take(_LAB):
        values["color_shift"] = tuple(float(group) for group in match.groups())
        page.says("color_shift")
        return
    if page.take(_OWN_COLOR):
        values["color_shift"] = None
        page.says("color_shift")
        return
    total = [0.0, 0.0, 0.0]
    found = False
    for match in re.finditer(rf"\b(?:(light|pale)\s+(?={'|'.join(COLORS)}))|{phrases(COLORS).pattern}", page.text):
        word = match.group().strip()
        about = _describes_defect(page, match.start(), match.end())
        if not about and (word in _AMBIGUOUS or _describes_part(page, match.start())):
            continue
        before = re.findall(r"\w+", page.text[: match.start()])[-1:]
        factor = COLOR_WEIGHTS.get(before[0], 1.0) if before else 1.0
        shift = (10.0, 0.0, 0.0) if match.group(1) else COLORS[word]
        total = [a + factor * b for a, b in zip(total, shift, strict=True)]
        if before and before[0] in ("slightly", "very", "much", "strongly", "deeply", "somewhat", "faintly"):
            at = page.text.rindex(before[0], 0, match.start())
            page.blank(at, at + len(before[0]))
        page.blank(match.start(), match.end())
        found = True
    if found:
        values["color_shift"] = tuple(round(value, 1) for value in total)
        page.says("color_shift")
    elif hit is not None and hit.term in IMPLIED_COLORS:
        values["color_shift"] = IMPLIED_COLORS[hit.term]


def _read_area(page: Page, values: dict[str, Any], mechanism: Mechanism) -> None:
    if match := page.take(_AREA):
        values["area_fraction"] = float(match.group(1))
        page.says("area_fraction")
        return
    while match := page.take(_PERCENT):
        share = to_float(match.group(2)) / 100.0
        if match.group(1):
            share = math.sqrt(max(share * to_float(match.group(1)) / 100.0, 1e-10))
        of = (match.group(3) or "").strip()
        if of in ("darker", "lighter", "brighter"):
            values["color_shift"] = (round((-1 if of == "darker" else 1) * 70.0 * share, 1), 0.0, 0.0)
            page.says("color_shift")
        elif of in ("transparent", "opaque", "opacity"):
            page.notes.append(f"'{match.group().strip()}' was not used; say how visible the defect is")
        elif of:
            elongation = values["elongation"]
            values["area_fraction"] = share * share / elongation
            page.notes.append(
                f"'{match.group().strip()}' was taken as its length; with elongation {elongation:g} that is its area"
            )
            page.says("area_fraction")
            return
        else:
            values["area_fraction"] = share
            page.says("area_fraction")
            return
    pattern = rf"({phrases(FRACTIONS).pattern})\s+(?:of\s+)?(?:the|its|this)\s+(?!(?:width|length|height|diameter))\w+"
    if (match := re.search(pattern, page.text)) and not _describes_part(page, match.start()):
        page.blank(match.start(), match.end())
        values["area_fraction"] = FRACTIONS[re.sub(r"\s+", " ", match.group(1))]
        page.says("area_fraction")


def _read_changes(page: Page, values: dict[str, Any]) -> None:
    while match := page.take(phrases(CHANGES)):
        name, factor = CHANGES[re.sub(r"\s+", " ", match.group())]
        if name not in page.understood:
            values[name] *= factor


def _read_words(page: Page, values: dict[str, Any], mechanism: Mechanism) -> None:
    typical = TYPICAL[mechanism]
    if "severity" not in page.understood and (word := _take_adjective(page, SEVERITIES)):
        values["severity"] = SEVERITIES[word]
        page.says("severity")
    if "area_fraction" not in page.understood and (word := _take_adjective(page, SIZES)):
        values["area_fraction"] = typical.area_fraction * SIZES[word]
        page.says("area_fraction")
    while word := _take_adjective(page, SHAPES):
        if "elongation" not in page.understood:
            values["elongation"] *= SHAPES[word].elongation
        if "area_fraction" not in page.understood:
            values["area_fraction"] *= SHAPES[word].area


def _read_count(page: Page, values: dict[str, Any], hit: Hit | None, default: DefectSpec | None) -> None:
    pattern = rf"(?<![\w.,~])(?:(\d+)\s*(?:-|–|to|or)\s*)?(?:(\d+)|({phrases(NUMBERS).pattern}))(?![\w%°]|\.\d)"
    for match in re.finditer(pattern, page.text):
        if not (_describes_defect_after(page, match.end())):
            continue
        number = int(match.group(2)) if match.group(2) else NUMBERS[re.sub(r"\s+", " ", match.group(3))]
        if match.group(1):
            number = round((number + int(match.group(1))) / 2)
        if number > 16:
            page.notes.append(f"{number} instances were asked for; 16 is the most")
        values["count"] = max(1, min(number, 16))
        page.says("count")
        return
    if hit is not None and hit.plural and (default is None or default.count == 1):
        values["count"] = 3
        page.says("count")


_FEW: Final = frozenset(["of", "the", "its", "are", "is", "were", "was", "pins", "leads", "teeth", "wires"])


def _describes_defect_after(page: Page, end: int) -> bool:
    at = end
    for word in re.findall(r"[\w']+|~+|[.;:!?(]", page.text[end:])[:7]:
        at = page.text.index(word, at)
        if any(hit.start <= at < hit.end for hit in page.hits) or word.rstrip("s") in GENERIC_TERMS:
            return True
        if word in _STOPS and word not in _FEW and word != "and":
            return False
        at += len(word)
    return False


def _read_lengths(page: Page) -> None:
    while match := page.take(_LENGTHS):
        page.notes.append(
            f"'{match.group().strip()}' was not used: lengths in {match.group(2)} say nothing without the object's size; "
            "give a share of the part's area in percent"
        )


def _clamped(values: dict[str, Any], page: Page) -> DefectSpec:
    for name, low, high in (("area_fraction", 1e-5, 0.7), ("elongation", 1.0, 200.0), ("severity", 0.5, 60.0)):
        value = float(values[name])
        values[name] = min(max(value, low), high)
        if name in page.understood and not low <= value <= high:
            page.notes.append(f"{name} {value:.3g} is outside {low:g} to {high:g}; {values[name]:g} is used")
    return DefectSpec.model_validate(values)
