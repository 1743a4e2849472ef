"""The Chroma index: built once, checked before it is opened, rebuilt from the cards when damaged."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from anomalyagent.errors import KnowledgeError
from anomalyagent.knowledge.cards import Card, load_cards
from anomalyagent.knowledge.embedding import HashTfidf
from anomalyagent.knowledge.search import card_text
from anomalyagent.knowledge.store import inspect_index, open_store


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> list[Card]:
    return load_cards(with_user_folder=False, cache_dir=tmp_path_factory.mktemp("cache"))[::5]


@pytest.fixture(scope="module")
def built(cards: list[Card], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a sound index; copy it before touching it."""
    cache = tmp_path_factory.mktemp("built")
    open_store(cards, cache_dir=cache).close()
    return cache


@pytest.fixture
def cache(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "cache")


def index_file(cache: Path, name: str) -> Path:
    return next(cache.glob(f"index-*/chroma/*/{name}"))


def database(cache: Path) -> Path:
    return next(cache.glob("index-*/chroma/chroma.sqlite3"))


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribble(path: Path) -> None:
    path.write_bytes(b"\xa5" * path.stat().st_size)


def drop_keys(manifest: Path) -> None:
    manifest.write_text(json.dumps({"layout": 1}))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated sqlite": lambda cache: halve(database(cache)),
    "garbage sqlite": lambda cache: scribble(database(cache)),
    "empty sqlite": lambda cache: database(cache).write_bytes(b""),
    "missing sqlite": lambda cache: database(cache).unlink(),
    "deleted index folder": lambda cache: shutil.rmtree(index_file(cache, "header.bin").parent),
    "truncated index header": lambda cache: halve(index_file(cache, "header.bin")),
    "garbage index header": lambda cache: scribble(index_file(cache, "header.bin")),
    "garbage vectors": lambda cache: scribble(index_file(cache, "data_level0.bin")),
    "missing manifest": lambda cache: next(cache.glob("index-*/manifest.json")).unlink(),
    "truncated manifest": lambda cache: halve(next(cache.glob("index-*/manifest.json"))),
    "manifest without files": lambda cache: drop_keys(next(cache.glob("index-*/manifest.json"))),
}


def test_every_card_finds_itself(cards: list[Card], cache: Path) -> None:
    store = open_store(cards, cache_dir=cache)
    assert store.where == "disk"
    assert store.notices == []
    for card in cards:
        assert store.nearest(card_text(card), 1)[0][1] > 0.999
    store.close()


def test_a_sound_index_is_opened_and_not_built_again(cards: list[Card], cache: Path) -> None:
    before = index_file(cache, "header.bin").stat().st_mtime_ns
    open_store(cards, cache_dir=cache).close()
    open_store(cards, cache_dir=cache).close()
    assert index_file(cache, "header.bin").stat().st_mtime_ns == before
    assert inspect_index(cards, cache).problems == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_noticed_and_built_again(cards: list[Card], cache: Path, damage: str) -> None:
    DAMAGES[damage](cache)
    assert inspect_index(cards, cache).problems
    store = open_store(cards, cache_dir=cache)
    assert store.where == "disk"
    assert store.nearest(card_text(cards[3]), 1)[0][1] > 0.999
    store.close()
    assert inspect_index(cards, cache).problems == []
    assert [path.name for path in cache.glob("building-*")] == []


def test_other_cards_get_another_index(cards: list[Card], cache: Path) -> None:
    changed = [cards[0].model_copy(update={"appearance": "Something else entirely."}), *cards[1:]]
    store = open_store(changed, cache_dir=cache)
    assert store.nearest(card_text(changed[0]), 1)[0][0] == changed[0].id
    store.close()
    assert len(list(cache.glob("index-*"))) == 2


def test_old_indexes_are_forgotten(cards: list[Card], tmp_path: Path) -> None:
    for size in range(2, 8):
        open_store(cards[:size], cache_dir=tmp_path).close()
    assert len(list(tmp_path.glob("index-*"))) == 4


def test_what_a_killed_builder_left_is_removed(cards: list[Card], tmp_path: Path) -> None:
    (tmp_path / "building-killed" / "chroma").mkdir(parents=True)
    open_store(cards[:5], cache_dir=tmp_path).close()
    assert not (tmp_path / "building-killed").exists()


def test_a_cache_that_cannot_be_written_gives_an_index_in_memory_and_says_so(cards: list[Card], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    store = open_store(cards, cache_dir=blocked / "cache")
    assert store.where == "memory"
    assert "memory" in store.notices[0]
    assert str(blocked) in store.notices[0]
    assert store.nearest(card_text(cards[7]), 1)[0][1] > 0.999
    store.close()


def test_closing_one_index_in_memory_leaves_the_other_usable(cards: list[Card], tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    first, second = (open_store(cards[:size], cache_dir=blocked / "cache") for size in (5, 6))
    first.close()
    assert second.nearest(card_text(cards[5]), 1)[0][0] == cards[5].id
    second.close()


def test_building_and_asking_open_no_connection(cards: list[Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"a connection was opened: {arguments[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    store = open_store(cards[:9], cache_dir=tmp_path)
    store.nearest("a scratch", 3)
    store.close()


def test_the_embedding_is_stored_by_name_so_that_chroma_never_attaches_its_own(cards: list[Card], cache: Path) -> None:
    store = open_store(cards, cache_dir=cache)
    collection = store.client.get_collection("cards")
    assert collection.query(query_texts=[card_text(cards[4])], n_results=1)["ids"][0] == [cards[4].id]
    store.close()


def test_an_index_that_goes_away_while_it_is_open_answers_on_as_before(cards: list[Card], cache: Path) -> None:
    store = open_store(cards, cache_dir=cache)
    before = store.nearest("a deep scratch", 5)
    assert store.where == "disk"
    store.client.delete_collection("cards")  # what a new connection finds once the files are gone
    shutil.rmtree(next(cache.glob("index-*")))
    assert [one for one, _ in store.nearest("a deep scratch", 5)] == [one for one, _ in before]
    assert store.where == "memory"
    store.close()


def test_an_index_is_built_anew_beside_one_that_is_open(cards: list[Card], cache: Path) -> None:
    reader = open_store(cards, cache_dir=cache)
    before = index_file(cache, "header.bin").stat().st_ino
    code = (  # another program, as `knowledge rebuild` beside a server: in one process Chroma shares what a path held
        "import sys; from pathlib import Path; from anomalyagent.knowledge.cards import load_cards\n"
        "from anomalyagent.knowledge.store import open_store\n"
        "cards = load_cards(with_user_folder=False, cache_dir=Path(sys.argv[1]) / 'parsed')[::5]\n"
        "open_store(cards, cache_dir=Path(sys.argv[1]), anew=True).close()"
    )
    subprocess.run([sys.executable, "-c", code, str(cache)], check=True)
    assert index_file(cache, "header.bin").stat().st_ino != before
    assert reader.nearest(card_text(cards[3]), 1)[0][1] > 0.999
    reader.close()
    assert inspect_index(cards, cache).problems == []


def test_an_index_is_put_in_place_although_a_reader_has_made_an_empty_one_there(
    cards: list[Card], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, made = Path.rename, list[Path]()

    def rename_after_a_reader(path: Path, target: Path) -> Path:
        if target.name.startswith("index-") and not made:
            made.append(target)
            (target / "chroma").mkdir(parents=True)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_after_a_reader)
    store = open_store(cards, cache_dir=cache, anew=True)
    assert made
    assert store.where == "disk"
    store.close()


def test_neighbours_are_exact(cards: list[Card], cache: Path) -> None:
    store = open_store(cards, cache_dir=cache)
    texts = [card_text(card) for card in cards]
    embedder = HashTfidf.fit(texts)
    matrix = np.stack([embedder.embed(text) for text in texts])
    for question in ("a hole in the rug", "dull solder", "x"):
        wanted = np.sort(matrix @ embedder.embed(question))[::-1][:10]
        assert [near for _, near in store.nearest(question, 10)] == pytest.approx(wanted.tolist(), abs=1e-5)
    store.close()


def test_two_processes_that_build_at_once_both_get_a_whole_index(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from anomalyagent.knowledge.cards import load_cards\n"
        "from anomalyagent.knowledge.search import card_text\n"
        "from anomalyagent.knowledge.store import open_store\n"
        "cards = load_cards(with_user_folder=False, cache_dir=Path(sys.argv[1]))[::3]\n"
        "store = open_store(cards, cache_dir=Path(sys.argv[1]))\n"
        "print(store.where, min(store.nearest(card_text(card), 1)[0][1] for card in cards) > 0.999)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=240)[0].strip() for process in running] == ["disk True", "disk True"]
    assert len(list(tmp_path.glob("index-*"))) == 1


def test_a_server_that_is_not_there_is_named(cards: list[Card]) -> None:
    with pytest.raises(KnowledgeError, match=r"127\.0\.0\.1:9"):
        open_store(cards[:2], url="http://127.0.0.1:9")


def test_a_server_needs_a_real_url(cards: list[Card]) -> None:
    with pytest.raises(KnowledgeError, match="no URL"):
        open_store(cards[:2], url="localhost")
