"""The synthesize tool: the whole loop in one call, with progress, cancellable."""

import asyncio
import json
import os
from pathlib import Path

import numpy as np
import pytest
from helpers.raw_mcp import StdioByHand
from helpers.tiny_backends import Gate, tiny_settings
from helpers.workspaces import make_workspace
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import ImageContent, ReadResourceResult, ResourceLink, TextContent, TextResourceContents

from anomalyagent.configs.schema import ServerSettings, Settings
from anomalyagent.graph.mcp_synthesize import SynthesisResult, extend_with_synthesis
from anomalyagent.graph.trace import read_trajectory
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.imaging.photo import photo_from_array, write_photo
from anomalyagent.mcp_tools.server import build_server

ARGUMENTS = {"image": "part.png", "item_name": "nut", "anomaly_type": "scratch"}


def serve(root: Path, settings: Settings) -> Client:
    workspace = make_workspace(root)
    return Client(build_server(TOOL_NAMES, settings, workspace, extend_with_synthesis(settings, workspace)))


def text_of(read: ReadResourceResult) -> str:
    (content,) = read.contents
    assert isinstance(content, TextResourceContents)
    return content.text


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
    assert isinstance(answer.content[0], TextContent)
    assert answer.content[0].text.endswith(f"\nStored image {result.image} and mask {result.mask}.")
    links = [block.uri for block in answer.content if isinstance(block, ResourceLink)]
    assert links == [f"image://{result.image}", f"image://{result.mask}", f"trajectory://{result.trajectory}"]
    assert all((tmp_path / str(ref)).is_file() for ref in (result.image, result.mask))
    assert [progress for progress, _ in told] == list(range(1, len(told) + 1))
    steps = [str(message).partition(":")[0] for _, message in told]
    assert steps[:3] == ["prompt_gen", "image_gen", "quality_eval"]
    assert "mask_gen" in steps


async def test_the_trajectory_can_be_read_is_listed_and_stands_in_the_run(tmp_path: Path) -> None:
    async with serve(tmp_path, tiny_settings()) as client:
        answer = await client.call_tool("synthesize", {**ARGUMENTS, "preview": True})
        made = SynthesisResult.model_validate(answer.structured_content)
        listed = [str(each.uri) for each in (await client.list_resources()).resources]
        read = await client.read_resource(f"trajectory://{made.trajectory}")
        run = await client.read_resource("run://current")
        with pytest.raises(MCPError, match="no trajectory"):
            await client.read_resource("trajectory://other")
    assert f"trajectory://{made.trajectory}" in listed
    assert listed[0] == "run://current"
    assert [block.mime_type for block in answer.content if isinstance(block, ImageContent)] == ["image/jpeg"]
    record = json.loads(text_of(read))
    assert [turn["action"].get("name", "answer") for turn in record["turns"]][:3] == ["prompt_gen", "image_gen", "quality_eval"]
    assert json.loads(text_of(run)) == {"run": None, "trajectories": 1, "newest": [f"trajectory://{made.trajectory}"]}
    stored = read_trajectory(tmp_path / "trajectories" / f"{made.trajectory}.json")
    assert (stored.outcome, stored.final_image, stored.mask) == ("accepted", made.image, made.mask)
    assert stored.versions


async def test_the_folder_of_a_run_gets_no_trajectory_that_is_not_its_own(tmp_path: Path) -> None:
    async with serve(tmp_path, tiny_settings()) as client:
        (tmp_path / "run.json").write_text("{}")
        made = (await client.call_tool("synthesize", ARGUMENTS)).structured_content
        with pytest.raises(MCPError, match="run of version"):
            await client.read_resource("run://current")
    assert made is not None
    assert "trajectory" not in made
    assert not (tmp_path / "trajectories").exists()


async def test_a_trajectory_that_leads_outside_is_not_read(tmp_path: Path) -> None:
    async with serve(tmp_path / "work", tiny_settings()) as client:
        made = SynthesisResult.model_validate((await client.call_tool("synthesize", ARGUMENTS)).structured_content)
        file = tmp_path / "work" / "trajectories" / f"{made.trajectory}.json"
        file.rename(tmp_path / "outside.json")
        file.symlink_to(tmp_path / "outside.json")
        with pytest.raises(MCPError, match="no trajectory"):
            await client.read_resource(f"trajectory://{made.trajectory}")


async def test_more_syntheses_than_may_wait_are_told_to_come_back(tmp_path: Path, gate: Gate) -> None:
    settings = tiny_settings("WaitingMask").model_copy(update={"server": ServerSettings(waiting_calls=1)})
    async with serve(tmp_path, settings) as client:
        at_once = max(2, os.cpu_count() or 1)
        running = [asyncio.create_task(client.call_tool("synthesize", {**ARGUMENTS, "seed": n})) for n in range(at_once)]
        await gate.wait_for(at_once)
        more = [asyncio.create_task(client.call_tool("synthesize", {**ARGUMENTS, "seed": 90 + n})) for n in range(2)]
        done, (waiting,) = await asyncio.wait(more, return_when=asyncio.FIRST_COMPLETED)
        refused = done.pop().result()
        assert refused.is_error
        assert isinstance(refused.content[0], TextContent)
        assert "busy" in refused.content[0].text
        gate.go.set()
        assert [(await each).is_error for each in [*running, waiting]] == [False] * (at_once + 1)
        await gate.wait_for()


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


async def test_a_cancelled_synthesis_ends_and_the_server_answers_on(tmp_path: Path, gate: Gate) -> None:
    async with serve(tmp_path, tiny_settings("WaitingMask")) as client:
        waiting = asyncio.create_task(client.call_tool("synthesize", ARGUMENTS))
        await gate.wait_for()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        answer = await client.call_tool("prompt_gen", ARGUMENTS)
        assert not answer.is_error
        gate.go.set()


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


async def test_words_that_name_no_known_defect_are_told(tmp_path: Path) -> None:
    tree = tiny_settings().model_dump()
    tree["tools"]["prompt_gen"] = {"backend": "template"}
    async with serve(tmp_path, Settings.model_validate(tree)) as client:
        unknown = await client.call_tool("synthesize", {**ARGUMENTS, "anomaly_type": "Kratzer"})
        known = await client.call_tool("synthesize", ARGUMENTS)
    (said, *_), (other, *_) = unknown.content, known.content
    assert isinstance(said, TextContent)
    assert isinstance(other, TextContent)
    assert "'Kratzer' names no kind of defect that is known here" in said.text
    assert "names no kind" not in other.text


async def test_auto_draws_a_type_of_the_item_by_the_seed_and_names_it(tmp_path: Path) -> None:
    asked = {**ARGUMENTS, "item_name": "metal nut", "anomaly_type": "auto"}
    async with serve(tmp_path, tiny_settings()) as client:
        answers = [await client.call_tool("synthesize", {**asked, "seed": seed}) for seed in (0, 0, 1, 2, 3, 4, 5)]
    texts = [content.text for answer in answers for content in answer.content[:1] if isinstance(content, TextContent)]
    drawn = [text.partition("'auto' drew ")[2].partition(":")[0] for text in texts]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1
    made = SynthesisResult.model_validate(answers[0].structured_content)
    assert f"'{read_trajectory(tmp_path / 'trajectories' / f'{made.trajectory}.json').task.anomaly_type}'" == drawn[0]


async def test_a_photo_of_one_colour_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    async with serve(tmp_path, tiny_settings()) as client:
        write_photo(photo_from_array(np.full((64, 64, 3), 9, np.uint8)), tmp_path / "lid.png")
        answer = await client.call_tool("synthesize", {**ARGUMENTS, "image": "lid.png"})
    assert answer.is_error
    assert "lid.png is one colour all over" in str(answer.content)
    assert not (tmp_path / "trajectories").exists()
