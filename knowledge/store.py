"""The vectors of the cards in ChromaDB: built once, checked, opened for reading.

    <cache>/index-<key>/manifest.json     what it was built from, and a hash of each file of the vector index
    <cache>/index-<key>/chroma/           the Chroma folder; nothing but the builder writes it

The key covers cards, embedding and Chroma version, so a stale folder is never opened. A damaged one is thrown away and
built again from the cards, never repaired: Chroma answers from a folder without vectors as if all were well, and a
damaged index header ends the process. Hence everything that can be looked at from outside (file hashes, SQLite's own
check) is looked at before Chroma opens the folder, and cards must find themselves after it did.
"""

import json
import logging
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np
from filelock import FileLock, Timeout

from anomalyagent.errors import KnowledgeError
from anomalyagent.knowledge.cache import cache_folder
from anomalyagent.knowledge.card_models import Card
from anomalyagent.knowledge.chroma import chroma_settings, load_chroma
from anomalyagent.knowledge.embedding import Embedder, HashTfidf, Vector
from anomalyagent.knowledge.search import card_text

if TYPE_CHECKING:
    from chromadb.api import ClientAPI
    from chromadb.api.models.Collection import Collection

__all__ = ["IndexState", "VectorStore", "inspect_index", "open_store"]

COLLECTION = "cards"
LAYOUT = 2
LOCK_TIMEOUT_S = 60.0
PROBES = 8
SWAPS = 5
_KEPT = 4  # indexes
log = logging.getLogger(__name__)


class IndexState(NamedTuple):
    """What is in the cache for a set of cards: its folder, and what is wrong with it (empty: nothing)."""

    folder: Path
    problems: list[str]


class VectorStore:
    """Vectors of a fixed set of cards, for reading. Safe to share between threads.

    Attributes:
        where: "disk", "memory" or the URL of a server.
        notices: what a user should know, e.g. that the index could not be kept on disk.
    """

    def __init__(self, client: "ClientAPI", collection: "Collection", embedder: Embedder, where: str) -> None:
        self.client = client
        self.where = where
        self.notices: list[str] = []
        self._collection = collection
        self._embedder = embedder
        self._spare: Sequence[Card] = ()
        self._lock = threading.Lock()

    def outlive_folder(self, cards: Sequence[Card]) -> None:
        """From now on an index whose folder was deleted or rebuilt under it is built again, in memory, from its cards."""
        self._spare = cards

    def nearest(self, text: str, count: int) -> list[tuple[str, float]]:
        """(card id, cosine similarity) of the nearest cards, best first.

        Raises:
            KnowledgeError: Chroma cannot answer.
        """
        vector = self._embedder.embed(text)
        asked = self._collection
        try:
            return _nearest(asked, vector, count)
        except Exception as error:  # Chroma raises errors of many unrelated types
            with self._lock:
                if self._collection is asked:  # else another thread has done it meanwhile
                    if not self._spare:
                        raise KnowledgeError(f"the knowledge index ({self.where}) cannot be queried: {error}") from error
                    log.warning("the knowledge index went away (%s); from here on it is kept in memory", error)
                    kept = _build_memory(self._spare, self._embedder)
                    gone = self.client
                    self.client, self._collection, self.where, self._spare = kept.client, kept._collection, "memory", ()
                    with suppress(Exception):
                        _close(gone)  # while it is open, Chroma shows what was in its folder to whoever opens that again
        return self.nearest(text, count)

    def close(self) -> None:
        """Lets go of the folder."""
        _close(self.client)


def _nearest(collection: "Collection", vector: Vector, count: int) -> list[tuple[str, float]]:
    found = collection.query(query_embeddings=vector[np.newaxis], n_results=count, include=["distances"])
    distances: Any = found["distances"]
    pairs = zip(found["ids"][0], distances[0], strict=True)
    # Equal distances come in no fixed order.
    return sorted(((card_id, 1.0 - float(distance)) for card_id, distance in pairs), key=lambda pair: (-pair[1], pair[0]))


def open_store(
    cards: Sequence[Card],
    *,
    cache_dir: Path | None = None,
    url: str | None = None,
    embedder: Embedder | None = None,
    anew: bool = False,
) -> VectorStore:
    """Vectors of these cards: from the cache if it is sound, else built; in memory when nothing can be written.

    Args:
        cards: unique by id.
        cache_dir: folder of the built indexes; None: the user's cache folder.
        url: http(s) URL of a Chroma server to use instead of a folder.
        embedder: of texts; None: the built-in one, fitted to the cards.
        anew: build it in the cache even if it is sound; whoever has it open keeps the old one.
    Raises:
        KnowledgeError: the server cannot be reached, or chromadb fails.
    """
    embedder = embedder or _fit(cards)
    if url is not None:
        return _open_server(cards, url, embedder)
    root = cache_folder(cache_dir)
    folder = root / f"index-{_key(cards, embedder)}"
    try:
        if not anew and not _problems_outside(folder):
            with suppress(KnowledgeError):
                return _lasting(_open_folder(folder, cards, embedder), cards)
        return _lasting(_build_folder(folder, cards, embedder, anew), cards)
    except (OSError, Timeout, KnowledgeError) as error:
        notice = f"the knowledge index is kept in memory, because {root} cannot be used: {error}"
        log.warning(notice)
        store = _build_memory(cards, embedder)
        store.notices.append(notice)
        return store


def _lasting(store: VectorStore, cards: Sequence[Card]) -> VectorStore:
    store.outlive_folder(cards)
    return store


def inspect_index(cards: Sequence[Card], cache_dir: Path | None = None) -> IndexState:
    """Checks the built index of these cards, thoroughly, without changing or building anything."""
    embedder = _fit(cards)
    folder = cache_folder(cache_dir) / f"index-{_key(cards, embedder)}"
    problems = _problems_outside(folder)
    if not problems:
        try:
            _open_folder(folder, cards, embedder, probes=len(cards)).close()
        except KnowledgeError as error:
            problems = [str(error)]
    return IndexState(folder, problems)


def _key(cards: Sequence[Card], embedder: Embedder) -> str:
    from importlib.metadata import version

    digest = sha256(f"{LAYOUT} {version('chromadb')} {embedder.name}".encode())
    for card in sorted(cards, key=lambda card: card.id):
        digest.update(f"\0{card.id}\0{card_text(card)}".encode())
    return digest.hexdigest()[:24]


def _problems_outside(folder: Path) -> list[str]:
    """What can be found wrong without opening the folder with Chroma."""
    manifest = folder / "manifest.json"
    if not folder.is_dir():
        return [f"{folder} has not been built yet: that is done on first use, or by `anomalyagent knowledge rebuild`"]
    try:
        files: dict[str, str] = json.loads(manifest.read_bytes())["files"]
        problems = [f"{name} is damaged" for name, digest in files.items() if _file_hash(folder / "chroma" / name) != digest]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"the manifest or a file of {folder} cannot be read: {error}"]
    # Every reader's Chroma writes a line into the database, so it has no fixed hash.
    database = folder / "chroma" / "chroma.sqlite3"
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            answer = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return [*problems, f"{database} is damaged: {error}"]
    return problems if answer == ("ok",) else [*problems, f"{database} is damaged: {answer}"]


def _file_hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _open_folder(folder: Path, cards: Sequence[Card], embedder: Embedder, probes: int = PROBES) -> VectorStore:
    client = _client(folder / "chroma")
    try:
        collection = client.get_collection(COLLECTION, embedding_function=_embedding_function(embedder))
        store = VectorStore(client, collection, embedder, "disk")
        _probe(store, cards, probes)
    except BaseException as error:  # Chroma's Rust part panics with a BaseException
        with suppress(Exception):
            _close(client)
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise KnowledgeError(f"the knowledge index {folder} cannot be read: {error}") from error
    return store


def _probe(store: VectorStore, cards: Sequence[Card], probes: int) -> None:
    """Cards spread over the index must find themselves; counting rows would not notice lost vectors.

    Raises:
        KnowledgeError: one does not.
    """
    for card in cards[:: max(1, len(cards) // max(probes, 1))]:
        best = store.nearest(card_text(card), 3)
        # Cards with the same text are equally near.
        if not best or best[0][1] < 0.999:
            raise KnowledgeError(f"card {card.id} does not find itself: vectors are lost")


def _build_folder(folder: Path, cards: Sequence[Card], embedder: Embedder, anew: bool = False) -> VectorStore:
    """Builds beside the folder, checks, then renames: other processes see a whole index or none."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / "build.lock", timeout=LOCK_TIMEOUT_S):
        if not anew and not _problems_outside(folder):  # another process was faster
            with suppress(KnowledgeError):
                return _open_folder(folder, cards, embedder)
        building = Path(tempfile.mkdtemp(dir=folder.parent, prefix="building-"))
        try:
            client = _client(building / "chroma")
            _fill(client, cards, embedder).close()
            _write_manifest(building, embedder)
            _put_in_place(building, folder)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        _remove_others(folder)
        return _open_folder(folder, cards, embedder)


def _put_in_place(building: Path, folder: Path) -> None:
    """Renames; what stands there is moved away first, so that no reader meets a half deleted folder."""
    for left in range(SWAPS, 0, -1):
        if folder.exists():
            doomed = Path(tempfile.mkdtemp(dir=folder.parent, prefix="building-"))
            folder.rename(doomed / "old")
            shutil.rmtree(doomed, ignore_errors=True)
        try:
            building.rename(folder)
        except OSError:  # a reader whose Chroma opened the place just now has made an empty index there
            if left == 1:
                raise
        else:
            return


def _write_manifest(building: Path, embedder: Embedder) -> None:
    from importlib.metadata import version

    root = building / "chroma"
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("chroma.sqlite3"))
    manifest = {
        "layout": LAYOUT,
        "chromadb": version("chromadb"),
        "embedding": embedder.name,
        "files": {path.relative_to(root).as_posix(): _file_hash(path) for path in files},
    }
    (building / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _remove_others(folder: Path) -> None:
    """Forgets the oldest indexes of other cards or versions, and what killed builders left."""
    others = sorted(folder.parent.glob("index-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in [path for path in others if path != folder][_KEPT - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.parent.glob("building-*"):
        shutil.rmtree(path, ignore_errors=True)


def _build_memory(cards: Sequence[Card], embedder: Embedder) -> VectorStore:
    chromadb = load_chroma()

    client = chromadb.EphemeralClient(settings=chroma_settings())
    return _fill(client, cards, embedder, name=f"{COLLECTION}-{_key(cards, embedder)}")


def _fill(
    client: "ClientAPI", cards: Sequence[Card], embedder: Embedder, name: str = COLLECTION, where: str = "memory"
) -> VectorStore:
    # One flush at the end: all vectors in the index files, whose hashes then never change. One thread and a search as
    # wide as the index: the same cards give the same neighbours in the same order, whoever built it.
    size = max(len(cards), 2)
    hnsw: Any = {"space": "cosine", "batch_size": size, "sync_threshold": size, "ef_search": max(size, 100), "num_threads": 1}
    collection = client.get_or_create_collection(
        name,
        embedding_function=_embedding_function(embedder),
        configuration={"hnsw": hnsw},
    )
    texts = [card_text(card) for card in cards]
    metadatas: Any = [{"item": card.item, "anomaly_type": card.anomaly_type} for card in cards]
    vectors = embedder.embed_all(texts)
    collection.upsert(ids=[card.id for card in cards], embeddings=vectors, documents=texts, metadatas=metadatas)
    store = VectorStore(client, collection, embedder, where)
    _probe(store, cards, PROBES)
    return store


def _open_server(cards: Sequence[Card], url: str, embedder: Embedder) -> VectorStore:
    chromadb = load_chroma()

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or parts.hostname is None:
        raise KnowledgeError(f"'{url}' is no URL of a Chroma server. Give one like http://localhost:8000.")
    secure = parts.scheme == "https"
    name = f"{COLLECTION}-{_key(cards, embedder)}"
    try:
        client = chromadb.HttpClient(
            host=parts.hostname, port=parts.port or (443 if secure else 8000), ssl=secure, settings=chroma_settings()
        )
        with suppress(Exception):  # not there yet, or not sound: filled below
            collection = client.get_collection(name, embedding_function=_embedding_function(embedder))
            store = VectorStore(client, collection, embedder, url)
            _probe(store, cards, PROBES)
            return store
        return _fill(client, cards, embedder, name, url)
    except KnowledgeError:
        raise
    except Exception as error:
        raise KnowledgeError(f"the Chroma server {url} cannot be used: {error}. Is it running?") from error


def _client(path: Path) -> "ClientAPI":
    chromadb = load_chroma()

    try:
        return chromadb.PersistentClient(path=path, settings=chroma_settings())
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise KnowledgeError(f"Chroma cannot open {path}: {error}") from error


def _close(client: "ClientAPI") -> None:
    # Local clients have it, the common type of all clients does not say so.
    close: Any = getattr(client, "close", None)
    if close is not None:
        close()


def _fit(cards: Sequence[Card]) -> HashTfidf:
    return HashTfidf.fit([card_text(card) for card in cards])


def _embedding_function(embedder: Embedder) -> Any:
    """Our embedding as Chroma knows it, by name: without one, Chroma would attach a model that it downloads."""
    from chromadb.api.types import Documents, EmbeddingFunction, Embeddings
    from chromadb.utils.embedding_functions import known_embedding_functions, register_embedding_function

    known: Any = known_embedding_functions.get(embedder.name)
    if known is None:

        class ChromaEmbedder(EmbeddingFunction[Documents]):
            def __init__(self, made: Embedder | None, config: dict[str, Any]) -> None:
                self._made, self._config = made, config

            def __call__(self, input: Documents) -> Embeddings:
                if self._made is None:  # built by Chroma from its config: another program reads our collection
                    raise KnowledgeError(f"the embedding {embedder.name} is made by anomalyagent; pass vectors to Chroma.")
                return list(self._made.embed_all(input))

            @staticmethod
            def name() -> str:
                return embedder.name

            def default_space(self) -> Any:
                return "cosine"

            def supported_spaces(self) -> Any:
                return ["cosine"]

            @staticmethod
            def build_from_config(config: dict[str, Any]) -> "ChromaEmbedder":
                own = HashTfidf(np.array(config["idf"], dtype=np.float32)) if "idf" in config else None
                return ChromaEmbedder(own, config)

            def get_config(self) -> dict[str, Any]:
                return self._config

        known = register_embedding_function(ChromaEmbedder)
    return known(embedder, embedder.config())
