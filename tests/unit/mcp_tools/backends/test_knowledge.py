"""What every backend of knowledge_retrieval must keep, and what `semantic` adds: vectors of a sentence-transformers model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.tiny_models import save_sentence_model

from anomalyagent.configs.schema import KnowledgeSettings, Settings, ToolSettings, ToolsSettings
from anomalyagent.errors import BackendUnavailableError, ConfigError
from anomalyagent.mcp_tools.backends import semantic as module
from anomalyagent.mcp_tools.backends.base import KnowledgeRetrievalBackend
from anomalyagent.mcp_tools.backends.semantic import SemanticKnowledge, SemanticOptions, SentenceEmbedder
from anomalyagent.mcp_tools.registry import BACKENDS, create_backend

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries
CASES = ("chroma", "semantic")


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sentence_model(tmp_path_factory.mktemp("sentences"))


@pytest.fixture(scope="module")
def backends(sentences: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], KnowledgeRetrievalBackend]:
    cache = tmp_path_factory.mktemp("cache")
    made: dict[str, KnowledgeRetrievalBackend] = {}

    def get(name: str) -> KnowledgeRetrievalBackend:
        if name not in made:
            options: dict[str, Any] = {"model": str(sentences), "device": "cpu"} if name == "semantic" else {}
            tools = ToolsSettings(knowledge_retrieval=ToolSettings(backend=name, options=options))
            made[name] = create_backend(
                "knowledge_retrieval", Settings(tools=tools, knowledge=KnowledgeSettings(cache_dir=cache))
            )
        return made[name]

    return get


def test_every_shipped_backend_is_a_case_here() -> None:
    assert set(CASES) == set(BACKENDS["knowledge_retrieval"])


@pytest.mark.parametrize("name", CASES)
def test_listed_items_get_their_own_card_first(name: str, backends: Callable[[str], KnowledgeRetrievalBackend]) -> None:
    found = backends(name).retrieve("bottle", "broken_large", "", 4)
    assert (found.backend, found.match) == (name, "exact")
    assert found.cards[0].id == "mvtec/bottle/broken_large"
    assert len(found.cards) == 4
    assert all(0.0 <= card.relevance <= 1.0 and card.variants for card in found.cards)
    assert found == backends(name).retrieve("bottle", "broken_large", "", 4)


@pytest.mark.parametrize("name", CASES)
def test_unknown_items_and_types_get_near_cards_and_are_told_so(
    name: str, backends: Callable[[str], KnowledgeRetrievalBackend]
) -> None:
    found = backends(name).retrieve("zorble", "bruise", "", 3)
    assert found.match == "general"
    assert "is not listed" in found.note
    assert found.cards


def test_the_packaged_model_knows_that_words_mean_the_same() -> None:
    options = SemanticOptions(device="cpu")
    embedder = SentenceEmbedder(module._find(options), options)  # pyright: ignore[reportPrivateUsage]
    nick, notch, stain = embedder.embed_all(["a nick in the rim", "a notch at the edge", "oil has soaked the cloth"])
    assert np.linalg.norm(nick) == pytest.approx(1.0, abs=1e-5)
    assert float(nick @ notch) > float(nick @ stain) + 0.1
    assert embedder.embed("a nick in the rim") == pytest.approx(nick, abs=1e-5)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendUnavailableError, match="hf download nobody/no-such-model"):
        SemanticKnowledge({"model": "nobody/no-such-model"}, KnowledgeSettings())
    with pytest.raises(BackendUnavailableError, match=r"holds no modules\.json, so it is no model of sentence-transformers"):
        SemanticKnowledge({"model": str(tmp_path)}, KnowledgeSettings())
    with pytest.raises(ConfigError, match=r"unknown option 'modell'\. Known options: model"):
        SemanticKnowledge({"modell": "x"}, KnowledgeSettings())
    gone = str(tmp_path / "gone")
    embedder = SentenceEmbedder(gone, SemanticOptions(model=gone, device="cpu"))
    with pytest.raises(BackendUnavailableError, match="cannot be loaded"):
        embedder.embed("x")
    monkeypatch.setattr(module, "_PACKAGE", "no_such_package")
    with pytest.raises(BackendUnavailableError, match=r"not installed. Run: pip install 'anomalyagent\[semantic\]'"):
        SemanticKnowledge({}, KnowledgeSettings())
