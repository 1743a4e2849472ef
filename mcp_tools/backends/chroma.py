"""knowledge_retrieval on the knowledge cards: words, vectors in ChromaDB, and the names of items and types."""

from collections.abc import Mapping
from threading import Lock
from typing import Any

from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.errors import ConfigError
from anomalyagent.knowledge.search import KnowledgeSearch
from anomalyagent.mcp_tools.backends.cards import as_result
from anomalyagent.mcp_tools.contracts import KnowledgeResult

__all__ = ["ChromaKnowledge"]


class ChromaKnowledge:
    """Finds knowledge cards. The index is opened, and built if need be, on the first question.

    Options:
        url: http(s) URL of a Chroma server; default: the index in the cache folder.
    """

    name = "chroma"

    def __init__(self, options: Mapping[str, Any], knowledge: KnowledgeSettings) -> None:
        unknown = sorted(set(options) - {"url"})
        if unknown:
            raise ConfigError(f"unknown option {unknown[0]!r} of knowledge_retrieval backend 'chroma'; known: url.")
        self._url: str | None = options.get("url")
        self._settings = knowledge
        self._lock = Lock()
        self._search: KnowledgeSearch | None = None

    def retrieve(self, item_name: str, anomaly_type: str, query: str, top_k: int) -> KnowledgeResult:
        """Cards for an item and an anomaly type, best first; near ones, with a note, when they are not listed.

        Raises:
            KnowledgeError: a card is invalid, or the index cannot be read.
        """
        return as_result(self.name, self._opened().retrieve(item_name, anomaly_type, query, top_k))

    def _opened(self) -> KnowledgeSearch:
        with self._lock:
            if self._search is None:
                # Loads chromadb, which no server should wait for before it can answer at all.
                from anomalyagent.knowledge.manage import open_knowledge

                self._search = open_knowledge(self._settings, self._url)
            return self._search
