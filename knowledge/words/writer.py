"""Writes a DefectSpec as an English editing prompt: which part, what appearance, how it meets its surroundings, how small,
what must stay unchanged. The wording varies with the spec's seed; every number of the spec is in the text.
"""

import math
import re
from functools import lru_cache
from typing import Final

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec, Mechanism, Zone
from anomalyagent.knowledge.words.lexer import find_terms, plain
from anomalyagent.knowledge.words.reader import read_prompt

__all__ = ["render_prompt"]

_NOUNS: Final[dict[Mechanism, tuple[tuple[str, str], ...]]] = {
    "scratch": (("scratch", "scratches"), ("scrape mark", "scrape marks")),
    "crack": (("crack", "cracks"), ("fissure", "fissures")),
    "dent": (("dent", "dents"), ("ding", "dings")),
    "hole": (("hole", "holes"), ("puncture", "punctures")),
    "chip": (("chip", "chips"), ("nick", "nicks")),
    "stain": (("stain", "stains"), ("blotch", "blotches")),
    "discoloration": (("discoloration", "discolorations"), ("patch of discoloration", "patches of discoloration")),
    "contamination": (("foreign particle", "foreign particles"), ("deposit of foreign matter", "deposits of foreign matter")),
    "fibre": (("stray fibre", "stray fibres"), ("loose thread", "loose threads")),
    "abrasion": (("abrasion", "abrasions"), ("scuff mark", "scuff marks")),
    "cut": (("cut", "cuts"), ("incision", "incisions")),
    "bend": (("bend", "bends"), ("bent element", "bent elements")),
    "missing": (("missing part", "missing parts"), ("missing element", "missing elements")),
    "swap": (("misplaced element", "misplaced elements"), ("swapped element", "swapped elements")),
    "print": (("misprint", "misprints"), ("faulty imprint", "faulty imprints")),
    "transplant": (("transplanted patch", "transplanted patches"), ("patch of foreign texture", "patches of foreign texture")),
}

_MEETS: Final[dict[Mechanism, tuple[str, ...]]] = {
    "scratch": (
        "The groove has a thin raised ridge that catches the light and fades out at both ends",
        "It starts and ends gradually, and the bare material shows in its depth",
    ),
    "crack": (
        "It is a sharp, irregular line that narrows at its ends, with the material on either hand still flush",
        "It follows a jagged path and becomes finer until it disappears in the sound material",
    ),
    "dent": (
        "The surface bulges smoothly back to its normal height, so that only the shading tells",
        "It is lit and shaded by the light of the photo, and the material goes on through it unbroken",
    ),
    "hole": (
        "It has a crisp contour, a shaded wall and a deep, unlit ground",
        "The material ends sharply at its wall and the inside lies in shadow",
    ),
    "chip": (
        "Material has broken away, leaving a rough, faceted surface with crisp contours",
        "The broken surface is fresh and slightly coarse, and meets the sound material in a sharp line",
    ),
    "stain": (
        "It soaks into the surface with an irregular contour, and the texture beneath stays visible",
        "Its contour is irregular and a little stronger where it dried, and the texture shows through",
    ),
    "discoloration": (
        "It blends gradually into the normal colour, and the texture beneath does not change",
        "Its transition to the sound colour is gradual and uneven, the texture goes on through it",
    ),
    "contamination": (
        "It lies on the surface and casts a small contact shadow",
        "It sticks to the surface with a soft contact shadow, lit like the rest of the photo",
    ),
    "fibre": (
        "It lies loosely on the surface, curved, and casts a fine contact shadow",
        "It is of even thickness, gently curved, and touches the surface with a narrow shadow",
    ),
    "abrasion": (
        "The finish is worn to a fine grain there and fades gradually into the sound finish",
        "The surface has lost its gloss there, in many fine parallel traces that fade out",
    ),
    "cut": (
        "It has clean, straight lips that stand slightly apart and a shaded gap",
        "Its lips are sharp and the gap between them is in shadow",
    ),
    "bend": (
        "The shape leaves its normal course smoothly, keeping its thickness and material",
        "It leans out of its normal course, and what was behind it becomes visible",
    ),
    "missing": (
        "Where it should be, what lies behind is seen, in the same light",
        "Its place is empty and continues the material behind it",
    ),
    "swap": (
        "It looks genuine in itself but does not belong where it sits",
        "It has the right material and light, but the wrong position",
    ),
    "print": (
        "The ink keeps its normal tone, with blurred or doubled contours",
        "It is of the same ink as the sound artwork, blurred and out of register",
    ),
    "transplant": (
        "Its tone meets the surroundings seamlessly, but its structure does not go on from them",
        "It blends into the surroundings, and only its structure tells that it does not belong there",
    ),
}

_PLACES: Final[dict[Zone, tuple[str, ...]]] = {
    "any": ("anywhere on the {item}", "somewhere on the {item}"),
    "interior": ("in the interior of the {item}", "on the inner area of the {item}"),
    "edge": ("along the edge of the {item}", "at the rim of the {item}"),
    "center": ("in the center of the {item}", "in the middle of the {item}"),
    "top": ("in the upper part of the {item}", "at the top of the {item}"),
    "bottom": ("in the lower part of the {item}", "at the bottom of the {item}"),
    "left": ("on the left side of the {item}", "on the left part of the {item}"),
    "right": ("on the right side of the {item}", "on the right part of the {item}"),
}

_STRENGTHS: Final = (
    (1.6, "barely visible"),
    (3.2, "faint"),
    (5.0, "mild"),
    (8.0, "visible"),
    (11.0, "clear"),
    (17.0, "strong"),
    (27.0, "severe"),
)
_HUES: Final = ("reddish", "orange", "yellowish", "greenish", "greenish", "bluish", "bluish", "purplish")
_COUNTS: Final = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
]
_UNCHANGED: Final = (
    "Keep everything else exactly as it is: shape, colours, lighting, background and sharpness.",
    "Leave the rest of the photo unchanged, the background and the light included.",
    "Everything else in the photo must stay identical: geometry, texture, light and background.",
    "Preserve all other parts of the photo, its viewpoint and its lighting.",
)

_HEARD: Final = "Add one scratch on the {item}, 40 % from the left and 60 % from the top. It covers 2 % of the visible area."
"""What an item's name must not change the meaning of, neither before nor behind it."""


def render_prompt(spec: DefectSpec, item_name: str, anomaly_type: str) -> str:
    """An editing prompt that `parse_prompt` reads back.

    Args:
        spec: what to draw.
        item_name: as the user calls the object; put in quotes where its words could be taken for instructions.
        anomaly_type: verbatim, in quotes.
    """
    rng = np.random.default_rng([spec.seed, 7])

    def pick(choices: tuple[str, ...]) -> str:
        return choices[int(rng.integers(len(choices)))]

    item = _spoken(item_name) if item_name.strip() else "object"
    nouns = _NOUNS[spec.mechanism][int(rng.integers(len(_NOUNS[spec.mechanism])))]
    strength = next((word for limit, word in _STRENGTHS if spec.severity < limit), "gross")
    one = spec.count == 1
    what = f"{_COUNTS[spec.count - 1]} {strength} {nouns[0] if one else nouns[1]}"
    place = pick(_PLACES[spec.zone]).format(item=item)
    if spec.center is not None:
        place = f"on the {item}" if spec.zone == "any" else place
        place += f", {100 * spec.center[0]:.0f} % from the left and {100 * spec.center[1]:.0f} % from the top"
    verb = pick(("Add", "Put", "Create", "Introduce"))
    named = f' ("{_quotable(anomaly_type)}")' if anomaly_type.strip() else ""
    sentences = [f"{verb} {what}{named} {place}."]

    it, has, covers = ("It", "Its", "covers") if one else ("Together they", "Their", "cover")
    size = f"{it} {covers} about {_digits(100 * spec.area_fraction)} % of the visible area of the part"
    sentences.append(f"{size}, {_shape(spec)}, {_direction(spec)}.")
    times = f"{_digits(spec.severity)} times the just noticeable difference"
    sentences.append(pick((f"{has} contrast is about {times}", f"{has} visibility is about {times}")) + f", {_color(spec)}.")
    meets = pick(_MEETS[spec.mechanism])
    sentences.append((meets if one else f"For each: {meets[0].lower()}{meets[1:]}") + ".")
    sentences.append(pick(_UNCHANGED))
    return " ".join(sentences)


def _digits(value: float) -> str:
    """Two significant digits, without an exponent."""
    decimals = max(0, 1 - math.floor(math.log10(value)))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _shape(spec: DefectSpec) -> str:
    return "as long as wide" if spec.elongation < 1.05 else f"about {_digits(spec.elongation)} times as long as wide"


def _direction(spec: DefectSpec) -> str:
    if spec.orientation_deg is None:
        return "following the local structure"
    angle = round(spec.orientation_deg % 180.0) % 180
    if angle in (0, 90):
        return "horizontal" if angle == 0 else "vertical"
    return f"tilted {angle} degrees counter-clockwise from horizontal"


def _color(spec: DefectSpec) -> str:
    if spec.color_shift is None:
        return "with its natural colour" if spec.count == 1 else "with their natural colour"
    lightness, a, b = (round(value) for value in spec.color_shift)
    words = ["darker"] if lightness <= -3 else ["lighter"] if lightness >= 3 else []
    if math.hypot(a, b) >= 4:
        words.append(_HUES[round(math.degrees(math.atan2(b, a)) % 360 / 45) % 8])
    told = " and ".join(words) or "hardly different in colour"
    return f"{told} against its surroundings (CIELAB shift {lightness:+d}, {a:+d}, {b:+d})"


def _quotable(name: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r'["“”]', "'", name)).strip()


@lru_cache(maxsize=512)
def _spoken(item_name: str) -> str:
    """The item's name, in quotes when a reader could take its words for a part of the instruction."""
    name = _quotable(item_name)
    heard, plainly = (read_prompt(_HEARD.format(item=item)) for item in (name, "object"))
    safe = heard == plainly and not any(hit.strong for hit in find_terms(plain(name)))
    return name if safe and re.fullmatch(r"[\w ]+", name) else f'"{name}"'
