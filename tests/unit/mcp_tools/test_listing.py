"""Tool listings: short, flat, and still saying what a caller needs."""

import json
from pathlib import Path
from typing import Any

from helpers.tiny_backends import tiny_settings
from helpers.workspaces import make_workspace
from mcp import Client

from anomalyagent.knowledge.spec import MECHANISMS, ZONES, DefectSpec
from anomalyagent.mcp_tools.contracts import RESULT_TYPES, TOOL_NAMES, ImageResult
from anomalyagent.mcp_tools.listing import listed_input, listed_output
from anomalyagent.mcp_tools.server import build_server

MOST_CHARACTERS = 5200
"""Of the five tools; with `synthesize` beside them it is 6000."""


async def listing(root: Path) -> list[dict[str, Any]]:
    async with Client(build_server(TOOL_NAMES, tiny_settings(), make_workspace(root))) as client:
        tools = (await client.list_tools()).tools
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


def every_schema(schema: dict[str, Any]) -> list[dict[str, Any]]:
    inside = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return [schema, *(each for child in inside for each in every_schema(child))]


async def test_the_listings_of_all_five_cost_little_context(tmp_path: Path) -> None:
    assert len(json.dumps(await listing(tmp_path), separators=(",", ":"))) <= MOST_CHARACTERS


async def test_listed_schemas_use_only_what_every_host_understands(tmp_path: Path) -> None:
    for tool in await listing(tmp_path):
        for kind in ("inputSchema", "outputSchema"):
            for schema in every_schema(tool[kind]):
                assert isinstance(schema["type"], str), schema
                assert not {"$ref", "$defs", "anyOf", "oneOf", "prefixItems", "title"} & set(schema), schema


async def test_every_field_of_the_spec_is_named_with_its_range_or_choices(tmp_path: Path) -> None:
    tool = next(each for each in await listing(tmp_path) if each["name"] == "image_gen")
    spec = tool["inputSchema"]["properties"]["spec"]
    assert spec["properties"]["mechanism"]["enum"] == list(MECHANISMS)
    assert spec["required"] == ["mechanism"]
    for name in set(DefectSpec.model_fields) - {"mechanism"}:
        assert name in spec["description"]
    assert "|".join(ZONES) in spec["description"]
    assert "severity 0.5..60" in spec["description"]


def test_results_list_their_fields_and_what_is_always_there() -> None:
    for kind in RESULT_TYPES.values():
        schema = kind.model_json_schema()
        listed = listed_output(schema)
        assert listed["required"] == schema["required"]
        assert set(listed["required"]) <= set(listed["properties"]) <= set(schema["properties"])
    assert listed_output(ImageResult.model_json_schema())["properties"]["spec"] == {"type": "object"}


def test_a_default_is_listed_unless_it_is_nothing() -> None:
    properties = {"count": {"type": "integer", "default": 3}, "preview": {"type": "boolean", "default": False}}
    listed = listed_input({"type": "object", "properties": properties})
    assert listed["properties"] == {"count": {"type": "integer", "default": 3}, "preview": {"type": "boolean"}}
