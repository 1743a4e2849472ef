"""Reads what a prompt says in numbers: percent, degrees, ratios, multiples of the just-noticeable difference, counts."""

import math
import re
from typing import Any, Final

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.grammar import describes_part, is_a_place, names_defect_after
from anomalyagent.knowledge.words.lexer import Hit, word_set
from anomalyagent.knowledge.words.page import NUMBER, Page, phrases, squeeze, to_float
from anomalyagent.knowledge.words.values import DIRECTIONS, FRACTIONS, NUMBERS, SHAPES_FIXED

__all__ = ["read_area", "read_count", "read_direction", "read_elongation", "read_lengths", "read_severity_number"]

_ABOUT: Final = r"(?:about |around |roughly |approximately )?"
_IS: Final = r"\s*(?:of|is|=|:|to)?\s*"
_TIMES_LONG: Final = re.compile(
    rf"{NUMBER}\s*(?:times|x)\s+(?:as long as|longer than)\s+(?:it is |they are )?(?:its |their )?(?:wide|width)|"
    rf"{NUMBER}\s*(?:times|x)\s+(?:its|their) (?:own )?width|"
    rf"\b(?:aspect ratio|length to width(?: ratio)?|elongation){_IS}{_ABOUT}{NUMBER}(?:\s*:\s*1)?|\b{NUMBER}\s*:\s*1\b"
)
_THRESHOLD: Final = r"(?:just noticeable(?: difference)?|visibility threshold|threshold of visibility|visible threshold|jnds?)"
_TIMES_VISIBLE: Final = re.compile(
    rf"{NUMBER}\s*(?:times|x)\s+(?:the |what is )?{_THRESHOLD}|{NUMBER}\s*jnds?\b|"
    rf"\b(?:severity|strength){_IS}{_ABOUT}{NUMBER}(?!\s*%)"
)
_SPAN: Final = r"of (?:the |its )?(?:\w+ )?(?:width|length|height|diameter|radius)"
_PERCENT: Final = re.compile(
    rf"(\b(?:opacity|transparency|alpha|contrast|blend(?:ing)?){_IS}{_ABOUT})?(?:{NUMBER}\s*%?\s*(?:-|–|to)\s*)?{NUMBER}\s*"
    rf"(?:%|percent\b|per cent\b)(\s*(?:darker|lighter|brighter|transparent|opaque|opacity|{_SPAN}))?"
)
_AREA: Final = re.compile(rf"\barea(?: fraction)?{_IS}{_ABOUT}(0?\.\d{{1,9}})(?![\d\s]*(?:%|per))")
_SIGNED: Final = r"([+-]?\d{1,4}(?:[.,]\d{1,6})?)"
_DEGREES: Final = re.compile(
    rf"{_SIGNED}\s*(?:°|degrees?\b|deg\b)(?!\s*(?:c|f|celsius)\b)(?:\s*(counter ?clockwise|anti ?clockwise|clockwise))?"
    rf"(?:\s*(?:from|off|to|against|relative to)\s+(?:the\s+)?(horizontal|vertical))?|"
    rf"\borientation(?: deg)?{_IS}{_ABOUT}{_SIGNED}"
)
_FOLLOWS: Final = re.compile(
    r"\b(?:following|along|follows|follow|parallel to|aligned with)\s+(?:the\s+)?(?:local\s+|surface\s+)?"
    r"(?:structure|grain|texture|weave)\b|\bin (?:whatever|any) direction\b|\bof no particular direction\b"
)
_MOVES: Final = re.compile(
    r"\b(?:to|towards?)\s+(?:the\s+)?(left|right|top|bottom)\b|\b(upwards?|downwards?|sideways|leftwards?|rightwards?)\b"
)
_UNITS: Final = r"(px|pixels?|mm|millimeters?|millimetres?|cm|centimeters?|centimetres?|µm|um|microns?|inch(?:es)?)"
_LENGTHS: Final = re.compile(rf"{NUMBER}\s*{_UNITS}\b")
_COUNTABLE_AFTER: Final = word_set("of the its are is was were pins leads teeth wires and")
_OF_THEM: Final = re.compile(r"\s+(?:of them|of these|places|locations|pieces|instances|in total|spots)\b")
_ACTS_ON: Final = word_set("bend missing swap cut")
"""Mechanisms whose verb takes the number after it: "swap two of the cables"."""


def read_direction(page: Page, values: dict[str, Any], moves: bool) -> None:
    """Orientation; `moves`: a side that something is moved to gives the axis."""
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
        angle = DIRECTIONS[squeeze(match.group())]
    elif moves and (match := page.take(_MOVES)):
        to = match.group(1) or match.group(2)
        angle = 90.0 if to.startswith(("top", "bottom", "up", "down")) else 0.0
        page.notes.append(f"'{match.group().strip()}': the axis of the movement is drawn, its sign is chosen by the renderer")
    if angle is not None:
        values["orientation_deg"] = angle % 180.0
        page.says("orientation_deg")


def read_elongation(page: Page, values: dict[str, Any]) -> None:
    """Length divided by width, as a ratio or as a shape that fixes it."""
    if match := page.take(_TIMES_LONG):
        values["elongation"] = to_float(next(group for group in match.groups() if group))
    elif (match := re.search(phrases(SHAPES_FIXED), page.text)) and not _shapes_a_place(page, match):
        page.blank(match.start(), match.end())
        values["elongation"] = SHAPES_FIXED[squeeze(match.group())]
    else:
        return
    page.says("elongation")


def _shapes_a_place(page: Page, match: re.Match[str]) -> bool:
    """Whether a shape is that of what the defect is near: "a stain around the round hole"."""
    following = next(
        (hit for hit in page.hits if not page.text[match.end() : hit.start].strip() and hit.start >= match.end()), None
    )
    return following is not None and following.mechanism != page.mechanism and is_a_place(page.text, following.start)


def read_severity_number(page: Page, values: dict[str, Any]) -> None:
    """Strength in just-noticeable differences."""
    if match := page.take(_TIMES_VISIBLE):
        values["severity"] = to_float(next(group for group in match.groups() if group))
        page.says("severity")


def read_area(page: Page, values: dict[str, Any]) -> None:
    """Share of the object's area, in percent or as a fraction in words; shares of its width give a length."""
    if match := page.take(_AREA):
        values["area_fraction"] = float(match.group(1))
        page.says("area_fraction")
        return
    while match := page.take(_PERCENT):
        share = to_float(match.group(3)) / 100.0
        if match.group(2):
            share = math.sqrt(max(share * to_float(match.group(2)) / 100.0, 1e-10))
        kind, said = (match.group(4) or "").strip(), match.group().strip()
        if kind in ("darker", "lighter", "brighter"):
            values["color_shift"] = (round((-1 if kind == "darker" else 1) * 70.0 * min(share, 1.0), 1), 0.0, 0.0)
            page.says("color_shift")
            continue
        if match.group(1) or kind in ("transparent", "opaque", "opacity"):
            page.notes.append(f"'{said}' was not used; say how visible the defect is")
            continue
        values["area_fraction"] = share * share / values["elongation"] if kind else share
        page.says("area_fraction")
        if kind:
            page.notes.append(f"'{said}' was taken as its length, {values['elongation']:g} times its width")
        return
    pattern = rf"({phrases(FRACTIONS).pattern})\s+(?:of\s+)?(?:the|its|this)\s+(?:(width|length|height|diameter|radius)|\w+)"
    if (match := re.search(pattern, page.text)) and not describes_part(page, match.start()):
        page.blank(match.start(), match.end())
        share = FRACTIONS[squeeze(match.group(1))]
        values["area_fraction"] = share * share / values["elongation"] if match.group(2) else share
        page.says("area_fraction")


def read_count(page: Page, values: dict[str, Any], hit: Hit | None, default: DefectSpec | None) -> None:
    """Number of instances: a number before the defect's name, or after a verb that acts on parts; a plural alone means 3."""
    number_word = phrases(NUMBERS).pattern
    pattern = re.compile(
        rf"(?:\bcount{_IS}|(?<![\w.,~]))(?:(\d{{1,6}})\s*(?:-|–|to|or)\s*)?(?:(\d{{1,6}})|({number_word}))(?![\w%°]|\s*%|[.,]\d)"
    )
    for match in pattern.finditer(page.text):
        acted_on = (
            hit is not None
            and hit.mechanism in _ACTS_ON
            and hit.end <= match.start()
            and not page.text[hit.end : match.start()].strip()
        )
        if (
            not match.group().startswith("count")
            and not acted_on
            and not _OF_THEM.match(page.text, match.end())
            and not names_defect_after(page, match.end(), _COUNTABLE_AFTER)
        ):
            continue
        number = int(match.group(2)) if match.group(2) else NUMBERS[squeeze(match.group(3))]
        if match.group(1):
            number = round((number + int(match.group(1))) / 2)
        if number > 1 and re.match(r"\s+(?:is|was)\b", page.text[match.end() :]):  # "pin 3 is lifted"
            continue
        if not 1 <= number <= 16:
            page.notes.append(f"{number} instances were asked for; 1 to 16 can be drawn")
        values["count"] = max(1, min(number, 16))
        page.says("count")
        return
    if hit is not None and hit.plural and (default is None or default.count == 1):
        values["count"] = 3
        page.says("count")


def read_lengths(page: Page) -> None:
    """Lengths in pixels or millimetres say nothing about a share of the object: leave a note."""
    while match := page.take(_LENGTHS):
        page.notes.append(
            f"'{match.group().strip()}' was not used: lengths in {match.group(2)} say nothing without the object's size; "
            "give a share of the part's area in percent"
        )
