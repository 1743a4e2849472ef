"""Text to vector without a model: hashed TF-IDF of word stems, concepts and character 4-grams. Needs numpy alone."""

from collections.abc import Iterable, Sequence
from typing import Protocol
from zlib import crc32

import numpy as np
import numpy.typing as npt

from anomalyagent.knowledge.text import stems_of, terms_of

__all__ = ["DIMENSIONS", "EMBEDDING_NAME", "Embedder", "HashTfidf", "Vector"]

EMBEDDING_NAME = "anomalyagent_hash_tfidf_v1"
DIMENSIONS = 1024
GRAM = 4
GRAM_WEIGHT = 0.35
CONCEPT_WEIGHT = 1.3

Vector = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Texts to vectors of length 1.

    Attributes:
        name: of the embedding and all that its vectors depend on; an index of another name is never opened.
        vector_share: share of the vectors in the score of a search; None: the share of the built-in embedding.
    """

    name: str
    vector_share: float | None

    def embed(self, text: str) -> Vector:
        """(dimensions,) float32 of length 1."""
        ...

    def embed_all(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(texts, dimensions) float32, rows of length 1."""
        ...

    def config(self) -> dict[str, object]:
        """What Chroma keeps with a collection."""
        ...


def _features(text: str) -> Iterable[tuple[str, float]]:
    for term, weight in terms_of(text):
        yield term, weight * (CONCEPT_WEIGHT if term.startswith("~") else 1.0)
    for stem in stems_of(text):
        padded = f"<{stem}>"
        for start in range(len(padded) - GRAM + 1):
            yield padded[start : start + GRAM], GRAM_WEIGHT


class HashTfidf:
    """Embeds texts; `idf` is a weight for each of the `len(idf)` hash buckets."""

    name = EMBEDDING_NAME
    vector_share: float | None = None

    def __init__(self, idf: Vector) -> None:
        self.idf = idf

    @classmethod
    def fit(cls, texts: Sequence[str]) -> "HashTfidf":
        """Weights from how many of the texts use each bucket."""
        documents = np.zeros(DIMENSIONS, dtype=np.float64)
        for text in texts:
            documents[list({crc32(feature.encode()) % DIMENSIONS for feature, _ in _features(text)})] += 1.0
        idf = np.log((len(texts) + 1.0) / (documents + 1.0)) + 0.1
        return cls(np.round(idf, 4).astype(np.float32))

    def embed(self, text: str) -> Vector:
        """(dimensions,) float32 of length 1; a text without known features gives a constant vector."""
        vector = np.zeros(len(self.idf), dtype=np.float64)
        for feature, weight in _features(text):
            code = crc32(feature.encode())
            vector[code % len(self.idf)] += weight if code & 0x8000_0000 else -weight
        vector = np.sign(vector) * np.log1p(np.abs(vector)) * self.idf
        length = float(np.linalg.norm(vector))
        if length == 0.0:
            return np.full(len(self.idf), len(self.idf) ** -0.5, dtype=np.float32)
        return (vector / length).astype(np.float32)

    def embed_all(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(texts, dimensions) float32, rows of length 1."""
        return np.stack([self.embed(text) for text in texts])

    def config(self) -> dict[str, object]:
        """The weights, as Chroma keeps them."""
        return {"idf": [round(float(weight), 4) for weight in self.idf]}
