"""What `anomalyagent knowledge ...` does, as functions that return data: list, show, search, add, check, rebuild, open."""

from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from anomalyagent.configs.paths import write_whole
from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.errors import KnowledgeError
from anomalyagent.knowledge.cache import cache_folder
from anomalyagent.knowledge.card_files import load_cards, read_card_file, user_card_folder
from anomalyagent.knowledge.card_models import Card
from anomalyagent.knowledge.embedding import Embedder
from anomalyagent.knowledge.lookup import match_item
from anomalyagent.knowledge.search import Hit, KnowledgeSearch, Weights
from anomalyagent.knowledge.store import inspect_index, open_store

__all__ = [
    "AddReport",
    "CheckReport",
    "ItemSummary",
    "add_cards",
    "check_knowledge",
    "list_items",
    "open_knowledge",
    "rebuild_index",
    "search_cards",
    "show_card",
]


_LOCK_TIMEOUT_S = 60.0


class ItemSummary(NamedTuple):
    """One item and its anomaly types."""

    item: str
    material: str
    anomaly_types: list[str]
    general: bool


class AddReport(NamedTuple):
    """Where a card file went, and which cards it brought; `replaced` had been known before."""

    path: Path
    added: list[str]
    replaced: list[str]


class CheckReport(NamedTuple):
    """State of cards and index; sound when there are no problems. A missing index is built on first use."""

    cards: int
    items: int
    mechanisms: dict[str, int]
    index_folder: Path
    problems: list[str]


def open_knowledge(settings: KnowledgeSettings, url: str | None = None, embedder: Embedder | None = None) -> KnowledgeSearch:
    """Search over all cards of these settings; builds the index if needed. Loads chromadb (about 1 s).

    Args:
        url: of a Chroma server to use instead of the cache folder.
        embedder: of texts; None: the built-in one.
    Raises:
        KnowledgeError: a card is invalid, or the server cannot be reached.
    """
    cards = load_cards(settings.folders, cache_dir=settings.cache_dir)
    weights = Weights() if embedder is None or embedder.vector_share is None else Weights(vectors=embedder.vector_share)
    return KnowledgeSearch(cards, open_store(cards, cache_dir=settings.cache_dir, url=url, embedder=embedder), weights)


def list_items(settings: KnowledgeSettings) -> list[ItemSummary]:
    """Every item with its types, users' own first, materials of the grid last."""
    found: dict[str, list[Card]] = {}
    for card in load_cards(settings.folders, cache_dir=settings.cache_dir):
        found.setdefault(f"{card.is_general}/{card.item}", []).append(card)
    summaries = [
        ItemSummary(cards[0].item, cards[0].material, [card.anomaly_type for card in cards], cards[0].is_general)
        for cards in found.values()
    ]
    return sorted(summaries, key=lambda summary: summary.general)


def show_card(settings: KnowledgeSettings, name: str) -> list[Card]:
    """The card with this id, or all cards of the item with this name.

    Raises:
        KnowledgeError: neither exists.
    """
    cards = load_cards(settings.folders, cache_dir=settings.cache_dir)
    found = [card for card in cards if card.id == name] or match_item(cards, name)
    if not found:
        raise KnowledgeError(f"there is no card or item '{name}'. See `anomalyagent knowledge list`, or search for it.")
    return found


def search_cards(settings: KnowledgeSettings, question: str, top_k: int | None = None) -> list[Hit]:
    """Cards for a free question, best first."""
    return open_knowledge(settings).search(question, top_k or settings.top_k)


def add_cards(files: Iterable[Path], folder: Path | None = None) -> list[AddReport]:
    """Checks card files and copies them into the user's card folder (or `folder`), where every run finds them.

    Raises:
        KnowledgeError: a file is invalid, its ids are in another file of the folder, a file of its name holds other cards, or
            the folder cannot be written, or another process adds cards for longer than 60 s.
            Nothing is copied then.
    """
    target = folder if folder is not None else user_card_folder()
    try:
        with _nobody_else_adds():
            return _add(files, target)
    except Timeout:
        raise KnowledgeError("another process is adding cards. Give the command again when it has ended.") from None


@contextmanager
def _nobody_else_adds() -> Generator[None]:
    """Waits for its turn among this user's processes; where the cache folder cannot be written there are none to wait for."""
    lock = cache_folder(None) / "add.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
    except OSError:
        yield
        return
    with FileLock(lock, timeout=_LOCK_TIMEOUT_S):
        yield


def _add(files: Iterable[Path], target: Path) -> list[AddReport]:
    """`add_cards` while nobody else adds: two files at once could bring an id twice, and no run would start any more."""
    known = {card.id for card in load_cards()}
    taken = (
        {card.id: path for path in sorted(target.rglob("*.y*ml")) for card in read_card_file(path)} if target.is_dir() else {}
    )
    plans: list[tuple[Path, Path, list[Card]]] = []
    there: dict[Path, set[str]] = {}
    for card_id, path in taken.items():
        there.setdefault(path, set()).add(card_id)
    for file in files:
        cards = read_card_file(file)
        destination = target / (file.name if file.suffix in (".yaml", ".yml") else f"{file.name}.yaml")
        twice = [card_id for card_id, count in Counter(card.id for card in cards).items() if count > 1]
        if twice:
            raise KnowledgeError(f"{file}: card {twice[0]}: field 'id': used twice. Give each card its own id.")
        for card in cards:
            if taken.setdefault(card.id, destination) != destination:
                raise KnowledgeError(
                    f"{file}: card {card.id}: field 'id': already in {taken[card.id]}. Change or remove that one."
                )
        # A file that is given anew may have changed; another one by the same name would take its cards away.
        if destination in there and not there[destination] & {card.id for card in cards}:
            raise KnowledgeError(f"{file}: {destination} holds other cards, which would be lost. Rename the file.")
        there[destination] = {card.id for card in cards}
        plans.append((file, destination, cards))
    reports: list[AddReport] = []
    for file, destination, cards in plans:
        try:
            write_whole(destination, file.read_bytes())
        except OSError as error:
            raise KnowledgeError(f"cannot copy {file} to {destination}: {error.strerror or error}") from error
        ids = [card.id for card in cards]
        reports.append(AddReport(destination, [i for i in ids if i not in known], [i for i in ids if i in known]))
    return reports


def check_knowledge(settings: KnowledgeSettings) -> CheckReport:
    """Reads every card and examines the built index thoroughly; changes nothing.

    Raises:
        KnowledgeError: a card is invalid.
    """
    cards = load_cards(settings.folders, cache_dir=settings.cache_dir)
    state = inspect_index(cards, settings.cache_dir)
    mechanisms = Counter(variant.mechanism for card in cards for variant in card.variants)
    return CheckReport(len(cards), len({card.item for card in cards}), dict(mechanisms), state.folder, state.problems)


def rebuild_index(settings: KnowledgeSettings) -> CheckReport:
    """Builds the index anew from the cards; runs and servers that have the old one open go on.

    Raises:
        KnowledgeError: a card is invalid, or the cache folder cannot be written.
    """
    cards = load_cards(settings.folders, cache_dir=settings.cache_dir)
    store = open_store(cards, cache_dir=settings.cache_dir, anew=True)
    notices = store.notices
    store.close()
    if notices:
        raise KnowledgeError(notices[0])
    return check_knowledge(settings)
