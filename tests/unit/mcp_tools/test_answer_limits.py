"""Answers stay small: lists in pages, large results refused in words, errors cut."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.tiny_backends import tiny_settings
from helpers.workspaces import make_workspace
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import BlobResourceContents, TextContent, TextResourceContents

from anomalyagent.configs.schema import KnowledgeSettings, Settings
from anomalyagent.mcp_tools.answer_limits import MAX_ANSWER_BYTES, MAX_ANSWER_CHARS
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.server import build_server

PAIR = {"normal_image": "part.png", "anomaly_image": "part.png"}


def serve(root: Path, settings: Settings | None = None, names: tuple[str, ...] = ("part.png",)) -> Client:
    return Client(build_server(TOOL_NAMES, settings or tiny_settings(), make_workspace(root, names)))


async def test_a_list_of_images_comes_in_pages_and_each_image_once(tmp_path: Path) -> None:
    names = tuple(f"parts/{'x' * 60}{n:04d}.png" for n in range(230))
    async with serve(tmp_path, names=names) as client:
        seen: list[str] = []
        cursor: str | None = None
        pages = 0
        while True:
            page = await client.list_resources(cursor=cursor)
            assert len(page.model_dump_json()) < MAX_ANSWER_CHARS
            seen += [each.name for each in page.resources]
            pages += 1
            if pages == 1:  # what comes in front meanwhile shifts nothing
                (tmp_path / "parts" / "a.png").write_bytes((tmp_path / names[0]).read_bytes())
            cursor = page.next_cursor
            if cursor is None:
                break
    assert seen == list(names)
    assert pages == 3


@pytest.mark.parametrize("cursor", ["", "nonsense", "é", "OTk5OnNvbWV0aGluZw==", "x" * 5000])
async def test_an_unknown_cursor_is_refused_in_words(tmp_path: Path, cursor: str) -> None:
    async with serve(tmp_path) as client:
        with pytest.raises(MCPError, match="List again without a cursor"):
            await client.list_resources(cursor=cursor)


async def test_an_image_too_large_for_an_answer_names_its_preview_which_is_small(tmp_path: Path) -> None:
    async with serve(tmp_path) as client:
        noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "large.png"), noise)
        with pytest.raises(MCPError, match=r"preview://large\.png"):
            await client.read_resource("image://large.png")
        (preview,) = (await client.read_resource("preview://large.png")).contents
    assert isinstance(preview, BlobResourceContents)
    assert preview.mime_type == "image/jpeg"
    assert len(preview.blob) <= 200_000 * 4 / 3 + 4


async def test_a_knowledge_card_is_read_by_its_id(tmp_path: Path) -> None:
    async with serve(tmp_path) as client:
        (card,) = (await client.read_resource("card://mvtec/bottle/broken_large")).contents
        assert isinstance(card, TextResourceContents)
        assert json.loads(card.text)["anomaly_type"] == "broken_large"
        with pytest.raises(MCPError, match="knowledge_retrieval"):
            await client.read_resource("card://mvtec/bottle/none")


async def test_fifty_cards_are_cut_to_what_one_answer_holds(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "work").root
    knowledge = KnowledgeSettings(cache_dir=tmp_path / "cache", top_k=50)
    async with serve(root, Settings(knowledge=knowledge)) as client:
        answer = await client.call_tool("knowledge_retrieval", {"item_name": "bottle", "anomaly_type": "crack"})
    assert not answer.is_error, answer.content
    assert answer.structured_content is not None
    assert 5 <= len(answer.structured_content["cards"]) < 50
    assert "left out" in answer.structured_content["note"]
    assert len(answer.model_dump_json()) < MAX_ANSWER_CHARS


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("n" * 300_000, {}),
        ("mask_gen", {"k" * 300_000: 1}),
        ("mask_gen", {**PAIR, "normal_image": "v" * 300_000}),
        ("image_gen", {"image": "part.png", "prompt": "p" * 300_000}),
        ("image_gen", {"image": "part.png", "prompt": "p", "spec": {f"field{n}": n for n in range(5000)}}),
    ],
)
async def test_what_a_caller_sends_does_not_come_back_at_length(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    async with serve(tmp_path) as client:
        answer = await client.call_tool(name, arguments)
    assert answer.is_error
    assert isinstance(answer.content[0], TextContent)
    assert len(answer.content[0].text) < 6000


async def test_an_answer_that_is_too_large_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from helpers.tiny_backends import TinyJudge

    def judge(self: TinyJudge, *arguments: Any) -> Any:
        return original(self, *arguments).model_copy(update={"review": "long " * 20_000})

    original = TinyJudge.judge
    monkeypatch.setattr(TinyJudge, "judge", judge)
    async with serve(tmp_path) as client:
        answer = await client.call_tool("quality_eval", {**PAIR, "item_name": "nut", "anomaly_type": "scratch"})
    assert answer.is_error
    assert isinstance(answer.content[0], TextContent)
    assert "too large" in answer.content[0].text
    assert answer.structured_content is None
    assert len(answer.model_dump_json()) < MAX_ANSWER_BYTES
