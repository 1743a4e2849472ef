"""Which card belongs to an item and a type as a person names them: by name, alias, last word, material. No index needed.

Ranks of a match, lower is better: 0 the own name, 1 its singular, 2 an alias, 3 the singular of an alias, 4 the last
words are equal ("old glass bottle" ends with "glass bottle"), 5 the asked type is the last word of a name ("chip" and
"small chip").
"""

from collections.abc import Iterable, Sequence

from anomalyagent.knowledge.card_models import Card
from anomalyagent.knowledge.names import head_of, is_suffix, plain_name, singular_name

__all__ = ["find_card", "guess_material", "match_item", "rank_match", "types_for_item"]


def rank_match(query: str, names: Iterable[tuple[str, int]], *, partial: bool = False) -> int | None:
    """Rank of the best match of `query` among (name, rank) pairs; None: no match."""
    plain, single, head = plain_name(query), singular_name(query), head_of(query)
    best: int | None = None
    for name, rank in names:
        if name == plain:
            found = rank
        elif name == single:
            found = max(rank, 1) if rank < 2 else 3
        elif name == head or is_suffix(name, head):
            found = 4
        elif partial and is_suffix(head, name):
            found = 5
        else:
            continue
        best = found if best is None else min(best, found)
    return best


def match_item(cards: Sequence[Card], item: str) -> list[Card]:
    """Cards of the item whose name or alias fits best; empty when nothing fits. Materials of the grid count as items."""
    ranked = [(rank, card) for card in cards if (rank := rank_match(item, card.item_names)) is not None]
    # A listed item beats a material of the grid whose alias fits equally well.
    best = min(((rank, card.is_general) for rank, card in ranked), default=None)
    found = [card for rank, card in ranked if (rank, card.is_general) == best]
    return [card for card in found if card.item == found[0].item]


def find_card(cards: Sequence[Card], item: str, anomaly_type: str) -> Card | None:
    """The card of this item and type, by name or alias, whatever the case, separators and plurals; None if there is none.

    Last words count too: "old glass bottle" finds "bottle", "deep scratch on the rim" finds "scratch".
    """
    best: tuple[int, int, int] | None = None
    found: Card | None = None
    for card in cards:
        type_rank = rank_match(anomaly_type, card.type_names, partial=True)
        if type_rank is None:
            continue
        item_rank = rank_match(item, card.item_names)
        if item_rank is None:
            continue
        rank = (item_rank, int(card.is_general), type_rank)
        if best is None or rank < best:
            best, found = rank, card
    return found


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
