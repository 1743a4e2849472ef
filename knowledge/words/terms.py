"""Which words name which mechanism: the industrial vocabulary, as one table for each kind of word.

Terms are written in the singular, American spelling, words separated by one blank; the lexer brings what people write to
that form (`knowledge.words.lexer`). A phrase wins over the words in it ("solder bridge" over "bridge").

Source: terms of general use in surface inspection, casting, moulding, sheet metal, electronics, textile, glass and
pharmaceutical inspection.
"""

from typing import NamedTuple

from anomalyagent.knowledge.spec import Mechanism

__all__ = [
    "DEFAULT_MECHANISM",
    "GENERIC_TERMS",
    "ITEM_RULES",
    "PART_TERMS",
    "SOUND_TERMS",
    "TERMS",
    "TYPICAL",
    "WEAK_TERMS",
    "Typical",
]

DEFAULT_MECHANISM: Mechanism = "stain"
"""For words that name no defect known here: any material can be stained, and a stain needs no knowledge of the part."""


class Typical(NamedTuple):
    """Middle values of a mechanism when nothing else is known."""

    area_fraction: float
    elongation: float
    severity: float


TYPICAL: dict[Mechanism, Typical] = {
    "scratch": Typical(0.004, 18.0, 7.0),
    "crack": Typical(0.006, 15.0, 10.0),
    "dent": Typical(0.02, 1.6, 8.0),
    "hole": Typical(0.008, 1.2, 16.0),
    "chip": Typical(0.015, 1.8, 14.0),
    "stain": Typical(0.03, 1.5, 9.0),
    "discoloration": Typical(0.04, 1.5, 7.0),
    "contamination": Typical(0.006, 1.4, 12.0),
    "fibre": Typical(0.003, 30.0, 10.0),
    "abrasion": Typical(0.03, 2.5, 6.0),
    "cut": Typical(0.006, 12.0, 13.0),
    "bend": Typical(0.04, 3.0, 14.0),
    "missing": Typical(0.03, 1.5, 18.0),
    "swap": Typical(0.06, 1.3, 16.0),
    "print": Typical(0.015, 2.5, 10.0),
    "transplant": Typical(0.03, 1.6, 10.0),
}

TERMS: dict[Mechanism, tuple[str, ...]] = {
    "scratch": (
        "scratch", "scrape", "score mark", "scoring", "gouge", "graze", "hairline scratch", "swirl mark", "tool mark",
        "drag mark", "draw mark", "drawing line", "guide mark", "claw mark", "groove", "furrow", "rake mark", "scuff line",
        "scrape mark", "die line", "die mark", "handling mark", "sleek", "galling", "scoremark", "keying", "nail mark",
        "chatter mark", "roll mark", "machining mark", "grinding mark", "deep line", "plow mark",
    ),
    "crack": (
        "crack", "fissure", "fracture", "craze", "crazing", "hairline crack", "hairline", "split", "cleavage", "rupture",
        "hot tear", "cold shut", "cold lap", "stress crack", "fatigue crack", "weld crack", "quench crack",
        "shrinkage crack", "star crack", "crows foot", "microcrack", "micro crack", "seam", "lap", "cobweb", "spider web",
        "bursting", "burst", "alligatoring", "mud crack", "knit line", "weld line", "delamination crack", "break line",
        "conchoidal crack",
    ),
    "dent": (
        "dent", "impact damage", "ding", "dimple", "indent", "indentation", "depression", "impression", "bump", "bulge",
        "buckle", "sink mark", "sink", "squeeze", "squash", "crush", "press mark", "pressure mark", "imprint mark", "crease",
        "fold", "wrinkle", "hammer mark", "waviness", "orange peel", "pucker", "rumple", "crumple", "compressed",
        "concavity", "hollow", "impact mark", "blow mark", "ejector mark", "swelling", "blister", "pimple", "ridge",
        "kiss mark", "crinkle", "push mark", "dished", "paint run", "paint sag", "hail damage",
        "glaze run", "paint bubble",
    ),
    "hole": (
        "hole", "honeycomb", "pinhole", "pin hole", "pit", "pitting", "pockmark", "pock mark", "pock", "puncture",
        "perforation", "poke", "prick", "blowhole", "blow hole", "gas hole", "gas pore", "pore", "porosity", "cavity",
        "void", "bubble", "air bubble", "gas bubble", "crater", "cratering", "fish eye", "fisheye", "worm hole", "wormhole",
        "borehole", "pierce", "pricked", "shrinkage cavity", "shrinkage", "sand hole", "missing hole fill", "solder void",
        "insect hole", "insect bite", "insect damage", "pitted surface", "seed bubble", "bore", "moth hole", "burn through",
        "bullet hole", "stab", "nail hole",
    ),
    "chip": (
        "chip", "chipping", "nick", "notch", "spall", "spalling", "flake", "flaking", "broken edge", "broken corner",
        "edge break", "break", "broken", "breakage", "fragment", "shatter", "mouse bite", "mousebite", "bite",
        "snapped corner", "splinter", "flaked", "peel", "peeling", "delamination", "delaminated", "edge damage",
        "corner damage", "chipped edge", "smash", "burr break", "broken off", "clamshell", "flinders", "crumbled",
        "crumbling", "coating loss", "paint loss", "ragged edge", "defoliation", "scaling off",
    ),
    "stain": (
        "stain", "oil", "oil stain", "grease", "liquid", "fluid", "water mark", "watermark", "water stain", "water spot",
        "coffee", "ink stain", "ink blot", "blot", "smear", "smudge", "splash", "spill", "drip", "droplet", "leak",
        "leakage", "seep", "drool", "wet", "damp", "fingerprint", "finger print", "finger mark", "thumbprint", "grime",
        "soil", "blotch", "fog", "haze", "film", "lubricant", "coolant", "wine", "flux residue", "drying mark", "tide mark",
        "splatter", "spatter mark", "gray stroke", "stroke", "color spot", "black spot", "white spot", "dark spot",
        "bright spot", "rust", "rust stain", "rust spot", "corrosion", "corroded", "soot", "ink",
        "water damage", "color bleeding", "fungus",
    ),
    "discoloration": (
        "discoloration", "rot", "mura", "hot spot", "discolor", "color", "color change", "off color", "tarnish", "fade",
        "fading", "bleach", "yellowing", "browning", "blackening", "darkening", "oxidation", "oxide", "oxidized", "patina",
        "burn", "burn mark", "burnt", "grinding burn", "scorch", "scorch mark",
        "char", "heat tint", "heat mark", "bruise", "blush",
        "whitening", "stress whitening", "bloom", "mottling", "mottle", "shade variation", "shading", "streak", "streaking",
        "color streak", "tint", "tinge", "mildew", "mold growth", "sapstain", "wrong color", "temper color", "efflorescence",
        "overheated", "uneven color", "gloss variation", "dull spot", "sunburn", "ripening spot", "jaundice", "albino",
        "toasted", "overbaked", "metamerism", "heat damage", "gloss difference", "color difference", "color shift",
    ),
    "contamination": (
        "contamination", "contaminant", "contaminate", "dirt", "dust", "debris", "particle", "foreign particle",
        "foreign body", "foreign object", "foreign matter", "foreign material", "speck", "speckle", "inclusion", "slag",
        "slag inclusion", "sand inclusion", "swarf", "metal chip", "metal shaving", "shaving", "filing", "crumb", "grit",
        "residue", "glue", "glue strip", "adhesive", "resin", "epoxy", "wax", "paint drop", "solder ball", "solder bridge",
        "solder splash", "solder bridging", "bridging", "excess solder", "short circuit", "spurious copper", "spur", "burr",
        "flash", "flashing", "spatter", "weld spatter", "scale", "rolled in scale", "mill scale", "deposit", "encrustation",
        "limescale", "lump", "glob", "extra material", "excess material", "metal contamination", "insect", "fly", "bug",
        "mud", "sand", "powder", "gum", "chewing gum", "sticker", "tape", "lint ball", "black dot", "dross", "whisker",
        "tin whisker", "nodule", "stuck together", "overflow", "gel particle", "ash", "pollution", "sawdust", "foreign",
        "excess glue", "melted wax", "bird dropping", "plastic flake", "barnacle", "nonmetallic inclusion",
    ),
    "fibre": (
        "fiber", "thread", "hair", "lint", "fuzz", "yarn", "filament", "string", "strand", "loose thread", "thread end",
        "pulled thread", "snag", "pilling", "pill ball", "nep", "slub", "fluff", "bristle", "eyelash", "cotton", "wool",
        "loose fiber", "stray fiber", "loose yarn", "fabric fiber", "floating thread", "coarse end", "thick yarn",
        "double pick", "hairy", "tow", "fuzz ball", "fuzzball", "fuzzyball", "warp ball", "weft curling",
    ),
    "abrasion": (
        "abrasion", "abrade", "scuff", "scuff mark", "scuffing", "wear", "worn", "worn out", "worn area", "rub", "rub mark",
        "rubbed", "rough", "roughness", "rough patch", "chafe", "fretting", "erosion", "eroded", "matte spot", "dull",
        "dull area", "sanding mark", "polish mark", "polishing mark", "buffing mark", "scour", "attrition",
        "brush mark", "uneven", "uneven surface", "coating wear", "plating wear", "weathered", "weathering", "worn plating",
        "frosting", "scrub mark", "damaged surface", "etching", "surface damage", "manipulated", "worn thread", "stripped",
        "stripped thread", "damaged thread", "curb rash",
    ),
    "cut": (
        "cut", "incision", "slit", "slash", "slice", "tear", "torn", "rip", "ripped", "gash", "knife mark", "knife cut",
        "blade mark", "laceration", "cut lead", "cut wire", "open circuit", "open trace", "cut insulation",
        "cut inner insulation", "cut outer insulation", "severed", "undercut", "fray", "frayed", "fraying", "ladder",
        "run in fabric", "broken wire", "broken trace", "broken thread", "broken yarn", "scissor cut", "hacked", "sawn",
        "nicked insulation", "rent", "broken stitch", "weft break", "warp break", "thread break", "broken strand",
    ),
    "bend": (
        "bend", "bent", "bent lead", "bent pin", "bent wire", "bow", "bowed", "warp", "warped", "warpage", "twist",
        "twisted", "deform", "deformation", "deformed", "distort", "distortion", "distorted", "kink", "kinked", "curl",
        "curled", "curved", "crooked", "skewed", "lean", "tilt part", "out of shape", "misshapen", "sag", "sagging",
        "coplanarity", "lifted", "lifted lead", "lead lift", "squeezed teeth", "split teeth", "bent teeth", "bent leg",
        "flexed", "mangled", "stretched", "out of round", "ovality",
    ),
    "missing": (
        "missing", "broken end", "interruption", "absent", "absence", "lack", "lost", "omitted", "incomplete", "short shot",
        "short fill", "underfill", "unfilled", "not present", "removed", "remove", "missing part", "missing pin",
        "missing component", "missing screw", "missing hole", "missing cable", "missing wire", "missing teeth",
        "missing tooth", "missing yarn", "missing pick", "broken pick", "missing end", "empty slot", "insufficient solder",
        "no solder", "insufficient", "skipped stitch", "dropped stitch", "bald spot", "missing corner", "corner missing",
        "broken teeth", "fallen off", "detached", "come off", "misrun", "unplated", "lacking", "gone",
        "overfill", "overfilled", "fill level", "filling level", "liquid level", "low fill", "high fill", "half full",
    ),
    "swap": (
        "swap", "swapped", "flip", "flipped", "misplaced", "misplacement", "misaligned", "misalignment", "displaced",
        "displacement", "shifted", "wrong part", "wrong component", "wrong type", "wrong order", "mixed up", "exchange",
        "exchanged", "interchanged", "reversed", "reverse polarity", "wrong polarity", "upside down", "rotated", "tombstone",
        "tombstoning", "billboarding", "mounted wrong", "pill type", "cable swap", "transposed", "inverted", "mirrored",
        "dislocated", "offset part", "mismatched", "mismatch", "wrong position", "out of place", "turned over",
        "off position", "cross threaded", "substituted", "foreign variant", "wrong orientation", "mis assembled",
        "tipped over", "toppled", "fallen over", "lying on its side", "knocked over",
    ),
    "print": (
        "print", "imprint", "faulty imprint", "misprint", "printing", "label", "logo", "marking", "lettering", "letter",
        "text", "stamp", "engraving", "barcode", "bar code", "serial number", "ink smear print", "smeared print",
        "smudged print", "double print", "ghost print", "blurred print", "faded print", "missing print", "print shift",
        "registration error", "misregistration", "misregister", "off register", "silkscreen", "silk screen", "typo",
        "date code", "expiry date", "embossing", "pad printing", "illegible", "legend",
    ),
    "transplant": (
        "transplant", "transplanted patch", "foreign texture", "misplaced texture", "wrong texture", "texture patch",
        "patch of misplaced texture", "patch of foreign texture", "texture anomaly", "irregular texture",
    ),
}  # fmt: skip
"""Words and phrases that name a defect by themselves."""

WEAK_TERMS: dict[str, Mechanism] = {
    "mark": "scratch",
    "score": "scratch",
    "check": "crack",
    "shake": "crack",
    "wave": "dent",
    "knock": "dent",
    "short": "contamination",
    "extra": "contamination",
    "additional": "contamination",
    "surplus": "contamination",
    "one too many": "contamination",
    "open": "cut",
    "float": "fibre",
    "pull": "fibre",
    "line": "scratch",
    "spot": "stain",
    "patch": "discoloration",
    "dot": "contamination",
    "blob": "contamination",
    "drop": "stain",
    "strip": "contamination",
    "strip of": "contamination",
    "damage": "chip",
    "damaged": "chip",
    "gap": "missing",
    "area": "discoloration",
    "streaky": "discoloration",
    "object": "contamination",
    "piece": "contamination",
    "fabric": "cut",
    "border": "cut",
    "metal": "contamination",
    "melt": "dent",
    "mold": "discoloration",
    "empty": "missing",
    "stuck": "contamination",
    "weird": "bend",
    "wrong": "swap",
    "misformed": "bend",
    "loose": "missing",
    "teeth": "bend",
}
"""Words that name a defect only when no other word does ("oil spot" is about oil)."""

SOUND_TERMS: tuple[str, ...] = (
    "carbon fiber", "glass fiber", "optical fiber", "fiber optic", "fiber board", "printed circuit board", "printed circuit",
    "circuit board", "cutting board", "cutting tool", "cutting edge", "screw thread", "thread insert", "threaded rod",
    "thread pitch", "print head", "color camera", "color photo", "color image", "cotton swab", "lead frame", "die cast",
    "scale bar", "oil seal", "oil filter", "oil pan", "dust cap", "dust cover", "drill bit", "ink cartridge", "short side",
    "folding table", "wave washer", "grease fitting", "wear plate", "open end", "string instrument", "hole saw",
    "mounting hole", "screw hole", "bolt hole", "drilled hole", "through hole", "label side", "text side", "bent pipe",
    "curved surface", "curved edge", "rough casting", "wire mesh", "float glass", "film strip", "sand casting", "sand paper",
    "tape measure", "tape reel", "cut edge", "cut surface", "fine grain", "check valve", "bubble wrap", "bubble level",
    "worm gear", "shading of the photo", "punch hole", "print line",
)  # fmt: skip
"""Names of sound things that contain a term; they name no defect."""

PART_TERMS: frozenset[str] = frozenset(
    {
        "label", "logo", "text", "letter", "lettering", "barcode", "thread", "string", "tape", "sticker", "hole", "seam",
        "groove", "notch", "ridge", "stamp", "engraving", "print", "printing", "imprint", "marking", "wool", "cotton",
        "yarn", "sand", "color", "film", "bristle", "filament", "bore", "gum", "lap", "fold", "ink", "legend", "wax", "glue",
        "resin", "oil", "powder", "adhesive", "epoxy",
    }
)  # fmt: skip
"""Terms that are also names of sound parts and materials: "the label has a scratch", "chunk of wax missing"."""

GENERIC_TERMS: frozenset[str] = frozenset(
    {
        "anomaly", "defect", "defective", "fault", "faulty", "flaw", "flawed", "imperfection", "bad", "abnormal",
        "abnormality", "issue", "irregularity", "blemish", "reject", "ng", "combined", "combination", "multiple", "other",
        "unknown", "error", "problem", "damage", "instance", "one", "nonconformity", "mixed",
    }
)  # fmt: skip
"""Words for a defect of no particular kind."""


class ItemRule(NamedTuple):
    """What a type word means on certain items only."""

    item_words: tuple[str, ...]
    type_words: tuple[str, ...]
    mechanism: Mechanism


ITEM_RULES: tuple[ItemRule, ...] = (
    ItemRule(
        ("screw", "bolt", "nut", "thread", "fastener", "pipe", "fitting", "stud"),
        ("thread", "thread side", "thread top"),
        "abrasion",
    ),
    ItemRule(("screw", "bolt", "fastener", "stud"), ("manipulated front", "front"), "abrasion"),
    ItemRule(("zipper", "zip", "comb", "gear", "saw"), ("split", "split teeth", "squeeze", "squeezed teeth"), "bend"),
    ItemRule(("wire", "cable", "grid", "mesh", "net", "fence", "lead", "transistor", "rope"), ("break", "broken"), "cut"),
    ItemRule(("fabric", "textile", "carpet", "cloth", "leather", "knit", "garment"), ("run", "break", "broken", "open"), "cut"),
    ItemRule(
        ("wood", "timber", "lumber", "board", "veneer", "plywood"), ("knot", "dead knot", "sound knot", "pith"), "discoloration"
    ),
    ItemRule(("wood", "timber", "lumber", "veneer"), ("resin", "pitch pocket"), "stain"),
    ItemRule(("paint", "painted", "lacquer", "varnish", "coating", "coated"), ("run", "sag"), "dent"),
    ItemRule(("steel", "strip", "coil", "sheet", "metal"), ("weld line", "welding line"), "scratch"),
    ItemRule(("label", "sticker", "film", "laminate", "paint", "painted", "coating"), ("bubble", "air bubble"), "dent"),
    ItemRule(("zipper", "zip"), ("fabric", "fabric border", "fabric interior"), "cut"),
)
