"""What the name of a defect implies about its size and shape: a hair is long and thin, a speck small and compact.

Terms are those of `words.terms`; values are those of `DefectSpec`, sizes as shares of the object's area. They hold for cards
that were not made for that very name (`knowledge.fitting`).
"""

from dataclasses import dataclass

from anomalyagent.knowledge.spec import Zone

__all__ = ["IMPLIED_FORMS", "Form"]


@dataclass(frozen=True)
class Form:
    """What the name of a defect implies, as ranges [low, high]; None: nothing."""

    area_fraction: tuple[float, float] | None = None
    elongation: tuple[float, float] | None = None
    count: tuple[int, int] | None = None
    severity: tuple[float, float] | None = None
    zones: tuple[Zone, ...] | None = None


_HAIR = Form((0.004, 0.01), (35, 90), (1, 1))
_THREAD = Form((0.005, 0.014), (25, 80), (1, 1))
_TUFT = Form((0.002, 0.01), (4, 14), (1, 2))
_BALL = Form((0.001, 0.008), (1.0, 3.0), (1, 2))
_SPECK = Form((0.0006, 0.004), (1.0, 1.5), (1, 2), (10.0, 30.0))
_HAIRLINE = Form((0.003, 0.009), (60, 150), (1, 1))
_NET = Form((0.02, 0.12), (1.0, 2.5), (1, 2))
_CREASE = Form((0.003, 0.025), (8, 30), (1, 2))
_PORE = Form((0.0002, 0.002), (1.0, 1.4), (1, 3))
_FINGERPRINT = Form((0.015, 0.06), (1.1, 1.6), (1, 1), (2.5, 7.0))

IMPLIED_FORMS: dict[str, Form] = {
    "hair": _HAIR, "eyelash": _HAIR, "bristle": _HAIR, "fiber": Form((0.003, 0.01), (30, 90), (1, 1)), "thread": _THREAD,
    "string": _THREAD, "strand": _THREAD, "yarn": _THREAD, "filament": _HAIR, "loose thread": _THREAD, "loose yarn": _THREAD,
    "stray fiber": _HAIR, "loose fiber": _HAIR, "fabric fiber": _HAIR,
    "lint": _TUFT, "fuzz": _TUFT,
    "fuzz ball": _BALL, "fuzzball": _BALL, "fuzzyball": _BALL, "warp ball": _BALL,
    "weft curling": _TUFT,
    "speck": _SPECK, "speckle": _SPECK, "black dot": _SPECK, "particle": Form((0.0004, 0.005), (1.0, 2.0), (1, 2)),
    "foreign particle": Form((0.0004, 0.005), (1.0, 2.0), (1, 2)), "crumb": Form((0.001, 0.008), (1.0, 2.0), (1, 3)),
    "inclusion": Form((0.001, 0.02), (1.0, 3.0), (1, 2)),
    "insect": Form((0.001, 0.01), (1.3, 2.5), (1, 1)), "fly": Form((0.001, 0.01), (1.3, 2.5), (1, 1)),
    "dust": Form((0.001, 0.01), (1.0, 1.8), (4, 12), (3.0, 9.0)), "grit": Form((0.001, 0.008), (1.0, 1.8), (2, 8)),
    "hairline": _HAIRLINE, "hairline crack": _HAIRLINE, "microcrack": _HAIRLINE, "micro crack": _HAIRLINE,
    "hairline scratch": Form((0.002, 0.008), (40, 150), (1, 2), (3.0, 8.0)), "stress crack": _HAIRLINE,
    "weld line": _HAIRLINE, "knit line": _HAIRLINE, "seam": _HAIRLINE,
    "craze": _NET, "alligatoring": _NET, "mud crack": _NET, "cobweb": _NET, "spider web": _NET,
    "crease": _CREASE, "wrinkle": _CREASE, "fold": _CREASE, "crinkle": _CREASE, "ridge": _CREASE, "buckle": Form(None, (2, 8)),
    "ding": Form((0.0015, 0.01), (1.0, 1.6), (1, 1)), "pimple": Form((0.0004, 0.004), (1.0, 1.3), (1, 4)),
    "dent": Form(None, (1.0, 2.2), (1, 1)), "dimple": Form((0.001, 0.01), (1.0, 1.4), (1, 2)),
    "blister": Form((0.001, 0.015), (1.0, 1.6), (1, 4)), "bulge": Form((0.01, 0.06), (1.0, 1.8), (1, 1)),
    "pinhole": _PORE, "pin hole": _PORE, "pore": _PORE, "gas pore": _PORE, "prick": _PORE, "nail hole": _PORE,
    "bubble": Form((0.0008, 0.008), (1.0, 1.3), (1, 4)), "air bubble": Form((0.0008, 0.008), (1.0, 1.3), (1, 4)),
    "hole": Form(None, (1.0, 1.5), (1, 1)), "puncture": Form((0.0005, 0.006), (1.0, 1.6), (1, 1)),
    "fingerprint": _FINGERPRINT, "finger print": _FINGERPRINT, "finger mark": _FINGERPRINT, "thumbprint": _FINGERPRINT,
    "black spot": Form((0.0008, 0.012), (1.0, 1.6), (1, 1)), "white spot": Form((0.0008, 0.012), (1.0, 1.6), (1, 1)),
    "dark spot": Form((0.001, 0.015), (1.0, 1.8), (1, 1)), "bright spot": Form((0.001, 0.015), (1.0, 1.8), (1, 1)),
    "drip": Form(None, (2.5, 8)), "stroke": Form(None, (3, 12)), "streak": Form(None, (6, 25), (1, 3)),
  "smear": Form(None, (1.8, 6), (1, 1)), "smudge": Form(None, (1.3, 3.5), (1, 1)),
    "burn mark": Form((0.005, 0.06), (1.0, 2.2), (1, 1)), "burn": Form((0.005, 0.08), (1.0, 2.2), (1, 1)),
    "scorch mark": Form((0.005, 0.06), (1.0, 2.2), (1, 1)), "bruise": Form((0.01, 0.08), (1.0, 2.0), (1, 1)),
    "burr": Form((0.0008, 0.01), (1.5, 6), (1, 2), None, ("edge",)),
    "flash": Form((0.002, 0.02), (4, 20), (1, 1), None, ("edge",)),
    "gum": Form((0.003, 0.03), (1.0, 2.0), (1, 1)), "chewing gum": Form((0.003, 0.03), (1.0, 2.0), (1, 1)),
    "tape": Form((0.02, 0.1), (2, 7), (1, 1)), "sticker": Form((0.01, 0.08), (1.0, 2.0), (1, 1)),
    "glue": Form((0.002, 0.03), (1.2, 5), (1, 2)), "solder bridge": Form((0.0005, 0.006), (1.2, 4), (1, 1)),
    "oil stain": Form(None, (1.0, 2.5), (1, 2)), "water stain": Form(None, (1.0, 2.5), (1, 2)),
    "delamination": Form((0.01, 0.08), (1.0, 3.0), (1, 1)),
    "notch": Form((0.001, 0.012), (1.0, 2.2), (1, 1), None, ("edge",)), "nick": Form((0.0005, 0.008), (1.0, 2.2), (1, 1)),
    "missing screw": Form((0.004, 0.03), (1.0, 1.4), (1, 1)), "missing pin": Form((0.002, 0.03), (1.0, 4.0), (1, 1)),
    "tear": Form((0.002, 0.02), (4, 16), (1, 1)), "torn": Form((0.002, 0.02), (4, 16), (1, 1)),
}  # fmt: skip
"""Sizes and shapes that a defect's name implies: they narrow the ranges of a card that was not made for that name."""
