"""`auto`: which kinds of defect an item gets, in what shares, and why: from the cards and from what its photos show.

    1. the item's own cards; each card's frequency is its share
    2. no card lists the item: the grid's cards of its material, which its words name, or else its photos suggest
    3. nothing known at all: the general cards, and `transplant` for what nobody described
    4. shares are raised or lowered by what the photos allow: nothing is missing from a plain sheet, a weave tears and frays, of
       a tray of parts one may be gone, and of a black part against the light only the outline shows

An item's own cards were written by somebody who knows it, so the photos change their shares by half at most.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from anomalyagent.knowledge.card_models import Card, Variant
from anomalyagent.knowledge.lookup import guess_material, match_item, types_for_item
from anomalyagent.knowledge.spec import Mechanism

__all__ = ["Kind", "Traits", "allocate", "plan_kinds"]

MOST_KINDS = 8
"""Kinds that an item gets which no card lists."""
UNKNOWN_TYPE = "transplant"
"""Anomaly type, and mechanism, for what nobody described."""
_UNKNOWN_SHARE = 0.25
_OWN_CARDS_RANGE = (0.67, 1.5)
_OF_THE_OUTLINE: frozenset[Mechanism] = frozenset({"bend", "chip", "hole", "missing", "swap"})
_TRAY = 4
"""Pieces from which on photos show a tray of parts."""


class Traits(BaseModel):
    """What a set of photos of good parts shows, all of it without weights (`mcp_tools.imaging.normal_set`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    photos: int = Field(description="How many were looked at.")
    surface: bool = Field(description="They show a surface that fills the frame, not an object in front of something.")
    grey: bool = Field(description="No colour.")
    aligned: float = Field(description="0..1: how alike the photos are at the same pixel (a fixture, a camera over a belt).")
    directional: float = Field(description="0..1: how much of the fine texture runs one way (brushed, ground, grained).")
    regular: float = Field(description="0..1: how strongly the texture repeats (a weave, a mesh, a printed pattern).")
    texture: float = Field(description="Standard deviation of fine lightness detail, units of L.")
    symmetry: float = Field(description="0..1: likeness of the mean photo and itself turned by a quarter and by a half.")
    gloss: float = Field(description="How far the highlights stand above the median lightness, units of L.")
    chroma: float = Field(description="Median CIELAB chroma of the object.")
    hue_deg: float = Field(description="Median CIELAB hue of the object.")
    pieces: int = Field(default=1, description="Like parts that lie apart: many on a tray, one otherwise.")
    silhouette: bool = Field(default=False, description="A black part against the light: only its outline shows.")
    unusual: list[str] = Field(default_factory=list[str], description="Photos unlike all the others: are they good?")


class Kind(NamedTuple):
    """One anomaly type of a plan: `share` of all samples, 0..1, and the reason in words."""

    anomaly_type: str
    share: float
    reason: str


def plan_kinds(cards: Sequence[Card], item: str, traits: Traits | None = None, lacking: Collection[str] = ()) -> list[Kind]:
    """Kinds for an item, the largest share first (see module docstring).

    Args:
        traits: of its photos; unset: the cards alone decide.
        lacking: anomaly types that cannot be shown on its photos.
    """
    own = [card for card in match_item(cards, item) if not card.is_general]
    if own:
        chosen, because, extra = types_for_item(cards, item), f"listed for '{own[0].item}'", 0.0
    else:
        material, because = _material(cards, item, traits)
        chosen = types_for_item(cards, item, material)
        extra = _UNKNOWN_SHARE if material is None else 0.0
    shown = [card for card in chosen if card.anomaly_type not in lacking]
    if traits is not None and traits.silhouette:
        shown = [card for card in shown if _changes_the_outline(card)] or shown
    fits = [(card, *_fit(card, traits)) for card in shown]
    if not own:
        fits = sorted(fits, key=lambda fit: -fit[0].frequency * max(1.0, fit[1]))[:MOST_KINDS]
    weights: list[tuple[str, float, str]] = []
    for card, factor, notes in fits:
        if own:
            factor = min(max(factor, _OWN_CARDS_RANGE[0]), _OWN_CARDS_RANGE[1])
        moved = f", {'more' if factor > 1.0 else 'less'} of it since {' and '.join(notes)}" if factor != 1.0 and notes else ""
        weights.append((card.anomaly_type, card.frequency * factor, f"{because}, frequency {card.frequency:g}{moved}"))
    if extra and all(name != UNKNOWN_TYPE for name, _, _ in weights):
        total = sum(weight for _, weight, _ in weights)
        reason = "nothing is known of this item: patches that do not belong stand for what no card describes"
        weights.append((UNKNOWN_TYPE, total * extra / (1.0 - extra), reason))
    total = sum(weight for _, weight, _ in weights)
    kinds = [Kind(name, weight / total, reason) for name, weight, reason in weights]
    return sorted(kinds, key=lambda kind: -kind.share)


def allocate(kinds: Sequence[Kind], count: int) -> list[int]:
    """Samples of each kind: `count` on average, by their shares, at least one; never fewer for a larger `count`."""
    total = count * len(kinds)
    return [max(1, round(kind.share * total)) for kind in kinds]


def _material(cards: Sequence[Card], item: str, traits: Traits | None) -> tuple[str | None, str]:
    """A material of the grid and where it is known from; None: unknown."""
    matched = match_item(cards, item)
    named = matched[0].material if matched else guess_material(cards, item)
    if named is not None:
        return named, f"usual for {named}, which '{item}' speaks of"
    if traits is not None:
        seen = _material_of(traits)
        if seen is not None:
            return seen[0], f"usual for {seen[0]}, which the photos look like ({seen[1]})"
    return None, "usual for any material"


def _material_of(traits: Traits) -> tuple[str, str] | None:
    brown = 30.0 < traits.hue_deg < 95.0 and traits.chroma > 12.0
    if _woven(traits) and traits.texture > 2.0:
        return "textile", "a regular weave fills the frame"
    if traits.surface and traits.directional > 0.4 and brown:
        return "wood", "brown with a grain that runs one way"
    if traits.directional > (0.4 if traits.surface else 0.6) and traits.chroma < 10.0:  # one edge of a part is no grain
        return "metal", "colourless with fine lines that run one way"
    if traits.gloss > 35.0 and traits.chroma < 10.0:
        return "metal", "colourless with strong highlights"
    return None


def _woven(traits: Traits) -> bool:
    """Regular in two directions: lines that all run one way are brushed, ground or drawn."""
    return traits.surface and traits.regular > 0.35 and traits.directional < 0.5


def _fit(card: Card, traits: Traits | None) -> tuple[float, list[str]]:
    """Factor on a card's share by what the photos allow, and why."""
    if traits is None:
        return 1.0, []
    total = sum(variant.weight for variant in card.variants)
    factor, notes = 0.0, list[str]()
    for variant in card.variants:
        of_one, why = _fit_of(variant.mechanism, traits)
        if card.is_general and traits.surface and _at_an_outline(variant):
            of_one, why = 0.25, "the photos show a surface without outline"
        factor += of_one * variant.weight / total
        if why and why not in notes:
            notes.append(why)
    return round(factor, 3), notes


def _changes_the_outline(card: Card) -> bool:
    """True for what is seen of a part against the light: a piece of it is gone, bent or in another place."""
    of_outline = sum(variant.weight for variant in card.variants if variant.mechanism in _OF_THE_OUTLINE)
    return of_outline > 0.5 * sum(variant.weight for variant in card.variants)


def _at_an_outline(variant: Variant) -> bool:
    """True for what happens to the outline of a part: it bends, or its edge breaks. The frame of a photo is none."""
    return variant.mechanism == "bend" or (variant.mechanism == "chip" and "edge" in variant.priors.zones)


def _fit_of(mechanism: Mechanism, traits: Traits) -> tuple[float, str]:
    if traits.pieces >= _TRAY and mechanism in ("missing", "swap"):
        return 2.5, "the photos show many parts, of which one may be gone or wrong"
    if traits.surface and mechanism in ("bend", "missing", "swap"):
        return 0.5, "the photos show a surface without parts"
    if traits.symmetry > 0.93 and mechanism == "swap":
        return 0.7, "the object looks the same when it is turned"
    if _woven(traits) and mechanism in ("cut", "hole", "fibre", "discoloration"):
        return 1.3, "the texture is regular"
    if traits.directional > 0.4 and mechanism in ("scratch", "abrasion", "crack"):
        return 1.2, "the texture runs one way"
    if traits.texture > 9.0 and mechanism in ("scratch", "dent"):
        return 0.7, "a coarse texture hides it"
    if traits.gloss > 35.0 and mechanism in ("scratch", "dent", "stain"):
        return 1.2, "the surface is glossy"
    return 1.0, ""
