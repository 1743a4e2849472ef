"""From the words of a task to the card that is drawn: which card, which of its variants, and what the words change in them.

    1. the card of item and type by name or alias                                                     (`lookup.find_fit`)
    2. else the mechanism that the type's words name decides: the item's own card of that mechanism if its words are close,
       else the grid's card of the item's material, else the grid's card of any material
    3. words that say that the parts are sound and their set is not ("logical anomaly"): something is missing or swapped
    4. words that name no mechanism: one of the item's usual types

A card that was not asked for by its own name is reduced to the variants of the mechanism that was asked for, and what the
words imply (a hair is long and thin, a speck small and compact, total rust covers the part) changes its ranges.
`adapt_spec` then adds what they say.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from anomalyagent.knowledge.card_models import Card, Contrast, Priors, Variant
from anomalyagent.knowledge.lookup import LAST_WORDS, find_fit, guess_material, match_item, rank_match, types_for_item
from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.knowledge.words import mechanism_of, read_prompt
from anomalyagent.knowledge.words.extent import spread_as_named
from anomalyagent.knowledge.words.forms import IMPLIED_FORMS, Form
from anomalyagent.knowledge.words.grammar import is_a_place
from anomalyagent.knowledge.words.lexer import find_terms, plain, stem
from anomalyagent.knowledge.words.terms import TYPICAL
from anomalyagent.knowledge.words.values import COLORS, SHAPES, SIZES

__all__ = ["Choice", "adapt_spec", "choose_cards", "names_a_kind"]

_CONFIDENT = 0.8
"""A known term, alone or among other words (`words.mechanism_of`)."""

_NOT_KIND = frozenset(
    stem(word) for phrase in (*COLORS, *SIZES, "spot mark missing wrong part component of the a") for word in phrase.split()
)
"""Words of a term that do not say what kind of defect it is: a "black spot" is not like a "black dot"."""

_ARRANGEMENT = frozenset(stem(word) for word in ("logical", "arrangement", "assortment", "count", "quantity"))
_WRONG_ARRANGEMENT: tuple[tuple[Mechanism, float], ...] = (("missing", 0.6), ("swap", 0.4))
"""What is wrong where all parts are sound: one is not there, or another one is or lies where it should not."""

_SOAKED: frozenset[Mechanism] = frozenset({"stain", "discoloration"})
"""What changes the colour of the surface, and hides none of it."""
_FAINTEST_STAIN = 0.62  # of its colour's full strength: below, brown rust on grey steel is a pink tint
_MATTER: frozenset[Mechanism] = frozenset({"contamination", "discoloration", "stain"})
"""What it is made of says what kind of these it is: a damp stain is no rust stain, though both are stains."""

_OWN_COLOR: frozenset[Mechanism] = frozenset({"bend", "missing", "swap", "transplant"})
"""Their colour is the photo's own."""

_TONE_L = 5.0
"""CIELAB lightness from which a colour in words is a darker or lighter one."""

_LAB_PER_JND = 2.0
"""A colour named in words is shown at least this strongly: its CIELAB distance for each JND of severity."""


class Choice(NamedTuple):
    """Cards that fit a task.

    Attributes:
        cards: one card, or several to draw from by their frequency; empty: no card draws the mechanism.
        has_own_name: the asked type is the card's own name, so the words add nothing to it.
    """

    cards: list[Card]
    has_own_name: bool


def choose_cards(cards: Sequence[Card], item: str, anomaly_type: str) -> Choice:
    """The cards for an item and an anomaly type in anyone's words (see module docstring)."""
    guess = mechanism_of(anomaly_type, item)
    fit = find_fit(cards, item, anomaly_type)
    if fit is not None and fit.is_own_name:
        return Choice([fit.card], True)
    if fit is not None:
        reduced = _reduced(fit.card, guess.mechanism) if guess.confidence >= _CONFIDENT else None
        # The grid's aliases are broad ("wrinkle" is one of bend): there the mechanism of the words decides.
        if reduced is not None or not fit.card.is_general or guess.confidence < _CONFIDENT:
            return Choice([_narrowed(reduced or fit.card, anomaly_type)], False)
    of_item = match_item(cards, item)
    material = _material_of(cards, of_item, item)
    if guess.confidence == 0.0:
        if _names_arrangement(anomaly_type):
            wrong = [_of_mechanism(cards, of_item, material, *one) for one in _WRONG_ARRANGEMENT]
            return Choice([card for card in wrong if card is not None], False)
        return Choice(types_for_item(cards, item), False)
    close = sorted(((-_closeness(card, anomaly_type, guess.mechanism), card) for card in of_item), key=lambda pair: pair[0])
    families = (
        [card for closeness, card in close if closeness < 0.0],
        [card for card in cards if card.is_general and card.item == material],
        [card for card in cards if card.is_generic],
    )
    for family in families:
        for card in family:
            if (reduced := _reduced(card, guess.mechanism)) is not None:
                return Choice([_narrowed(reduced, anomaly_type)], False)
    return Choice([], False)


def names_a_kind(cards: Sequence[Card], item: str, anomaly_type: str) -> bool:
    """False when the words of a type say nothing known, so that `choose_cards` falls back on what the item usually suffers."""
    known = mechanism_of(anomaly_type, item).confidence > 0.0 or _names_arrangement(anomaly_type)
    return known or find_fit(cards, item, anomaly_type) is not None


def _names_arrangement(anomaly_type: str) -> bool:
    """True when the words say that the parts are sound and something is wrong with which there are, and where."""
    return not _ARRANGEMENT.isdisjoint(stem(word) for word in plain(anomaly_type).split())


def _of_mechanism(
    cards: Sequence[Card], of_item: Sequence[Card], material: str | None, mechanism: Mechanism, share: float
) -> Card | None:
    """The nearest card of a mechanism, as frequent as `share` says: the item's, its material's or that of any material."""
    families = (
        of_item,
        [card for card in cards if card.is_general and card.item == material],
        [card for card in cards if card.is_generic],
    )
    for card in (card for family in families for card in family if card.mechanism == mechanism):
        if (reduced := _reduced(card, mechanism)) is not None:
            return reduced.model_copy(update={"frequency": share})
    return None


def _material_of(cards: Sequence[Card], of_item: Sequence[Card], item: str) -> str | None:
    """The material that the item's words name ("plastic bottle"), else that of the item's cards."""
    if not of_item or rank_match(item, of_item[0].item_names) == LAST_WORDS:
        grid = [card for card in cards if card.is_general]
        if (named := guess_material(grid, item)) is not None:
            return named
    return of_item[0].material if of_item else guess_material(cards, item)


def _reduced(card: Card, mechanism: Mechanism) -> Card | None:
    """The card with the variants of one mechanism only; None if it has none."""
    variants = tuple(variant for variant in card.variants if variant.mechanism == mechanism)
    return card.model_copy(update={"variants": variants}) if variants else None


def _closeness(card: Card, anomaly_type: str, mechanism: Mechanism) -> float:
    """How well an item's card answers words that are no name of it; 0: not at all.

    A card is close when one of its names shares a term of the mechanism with the words, or when its own name is that of the
    mechanism ("contamination" for "dust"); closer, the more of its variants draw the mechanism.
    """
    share = sum(variant.weight for variant in card.variants if variant.mechanism == mechanism)
    share /= sum(variant.weight for variant in card.variants)
    if share == 0.0:
        return 0.0
    asked = _kind_stems(anomaly_type, mechanism) - {stem(word) for word in plain(card.item).split()}
    if mechanism in _MATTER:
        asked = asked - {stem(mechanism)} or asked
    if any(asked & _kind_stems(name, mechanism) for name, _ in card.type_names):
        return 2.0 + share
    own = any(hit.term == plain(mechanism) for hit in find_terms(plain(card.anomaly_type)))
    return 1.0 + share if own and card.mechanism == mechanism else 0.0


def _kind_stems(text: str, mechanism: Mechanism) -> set[str]:
    """Stems that say what kind of defect it is; of something missing every word does: it names the part."""
    text = plain(text)
    if mechanism == "missing":
        return {stem(word) for word in text.split()} - _NOT_KIND
    hits = [hit for hit in find_terms(text) if hit.strong and hit.mechanism == mechanism]
    return {stem(word) for hit in hits for word in hit.term.split()} - _NOT_KIND


def _narrowed(card: Card, anomaly_type: str) -> Card:
    """The card with the ranges that a term of the words implies, for the variants of that term's mechanism if there are any."""
    card = _with_tone(card, anomaly_type)
    card = card.model_copy(update={"variants": tuple(spread_as_named(one, anomaly_type) for one in card.variants)})
    text = plain(anomaly_type)
    named = [hit for hit in find_terms(text) if hit.term in IMPLIED_FORMS and not is_a_place(text, hit.start)]
    forms = {hit.mechanism: IMPLIED_FORMS[hit.term] for hit in named}
    if not forms:
        return card
    # A card may draw a "black speck" as a stain: the form is meant all the same.
    other = None if any(one.mechanism in forms for one in card.variants) else next(iter(forms.values()))
    variants = tuple(_with_form(one, forms.get(one.mechanism, other)) for one in card.variants)
    return card.model_copy(update={"variants": variants})


def _with_tone(card: Card, anomaly_type: str) -> Card:
    """The card with the tone that the words of the type name: "white rust" is light, whatever rust is otherwise."""
    reading = read_prompt(anomaly_type)
    shift = reading.spec.color_shift
    if shift is None or abs(shift[0]) < _TONE_L:
        return card
    # as in `adapt_spec`: a colour that the words only imply ("dirt") is that of their mechanism
    named = "color_shift" in reading.understood
    tone: Contrast = "lighter" if shift[0] > 0.0 else "darker"
    variants = tuple(
        one.model_copy(update={"priors": one.priors.model_copy(update={"contrast": tone})})
        if one.priors.contrast not in ("either", tone)
        and one.mechanism not in _OWN_COLOR
        and (named or one.mechanism == reading.spec.mechanism)
        else one
        for one in card.variants
    )
    return card.model_copy(update={"variants": variants})


def _with_form(variant: Variant, form: Form | None) -> Variant:
    if form is None:
        return variant
    priors = variant.priors
    changes: dict[str, Any] = {}
    for name in ("area_fraction", "elongation", "severity", "count"):
        wanted: tuple[float, float] | None = getattr(form, name)
        if wanted is not None:
            own: tuple[float, float] = getattr(priors, name)
            low, high = max(wanted[0], own[0]), min(wanted[1], own[1])
            # Ranges that barely meet would leave one value: then the words win.
            changes[name] = (low, high) if high > 1.3 * low or (name == "count" and high >= low) else wanted
    if form.zones is not None:
        changes["zones"] = form.zones
    return variant.model_copy(update={"priors": Priors.model_validate(priors.model_dump() | changes)})


def _has_shape_in_its_name(anomaly_type: str) -> bool:
    hits = find_terms(plain(anomaly_type))
    return any(word in SHAPES for hit in hits if hit.term in IMPLIED_FORMS for word in hit.term.split())


def adapt_spec(spec: DefectSpec, anomaly_type: str, variants: Sequence[Variant] = ()) -> DefectSpec:
    """The spec with what the words of the type say: colour, size, number, place, strength, direction, shape.

    Args:
        spec: drawn from a card.
        anomaly_type: any words.
        variants: of the card; "small" and "large" are meant against their usual area.
    """
    reading = read_prompt(anomaly_type, spec)
    said = reading.spec
    if said.mechanism != spec.mechanism:  # the card knows better what the words mean on this item: keep its form
        kept = [name for name in ("zone", "center", "orientation_deg", "severity", "count") if name in reading.understood]
        if "color_shift" in reading.understood and spec.mechanism not in _OWN_COLOR:
            kept.append("color_shift")
        said = spec.model_copy(update={name: getattr(said, name) for name in kept})
    changes: dict[str, Any] = {}
    if _has_shape_in_its_name(anomaly_type):  # "hairline" has narrowed the card already
        kept = [name for name in ("area_fraction", "elongation") if name not in reading.understood]
        changes.update({name: getattr(spec, name) for name in kept})
    if (
        said.area_fraction != spec.area_fraction
        and "area_fraction" in reading.understood
        and not re.search(r"\d", anomaly_type)
    ):
        factor = said.area_fraction / TYPICAL[spec.mechanism].area_fraction
        usual = next((one.priors.area_fraction for one in variants if one.mechanism == spec.mechanism), None)
        middle = math.sqrt(usual[0] * usual[1]) if usual else spec.area_fraction
        area = math.sqrt(middle * spec.area_fraction) * factor
        changes["area_fraction"] = min(area, usual[1] if usual and factor > 1.0 else 0.7)
    if said.color_shift is not None and said.color_shift != spec.color_shift and "severity" not in reading.understood:
        distance = math.sqrt(sum(channel * channel for channel in said.color_shift))
        full = distance / _LAB_PER_JND * (_strength_within(spec, variants) if spec.mechanism in _SOAKED else 1.0)
        changes["severity"] = min(max(spec.severity, full), 60.0)
    return said.model_copy(update=changes)


def _strength_within(spec: DefectSpec, variants: Sequence[Variant]) -> float:
    """Share of a named colour that a stain reaches: faint ones of a card let the surface show through, strong ones do not."""
    usual = next((one.priors.severity for one in variants if one.mechanism == spec.mechanism), None)
    if usual is None or usual[1] <= usual[0]:
        return 1.0
    place = math.log(spec.severity / usual[0]) / math.log(usual[1] / usual[0])
    return _FAINTEST_STAIN + (1.0 - _FAINTEST_STAIN) * min(max(place, 0.0), 1.0)
