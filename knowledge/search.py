"""Ranked knowledge cards for a question: words and vectors fused by reciprocal rank, plus the items and types it names.

    score = fused rank (BM25, vectors) + named item + named type + both together          weights in `Weights`

Source: Cormack, Clarke and Buettcher, Reciprocal Rank Fusion (SIGIR 2009).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from anomalyagent.knowledge.card_models import Card
from anomalyagent.knowledge.lexical import Lexicon
from anomalyagent.knowledge.lookup import find_card, guess_material, match_item, rank_match
from anomalyagent.knowledge.text import stems_of

__all__ = ["Hit", "KnowledgeSearch", "Match", "Retrieval", "VectorSearch", "Weights", "card_text"]

Match = Literal["exact", "near", "general"]
SAME_ITEM = 0.6
SAME_TYPE = 0.6
EQUAL_RANK = 3  # ranks of lookup.rank_match up to here mean equal names, not just equal last words


class VectorSearch(Protocol):
    """Where vectors are: the Chroma index, or anything that answers alike."""

    def nearest(self, text: str, count: int) -> list[tuple[str, float]]:
        """(card id, cosine similarity) of the nearest cards, best first."""
        ...


@dataclass(frozen=True)
class Weights:
    """Shares of the parts of a score; tuned on questions of our own, see the retrieval benchmark."""

    words: float = 0.10
    vectors: float = 0.08
    item: float = 0.26
    type: float = 0.14
    lexical: float = 0.42
    general: float = 0.05
    rank_constant: float = 8.0
    candidates: int = 40


class Hit(NamedTuple):
    """A card and how well it answers, 0..1."""

    card: Card
    relevance: float


class Retrieval(NamedTuple):
    """Cards for an item and a type, best first, and how they were found."""

    match: Match
    hits: list[Hit]
    note: str


def card_text(card: Card) -> str:
    """The text of a card that is embedded."""
    names = f"{card.item} {card.anomaly_type}. {', '.join(card.type_aliases)}. {', '.join(card.item_aliases[:6])}."
    return f"{names} {card.appearance} {card.cause} {card.location} {card.material}"


class KnowledgeSearch:
    """Search over a fixed list of cards."""

    def __init__(self, cards: Sequence[Card], vectors: VectorSearch, weights: Weights | None = None) -> None:
        self.cards = list(cards)
        self.vectors = vectors
        self.weights = weights or Weights()
        self._lexicon = Lexicon(self.cards)
        self._number = {card.id: number for number, card in enumerate(self.cards)}
        self._general = np.array([card.is_general for card in self.cards], dtype=np.float64)

    def search(self, question: str, top_k: int = 5) -> list[Hit]:
        """Cards that answer a free question, best first; at most `top_k`, empty for a question without words."""
        if not stems_of(question):
            return []
        return self._top(self._scores(question, question, question), top_k)

    def retrieve(self, item_name: str, anomaly_type: str, query: str = "", top_k: int = 5) -> Retrieval:
        """Cards for an item and an anomaly type; the nearest useful ones, with a note, when they are not listed.

        Args:
            item_name, anomaly_type: as a person names them; empty: left open.
            query: more words, may be a whole question.
        """
        text = " ".join(part for part in (item_name, anomaly_type, query) if part.strip())
        if not item_name.strip() and not anomaly_type.strip():
            hits = self.search(text, top_k)
            match: Match = "near" if hits and not hits[0].card.is_general else "general"
            return Retrieval(
                match, hits, "" if hits else "No words to search for: give an item, an anomaly type or a question."
            )
        scores = self._scores(text, f"{item_name} {query}", f"{anomaly_type} {query}")
        notes: list[str] = []
        same_item = match_item(self.cards, item_name) if item_name.strip() else []
        listed = bool(same_item) and not same_item[0].is_general
        if item_name.strip() and not listed:
            same_item, note = self._material_cards(item_name, same_item)
            notes.append(note)
        for card in same_item:
            scores[self._number[card.id]] += SAME_ITEM
        found = find_card(same_item, same_item[0].item, anomaly_type) if same_item and anomaly_type.strip() else None
        if found is None and listed and anomaly_type.strip():
            found = find_card(self.cards, item_name, anomaly_type)
        exact = found is not None and not found.is_general and _is_equal(found, item_name, anomaly_type)
        if found is not None:
            scores[self._number[found.id]] += SAME_TYPE
        if listed and anomaly_type.strip() and (found is None or found.is_general):
            known = ", ".join(card.anomaly_type for card in same_item)
            notes.append(
                f"'{anomaly_type}' is not listed for {same_item[0].item} (listed: {known}); these are the nearest cards."
            )
        hits = self._top(scores / (1.0 + SAME_ITEM + SAME_TYPE) ** 0.5, top_k)
        match = "exact" if exact else "near" if listed and hits and not hits[0].card.is_general else "general"
        return Retrieval(match, hits, " ".join(notes))

    def _material_cards(self, item_name: str, found: list[Card]) -> tuple[list[Card], str]:
        material = found[0].item if found else guess_material(self.cards, item_name)
        if material is None:
            note = f"The item '{item_name}' is not listed and its material is unknown; cards for any material come first."
            return [card for card in self.cards if card.is_generic], note
        note = f"The item '{item_name}' is not listed; cards of its material ({material}) are used."
        return [card for card in self.cards if card.is_general and card.item == material], note

    def _scores(self, text: str, item_text: str, type_text: str) -> npt.NDArray[np.float64]:
        weights = self.weights
        lexical = self._lexicon.bm25(text)
        best = lexical.max(initial=0.0)
        score = weights.words * _reciprocal_ranks(lexical, weights.rank_constant)
        nearest = self.vectors.nearest(text, min(weights.candidates, len(self.cards)))
        for rank, (card_id, _) in enumerate(nearest):
            if card_id in self._number:
                score[self._number[card_id]] += weights.vectors * weights.rank_constant / (weights.rank_constant + rank)
        if best > 0.0:
            score += weights.lexical * lexical / best
        score += weights.item * self._lexicon.item_evidence(item_text)
        score += weights.type * self._lexicon.type_evidence(type_text)
        return score - weights.general * self._general

    def _top(self, scores: npt.NDArray[np.float64], count: int) -> list[Hit]:
        order = np.argsort(-scores, kind="stable")[:count]
        return [Hit(self.cards[int(number)], float(np.clip(scores[number], 0.0, 1.0))) for number in order]


def _reciprocal_ranks(scores: npt.NDArray[np.float64], constant: float) -> npt.NDArray[np.float64]:
    """1 for the best, falling with rank; 0 where the score is 0."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return np.where(scores > 0.0, constant / (constant + ranks), 0.0)


def _is_equal(card: Card, item_name: str, anomaly_type: str) -> bool:
    item_rank = rank_match(item_name, card.item_names)
    type_rank = rank_match(anomaly_type, card.type_names)
    return item_rank is not None and type_rank is not None and max(item_rank, type_rank) <= EQUAL_RANK
