"""The agent's tools may come from several servers: in this process, another program, an address; the result is the same."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.raw_mcp import SERVER, TESTS, http_server
from helpers.workspaces import make_workspace
from mcp import Client
from mcp.types import TextContent

from anomalyagent.configs.loading import load_settings
from anomalyagent.configs.schema import Settings
from anomalyagent.graph.mcp_synthesize import extend_with_synthesis
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.server import build_server
from anomalyagent.mcp_tools.workspace import Workspace

TASK = {"image": "part.png", "item_name": "metal nut", "anomaly_type": "stain", "seed": 3}


async def synthesized(root: Path, settings: Settings) -> Any:
    workspace = Workspace(root)
    async with Client(build_server(TOOL_NAMES, settings, workspace, extend_with_synthesis(settings, workspace))) as client:
        return await client.call_tool("synthesize", TASK)


async def test_tools_of_three_sources_make_the_same_sample_as_those_of_one(tmp_path: Path) -> None:
    one = make_workspace(tmp_path / "one", size=96).root
    three = tmp_path / "three"
    shutil.copytree(one, three)
    cache = f"knowledge.cache_dir={tmp_path / 'cache'}"
    expected = (await synthesized(one, load_settings(None, (cache,)))).structured_content
    with http_server("all", "--workspace", str(three), "--set", cache) as url:
        file = tmp_path / "mixed.yaml"
        command = [*SERVER, "image_gen", "--workspace", "{workspace}"]
        file.write_text(
            f"tools:\n  image_gen:\n    server: {command}\n  quality_eval:\n    server: {url}\n  mask_gen:\n    server: {url}\n"
        )
        made = (await synthesized(three, load_settings(file, (cache,)))).structured_content
    assert {**made, "trajectory": ""} == {**expected, "trajectory": ""}
    assert (three / made["image"]).read_bytes() == (one / expected["image"]).read_bytes()
    assert (three / made["mask"]).read_bytes() == (one / expected["mask"]).read_bytes()


async def test_a_source_that_does_not_fit_is_named_with_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    root = make_workspace(tmp_path / "work", size=96).root
    file = tmp_path / "mixed.yaml"
    command = [sys.executable, "-m", "helpers.misbehaving_server", "other_input"]
    file.write_text(f"tools:\n  mask_gen:\n    server: {command}\n")
    answer = await synthesized(root, load_settings(file, (f"knowledge.cache_dir={tmp_path / 'cache'}",)))
    assert answer.is_error
    assert isinstance(answer.content[0], TextContent)
    assert "mask_gen of the server" in answer.content[0].text
    assert "it needs an argument 'depth_image' that is not sent" in answer.content[0].text
