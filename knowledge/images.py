"""Vectors of pictures in ChromaDB: which known picture is like this one."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from anomalyagent.errors import KnowledgeError
from anomalyagent.knowledge.chroma import chroma_settings, load_chroma

__all__ = ["ImageIndex", "Known"]

BATCH = 1000


class Known(NamedTuple):
    """A known picture, and its cosine similarity to the asked one."""

    number: int
    similarity: float


class ImageIndex:
    """The vectors of a fixed list of pictures.

    Args:
        vectors: (N, dimensions) float32, rows of length 1; a picture is known by its number.
        embedding: name of what made them; vectors of another embedding never share a collection.
        url: http(s) URL of a Chroma server that keeps them; None: in memory.
    Raises:
        KnowledgeError: the server cannot be used.
    """

    def __init__(self, vectors: npt.NDArray[np.float32], embedding: str, url: str | None = None) -> None:
        chromadb, settings = load_chroma(), chroma_settings()
        name = "images-" + sha256(embedding.encode() + vectors.tobytes()).hexdigest()[:24]
        self._count = len(vectors)
        try:
            if url is None:
                self._client: Any = chromadb.EphemeralClient(settings=settings)
            else:
                parts = urlsplit(url)
                secure = parts.scheme == "https"
                port = parts.port or (443 if secure else 8000)
                self._client = chromadb.HttpClient(host=parts.hostname or "", port=port, ssl=secure, settings=settings)
            space: Any = {"hnsw": {"space": "cosine", "ef_search": max(100, self._count), "num_threads": 1}}
            # No embedding function: vectors are always given, and Chroma's own would be downloaded.
            self._collection = self._client.get_or_create_collection(name, configuration=space, embedding_function=None)
            if self._collection.count() != self._count:
                for start in range(0, self._count, BATCH):
                    rows = range(start, min(start + BATCH, self._count))
                    self._collection.upsert(ids=[str(row) for row in rows], embeddings=vectors[rows.start : rows.stop])
        except Exception as error:  # Chroma raises errors of many unrelated types
            raise KnowledgeError(f"the pictures cannot be kept in Chroma ({url or 'in memory'}): {error}") from error

    def nearest(self, vector: npt.NDArray[np.float32], count: int) -> list[Known]:
        """The known pictures that are most like this one, best first.

        Raises:
            KnowledgeError: Chroma cannot answer.
        """
        try:
            found: Any = self._collection.query(
                query_embeddings=vector[np.newaxis], n_results=min(count, self._count), include=["distances"]
            )
        except Exception as error:
            raise KnowledgeError(f"the pictures in Chroma cannot be asked: {error}") from error
        pairs: Sequence[tuple[str, float]] = list(zip(found["ids"][0], found["distances"][0], strict=True))
        known = [Known(int(number), 1.0 - float(distance)) for number, distance in pairs]
        return sorted(known, key=lambda one: (-one.similarity, one.number))

    def close(self) -> None:
        """Lets go of the connection."""
        self._client.close()
