"""Which card belongs to an item and a type as a person names them: by name, alias, last word, mechanism, material. No index.

Ranks of a match, lower is better: 0 the own name, 1 its singular, 2 an alias, 3 the singular of an alias, 4 the last
words are equal ("old glass bottle" ends with "glass bottle"), 5 the asked type is the last word of a name ("chip" and
"small chip"). Among last words the longer match wins: a "steel plate" is steel rather than a plate.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from anomalyagent.knowledge.card_models import Card
from anomalyagent.knowledge.names import head_of, is_suffix, plain_name, singular_name, without_number
from anomalyagent.knowledge.words.types import mechanism_of

__all__ = ["LAST_WORDS", "Fit", "find_card", "find_fit", "guess_material", "match_item", "rank_match", "types_for_item"]

_OWN_NAME = 1
"""Ranks up to here are the card's own name."""

_EQUAL_NAME = 3
"""Ranks up to here mean equal names, not just equal last words."""

LAST_WORDS = 4
"""Rank of a match of last words."""

_SURE = 0.5
"""Words that name a mechanism at least this surely must agree with a card that only shares last words."""


class _NameMatch(NamedTuple):
    rank: int
    minus_words: int
    name: str


class Fit(NamedTuple):
    """A card found by names, and how its type was matched."""

    card: Card
    type_rank: int

    @property
    def is_own_name(self) -> bool:
        """True when the asked type is the card's own name, not an alias or a longer text."""
        return self.type_rank <= _OWN_NAME


def rank_match(query: str, names: Iterable[tuple[str, int]]) -> int | None:
    """Rank of the best match of `query` among (name, rank) pairs; None: no match."""
    found = _best_match(query, names)
    return None if found is None else found.rank


def _best_match(query: str, names: Iterable[tuple[str, int]], *, partial: bool = False) -> _NameMatch | None:
    plain, single, head = plain_name(query), singular_name(query), head_of(query)
    best: _NameMatch | None = None
    for name, rank in names:
        words = 0
        if name == plain:
            found = rank
        elif name == single:
            found = max(rank, 1) if rank < 2 else 3
        elif name == head or is_suffix(name, head):
            found, words = LAST_WORDS, len(name.split())
        elif partial and is_suffix(head, name):
            found = 5
        else:
            continue
        if best is None or (found, -words) < best[:2]:
            best = _NameMatch(found, -words, name)
    return best


def match_item(cards: Sequence[Card], item: str) -> list[Card]:
    """Cards of the item whose name or alias fits best; empty when nothing fits. Materials of the grid count as items.

    Where nothing fits, a number at the end of the name is left out ("transistor1"), and then words run together are looked for
    ("terminalblock").
    """
    ranked = _matching(cards, item)
    # A listed item beats a material of the grid whose alias fits equally well.
    best = min(((match.rank, match.minus_words, card.is_general) for match, card in ranked), default=None)
    found = [card for match, card in ranked if (match.rank, match.minus_words, card.is_general) == best]
    return [card for card in found if card.item == found[0].item]


def _matching(cards: Sequence[Card], item: str) -> list[tuple[_NameMatch, Card]]:
    """The cards whose item the name can mean, in the first spelling under which there are any."""
    unnumbered = without_number(item)
    for spelling in dict.fromkeys((plain_name(item), unnumbered)):
        found = [(match, card) for card in cards if (match := _best_match(spelling, card.item_names)) is not None]
        if found:
            return found
    letters = singular_name(unnumbered).replace(" ", "")
    names = sorted({name for card in cards for name, _ in card.item_names if name.replace(" ", "") == letters})
    return [(match, card) for card in cards if names and (match := _best_match(names[0], card.item_names)) is not None]


def find_card(cards: Sequence[Card], item: str, anomaly_type: str) -> Card | None:
    """The card of `find_fit`; None if there is none."""
    fit = find_fit(cards, item, anomaly_type)
    return None if fit is None else fit.card


def find_fit(cards: Sequence[Card], item: str, anomaly_type: str) -> Fit | None:
    """The card of this item and type, by name or alias, whatever the case, separators and plurals; None if there is none.

    Last words count too: "old glass bottle" finds "bottle", "deep scratch on the rim" finds "scratch". They count only where
    they mean the same: "metal chip" is no "chip", and "dent" is no card whose alias is "cluster of small dents" but which
    draws holes.
    """
    things = _matching(cards, item)
    nearest = min((match[:2] for match, _ in things), default=(0, 0))
    best: tuple[int, bool, int] | None = None
    found: Fit | None = None
    for thing, card in things:
        if thing.rank > _EQUAL_NAME and thing[:2] != nearest:  # a "steel plate" is no dish, whatever is listed for dishes
            continue
        kind = _best_match(anomaly_type, card.type_names, partial=True)
        if kind is None or (kind.rank > _EQUAL_NAME and not _means_the_same(card, kind, item, anomaly_type)):
            continue
        rank = (thing.rank, card.is_general, kind.rank)
        if best is None or rank < best:
            best, found = rank, Fit(card, kind.rank)
    return found


def _means_the_same(card: Card, kind: _NameMatch, item: str, anomaly_type: str) -> bool:
    asked = mechanism_of(anomaly_type, item)
    if asked.confidence < _SURE or any(variant.mechanism == asked.mechanism for variant in card.variants):
        return True
    return kind.rank == LAST_WORDS and mechanism_of(kind.name, item).mechanism == asked.mechanism


def guess_material(cards: Sequence[Card], item: str) -> str | None:
    """Material that the words of an unknown item speak of ("brass gear wheel" -> "metal"); None when no word is known."""
    words = singular_name(item)
    best: tuple[int, int] | None = None
    found: str | None = None
    for card in cards:
        for name, _ in card.item_names:
            position = f" {words} ".rfind(f" {name} ")
            # Longer names say more; among equals the later word is the head.
            if position >= 0 and not card.is_generic and (best is None or (len(name.split()), position) > best):
                best, found = (len(name.split()), position), card.material
    return found


def types_for_item(cards: Sequence[Card], item: str, material: str | None = None) -> list[Card]:
    """Cards of the anomaly types that fit an item, one for each type, most frequent first.

    An unknown item gets the grid's cards of its material: `material` if given, else guessed from the item's words, else
    the general cards of any material.
    """
    found = match_item(cards, item)
    if not found:
        known = material or guess_material(cards, item)
        found = [card for card in cards if card.is_general and known is not None and card.item == plain_name(known)]
        found = found or [card for card in cards if card.is_generic]
    unique: dict[str, Card] = {}
    for card in found:
        unique.setdefault(plain_name(card.anomaly_type), card)
    return sorted(unique.values(), key=lambda card: -card.frequency)
