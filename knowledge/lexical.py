"""What the words of a question say about each card: BM25 over weighted fields, and the items and types that it names.

Sources: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), section 3.5 for fields.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import log

import numpy as np
import numpy.typing as npt
from rapidfuzz import fuzz, process

from anomalyagent.knowledge.card_models import Card
from anomalyagent.knowledge.text import concepts_of, stems_of, terms_of

__all__ = ["Lexicon"]

Scores = npt.NDArray[np.float64]

FIELD_WEIGHTS = {"type": 3.0, "item": 2.0, "prose": 1.0}
K1 = 1.2
B = 0.3


class Lexicon:
    """Word statistics of a fixed sequence of cards; all scores are (n_cards,) float64 in their order."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self.cards = cards
        counts: list[dict[str, float]] = [_card_terms(card) for card in cards]
        lengths = np.array([sum(terms.values()) for terms in counts])
        norms = 1.0 - B + B * lengths / lengths.mean()
        postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, terms in enumerate(counts):
            for term, count in terms.items():
                postings[term].append((number, count * (K1 + 1.0) / (count + K1 * norms[number])))
        self._postings = {
            term: (
                np.array([number for number, _ in rows]),
                log(1.0 + (len(cards) - len(rows) + 0.5) / (len(rows) + 0.5)) * np.array([gain for _, gain in rows]),
            )
            for term, rows in postings.items()
        }
        self._words = [term for term in self._postings if not term.startswith("~") and len(term) > 3]
        self._items = _Names([[name for name, _ in card.item_names] for card in cards])
        self._types = _Names([[name for name, _ in card.type_names] for card in cards])
        self._correct = lru_cache(maxsize=4096)(self._nearest_word)

    def stems(self, text: str) -> tuple[str, ...]:
        """Stems of a text, with misspelt words replaced by the nearest word of the cards."""
        return tuple(self._correct(name) for name in stems_of(text))

    def _nearest_word(self, stem: str) -> str:
        if len(stem) < 5 or stem in self._postings or stem.isdigit() or concepts_of((stem,)):
            return stem
        found = process.extractOne(stem, self._words, scorer=fuzz.ratio, score_cutoff=86)
        return found[0] if found is not None else stem

    def bm25(self, text: str) -> Scores:
        """BM25 of words and concepts."""
        scores = np.zeros(len(self.cards))
        stems = self.stems(text)
        wanted: dict[str, float] = dict.fromkeys(stems, 1.0)
        wanted.update({f"~{name}": weight for name, weight in concepts_of(stems).items()})
        for term, weight in wanted.items():
            if term in self._postings:
                numbers, gains = self._postings[term]
                scores[numbers] += weight * gains
        return scores

    def item_evidence(self, text: str) -> Scores:
        """0..1: how clearly the words name each card's item (1: the best of all items for these words)."""
        scores = self._items.evidence(self.stems(text))
        best = scores.max(initial=0.0)
        return scores / best if best > 0.0 else scores

    def type_evidence(self, text: str) -> Scores:
        """0..1: share of a type name's information that the words contain, best name of each card."""
        return self._types.coverage(self.stems(text))


def _card_terms(card: Card) -> dict[str, float]:
    """Weighted term counts of a card; concepts come from the names of the type and, weakly, from its appearance."""
    counts: defaultdict[str, float] = defaultdict(float)
    fields: Iterable[tuple[str, str, bool]] = (
        ("type", " . ".join((card.anomaly_type, *card.type_aliases)), True),
        ("item", " . ".join((card.item, *card.item_aliases)), False),
        ("prose", card.appearance, True),
        ("prose", f"{card.cause} {card.location} {card.material}", False),
        ("prose", card.inspection, False),
    )
    for field, text, with_concepts in fields:
        for term, count in terms_of(text):
            if with_concepts or not term.startswith("~"):
                counts[term] += FIELD_WEIGHTS[field] * min(count, 2.0) * (0.5 if term.startswith("~") else 1.0)
    return counts


class _Names:
    """Spellings of the items or types of all cards, and how well a text covers them."""

    def __init__(self, names: Sequence[Sequence[str]]) -> None:
        self.size = len(names)
        owners: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for number, spellings in enumerate(names):
            for key in {stems_of(name) for name in spellings}:
                if key:
                    owners[key].append(number)
        self._owners = {key: np.array(numbers) for key, numbers in owners.items()}
        seen: Counter[str] = Counter(word for key in owners for word in set(key))
        self._idf = {word: log(1.0 + len(owners) / count) for word, count in seen.items()}
        by_word: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
        for key in owners:
            for word in set(key):
                by_word[word].append(key)
        self._by_word = dict(by_word)

    def evidence(self, stems: tuple[str, ...]) -> Scores:
        """Information of the best wholly named spelling; words in order count fully, scattered ones less."""
        scores = np.zeros(self.size)
        present = set(stems)
        text = f" {' '.join(stems)} "
        for key in {key for word in present for key in self._by_word.get(word, ())}:
            if present.issuperset(key):
                together = f" {' '.join(key)} " in text
                gain = sum(self._idf[word] for word in set(key)) * (1.0 if together else 0.7)
                owners = self._owners[key]
                scores[owners] = np.maximum(scores[owners], gain)
        return scores

    def coverage(self, stems: tuple[str, ...]) -> Scores:
        """Share of information of the best covered spelling, 0..1."""
        scores = np.zeros(self.size)
        present = set(stems)
        for key in {key for word in present for key in self._by_word.get(word, ())}:
            words = set(key)
            total = sum(self._idf[word] for word in words)
            share = sum(self._idf[word] for word in words & present) / total
            gain = share**1.5 * min(1.0, 0.6 + 0.2 * len(words))
            owners = self._owners[key]
            scores[owners] = np.maximum(scores[owners], gain)
        return scores
