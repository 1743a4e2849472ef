"""The prompts of the server of all tools, and the completion of their arguments."""

from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_backends import tiny_settings
from helpers.workspaces import make_workspace
from mcp import Client
from mcp.server import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, PromptReference, ResourceTemplateReference, TextContent

from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.server import build_server

MAKE = PromptReference(type="ref/prompt", name="make_data_set")


@pytest.fixture
def server(tmp_path: Path) -> MCPServer[Any]:
    workspace = make_workspace(tmp_path, ("nuts/nut_1.png", "nuts/nut_2.png", "part.png"))
    return build_server(TOOL_NAMES, tiny_settings(), workspace)


async def completed(server: MCPServer[Any], argument: str, typed: str, **given: str) -> list[str]:
    async with Client(server) as client:
        answer = await client.complete(MAKE, {"name": argument, "value": typed}, context_arguments=given or None)
    return answer.completion.values


async def test_both_prompts_say_which_tools_to_call_with_what(server: MCPServer[Any]) -> None:
    async with Client(server) as client:
        listed = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
        assert list(listed) == ["inspect_part", "make_data_set"]
        assert all(argument.description for prompt in listed.values() for argument in prompt.arguments or [])
        given = {"item_name": "metal nut", "anomaly_type": "bent", "image": "part.png", "normal_image": "nuts/nut_1.png"}
        for name, tools in {
            "inspect_part": ["mask_gen", "knowledge_retrieval"],
            "make_data_set": ["synthesize", "image_gen"],
        }.items():
            arguments = {argument.name: given[argument.name] for argument in listed[name].arguments or [] if argument.required}
            (message,) = (await client.get_prompt(name, arguments)).messages
            assert isinstance(message.content, TextContent)
            assert all(part in message.content.text for part in [*tools, "metal nut", "part.png"])


@pytest.mark.parametrize(
    ("typed", "first"), [("metal", "metal nut"), ("METAL_N", "metal nut"), ("nut", "metal nut"), ("bottel", "bottle")]
)
async def test_items_are_completed_by_beginning_part_and_misspelling(server: MCPServer[Any], typed: str, first: str) -> None:
    found = await completed(server, "item_name", typed)
    assert first in found
    assert len(found) < 20


async def test_anomaly_types_follow_the_item_that_was_named(server: MCPServer[Any]) -> None:
    of_bottle = await completed(server, "anomaly_type", "", item_name="bottle")
    assert {"broken large", "contamination"} <= set(of_bottle)
    assert len(await completed(server, "anomaly_type", "")) == 100
    assert set(await completed(server, "anomaly_type", "broken", item_name="bottle")) == {"broken large", "broken small"}
    assert await completed(server, "anomaly_type", "scratch", item_name="no such thing at all")


async def test_images_are_completed_from_the_workspace(server: MCPServer[Any]) -> None:
    assert await completed(server, "image", "nuts/") == ["nuts/nut_1.png", "nuts/nut_2.png"]
    template = ResourceTemplateReference(type="ref/resource", uri="image://{+path}")
    async with Client(server) as client:
        answer = await client.complete(template, {"name": "path", "value": "part"})
    assert answer.completion.values == ["part.png"]


async def test_arguments_without_known_values_complete_to_nothing(server: MCPServer[Any]) -> None:
    assert await completed(server, "count", "1") == []


async def test_a_server_of_one_tool_has_no_prompts(tmp_path: Path) -> None:
    async with Client(build_server(("mask_gen",), tiny_settings(), make_workspace(tmp_path))) as client:
        assert (await client.list_prompts()).prompts == []


@pytest.mark.parametrize(("name", "arguments"), [("none", {}), ("make_data_set", {"item_name": "nut"})])
async def test_a_wrong_prompt_is_the_clients_mistake_and_told_so(tmp_path: Path, name: str, arguments: dict[str, str]) -> None:
    async with Client(build_server(TOOL_NAMES, tiny_settings(), make_workspace(tmp_path))) as client:
        with pytest.raises(MCPError, match="prompts/list names") as caught:
            await client.get_prompt(name, arguments)
    assert caught.value.error.code == INVALID_PARAMS


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        (
            "inspect_part",
            {"image": "part.png"},
            r"missing: normal_image, item_name\)\. prompts/list names them, all texts: image \(Photo",
        ),
        ("inspect_part", {"image": "a", "normal_image": "b", "item": "nut"}, r"\(missing: item_name; unknown: item\)"),
        ("inspect", {}, r"Unknown prompt 'inspect'; prompts/list names inspect_part, make_data_set\.$"),
    ],
)
async def test_a_wrong_call_of_a_prompt_is_told_what_is_missing(
    server: MCPServer[Any], name: str, arguments: dict[str, str], told: str
) -> None:
    async with Client(server) as client:
        with pytest.raises(MCPError, match=told) as caught:
            await client.get_prompt(name, arguments)
    assert caught.value.error.code == INVALID_PARAMS
