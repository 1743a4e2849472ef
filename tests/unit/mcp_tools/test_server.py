"""The servers, called in process by the SDK's client: contracts, answers, errors, threads."""

import asyncio
import base64
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pytest
from helpers.tiny_backends import Gate, tiny_settings
from helpers.workspaces import make_workspace
from mcp import Client
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp.types import CallToolResult, ImageContent, ResourceLink, TextContent

from anomalyagent.configs.schema import LimitSettings, Settings
from anomalyagent.mcp_tools.contracts import RESULT_TYPES, TOOL_NAMES, ToolName
from anomalyagent.mcp_tools.server import build_server
from anomalyagent.mcp_tools.toolbox import THREADS_PER_CALL, Toolbox

ARGUMENTS: dict[ToolName, dict[str, Any]] = {
    "prompt_gen": {"image": "part.png", "item_name": "nut", "anomaly_type": "scratch"},
    "image_gen": {"image": "part.png", "prompt": "a scratch"},
    "quality_eval": {"normal_image": "part.png", "anomaly_image": "part.png", "item_name": "nut", "anomaly_type": "scratch"},
    "knowledge_retrieval": {"item_name": "nut", "anomaly_type": "scratch"},
    "mask_gen": {"normal_image": "part.png", "anomaly_image": "part.png"},
}
SPEC = {"mechanism": "dent", "seed": 9}
Opener = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def served(tmp_path: Path) -> Opener:
    @asynccontextmanager
    async def serve(*tools: ToolName, mask: str = "TinyMask") -> AsyncGenerator[Client]:
        async with Client(build_server(tools or TOOL_NAMES, tiny_settings(mask), make_workspace(tmp_path))) as client:
            yield client

    return serve


def said(answer: CallToolResult) -> str:
    return "\n".join(block.text for block in answer.content if isinstance(block, TextContent))


@pytest.mark.parametrize("tool", TOOL_NAMES)
async def test_each_tool_answers_alone_in_its_contract(served: Opener, tool: ToolName) -> None:
    async with served(tool) as client:
        listed = (await client.list_tools()).tools
        assert [each.name for each in listed] == [tool]
        answer = await client.call_tool(tool, ARGUMENTS[tool])
    assert not answer.is_error, said(answer)
    RESULT_TYPES[tool].model_validate(answer.structured_content)
    assert said(answer)


async def test_one_server_holds_all_five_and_documents_every_argument(served: Opener) -> None:
    async with served() as client:
        listed = {each.name: each for each in (await client.list_tools()).tools}
        assert client.server_info is not None
        assert client.server_info.name == "anomalyagent"
        assert "workspace" in (client.instructions or "")
    assert tuple(listed) == TOOL_NAMES
    for tool in listed.values():
        assert tool.title
        assert len(tool.description or "") > 80
        assert tool.output_schema is not None
        assert all(each.get("description") for each in tool.input_schema["properties"].values()), tool.input_schema
        assert tool.annotations is not None
        writes = tool.name in ("image_gen", "mask_gen")
        assert bool(tool.annotations.read_only_hint) is not writes
        assert tool.annotations.destructive_hint is (False if writes else None)
        assert bool(tool.annotations.idempotent_hint) is writes  # without meaning for tools that only read


async def test_image_gen_stores_a_png_and_links_to_it(served: Opener, tmp_path: Path) -> None:
    async with served() as client:
        answer = await client.call_tool("image_gen", {**ARGUMENTS["image_gen"], "seed": 3})
        assert answer.structured_content is not None
        ref = answer.structured_content["image"]
        (link,) = [block for block in answer.content if isinstance(block, ResourceLink)]
        assert link.uri == f"image://{ref}"
        (read,) = (await client.read_resource(link.uri)).contents
        assert base64.b64decode(getattr(read, "blob")) == (tmp_path / ref).read_bytes()  # noqa: B009
    before, after = (cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED) for name in ("part.png", ref))
    assert before is not None
    assert after is not None
    assert answer.structured_content["changed_fraction"] == 64 / 48**2
    assert np.argwhere((before != after).any(axis=-1)).min(axis=0).tolist() == [3, 4]
    assert not [block for block in answer.content if isinstance(block, ImageContent)]


@pytest.mark.parametrize(
    ("arguments", "used"),
    [
        ({}, 0),
        ({"seed": 5}, 5),
        ({"spec": {"mechanism": "dent", "seed": 9}}, 9),
        ({"spec": {"mechanism": "dent", "seed": 9}, "seed": 5}, 5),
    ],
)
async def test_the_seed_is_the_callers_then_the_specs_then_0(served: Opener, arguments: dict[str, Any], used: int) -> None:
    async with served("image_gen") as client:
        answer = await client.call_tool("image_gen", ARGUMENTS["image_gen"] | arguments)
    assert answer.structured_content is not None
    assert answer.structured_content["seed"] == used


async def test_a_spec_sent_as_json_text_is_understood(served: Opener) -> None:
    async with served("image_gen") as client:
        answer = await client.call_tool("image_gen", {**ARGUMENTS["image_gen"], "spec": '{"mechanism": "dent", "seed": 8}'})
    assert answer.structured_content is not None
    assert answer.structured_content["spec"]["mechanism"] == "dent"


@pytest.mark.parametrize("tool", ["image_gen", "mask_gen"])
async def test_a_preview_comes_on_request_and_is_small(served: Opener, tmp_path: Path, tool: ToolName) -> None:
    async with served(tool) as client:
        make_workspace(tmp_path, ("part.png",), size=1600)
        answer = await client.call_tool(tool, {**ARGUMENTS[tool], "preview": True})
    (image,) = [block for block in answer.content if isinstance(block, ImageContent)]
    data = base64.b64decode(image.data)
    assert image.mime_type == "image/jpeg"
    assert len(data) <= 200_000
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (768, 768, 3)


async def test_mask_gen_gives_boxes_largest_first(served: Opener, tmp_path: Path) -> None:
    async with served() as client:
        make_workspace(tmp_path)
        pixels = cv2.imread(str(tmp_path / "part.png"))
        assert pixels is not None
        pixels[2:4, 30:33] = 255
        pixels[10:20, 10:15] = 255
        cv2.imwrite(str(tmp_path / "bad.png"), pixels)
        answer = await client.call_tool("mask_gen", {"normal_image": "part.png", "anomaly_image": "bad.png"})
    assert answer.structured_content is not None
    assert answer.structured_content["boxes_xyxy"] == [[10, 10, 15, 20], [30, 2, 33, 4]]
    assert answer.structured_content["area_fraction"] == 56 / 48**2


async def test_an_empty_mask_says_what_to_do(served: Opener) -> None:
    async with served("mask_gen") as client:
        answer = await client.call_tool("mask_gen", ARGUMENTS["mask_gen"])
    assert "higher severity" in said(answer)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"normal_image": "part.png"}, "anomaly_image: Field required"),
        ({"normal_image": "part.png", "anomaly_image": "part.png", "sede": 1}, "sede: Extra inputs are not permitted"),
        ({"normal_image": 3, "anomaly_image": "part.png"}, "normal_image: Input should be a valid string"),
        ({"normal_image": "../part.png", "anomaly_image": "part.png"}, "has '..' in it"),
        ({"normal_image": "prt.png", "anomaly_image": "part.png"}, "Closest of 1 images there: part.png"),
    ],
)
async def test_a_wrong_call_is_told_what_to_change(served: Opener, arguments: dict[str, Any], expected: str) -> None:
    async with served("mask_gen") as client:
        answer = await client.call_tool("mask_gen", arguments)
    assert answer.is_error
    assert expected in said(answer)
    assert "pydantic" not in said(answer)


@pytest.mark.parametrize(
    ("tool", "arguments", "expected"),
    [
        ("prompt_gen", {"image_path": "part.png"}, "image_path: Extra inputs are not permitted (did you mean image?)"),
        ("mask_gen", {"mask": "part.png"}, "mask: Extra inputs are not permitted. Arguments"),
        (
            "prompt_gen",
            {"image": ["part.png"]},
            "image: Input should be a valid string (one, not a list: make a call for each)",
        ),
        ("image_gen", {"spec": "scratch"}, "spec is an object: "),
    ],
)
async def test_a_call_that_was_nearly_right_is_told_what_was_meant(
    served: Opener, tool: ToolName, arguments: dict[str, Any], expected: str
) -> None:
    async with served() as client:
        answer = await client.call_tool(tool, {**ARGUMENTS[tool], **arguments})
    assert answer.is_error
    assert expected in said(answer)


async def test_a_pair_of_different_photos_is_told_as_such(served: Opener, tmp_path: Path) -> None:
    async with served("mask_gen") as client:
        cv2.imwrite(str(tmp_path / "other.png"), np.full((48, 48, 3), 7, np.uint8))
        answer = await client.call_tool("mask_gen", {"normal_image": "part.png", "anomaly_image": "other.png"})
    assert "these look like two photos" in said(answer)


async def test_prompt_gen_says_when_the_type_names_nothing_it_knows(tmp_path: Path) -> None:
    tree = tiny_settings().model_dump()
    tree["tools"]["prompt_gen"] = {"backend": "template"}
    async with Client(build_server(("prompt_gen",), Settings.model_validate(tree), make_workspace(tmp_path))) as client:
        known = await client.call_tool("prompt_gen", ARGUMENTS["prompt_gen"])
        unknown = await client.call_tool("prompt_gen", {**ARGUMENTS["prompt_gen"], "anomaly_type": "Kratzer"})
    assert "note:" not in said(known)
    assert "note: 'Kratzer' names no kind of defect that is known here" in said(unknown)


async def test_a_photo_of_one_colour_is_told_with_the_first_prompt(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    cv2.imwrite(str(tmp_path / "lid.png"), np.full((48, 48, 3), 7, np.uint8))
    async with Client(build_server(("prompt_gen",), tiny_settings(), workspace)) as client:
        told = await client.call_tool("prompt_gen", {**ARGUMENTS["prompt_gen"], "image": "lid.png"})
    assert "note: the photo is one colour all over" in said(told)


async def test_a_wrong_spec_is_told_its_fields_and_their_ranges(served: Opener) -> None:
    spec = {"mechanism": "scrach", "severity": 99, "sevrity": 3}
    async with served("image_gen") as client:
        answer = await client.call_tool("image_gen", ARGUMENTS["image_gen"] | {"spec": spec})
    assert answer.is_error
    for part in (
        "spec.mechanism",
        "'scratch'",
        "spec.severity",
        "spec.sevrity: Extra inputs",
        "severity 0.5..60 (1 barely visible",
    ):
        assert part in said(answer)


async def test_photos_of_different_sizes_are_refused_by_both_comparing_tools(served: Opener, tmp_path: Path) -> None:
    async with served() as client:
        make_workspace(tmp_path, ("large.png",), size=64)
        for tool in get_args(ToolName):
            if "anomaly_image" in ARGUMENTS[tool]:
                answer = await client.call_tool(tool, ARGUMENTS[tool] | {"anomaly_image": "large.png"})
                assert answer.is_error
                assert "48x48" in said(answer)
                assert "64x64" in said(answer)


async def test_a_known_error_reaches_the_client_in_its_own_words(served: Opener) -> None:
    async with served("mask_gen", mask="RefusingMask") as client:
        answer = await client.call_tool("mask_gen", ARGUMENTS["mask_gen"])
    assert answer.is_error
    assert said(answer) == "the photos show different parts. Pass two photos of one part."


async def test_a_fault_names_the_tool_and_its_kind_and_leaves_the_traceback_to_the_log(
    served: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    async with served("mask_gen", mask="BrokenMask") as client:
        answer = await client.call_tool("mask_gen", ARGUMENTS["mask_gen"])
    assert answer.is_error
    assert "mask_gen failed unexpectedly (KeyError)" in said(answer)
    assert "secret-value-4711" not in said(answer)
    assert "Traceback" not in said(answer)
    assert "secret-value-4711" in caplog.text


async def test_an_unusable_backend_is_an_answer_and_the_server_lives_on(served: Opener) -> None:
    async with served(mask="NoSuchClass") as client:
        answer = await client.call_tool("mask_gen", ARGUMENTS["mask_gen"])
        assert answer.is_error
        assert "NoSuchClass" in said(answer)
        assert not (await client.call_tool("prompt_gen", ARGUMENTS["prompt_gen"])).is_error


async def test_a_long_call_does_not_hold_up_another(served: Opener, gate: Gate) -> None:
    async with served(mask="WaitingMask") as client:
        waiting = asyncio.create_task(client.call_tool("mask_gen", ARGUMENTS["mask_gen"]))
        await gate.wait_for()
        assert not (await client.call_tool("prompt_gen", ARGUMENTS["prompt_gen"])).is_error
        assert not waiting.done()
        gate.go.set()
        assert not (await waiting).is_error


async def test_more_calls_than_may_wait_are_told_to_come_back(tmp_path: Path, gate: Gate) -> None:
    workspace = make_workspace(tmp_path)
    async with Client(build_server(TOOL_NAMES, tiny_settings("WaitingMask"), workspace, most_waiting=1)) as client:
        at_once = max(2, os.cpu_count() or 1)
        running = [asyncio.create_task(client.call_tool("mask_gen", ARGUMENTS["mask_gen"])) for _ in range(at_once)]
        await gate.wait_for(at_once)
        more = [asyncio.create_task(client.call_tool("mask_gen", ARGUMENTS["mask_gen"])) for _ in range(2)]
        done, (waiting,) = await asyncio.wait(more, return_when=asyncio.FIRST_COMPLETED)
        refused = done.pop().result()
        assert refused.is_error
        assert "busy" in said(refused)
        gate.go.set()
        assert [(await each).is_error for each in [*running, waiting]] == [False] * (at_once + 1)
        await gate.wait_for()


async def test_a_call_that_hangs_is_given_up_and_says_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gate: Gate
) -> None:
    monkeypatch.setattr("anomalyagent.mcp_tools.toolbox.GRACE_S", 0.0)
    settings = tiny_settings("WaitingMask").model_copy(update={"limits": LimitSettings(tool_timeout_s=0.05)})
    async with Client(build_server(TOOL_NAMES, settings, make_workspace(tmp_path))) as client:
        answer = await client.call_tool("mask_gen", ARGUMENTS["mask_gen"])
        assert answer.is_error
        assert "limits.tool_timeout_s" in said(answer)
        gate.go.set()  # on a busy machine its thread may not even have begun


async def test_calls_that_nobody_waits_for_any_more_cannot_fill_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anomalyagent.mcp_tools.toolbox.GRACE_S", 0.0)
    settings = tiny_settings().model_copy(update={"limits": LimitSettings(tool_timeout_s=0.02)})
    toolbox, begun, go = Toolbox(settings, make_workspace(tmp_path)), list[int](), threading.Event()

    def work() -> CallToolResult:
        begun.append(1)
        go.wait(240)
        return CallToolResult(content=[])

    most = THREADS_PER_CALL * max(2, os.cpu_count() or 1)
    try:
        for _ in range(2 * most):
            with pytest.raises(ToolError, match="given up"):
                await toolbox.run(work)
        assert len(begun) <= most
    finally:
        go.set()


async def test_a_cancelled_call_leaves_the_server_able_to_answer(served: Opener, gate: Gate) -> None:
    async with served(mask="WaitingMask") as client:
        waiting = asyncio.create_task(client.call_tool("mask_gen", ARGUMENTS["mask_gen"]))
        await gate.wait_for()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not (await client.call_tool("prompt_gen", ARGUMENTS["prompt_gen"])).is_error
        gate.go.set()


@pytest.mark.parametrize(
    "uri", ["image://../part.png", "image://%2e%2e/part.png", "image:///etc/passwd", "image://nothing.png"]
)
async def test_resources_outside_or_missing_are_refused(served: Opener, uri: str) -> None:
    async with served("mask_gen") as client:
        with pytest.raises(MCPError):
            await client.read_resource(uri)


async def test_only_images_can_be_read_as_resources(served: Opener, tmp_path: Path) -> None:
    async with served("mask_gen") as client:
        (tmp_path / "keys.env").write_text("API_KEY=0123456789")
        with pytest.raises(MCPError) as caught:
            await client.read_resource("image://keys.env")
    assert "0123456789" not in str(caught.value)


def test_making_a_server_leaves_the_root_logger_alone(tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers)
    build_server(TOOL_NAMES, tiny_settings(), make_workspace(tmp_path))
    assert logging.getLogger().handlers == before


@pytest.mark.parametrize(
    ("prompt", "spec", "drawn"),
    [
        ("x", {"mechanism": "scratch"}, {"elongation": 18.0, "area_fraction": 0.004, "severity": 7.0}),
        (
            "a faint scratch, 40 times as long as wide, on the left",
            {"mechanism": "scratch", "zone": "top"},
            {"elongation": 40.0},
        ),
        ("a scratch on the left", {"mechanism": "scratch", "zone": "top"}, {"zone": "top", "center": None}),
        ("two scratches", {"mechanism": "scratch", "severity": 3.0}, {"severity": 3.0, "count": 2}),
        ("a scratch 40 times as long as wide", {"mechanism": "dent"}, {"elongation": 1.6}),
    ],
)
async def test_what_a_spec_leaves_out_comes_from_the_words_or_is_typical(
    served: Opener, prompt: str, spec: dict[str, Any], drawn: dict[str, Any]
) -> None:
    async with served("image_gen") as client:
        answer = await client.call_tool("image_gen", {"image": "part.png", "prompt": prompt, "spec": spec})
    assert answer.structured_content is not None
    used = answer.structured_content["spec"]
    assert {name: used.get(name) for name in drawn} == drawn
    assert used["mechanism"] == spec["mechanism"]


async def test_a_spec_with_all_its_sizes_is_drawn_as_it_is(served: Opener) -> None:
    spec = {"mechanism": "scratch", "area_fraction": 0.01, "elongation": 1.5, "severity": 6.0}
    async with served("image_gen") as client:
        answer = await client.call_tool("image_gen", {"image": "part.png", "prompt": "three red scratches", "spec": spec})
    assert answer.structured_content is not None
    used = {name: value for name, value in answer.structured_content["spec"].items() if value is not None}
    assert used == spec | {"zone": "any", "count": 1, "seed": 0}
