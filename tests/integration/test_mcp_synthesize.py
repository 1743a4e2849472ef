"""The synthesize tool: the whole loop in one call, with progress, cancellable."""

import asyncio
import json
from pathlib import Path

import pytest
from helpers.raw_mcp import StdioByHand
from helpers.tiny_backends import WaitingMask, tiny_settings
from helpers.workspaces import make_workspace
from mcp import Client
from mcp.types import ResourceLink, TextContent

from anomalyagent.configs.schema import Settings
from anomalyagent.graph.mcp_synthesize import SynthesisResult, extend_with_synthesis
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.server import build_server

ARGUMENTS = {"image": "part.png", "item_name": "nut", "anomaly_type": "scratch"}


def serve(root: Path, settings: Settings) -> Client:
    workspace = make_workspace(root)
    return Client(build_server(TOOL_NAMES, settings, workspace, extend_with_synthesis(settings, workspace)))


async def test_one_call_gives_image_mask_and_score_and_tells_every_turn(tmp_path: Path) -> None:
    told: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))

    async with serve(tmp_path, tiny_settings()) as client:
        answer = await client.call_tool("synthesize", ARGUMENTS, progress_callback=hear)
        again = await client.call_tool("synthesize", ARGUMENTS)
    result = SynthesisResult.model_validate(answer.structured_content)
    assert result.accepted, answer
    assert again.structured_content == answer.structured_content
    links = [block.uri for block in answer.content if isinstance(block, ResourceLink)]
    assert links == [f"image://{result.image}", f"image://{result.mask}"]
    assert all((tmp_path / str(ref)).is_file() for ref in (result.image, result.mask))
    assert [progress for progress, _ in told] == list(range(1, len(told) + 1))
    steps = [str(message).partition(":")[0] for _, message in told]
    assert steps[:3] == ["prompt_gen", "image_gen", "quality_eval"]
    assert "mask_gen" in steps


async def test_a_photo_that_is_not_there_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    async with serve(tmp_path, tiny_settings()) as client:
        answer = await client.call_tool("synthesize", {**ARGUMENTS, "image": "prt.png"})
        unknown = await client.call_tool("synthesize", {**ARGUMENTS, "sede": 1})
    assert answer.is_error
    assert isinstance(answer.content[0], TextContent)
    assert "part.png" in answer.content[0].text
    assert unknown.is_error
    assert not (tmp_path / "images").exists()


async def test_tools_that_fail_are_an_error_that_says_why(tmp_path: Path) -> None:
    async with serve(tmp_path, tiny_settings("RefusingMask")) as client:
        answer = await client.call_tool("synthesize", ARGUMENTS)
    assert answer.is_error
    assert isinstance(answer.content[0], TextContent)
    assert answer.content[0].text.startswith("failed after 1 round(s)")


async def test_a_cancelled_synthesis_ends_and_the_server_answers_on(tmp_path: Path) -> None:
    WaitingMask.go.clear()
    async with serve(tmp_path, tiny_settings("WaitingMask")) as client:
        waiting = asyncio.create_task(client.call_tool("synthesize", ARGUMENTS))
        await asyncio.to_thread(WaitingMask.entered.acquire)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        answer = await client.call_tool("prompt_gen", ARGUMENTS)
        assert not answer.is_error
        WaitingMask.go.set()


async def test_the_six_listings_together_stay_under_6000_characters(tmp_path: Path) -> None:
    async with serve(tmp_path, Settings()) as client:
        listed = await client.list_tools()
    tools = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed.tools]
    assert [tool["name"] for tool in tools] == [*TOOL_NAMES, "synthesize"]
    assert len(json.dumps(tools, separators=(",", ":"))) < 6000


def test_the_command_line_mounts_it_on_the_server_of_all(tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "work", size=96).root
    arguments = ("mcp", "serve", "all", "--workspace", str(root), "--set", f"knowledge.cache_dir={tmp_path / 'cache'}")
    with StdioByHand(*arguments, module="anomalyagent") as server:
        server.shake_hands()
        answer = server.request("tools/call", {"name": "synthesize", "arguments": {**ARGUMENTS, "item_name": "metal nut"}})
        assert "accepted" in answer["result"]["structuredContent"], answer
        code, out, err = server.finish()
    assert (code, out) == (0, "")
    assert "Traceback" not in err
