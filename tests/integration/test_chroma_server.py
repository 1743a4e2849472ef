"""Chroma's server mode: a real server on this machine holds the cards for any number of clients."""

import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from helpers.ports import free_port
from helpers.tiny_models import save_sentence_model

from anomalyagent.configs.schema import KnowledgeSettings, Settings, ToolSettings, ToolsSettings
from anomalyagent.knowledge.card_files import load_cards
from anomalyagent.knowledge.manage import open_knowledge
from anomalyagent.knowledge.store import open_store
from anomalyagent.mcp_tools.registry import create_backend

# The connections of a backend end with the process.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    script = "import sys; from chromadb.cli.cli import app; sys.argv[0] = 'chroma'; app()"
    folder = tmp_path_factory.mktemp("chroma")
    command = [sys.executable, "-c", script, "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder)
    assert process.stdout is not None
    said = list(_until(process.stdout, "listening on address"))
    threading.Thread(target=process.stdout.read, daemon=True).start()  # a full pipe would stop it
    assert process.poll() is None, "".join(said)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(240)


def _until(lines: Iterable[str], words: str) -> Iterator[str]:
    for line in lines:
        yield line
        if words in line:
            return


def test_a_server_answers_as_the_folder_does_and_is_filled_once(server: str, tmp_path: Path) -> None:
    settings = KnowledgeSettings(cache_dir=tmp_path)
    local, remote = open_knowledge(settings), open_knowledge(settings, server)
    cards = load_cards()
    again = open_store(cards, url=server)
    question = "a big part of the mouth of the bottle is smashed away"
    assert [hit.card.id for hit in remote.search(question)] == [hit.card.id for hit in local.search(question)]
    assert again.where == server
    assert len(again.client.list_collections()) == 1
    assert again.nearest(question, 3)[0][0] == "mvtec/bottle/broken_large"
    again.close()


def test_backends_use_a_server_by_its_url(server: str, tmp_path: Path) -> None:
    model = save_sentence_model(tmp_path / "model")
    for name, options in (("chroma", {}), ("semantic", {"model": str(model), "device": "cpu"})):
        tools = ToolsSettings(knowledge_retrieval=ToolSettings(backend=name, options={"url": server, **options}))
        found = create_backend("knowledge_retrieval", Settings(tools=tools)).retrieve("bottle", "broken_large", "", 3)
        assert found.backend == name
        assert found.match == "exact"
        assert (found.cards[0].item, found.cards[0].anomaly_type) == ("bottle", "broken_large")
    store = open_store(load_cards(), url=server)
    names = {collection.name for collection in store.client.list_collections()}
    store.close()
    assert len(names) == 2  # vectors of different embeddings never share a collection
