"""knowledge_retrieval with reference defects: those that look like the one that was made, as clients and the agent get them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from helpers.reference_sets import KINDS, write_references
from helpers.run_backends import run_settings
from helpers.tiny_backends import tiny_settings
from helpers.workspaces import make_workspace
from mcp import Client
from typer.testing import CliRunner

from anomalyagent.cli import app
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import BackendUnavailableError, ConfigError, ToolCallError
from anomalyagent.graph.build import build_graph, run_trajectory
from anomalyagent.graph.nodes import Services, compares
from anomalyagent.graph.observations import describe_result
from anomalyagent.graph.policies.expert import ExpertPolicy
from anomalyagent.graph.state import initial_state, read_turns
from anomalyagent.graph.trace import Task, ToolCall
from anomalyagent.mcp_tools.client import ToolClient
from anomalyagent.mcp_tools.contracts import KnowledgeResult
from anomalyagent.mcp_tools.imaging.photo import read_photo
from anomalyagent.mcp_tools.reference_search import ReferenceSearch
from anomalyagent.mcp_tools.server import build_server


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_references(tmp_path_factory.mktemp("real") / "plate")


def with_references(settings: Settings, folder: Path, **more: Any) -> Settings:
    tree = settings.model_dump()
    tree["knowledge"]["references"] = {"folders": [folder], **more}
    return Settings.model_validate(tree)


def write_pair(workspace: Path, kind: str) -> dict[str, str]:
    """A good photo of 96 px, and one with a defect of that kind which is none of the references."""
    normal = make_photo("surface", 77, 96)
    anomaly = normal.copy()
    if kind == "line":
        cv2.line(anomaly, (25, 52), (62, 45), (240, 240, 240), 2)
    elif kind == "patch":
        anomaly[40:58, 35:60, 0] = 225
    else:
        cv2.circle(anomaly, (50, 44), 7, (30, 30, 30), -1)
    cv2.imwrite(str(workspace / "normal.png"), normal[..., ::-1])
    cv2.imwrite(str(workspace / "anomaly.png"), anomaly[..., ::-1])
    return {"normal_image": "normal.png", "anomaly_image": "anomaly.png"}


async def ask(settings: Settings, workspace: Path, anomaly_type: str, pair: dict[str, str]) -> KnowledgeResult:
    async with ToolClient(settings, workspace) as tools:
        question = {"item_name": "plate", "anomaly_type": anomaly_type, **pair}
        return await tools.call("knowledge_retrieval", question)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_references_that_look_like_the_defect_come_first(references: Path, kind: str, tmp_path: Path) -> None:
    found = await ask(with_references(tiny_settings(), references), tmp_path, "flaw", write_pair(tmp_path, kind))
    assert len(found.references) == 3
    assert found.references[0].anomaly_type == kind
    assert [one.similarity for one in found.references] == sorted((one.similarity for one in found.references), reverse=True)
    assert "No reference is of type 'flaw'" in found.note
    first = found.references[0]
    shown = read_photo(tmp_path / first.image)
    assert np.array_equal(shown.native, read_photo(references / "test" / kind / first.name).native)


async def test_those_of_the_wanted_type_are_compared_and_measured(references: Path, tmp_path: Path) -> None:
    found = await ask(with_references(tiny_settings(), references, results=2), tmp_path, "Line", write_pair(tmp_path, "spot"))
    assert [one.anomaly_type for one in found.references] == ["line", "line"]
    assert "No reference" not in found.note
    for one in found.references:
        assert one.elongation is not None
        assert one.elongation > 4
        assert one.lightness is not None
        assert one.lightness > 10
        assert one.count == 1
    read = describe_result(found, [], {})
    assert read.splitlines()[-1].startswith("a real defect of this set that looks most like yours (line, likeness ")
    numbers = json.loads(read.splitlines()[-1].partition("): ")[2])
    assert set(numbers) == {"area_fraction", "count", "elongation", "lightness", "severity"}


async def test_without_references_the_tool_is_as_it_was(references: Path, tmp_path: Path) -> None:
    """Models are trained on this listing and on these words."""
    workspace = make_workspace(tmp_path)
    listed: list[Any] = []
    for settings in (tiny_settings(), with_references(tiny_settings(), references)):
        async with Client(build_server(["knowledge_retrieval"], settings, workspace)) as client:
            listed.append((await client.list_tools()).tools[0])
    assert list(listed[0].input_schema["properties"]) == ["item_name", "anomaly_type", "query"]
    assert list(listed[1].input_schema["properties"])[:3] == ["item_name", "anomaly_type", "query"]
    assert listed[0].description == listed[1].description
    assert listed[0].output_schema == listed[1].output_schema
    with pytest.raises(ToolCallError, match="normal_image"):
        await ask(tiny_settings(), tmp_path, "line", write_pair(tmp_path, "line"))
    plain = await ask(tiny_settings(), tmp_path, "line", {})
    silent = await ask(with_references(tiny_settings(), references), tmp_path, "line", {})
    assert describe_result(plain, [], {}) == describe_result(silent, [], {})


async def test_clients_get_a_link_to_each_photo(references: Path, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path)
    pair = write_pair(tmp_path, "line")
    async with Client(build_server(["knowledge_retrieval"], with_references(tiny_settings(), references), workspace)) as client:
        answer = await client.call_tool("knowledge_retrieval", {"item_name": "plate", "anomaly_type": "line", **pair})
        links = [block for block in answer.content if block.type == "resource_link"]
        assert len(links) == 3
        read = await client.read_resource(str(links[0].uri))
    assert read.contents[0].mime_type == "image/png"


async def test_the_agent_is_told_those_that_look_like_what_it_made(references: Path, tmp_path: Path) -> None:
    settings = with_references(run_settings(share=0.0), references)  # no image passes, so it looks things up
    normal = make_photo("surface", 77, 96)
    cv2.imwrite(str(tmp_path / "normal.png"), normal[..., ::-1])
    digest = hashlib.sha256((tmp_path / "normal.png").read_bytes()).hexdigest()
    task = Task(
        id="t", index=0, normal_image="normal.png", normal_sha256=digest, item_name="plate", anomaly_type="spot", seed=3
    )
    async with ToolClient(settings, tmp_path) as tools:
        services = Services(ExpertPolicy({}), tools, settings.limits, tmp_path, compares=compares(settings))
        turns = read_turns(await run_trajectory(build_graph(services), "t", initial_state(task, digest), 24))
    looked_up = [turn for turn in turns if isinstance(turn.action, ToolCall) and turn.action.name == "knowledge_retrieval"]
    assert looked_up
    for turn in looked_up:
        assert isinstance(turn.action, ToolCall)
        assert set(turn.action.arguments) <= {"item_name", "anomaly_type", "query"}  # what the agent says stays as it was
        assert turn.observation is not None
        assert turn.observation.error is None
        assert "a real defect of this set that looks most like yours (spot, likeness" in turn.observation.text


async def test_what_cannot_be_compared_is_said(references: Path, tmp_path: Path) -> None:
    settings = with_references(tiny_settings(), references)
    pair = write_pair(tmp_path, "line")
    unchanged = await ask(settings, tmp_path, "line", {**pair, "anomaly_image": "normal.png"})
    assert unchanged.references == []
    assert "nothing visible changed" in unchanged.note
    with pytest.raises(ToolCallError, match="give both, or none"):
        await ask(settings, tmp_path, "line", {"anomaly_image": "anomaly.png"})


@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_a_folder_without_defects_is_said_before_anything_is_made(folder: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    settings = with_references(tiny_settings(), tmp_path / folder).knowledge.references
    assert settings is not None
    with pytest.raises(ConfigError, match=f"knowledge.references: .*{folder} holds no defect with a mask"):
        ReferenceSearch(settings)
    cv2.imwrite(str(tmp_path / "good.png"), make_photo("surface", 1, 96))
    command = ["synthesize", "--normals", str(tmp_path / "good.png"), "--item", "plate", "--anomaly-type", "stain"]
    chosen = ["--set", f"knowledge.references.folders=[{tmp_path / folder}]", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, command + chosen)
    assert isinstance(done.exception, ConfigError)
    assert not (tmp_path / "run").exists()


def test_a_vision_model_that_is_not_there_is_said_at_once(references: Path) -> None:
    settings = with_references(tiny_settings(), references, model="facebook/no-such-dino").knowledge.references
    assert settings is not None
    with pytest.raises(BackendUnavailableError, match="hf download facebook/no-such-dino"):
        ReferenceSearch(settings)
