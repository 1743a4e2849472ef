"""How far a defect has spread, as the name of a type says: "total rust", "heavily stained", "corroded all over".

Such words are no sizes: a "large stain" is one large blot, but total rust covers the part, whatever is usual on a card.
Only what spreads over a surface can cover it; of what does not, a "major" one is one of the larger ones.
"""

import re
from collections.abc import Mapping
from typing import Final

from anomalyagent.knowledge.card_models import Variant
from anomalyagent.knowledge.spec import Mechanism
from anomalyagent.knowledge.words.lexer import plain

__all__ = ["spread_as_named"]

_SPREADS: Final[frozenset[Mechanism]] = frozenset({"abrasion", "discoloration", "stain"})
_ALL: Final = re.compile(
    r"\b(?:total(?:ly)?|complete(?:ly)?|full(?:y)?|entire(?:ly)?|thorough(?:ly)?|whole|overall|all over|all round|everywhere|"
    r"throughout|covered (?:in|with|by))\b"
)
_MUCH: Final = re.compile(
    r"\b(?:major|heav(?:y|ily)|severe(?:ly)?|extensive(?:ly)?|widespread|massive(?:ly)?|serious(?:ly)?)\b"
)
_MAJOR: Final = re.compile(r"\bmajor\b")
_WHOLE: Final[Mapping[str, object]] = {
    "area_fraction": (0.45, 0.7),
    "elongation": (1.0, 1.6),
    "count": (1, 1),
    "zones": ("any",),
}
_MORE, _MOST = 4.0, 0.4  # times the largest usual area that a heavy one covers at most; share of the object


def spread_as_named(variant: Variant, anomaly_type: str) -> Variant:
    """The variant with the sizes that the words of a type imply; as it is where they imply none."""
    text = plain(anomaly_type)
    spreads = variant.mechanism in _SPREADS
    low, high = variant.priors.area_fraction
    if spreads and _ALL.search(text):
        changes = _WHOLE
    elif spreads and _MUCH.search(text):
        changes = {"area_fraction": (high, max(high, min(_MORE * high, _MOST))), "count": (1, 2)}
    elif _MAJOR.search(text):
        changes = {"area_fraction": ((low * high) ** 0.5, high)}
    else:
        return variant
    return variant.model_copy(update={"priors": variant.priors.model_copy(update=dict(changes))})
