"""What the words of a prompt say the body is made of, as far as it decides how it breaks.

A photo of even blue shows neither whether the blue is a coat of paint nor whether it goes through; sand and mortar break in
crumbs where a fine dense body breaks in shells.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from anomalyagent.knowledge.words.lexer import plain

__all__ = ["Body", "named_body"]


class Body(NamedTuple):
    """How a body breaks.

    Attributes:
        coarse: True for what is made of sand, stones and binder, of dough, wax or powder: no shells with ribs, no sharp edge
            at the frame.
        coated: True when what comes off is a coating, and the ground below has a colour of its own.
        matt: True for what is dull where it is broken, whatever shines or is printed on it: no faces that mirror, as of glass.
        pale: True for dough, kernels, wax, pressed powder: inside they are of the colour of their skin or paler.
    """

    coarse: bool = False
    coated: bool = False
    matt: bool = False
    pale: bool = False


_COARSE: Final = (
    "concrete, cement, brick, brickwork, masonry, mortar, plaster, stone, sandstone, limestone, granite, rock, asphalt, "
    "pavement, road, tarmac, screed, clinker, clay, terracotta, terrazzo, adobe, stucco"
)
_PALE: Final = (
    "biscuit, cookie, cracker, bread, dough, pasta, macaroni, snack, fryum, cashew, peanut, kernel, gum, chewinggum, wax, "
    "candle, soap, chalk, cheese, tablet, pill, lozenge"
)
_COATED: Final = (
    "paint, painted, painting, paintwork, coating, coated, coat, lacquer, lacquered, varnish, varnished, enamel, enamelled, "
    "primer, plated, plating, galvanized, galvanised, chrome, veneer, laminate, foil, peeling, peeled, delamination"
)
_MATT: Final = (
    "plastic, polymer, epoxy, resin, moulding, molding, case, casing, housing, connector, plug, socket, package, transistor, "
    "chip package, rubber, "
    "wood, wooden, leather, cardboard, paper, cork, foam, hazelnut, tablet, pill"
)


def _pattern(names: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{names.replace(', ', '|')})s?\b")


_IS_COARSE, _IS_COATED, _IS_MATT = _pattern(f"{_COARSE}, {_PALE}"), _pattern(_COATED), _pattern(_MATT)
_IS_PALE = _pattern(_PALE)


@lru_cache(maxsize=512)
def named_body(prompt: str) -> Body:
    """What the prompt says of the body; nothing known: a dense body, coloured throughout."""
    words = plain(prompt)
    return Body(*(bool(names.search(words)) for names in (_IS_COARSE, _IS_COATED, _IS_MATT, _IS_PALE)))
