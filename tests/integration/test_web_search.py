"""knowledge_retrieval with a web-search tool of another MCP server, which may be slow, broken or absent."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_backends import tiny_settings

from anomalyagent.configs.schema import Settings
from anomalyagent.graph.observations import describe_result
from anomalyagent.mcp_tools.client import ToolClient
from anomalyagent.mcp_tools.contracts import KnowledgeResult

TESTS = str(Path(__file__).parents[1])
QUESTION = {"item_name": "metal nut", "anomaly_type": "oil stain", "query": "how large?"}


def settings_of(server: Any, **more: Any) -> Settings:
    tree = tiny_settings().model_dump()
    tree["knowledge"]["web_search"] = {"server": server, "tool": "web_search", "query_argument": "q", **more}
    return Settings.model_validate(tree)


async def ask(settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> KnowledgeResult:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([TESTS, *filter(None, [os.environ.get("PYTHONPATH")])]))
    async with ToolClient(settings, folder) as tools:
        return await tools.call("knowledge_retrieval", QUESTION)


def server(kind: str) -> list[str]:
    return [sys.executable, "-m", "helpers.search_server", kind]


async def test_what_another_server_finds_is_added_short_and_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await ask(settings_of(server("good"), results=2, arguments={"language": "de"}), tmp_path, monkeypatch)
    assert len(found.web) == 2
    assert found.web[0].startswith("Oil stains. About oil stain defect on metal nut")
    assert "how large?" in found.web[0]
    assert found.web[0].endswith("... (https://example.org/stains)")
    assert "\x1b" not in found.web[0]
    assert len(found.web[0]) < 700
    assert found.web[1] == "Second. in de"
    read = describe_result(found, [], {})
    assert "from the web, unverified: Oil stains." in read


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("error", "the quota is used up"),
        ("hang", "no answer within 1.5 s"),
        ("absent", "cannot be started"),
        ("http", "web search failed"),
    ],
)
async def test_a_search_that_fails_is_told_and_the_cards_come_all_the_same(
    where: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place: Any = {"absent": ["/no/such/program"], "http": "http://127.0.0.1:9/mcp"}.get(where, server(where))
    found = await ask(settings_of(place, timeout_s=1.5 if where == "hang" else 240), tmp_path, monkeypatch)
    assert found.web == []
    assert "The web search failed: " in found.note
    assert said in found.note
    assert "5 asked" in found.note  # of the backend itself


async def test_nothing_is_searched_unless_it_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await ask(tiny_settings(), tmp_path, monkeypatch)
    assert found.web == []
    assert "web" not in found.note
