"""Reads where a defect sits: numbers, clock positions, corners, edges, sides."""

import math
import re
from typing import Final

from anomalyagent.knowledge.words.lexer import find_terms
from anomalyagent.knowledge.words.page import NUMBER, Page, to_float
from anomalyagent.knowledge.words.terms import GENERIC_TERMS
from anomalyagent.knowledge.words.values import NUMBERS, PLACES, Place

__all__ = ["read_place"]

_PREP: Final = (
    r"(?:at|in|on|near|nearby|by|along|around|towards?|from|to|onto|into|across|over|inside|within|off|following|beside|through|against|"
    r"close to|next to|located (?:at|on|in)|of)"
)
_DET: Final = (
    r"(?:\s+(?:the|its|an?|one|this|that|his|very|far|extreme|exact|outer|outermost|outside|part's|object's|item's|round|~+))*"
)
_EDGE: Final = r"(?:edges?|rim|border|outline|contour|perimeter|circumference|boundary|margin|periphery|silhouette|lip|brim)"
_SIDES: Final = {
    "top": "upper",
    "upper": "upper",
    "uppermost": "upper",
    "bottom": "lower",
    "lower": "lower",
    "lowermost": "lower",
}
_UP: Final = r"(top|upper|uppermost|bottom|lower|lowermost)"
_ACROSS: Final = r"(left|right)(?:\s+hand)?"
_NOUN: Final = r"(?:\s+(?:side|half|part|area|region|third|end|section|portion|quadrant|zone|quarter|hand side))?"

_FROM_SIDE: Final = re.compile(
    rf"(?:\bcentered (?:at |on |about |around )?)?(?:about |around )?{NUMBER}\s*(?:%|percent|per cent)\s*"
    r"(?:of the way |of (?:the|its) (?:width|height) )?(?:in |across |down |up |over )*"
    r"from (?:the |its )?(left|right|top|bottom)(?: (?:edge|side|border))?"
)
_SHARE: Final = r"(0?[.]\d{1,9}|0|1(?:[.]0{1,9})?)"
_UV: Final = re.compile(
    rf"(?:\b(?:at|center(?:ed)?|position|uv|u, ?v|location)\b[\s:=]*(?:at |of )?)?[(\[]\s*{_SHARE}\s*[,;]\s*{_SHARE}\s*[)\]]"
)
_HOURS: Final = "|".join(word for word, number in NUMBERS.items() if number <= 12 and " " not in word)
_CLOCK: Final = re.compile(rf"(?:\b(\d{{1,2}})|\b({_HOURS}))(?::(\d\d))?\s*o\s?'?\s?clock")
_CORNER: Final = re.compile(rf"\b{_UP}\s+(?:most\s+)?{_ACROSS}(\s+(?:\w+\s+)?corner)?{_NOUN}")
_SIDE_EDGE: Final = re.compile(rf"\b(?:{_UP}|{_ACROSS})(?:\s+outer)?\s+{_EDGE}\b")
_EDGE_PLACE: Final = re.compile(rf"\b{_PREP}{_DET}(?:\s+\w+)?\s+{_EDGE}\b|\bedge of the (?:part|object|item)\b|\bedge zone\b")
_NEAR_CENTER: Final = re.compile(
    r"(?:\b(?:slightly|just|a little)\s+)?\b(left|right|above|below)\s+(?:of\s+)?(?:the\s+)?(?:center|middle)\b|"
    r"\bslightly off center (?:to|towards?) the (left|right|top|bottom)\b"
)
_EXACT_CENTER: Final = re.compile(
    r"\b(?:exact|dead|very|exactly in the|right in the|precisely in the)\s+(?:center|middle)\b|\bdead center\b"
)
_CENTER: Final = re.compile(
    rf"\b(?!off\b){_PREP}{_DET}\s+(?:geometric\s+)?(?:center|middle|midpoint|mid section|heart)\b|"
    r"\bcentral(?:ly)?(?:\s+(?:area|part|region|zone|portion))?\b|(?<!off )\bcentered\b|\bmid (?:part|section|area|surface)\b"
)
_INTERIOR: Final = re.compile(
    rf"\binterior\b|\b(?:away|far) from (?:the |its |all |any )?(?:\w+ )?{_EDGE}\b|\bwell inside\b|"
    r"\binner (?:area|part|region|surface|zone)\b"
)
_SIDE: Final = re.compile(
    rf"\b({_PREP}){_DET}\s+(?:{_UP}|{_ACROSS})\b(?!\s+(?:surface|layer|face|coat|angle|way|view))({_NOUN})"
)
_LOOSE_SIDE: Final = re.compile(rf"\b(?:{_UP}|{_ACROSS})\s+(?:side|half|part|area|region|third|end|section|portion|zone)\b")
_LONE_CORNER: Final = re.compile(rf"\b{_PREP}{_DET}\s+corners?\b")
_BARE: Final = re.compile(
    r"(?:^|[.,;:({\n]|\bzone\b)\s*(?:zone\s*)?[=:]?\s*(top|bottom|left|right|center|middle|edge|rim|interior|any)\s*(?=[.,;)}\n]|$)"
)
"""A place that stands alone: "stain, yellow, bottom" or "zone: edge"."""

_BARE_NAMES: Final = {"top": "upper", "bottom": "lower", "middle": "center", "rim": "edge", "any": "anywhere"}
_ANYWHERE: Final = re.compile(
    r"\b(?:anywhere|everywhere|all over|throughout|any place|any spot|wherever|somewhere|at random|"
    r"random(?:ly)? (?:placed?|position(?:ed)?|location|spot|located))\b"
)


def _belongs_to_defect(page: Page, end: int) -> bool:
    """'... edges of the scratch': the edge is the defect's own, not the object's."""
    following = re.match(r"\s+of\s+(?:the|each|every|this|that|such|an?|its)\s+((?:\w+\s?){1,3})", page.text[end:])
    if following is None:
        return False
    words = following.group(1)
    own = any(hit.strong and hit.mechanism == page.mechanism for hit in find_terms(words))
    return own or any(word in GENERIC_TERMS for word in words.split())


def read_place(page: Page, moves: bool) -> Place | None:
    """Zone and centre named in the text, or None when it names no place.

    Args:
        page: what is left of the prompt; what is read is blanked.
        moves: "to the left" is a direction of movement (a bent lead), not a place.
    """
    center = _read_center(page)
    words = _read_words(page, moves)
    if center is None:
        return words
    if words is None or words.zone == "any":
        return Place("any", center)
    return Place(words.zone, center)


def _read_center(page: Page) -> tuple[float, float] | None:
    u, v = None, None
    while match := page.take(_FROM_SIDE):
        share = min(to_float(match.group(1)) / 100.0, 1.0)
        if match.group(2) in ("left", "right"):
            u = share if match.group(2) == "left" else 1.0 - share
        else:
            v = share if match.group(2) == "top" else 1.0 - share
    if u is not None or v is not None:
        return (0.5 if u is None else u, 0.5 if v is None else v)
    if match := page.take(_UV):
        return (float(match.group(1)), float(match.group(2)))
    if match := page.take(_CLOCK):
        hour = float(match.group(1)) if match.group(1) else float(NUMBERS[match.group(2)])
        angle = math.radians(30.0 * (hour + (int(match.group(3)) / 60.0 if match.group(3) else 0.0)))
        radius = 0.45 if re.search(rf"\b{_EDGE}\b", page.text) else 0.35
        return (round(0.5 + radius * math.sin(angle), 3), round(0.5 - radius * math.cos(angle), 3))
    return None


def _read_words(page: Page, moves: bool) -> Place | None:
    if match := page.take(_CORNER):
        corner = " corner" if match.group(3) else ""
        edge = page.take(_EDGE_PLACE)
        place = PLACES[f"{_SIDES[match.group(1)]} {match.group(2)}{corner}"]
        return Place("edge", place.center) if edge else place
    if match := page.take(_SIDE_EDGE):
        return PLACES[f"{_SIDES[match.group(1)] if match.group(1) else match.group(2)} edge"]
    if match := page.take(_NEAR_CENTER):
        near = match.group(1) or match.group(2)
        shift = {"left": (-0.12, 0.0), "right": (0.12, 0.0), "above": (0.0, -0.12), "top": (0.0, -0.12)}.get(near, (0.0, 0.12))
        return Place("center", (0.5 + shift[0], 0.5 + shift[1]))
    if page.take(_EXACT_CENTER):
        return PLACES["exact center"]
    if page.take(_INTERIOR):
        return PLACES["interior"]
    found: list[tuple[int, int, str]] = []
    for match in _EDGE_PLACE.finditer(page.text):
        if not _belongs_to_defect(page, match.end()):
            found.append((match.start(), match.end(), "edge"))
            break
    if match := _CENTER.search(page.text):
        found.append((match.start(), match.end(), "center"))
    for match in _SIDE.finditer(page.text):
        towards = match.group(1) in ("to", "toward", "towards") and not match.group(4)
        if not (moves and towards) and not (
            match.group(1) == "on" and page.text[match.end() :].startswith(" of") and match.group(2) == "top"
        ):
            found.append((match.start(), match.end(), _SIDES[match.group(2)] if match.group(2) else match.group(3)))
            break
    if match := _LOOSE_SIDE.search(page.text):
        found.append((match.start(), match.end(), _SIDES[match.group(1)] if match.group(1) else match.group(2)))
    if match := _LONE_CORNER.search(page.text):
        found.append((match.start(), match.end(), "corner"))
    if match := _ANYWHERE.search(page.text):
        found.append((match.start(), match.end(), "anywhere"))
    if match := _BARE.search(page.text):
        found.append((match.start(1), match.end(1), _BARE_NAMES.get(match.group(1), match.group(1))))
    if not found:
        return None
    start, end, name = min(found)
    page.blank(start, end)
    return PLACES[name]
