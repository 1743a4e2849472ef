"""The Python client of the previous major version of the SDK, in an environment of its own, talks to our server."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from helpers.raw_mcp import SERVER, http_server
from helpers.workspaces import make_workspace

CLIENT = """
import asyncio, json, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

async def talk(streams):
    async with ClientSession(streams[0], streams[1]) as session:
        hello = await session.initialize()
        tools = (await session.list_tools()).tools
        pair = {"normal_image": "part.png", "anomaly_image": "part.png"}
        masked = await session.call_tool("mask_gen", {**pair, "preview": True})
        refused = await session.call_tool("mask_gen", {**pair, "anomaly_image": "../part.png"})
        read = await session.read_resource("image://" + masked.structuredContent["mask"])
        return {
            "revision": hello.protocolVersion,
            "tools": [tool.name for tool in tools],
            "mask": masked.structuredContent,
            "kinds": [block.type for block in masked.content],
            "refused": [refused.isError, refused.content[0].text],
            "read": len(read.contents[0].blob),
        }

async def main():
    url, *command = sys.argv[1:]
    async with stdio_client(StdioServerParameters(command=command[0], args=command[1:])) as streams:
        over_stdio = await talk(streams)
    async with streamablehttp_client(url) as streams:
        over_http = await talk(streams)
    print(json.dumps([over_stdio, over_http]))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with mcp 1.x, or a skip where no package registry can be reached."""
    folder = tmp_path_factory.mktemp("mcp1")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    command = [str(python), "-m", "pip", "install", "--quiet", "--retries", "0", "--timeout", "15", "mcp<2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    if done.returncode != 0:
        pytest.skip(f"mcp 1.x cannot be installed here (no package registry?): {done.stderr.strip()[-200:]}")
    return python


@pytest.mark.slow
def test_a_client_of_mcp_1_gets_the_same_over_stdio_and_http(old_python: Path, tmp_path: Path) -> None:
    root = make_workspace(tmp_path / "work").root
    server = [*SERVER, "all", "--workspace", str(root)]
    with http_server("all", "--workspace", str(root)) as url:
        done = subprocess.run(
            [str(old_python), "-c", CLIENT, url, *server], capture_output=True, text=True, timeout=90, check=False
        )
    assert done.returncode == 0, done.stderr
    over_stdio, over_http = json.loads(done.stdout.splitlines()[-1])
    assert over_stdio == over_http
    assert over_stdio["revision"] == "2025-11-25"
    assert len(over_stdio["tools"]) == 5
    assert over_stdio["mask"]["backend"] == "change"
    assert over_stdio["kinds"] == ["text", "resource_link", "image"]
    assert over_stdio["refused"][0] is True
    assert "'..'" in over_stdio["refused"][1]
    assert over_stdio["read"] > 0
