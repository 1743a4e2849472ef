"""What the words of a prompt say foreign matter is: glue is no flake, a metal chip is no crumb.

Only the words before the place are read ('a drop of glue on the metal nut' is about glue), of 'a metal nut with dust' those
after 'with', of 'Part: metal nut. Defect: dust.' the defect's, and those in quotes first: there the name of the anomaly type
stands.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from anomalyagent.knowledge.words.lexer import plain, stem
from anomalyagent.knowledge.words.quoted_type import quoted_type
from anomalyagent.mcp_tools.procedural.light.palette import OWN

__all__ = ["Named", "named_matter"]


class Named(NamedTuple):
    """Kinds of bodies with their odds, the materials (of `palette.MATTER`, or `OWN`), and whether light goes through."""

    odds: dict[str, float]
    matter: tuple[str, ...]
    clear: bool = False


_NAMED: Final[dict[str, Named]] = {
    "glue strip, tape, adhesive tape, adhesive strip, sticky strip, sellotape, strip of glue, band of glue": Named(
        {"band": 1.0}, ("glue", "resin"), clear=True
    ),
    "glue, adhesive, epoxy, resin, gum, paste, sealant, silicone, varnish, lacquer, sap, superglue, sticky": Named(
        {"adhesive": 1.0, "puddle": 0.15}, ("glue", "resin"), clear=True
    ),
    "wax": Named({"glob": 1.0, "puddle": 0.5, "drop": 0.3}, ("wax",)),
    "solder, weld spatter, spatter": Named({"glob": 1.0, "drop": 0.5}, ("solder",)),
    "metal, metallic, swarf, shaving, filing, staple, steel, iron, wire, copper, tinsel": Named(
        {"chip": 1.0, "curl": 1.0}, ("swarf",)
    ),
    "burr, flash, fin": Named({"chip": 1.0, "curl": 0.6}, (OWN,)),
    "dust, powder, flour, sand, grit, ash, pollen, soot, sawdust": Named({"dust": 1.0, "haze": 0.1}, ("dust", "soot")),
    "oil, grease, lubricant, fat": Named({"puddle": 1.0, "drop": 0.5, "glob": 0.4}, ("grease",), clear=True),
    "bubble": Named({"bubble": 1.0}, ("glue", "dust"), clear=True),
    "droplet, condensation": Named({"drop": 1.0}, ("glue", "dust"), clear=True),
    "water, liquid, leak, leakage, spill, drip, ooze, melt": Named(
        {"puddle": 1.0, "glob": 0.7, "drop": 0.3}, ("glue", "resin", "grease"), clear=True
    ),
    "insect, bug, fly, ant, beetle, mosquito": Named({"debris": 1.0}, ("insect",)),
    "mud, dirt, soil, crumb, grime, residue": Named(
        {"debris": 0.7, "powder": 0.7, "film": 0.4}, ("cardboard", "soot", "rust", "dust", "grease")
    ),
    "paper, cardboard, cloth, fabric, rag, textile, label, sticker": Named(
        {"rag": 1.0}, ("cardboard", "lint", "white plastic")
    ),
    "rust, scale": Named({"powder": 0.6, "chip": 0.4, "debris": 0.4}, ("rust",)),
    "stroke, smear, smudge, pencil, graphite, chalk, marker": Named({"smear": 1.0}, ("graphite", "dust", "soot")),
    "plastic, rubber, splinter, flake": Named({"chip": 1.0, "curl": 0.3}, ("white plastic", "blue plastic", "rubber")),
}


@lru_cache(maxsize=512)
def named_matter(prompt: str) -> Named | None:
    """What the prompt names as foreign matter; None: nothing known here."""
    quoted = quoted_type(prompt)
    texts = [] if quoted is None else [quoted]
    labelled = re.search(r"\bdefect:\s*([^.;]+)", prompt, re.IGNORECASE)
    said = labelled.group(1) if labelled else prompt
    before_place = re.split(r"\b(?:on|in|at|along|near|across|over|inside|around|under|from)\b|[.(]", said, maxsplit=1)[0]
    texts.append(re.split(r"\bwith\b", before_place)[-1])
    for text in texts:
        words = " ".join(stem(word) for word in re.findall(r"[\w']+", plain(text)))
        for names, named in _INDEX:
            if any(re.search(rf"\b{name}\b", words) for name in names):
                return named
    return None


_INDEX: Final = [
    ([" ".join(stem(word) for word in name.split()) for name in names.split(", ")], named) for names, named in _NAMED.items()
]
