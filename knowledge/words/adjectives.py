"""Reads what a prompt says in adjectives: colour, size, strength, shape, and comparisons with the spec that is changed."""

import re
from collections.abc import Iterable
from typing import Any, Final

from anomalyagent.knowledge.words.grammar import describes_defect, describes_part
from anomalyagent.knowledge.words.lexer import Hit, word_set
from anomalyagent.knowledge.words.page import Page, phrases, squeeze
from anomalyagent.knowledge.words.terms import Typical
from anomalyagent.knowledge.words.values import CHANGES, COLOR_WEIGHTS, COLORS, IMPLIED_COLORS, SEVERITIES, SHAPES, SIZES

__all__ = ["read_adjectives", "read_changes", "read_color"]

_AMBIGUOUS: Final = word_set(
    """slight slightly lightly heavily light soft clear fine bold strong
    wide broad long short thick thin visible little clearly marked bright shiny
    cloudy milky gold cream tan olive minor medium weak serious"""
)
"""These are only read where they clearly describe the defect: "soft light", "fine grain", "clear plastic"."""

_LAB: Final = re.compile(
    r"(?:(?:cie)?\s?lab\s*(?:color )?|\bcolor )shift\s*(?:of|:|=)?\s*[(\[]?\s*"
    r"([+-]?\d{1,9}(?:\.\d{1,9})?)\s*,\s*([+-]?\d{1,9}(?:\.\d{1,9})?)\s*,\s*([+-]?\d{1,9}(?:\.\d{1,9})?)\s*[)\]]?"
)
_OWN_COLOR: Final = re.compile(r"\b(?:in|with) (?:its|their) (?:own )?natural color\b")
_TONES: Final = word_set("dark darkened darker bright brighter lighter pale paler milky cloudy shiny")
"""These change the lightness of another colour; of several hues ("reddish brown") the mean is taken."""

_KEEP_COLOR: Final = word_set("bend missing swap")
_MODIFIERS: Final = word_set("slightly very much strongly deeply somewhat faintly")
"""Words that are used up by the colour they stand before."""


def read_color(page: Page, values: dict[str, Any], hit: Hit | None) -> None:
    """Colour shift: in CIELAB, in words, or the colour that the defect's name implies."""
    if match := page.take(_LAB):
        values["color_shift"] = tuple(float(group) for group in match.groups())
        page.says("color_shift")
        return
    if page.take(_OWN_COLOR):
        values["color_shift"] = None
        page.says("color_shift")
        return
    hues: list[tuple[float, ...]] = []
    tones: list[tuple[float, ...]] = []
    for match in re.finditer(rf"\b(?:(light|pale)\s+(?={'|'.join(COLORS)}))|{phrases(COLORS).pattern}", page.text):
        word = squeeze(match.group())
        about = describes_defect(page, match.start(), match.end())
        if not about and (word in _AMBIGUOUS or describes_part(page, match.start())):
            continue
        if page.mechanism in _KEEP_COLOR:
            page.notes.append(
                f"'{word}' was taken for the colour of a part: a {page.mechanism} defect has no colour of its own"
            )
            page.blank(match.start(), match.end())
            continue
        before = re.findall(r"\w+", page.text[: match.start()])[-1:]
        factor = COLOR_WEIGHTS.get(before[0], 1.0) if before else 1.0
        shift = (10.0, 0.0, 0.0) if match.group(1) else COLORS[word]
        is_tone = match.group(1) is not None or word in _TONES
        (tones if is_tone else hues).append(tuple(factor * value for value in shift))
        if before and before[0] in _MODIFIERS:
            at = page.text.rindex(before[0], 0, match.start())
            page.blank(at, at + len(before[0]))
        page.blank(match.start(), match.end())
    if hues or tones:
        hue = [sum(channel) / len(hues) for channel in zip(*hues, strict=True)] or [0.0, 0.0, 0.0]
        tone = [sum(channel) for channel in zip(*tones, strict=True)] or [0.0, 0.0, 0.0]
        values["color_shift"] = tuple(round(a + b, 1) for a, b in zip(hue, tone, strict=True))
        page.says("color_shift")
    elif hit is not None and hit.term in IMPLIED_COLORS:
        values["color_shift"] = IMPLIED_COLORS[hit.term]


def read_changes(page: Page, values: dict[str, Any]) -> None:
    """Comparatives multiply the value of the spec that is being changed: "larger", "fainter"."""
    given = tuple(page.understood)
    while match := page.take(phrases(CHANGES)):
        name, factor = CHANGES[squeeze(match.group())]
        if name not in given:
            values[name] *= factor
            page.says(name)


def read_adjectives(page: Page, values: dict[str, Any], typical: Typical) -> None:
    """Strength and size in words; shape words multiply elongation and area."""
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


def _take_adjective(page: Page, table: Iterable[str]) -> str | None:
    """The first phrase of a table that describes the defect, blanked."""
    for match in phrases(table).finditer(page.text):
        word = squeeze(match.group())
        about = describes_defect(page, match.start(), match.end())
        if about or (word not in _AMBIGUOUS and not describes_part(page, match.start())):
            page.blank(match.start(), match.end())
            return word
    return None
