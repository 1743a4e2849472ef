"""What words for size, strength, shape, direction, colour, number and place mean in numbers.

Values are those of `DefectSpec` (units in `knowledge.spec`). Words are in the lexer's form: lower case, American spelling,
blanks for hyphens. `docs/prompts.md` shows these tables to users.
"""

from typing import NamedTuple

from anomalyagent.knowledge.spec import Zone

__all__ = [
    "CHANGES",
    "COLORS",
    "COLOR_WEIGHTS",
    "DIRECTIONS",
    "FRACTIONS",
    "IMPLIED_COLORS",
    "NUMBERS",
    "PLACES",
    "SEVERITIES",
    "SHAPES",
    "SHAPES_FIXED",
    "SIZES",
    "Place",
    "Shape",
]

Lab = tuple[float, float, float]


class Place(NamedTuple):
    """A place on the object: a zone, and a centre where the words are that exact."""

    zone: Zone
    center: tuple[float, float] | None = None


class Shape(NamedTuple):
    """What a word of shape does: elongation and area are multiplied."""

    elongation: float
    area: float = 1.0


SIZES: dict[str, float] = {
    "microscopic": 0.05, "minute": 0.1, "tiny": 0.12, "pinpoint": 0.05, "pinhead": 0.08, "pin sized": 0.08, "minuscule": 0.1,
    "miniature": 0.15, "very small": 0.2, "extremely small": 0.1, "little": 0.35, "small": 0.4, "smallish": 0.5,
    "medium": 1.0, "mid sized": 1.0, "moderately sized": 1.0, "average sized": 1.0, "sizable": 2.0, "fairly large": 2.0,
    "big": 3.0, "large": 3.0, "wide area": 3.0, "very large": 5.0, "very big": 5.0, "extensive": 5.0, "widespread": 6.0,
    "huge": 8.0, "enormous": 8.0, "giant": 8.0, "massive": 8.0, "not too big": 0.6, "not too large": 0.6,
    "not very big": 0.6, "not very large": 0.6,
}  # fmt: skip
"""Size -> factor on the mechanism's typical area."""

SEVERITIES: dict[str, float] = {
    "invisible": 0.8, "barely visible": 1.2, "hardly visible": 1.2, "barely noticeable": 1.2, "barely perceptible": 1.2,
    "hardly noticeable": 1.2, "almost invisible": 1.0, "nearly invisible": 1.0, "scarcely visible": 1.2, "barely there": 1.2,
    "just visible": 1.5, "very faint": 1.8, "very subtle": 1.8, "very light": 2.0, "faint": 2.5, "subtle": 2.5,
    "hint of": 2.5, "slight": 3.5, "slightly": 3.5, "shallow": 3.5, "weak": 3.0, "light": 4.0, "lightly": 4.0, "minor": 4.0,
    "mild": 4.0, "soft": 4.0, "not too deep": 5.0, "not very deep": 5.0, "not too strong": 5.0, "superficial": 3.5,
    "moderate": 6.0, "moderately": 6.0, "visible": 7.0, "noticeable": 7.0, "clear": 9.0, "clearly visible": 9.0,
    "clearly": 9.0, "distinct": 9.0, "well visible": 9.0, "pronounced": 12.0, "deep": 13.0, "strong": 13.0, "obvious": 13.0,
    "prominent": 13.0, "conspicuous": 13.0, "marked": 12.0, "high contrast": 14.0, "serious": 16.0, "heavy": 16.0,
    "heavily": 16.0, "strongly": 13.0, "very deep": 20.0, "very strong": 20.0, "very visible": 14.0, "severe": 20.0,
    "severely": 20.0, "intense": 18.0, "bold": 14.0, "extreme": 32.0, "extremely deep": 32.0, "gross": 30.0, "drastic": 30.0,
    "catastrophic": 40.0, "brutal": 32.0, "deeply": 13.0, "badly": 18.0, "low contrast": 3.0,
}  # fmt: skip
"""Strength -> severity in just-noticeable differences."""

CHANGES: dict[str, tuple[str, float]] = {
    "larger": ("area_fraction", 1.8), "bigger": ("area_fraction", 1.8), "much larger": ("area_fraction", 3.0),
    "wider": ("area_fraction", 1.5), "much bigger": ("area_fraction", 3.0), "slightly larger": ("area_fraction", 1.3),
    "slightly bigger": ("area_fraction", 1.3), "smaller": ("area_fraction", 0.55), "much smaller": ("area_fraction", 0.3),
    "slightly smaller": ("area_fraction", 0.77), "stronger": ("severity", 1.6), "deeper": ("severity", 1.6),
    "more visible": ("severity", 1.6), "more pronounced": ("severity", 1.6), "more obvious": ("severity", 1.6),
    "clearer": ("severity", 1.4), "much stronger": ("severity", 2.5), "heavier": ("severity", 1.6),
    "more severe": ("severity", 1.8), "more noticeable": ("severity", 1.6), "slightly stronger": ("severity", 1.25),
    "fainter": ("severity", 0.6), "weaker": ("severity", 0.6), "subtler": ("severity", 0.6),
    "more subtle": ("severity", 0.6), "softer": ("severity", 0.7), "shallower": ("severity", 0.6),
    "less visible": ("severity", 0.6), "less obvious": ("severity", 0.6), "less pronounced": ("severity", 0.6),
    "less severe": ("severity", 0.6), "much fainter": ("severity", 0.4), "slightly fainter": ("severity", 0.8),
    "longer": ("elongation", 1.7), "thinner": ("elongation", 1.6), "narrower": ("elongation", 1.6),
    "finer": ("elongation", 1.4), "shorter": ("elongation", 0.6), "thicker": ("elongation", 0.6),
    "rounder": ("elongation", 0.6), "more compact": ("elongation", 0.6), "less elongated": ("elongation", 0.6),
    "more elongated": ("elongation", 1.7),
}  # fmt: skip
"""Comparatives -> the field they change and its factor, on the spec that is being changed."""

SHAPES: dict[str, Shape] = {
    "hairline": Shape(2.0, 0.4), "hair thin": Shape(2.0, 0.4), "razor thin": Shape(2.0, 0.5), "thin": Shape(1.6, 0.6),
    "fine": Shape(1.6, 0.6), "narrow": Shape(1.5, 0.7), "slender": Shape(1.5, 0.7), "wide": Shape(0.6, 1.6),
    "broad": Shape(0.6, 1.6), "thick": Shape(0.6, 1.6), "long": Shape(1.8, 1.5), "very long": Shape(2.5, 2.0),
    "short": Shape(0.5, 0.5), "very short": Shape(0.35, 0.3), "stubby": Shape(0.4, 0.8),
}  # fmt: skip
"""Shape words that multiply what the mechanism is typically like."""

SHAPES_FIXED: dict[str, float] = {
    "round": 1.0, "circular": 1.0, "compact": 1.2, "square": 1.0, "oval": 1.7, "elliptical": 1.8, "oblong": 2.2,
    "elongated": 6.0, "stretched out": 6.0, "linear": 20.0, "streaky": 10.0, "line shaped": 20.0, "as long as wide": 1.0,
    "as wide as long": 1.0, "blob shaped": 1.3, "irregular blob": 1.5, "crescent": 3.0, "strip shaped": 8.0,
}  # fmt: skip
"""Shape words that fix the elongation (length / width)."""

DIRECTIONS: dict[str, float] = {
    "horizontal": 0.0, "horizontally": 0.0, "sideways": 0.0, "left to right": 0.0, "right to left": 0.0, "vertical": 90.0,
    "vertically": 90.0, "top to bottom": 90.0, "bottom to top": 90.0, "up and down": 90.0, "upright": 90.0, "diagonal": 45.0,
    "diagonally": 45.0, "oblique": 30.0, "obliquely": 30.0, "slanted": 30.0, "slanting": 30.0,
    "lower left to upper right": 45.0, "bottom left to top right": 45.0, "upper right to lower left": 45.0,
    "top right to bottom left": 45.0, "rising to the right": 45.0, "upper left to lower right": 135.0,
    "top left to bottom right": 135.0, "lower right to upper left": 135.0, "bottom right to top left": 135.0,
    "falling to the right": 135.0, "pick": 0.0, "weft": 0.0,
}  # fmt: skip
"""Directions of the long axis, in degrees counter-clockwise from horizontal; woven webs run up and down a photo."""

COLORS: dict[str, Lab] = {
    "black": (-45, 0, 0), "dark": (-20, 0, 0), "darkened": (-18, 0, 0), "darker": (-16, 0, 0), "white": (35, 0, 0),
    "whitish": (20, 0, 0), "bright": (22, 0, 0), "brighter": (16, 0, 0), "lighter": (14, 0, 0), "pale": (14, 0, 0),
    "paler": (12, 0, 0), "bleached": (18, 0, -4), "milky": (16, 0, 0), "cloudy": (10, 0, 0), "shiny": (14, 0, 0),
    "silvery": (14, 0, -2), "gray": (-12, 0, 0), "grayish": (-8, 0, 0), "red": (-8, 38, 22), "reddish": (-4, 18, 10),
    "orange": (2, 24, 40), "orangish": (1, 12, 20), "yellow": (6, -3, 42), "yellowish": (2, 0, 20), "yellowed": (0, 2, 22),
    "golden": (2, 5, 30), "amber": (-4, 12, 30), "green": (-8, -30, 20), "greenish": (-4, -15, 10), "blue": (-12, 5, -38),
    "bluish": (-6, 2, -18), "cyan": (0, -18, -18), "turquoise": (0, -20, -10), "purple": (-15, 25, -25),
    "purplish": (-8, 12, -12), "violet": (-15, 25, -28), "pink": (4, 25, 4), "pinkish": (2, 12, 2), "magenta": (-5, 40, -10),
    "brown": (-20, 10, 20), "brownish": (-10, 6, 12), "beige": (6, 2, 10), "tan": (-2, 5, 14), "rusty": (-14, 17, 26),
    "rust colored": (-14, 17, 26), "rust brown": (-16, 16, 24), "blackened": (-32, 0, 0), "blackish": (-25, 0, 0),
    "colorless": (0, 0, 0), "charred": (-38, 1, 3), "scorched": (-26, 4, 8), "teal": (-8, -18, -8), "maroon": (-25, 25, 10),
    "gold": (2, 5, 30), "ivory": (10, 0, 6), "cream": (10, 0, 10), "burgundy": (-28, 26, 8), "olive": (-15, -6, 22),
    "navy": (-32, 5, -25),
}  # fmt: skip
"""Colour words -> CIELAB shift (dL, da, db) against the surface around the defect."""

COLOR_WEIGHTS: dict[str, float] = {
    "slightly": 0.5, "slight": 0.5, "faintly": 0.5, "lightly": 0.5, "little": 0.5, "bit": 0.5, "somewhat": 0.7, "very": 1.4,
    "much": 1.6, "strongly": 1.4, "deep": 1.3, "deeply": 1.3, "intensely": 1.5, "dark": 1.0, "light": 0.7, "pale": 0.6,
}  # fmt: skip
"""Words before a colour -> factor on its shift."""

IMPLIED_COLORS: dict[str, Lab] = {
    "rust": (-14, 17, 26), "rust spot": (-14, 17, 26), "rust stain": (-14, 17, 26), "corrosion": (-12, 12, 18),
    "corroded": (-12, 12, 18), "burn": (-26, 4, 8), "burnt": (-26, 4, 8), "burn mark": (-26, 4, 8), "scorch": (-26, 4, 8),
    "scorch mark": (-26, 4, 8), "soot": (-40, 0, 1), "char": (-38, 1, 3), "coffee": (-18, 8, 16), "wine": (-22, 24, 4),
    "yellowing": (0, 2, 22), "browning": (-12, 7, 14), "blackening": (-32, 0, 0), "darkening": (-18, 0, 0),
    "whitening": (20, 0, 0), "stress whitening": (20, 0, 0), "bleach": (18, 0, -4), "black spot": (-40, 0, 0),
    "dark spot": (-20, 0, 0), "white spot": (30, 0, 0), "bright spot": (22, 0, 0), "mildew": (-18, -5, 6),
    "mold growth": (-18, -6, 6), "jaundice": (2, 0, 24), "efflorescence": (22, 0, 0), "limescale": (20, 0, 2),
    "black dot": (-40, 0, 0), "oil": (-15, 2, 10), "oil stain": (-15, 2, 10), "grease": (-18, 2, 8), "lubricant": (-15, 2, 10),
    "water stain": (-6, 1, 5), "water mark": (-6, 1, 5), "water spot": (8, 0, 1), "ink": (-32, 3, -14),
    "ink stain": (-32, 3, -14), "ink blot": (-32, 3, -14), "mud": (-20, 6, 14), "dirt": (-22, 3, 8),
    "fade": (12, 0, 0), "fading": (12, 0, 0), "bruise": (-16, 6, 8), "rot": (-24, 6, 10), "fingerprint": (-6, 0, 3),
    "glue": (6, 1, 12), "adhesive": (6, 1, 12), "excess glue": (6, 1, 12), "resin": (2, 4, 18), "epoxy": (4, 2, 14),
    "mold": (-18, -6, 6), "fungus": (-14, -3, 5), "heat damage": (-24, 4, 8),
    "toasted": (-20, 8, 14), "overbaked": (-26, 8, 14), "flux residue": (4, 2, 10), "tide mark": (-8, 2, 7),
}  # fmt: skip
"""Defects that have a colour of their own, used when no other colour is named."""

NUMBERS: dict[str, int] = {
    "one": 1, "single": 1, "a single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "a pair of": 2, "pair of": 2, "both": 2, "a couple of": 2,
    "couple of": 2, "couple": 2, "a few": 3, "few": 3, "some": 3, "several": 4, "a handful of": 5, "handful of": 5,
    "multiple": 5, "half a dozen": 6, "a cluster of": 6, "cluster of": 6, "group of": 5, "a group of": 5, "numerous": 8,
    "many": 8, "lots of": 10, "a lot of": 10, "a dozen": 12, "dozen": 12, "dozens of": 16, "countless": 16, "scattered": 6,
    "a row of": 5, "row of": 5, "a series of": 5, "series of": 5, "a swarm of": 10, "swarm of": 10, "hundreds of": 16,
    "various": 4,
}  # fmt: skip
"""Words of number. More than 16 is drawn as 16."""

FRACTIONS: dict[str, float] = {
    "half": 0.5, "one half": 0.5, "a third": 1 / 3, "one third": 1 / 3, "two thirds": 2 / 3, "a quarter": 0.25,
    "one quarter": 0.25, "a fifth": 0.2, "one fifth": 0.2, "a sixth": 1 / 6, "an eighth": 0.125, "one eighth": 0.125,
    "a tenth": 0.1, "one tenth": 0.1, "a twentieth": 0.05, "a hundredth": 0.01, "one hundredth": 0.01, "three quarters": 0.7,
    "most": 0.6,
}  # fmt: skip
"""Share of the object in words ("a tenth of the part")."""

PLACES: dict[str, Place] = {
    "upper left corner": Place("any", (0.18, 0.18)), "upper right corner": Place("any", (0.82, 0.18)),
    "lower left corner": Place("any", (0.18, 0.82)), "lower right corner": Place("any", (0.82, 0.82)),
    "upper left": Place("any", (0.27, 0.27)), "upper right": Place("any", (0.73, 0.27)),
    "lower left": Place("any", (0.27, 0.73)), "lower right": Place("any", (0.73, 0.73)),
    "upper edge": Place("edge", (0.5, 0.04)), "lower edge": Place("edge", (0.5, 0.96)),
    "left edge": Place("edge", (0.04, 0.5)), "right edge": Place("edge", (0.96, 0.5)),
    "exact center": Place("center", (0.5, 0.5)), "dead center": Place("center", (0.5, 0.5)),
    "very center": Place("center", (0.5, 0.5)), "center": Place("center"), "central": Place("center"), "upper": Place("top"),
    "lower": Place("bottom"), "left": Place("left"), "right": Place("right"), "edge": Place("edge"), "corner": Place("edge"),
    "interior": Place("interior"), "anywhere": Place("any"),
}  # fmt: skip
"""Places; the reader brings "top", "head end", "rim", "middle" and their like to these words."""
