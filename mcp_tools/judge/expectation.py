"""What a defect of the asked type should look like: the numeric priors of its knowledge card, or of its mechanism.

A card may hold several variants (a break can be a chip or a crack); a judged image is compared with the variant that
fits it best, so `Expectation` is a list of variants with equal rights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from anomalyagent.knowledge.cards import Card, Priors, Variant
from anomalyagent.knowledge.spec import MECHANISMS, Mechanism

__all__ = ["COMPACT", "FOREIGN", "STRUCTURAL", "THIN", "Expectation", "covers_object", "expect", "with_one_more"]

THIN: frozenset[Mechanism] = frozenset({"scratch", "crack", "cut", "fibre"})
"""Much longer than wide."""
COMPACT: frozenset[Mechanism] = frozenset({"dent", "hole", "stain", "contamination"})
"""About as long as wide."""
FOREIGN: frozenset[Mechanism] = frozenset({"stain", "discoloration", "contamination", "fibre", "print", "swap", "missing"})
"""Brings matter, dye or parts whose colour need not occur on the normal photo."""
STRUCTURAL: frozenset[Mechanism] = frozenset({"bend", "missing", "swap"})
"""Changes the outline of the object, so parts of the change may lie beside the old one."""
_WHOLE_OBJECT = 0.3
"""Share of the object from which on a structural change may concern all of it."""


@dataclass(frozen=True)
class Expectation:
    """What is expected of an anomaly type.

    Attributes:
        variants: ways in which it may show itself, never empty, most typical first.
        card_id: knowledge card that they come from; None when only the mechanism could be guessed from the words.
        bares_ground: True when what comes off is a coating, and the ground below may have any colour.
        lies_beside: True when what is wrong may lie beside the object: one more of them.
    """

    variants: tuple[Variant, ...]
    card_id: str | None
    bares_ground: bool = False
    lies_beside: bool = False

    @property
    def mechanisms(self) -> tuple[Mechanism, ...]:
        """Mechanisms of the variants, most typical first, without repeats."""
        return tuple(dict.fromkeys(variant.mechanism for variant in self.variants))

    @property
    def may_be_foreign(self) -> bool:
        """True when some variant brings colours that need not occur on the normal photo."""
        if self.bares_ground and "chip" in self.mechanisms:
            return True
        return any(v.mechanism in FOREIGN or v.priors.tint_ab is not None for v in self.variants)


def covers_object(variant: Variant) -> bool:
    """True when the whole object may be turned, exchanged or gone: then its blocks change all over, in any shape."""
    return variant.mechanism in STRUCTURAL and variant.priors.area_fraction[1] >= _WHOLE_OBJECT


def expect(cards: Sequence[Card], mechanism: Mechanism | None) -> Expectation:
    """Expectation from cards; without any, wide ranges for the mechanism that the words of the type speak of.

    Args:
        cards: knowledge cards that fit the item and type, as `knowledge.fitting.choose_cards` gives them.
        mechanism: guessed from the words; None when they say nothing, then any look is accepted.
    """
    if cards:
        return Expectation(tuple(variant for card in cards for variant in card.variants), cards[0].id)
    if mechanism is None:
        return Expectation(tuple(_variant(name, (0.0003, 0.4), (1.0, 200.0), (1, 16)) for name in MECHANISMS), None)
    if mechanism in THIN:
        return Expectation((_variant(mechanism, (0.0005, 0.06), (4.0, 80.0), (1, 4)),), None)
    if mechanism in COMPACT:
        return Expectation((_variant(mechanism, (0.0005, 0.12), (1.0, 3.0), (1, 6)),), None)
    if mechanism in STRUCTURAL:
        return Expectation((_variant(mechanism, (0.002, 0.4), (1.0, 12.0), (1, 2)),), None)
    return Expectation((_variant(mechanism, (0.0005, 0.25), (1.0, 10.0), (1, 4)),), None)


def with_one_more(expected: Expectation) -> Expectation:
    """The same where it may also be one more of the things that the photo shows, as large as they are."""
    more = _variant("contamination", (0.001, 0.7), (1.0, 12.0), (1, 4))
    return replace(expected, variants=(*expected.variants, more), lies_beside=True)


def _variant(
    mechanism: Mechanism, area_fraction: tuple[float, float], elongation: tuple[float, float], count: tuple[int, int]
) -> Variant:
    fields = {"area_fraction": area_fraction, "elongation": elongation, "severity": (3.0, 40.0), "count": count}
    return Variant(mechanism=mechanism, priors=Priors.model_validate(fields))
