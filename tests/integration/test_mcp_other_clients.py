"""Clients that are not ours make a defect: the Inspector, both TypeScript SDKs, mcp 1.x in Python, LangChain.

Each gets the same task, and over stdio and HTTP the same answer as our own client in this process.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import pytest
from helpers.outside import node, python_with, run
from helpers.raw_mcp import http_server
from mcp import Client

from anomalyagent.configs.schema import KnowledgeSettings, Settings
from anomalyagent.graph.mcp_synthesize import SynthesisResult, extend_with_synthesis
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.server import build_server
from anomalyagent.mcp_tools.workspace import Workspace

pytestmark = pytest.mark.slow

PHOTO = Path(__file__).parents[2] / "examples" / "normals" / "metal_nut" / "000.jpg"
NAMED = {"item_name": "metal nut", "anomaly_type": "scratch"}
TASK = {"image": "nut.png", **NAMED, "seed": 1}
SERVE = [sys.executable, "-m", "anomalyagent", "mcp", "serve"]
OLD_CLIENT = Path(__file__).parents[1] / "helpers" / "mcp_1_client.py"


class Served(NamedTuple):
    """One workspace behind both transports, and what our own client is answered there."""

    url: str
    command: list[str]
    root: Path
    expected: SynthesisResult

    def target(self, transport: str) -> list[str]:
        return [self.url] if transport == "http" else self.command


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("clients")
    root = folder / "work"
    root.mkdir()
    photo = cv2.imread(str(PHOTO))
    assert photo is not None
    cv2.imwrite(str(root / "nut.png"), cv2.resize(photo, (128, 128), interpolation=cv2.INTER_AREA))
    settings = Settings(knowledge=KnowledgeSettings(cache_dir=folder / "cache"))
    mine = folder / "mine"
    shutil.copytree(root, mine)
    workspace = Workspace(mine)
    async with Client(build_server(TOOL_NAMES, settings, workspace, extend_with_synthesis(settings, workspace))) as client:
        expected = SynthesisResult.model_validate((await client.call_tool("synthesize", TASK)).structured_content)
    assert expected.accepted
    arguments = ["all", "--workspace", str(root), "--set", f"knowledge.cache_dir={folder / 'cache'}"]
    with http_server(*arguments, command=SERVE) as url:
        yield Served(url, [*SERVE, *arguments], root, expected)


def check(said: dict[str, Any], served: Served) -> None:
    """The report of a client that made every call."""
    assert said["tools"] == [*TOOL_NAMES, "synthesize"]
    assert said["kinds"] == ["text", "resource_link", "image"]
    assert 0 <= said["score"] <= 10
    assert said["cards"] >= 1
    assert (served.root / said["mask"]).stat().st_size == said["mask_bytes"]
    assert SynthesisResult.model_validate(said["made"]) == served.expected
    assert said["steps"][:3] == ["prompt_gen", "image_gen", "quality_eval"]
    assert said["refused"][0] is True
    assert "'..'" in said["refused"][1]


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_the_typescript_sdk_makes_a_defect(served: Served, generation: str, transport: str) -> None:
    done = node("synthesize.mjs", generation, json.dumps(TASK), *served.target(transport))
    assert done.code == 0, done.text
    check(json.loads(done.out.splitlines()[-1]), served)


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.parametrize("era", [(), ("--protocol-era", "modern")], ids=["legacy", "modern"])
def test_the_inspector_makes_a_defect(served: Served, era: tuple[str, ...], transport: str) -> None:
    pairs = [part for name, value in TASK.items() for part in ("--tool-arg", f"{name}={value}")]
    call = ["--method", "tools/call", "--tool-name", "synthesize", *pairs]
    done = node("mcp-inspector", "--cli", *served.target(transport), *era, *call)
    assert done.code == 0, done.text
    answer = json.loads(done.out[done.out.index("{") : done.out.rindex("}") + 1])
    assert SynthesisResult.model_validate(answer["structuredContent"]) == served.expected


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("mcp1") / "venv", "mcp<2")


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_an_mcp_1_client_makes_a_defect(served: Served, old_python: Path, transport: str) -> None:
    done = run([str(old_python), str(OLD_CLIENT), json.dumps(TASK), *served.target(transport)])
    assert done.code == 0, done.err
    said = json.loads(done.out.splitlines()[-1])
    assert said["revision"] == "2025-11-25"
    check(said, served)


@pytest.mark.parametrize("transport", ["stdio", "http"])
@pytest.mark.filterwarnings("ignore")  # the adapter is in beta and says so
async def test_langchain_makes_a_defect(served: Served, transport: str) -> None:
    from langchain.mcp import MCPAdapter

    command = {"command": served.command[0], "args": served.command[1:]}
    async with MCPAdapter(served.url if transport == "http" else {"mcpServers": {"anomalyagent": command}}) as adapter:
        tools = {tool.name: tool for tool in await adapter.list_tools()}
        assert list(tools) == [*TOOL_NAMES, "synthesize"]

        async def call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
            answer = await tools[name].ainvoke({"type": "tool_call", "id": "1", "name": name, "args": arguments})
            assert answer.status == "success", answer.content
            return answer.artifact["structured_content"]

        prompt = await call("prompt_gen", TASK)
        drawn = await call("image_gen", {"image": "nut.png", "prompt": prompt["prompt"], "spec": prompt["spec"]})
        pair = {"normal_image": "nut.png", "anomaly_image": drawn["image"]}
        assert 0 <= (await call("quality_eval", {**pair, **NAMED}))["score"] <= 10
        assert (await call("knowledge_retrieval", NAMED))["cards"]
        assert (served.root / (await call("mask_gen", pair))["mask"]).is_file()
        assert SynthesisResult.model_validate(await call("synthesize", TASK)) == served.expected
