"""The client that graph and training use, with our own server in this process."""

import asyncio
from pathlib import Path

import pytest
from helpers.tiny_backends import Gate, tiny_settings
from helpers.workspaces import make_workspace

from anomalyagent.configs.schema import Settings, ToolSettings
from anomalyagent.errors import ConfigError, ToolCallError, WorkspaceError
from anomalyagent.mcp_tools.client import ToolClient
from anomalyagent.mcp_tools.contracts import ImageResult

PAIR = {"normal_image": "part.png", "anomaly_image": "part.png"}


async def test_results_come_back_as_the_models_of_the_contract(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    async with ToolClient(tiny_settings(), tmp_path) as tools:
        prompt = await tools.call("prompt_gen", {"image": "part.png", "item_name": "nut", "anomaly_type": "stain", "seed": 4})
        assert prompt.spec.seed == 4
        drawn = await tools.call("image_gen", {"image": "part.png", "prompt": prompt.prompt, "spec": prompt.spec.model_dump()})
        assert isinstance(drawn, ImageResult)
        pair = {"normal_image": "part.png", "anomaly_image": drawn.image}
        judged = await tools.call("quality_eval", {**pair, "item_name": "nut", "anomaly_type": "stain"})
        assert judged.passed
        masked = await tools.call("mask_gen", pair)
        assert masked.area_fraction == drawn.changed_fraction > 0
        found = await tools.call("knowledge_retrieval", {"item_name": "nut", "anomaly_type": "stain"})
        assert found.note == "5 asked, 0 folders"
    assert (tmp_path / masked.mask).is_file()


async def test_a_refusal_carries_the_tools_own_text(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    async with ToolClient(tiny_settings("RefusingMask"), tmp_path) as tools:
        with pytest.raises(ToolCallError, match=r"^the photos show different parts") as caught:
            await tools.call("mask_gen", PAIR)
    assert caught.value.kind == "refused"


async def test_a_call_that_takes_too_long_is_a_timeout_and_the_next_one_is_answered(tmp_path: Path, gate: Gate) -> None:
    make_workspace(tmp_path)
    async with ToolClient(tiny_settings("WaitingMask"), tmp_path) as tools:
        with pytest.raises(ToolCallError, match=r"mask_gen did not answer within 0\.05 s") as caught:
            await tools.call("mask_gen", PAIR, 0.05)
        assert caught.value.kind == "timeout"
        gate.go.set()
        assert (await tools.call("mask_gen", PAIR)).confidence == 0.5


async def test_calls_may_come_from_any_task_and_the_client_may_be_closed_by_another(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    tools = ToolClient(tiny_settings(), tmp_path)
    await asyncio.create_task(tools.__aenter__())
    results = await asyncio.gather(*(asyncio.create_task(tools.call("mask_gen", PAIR)) for _ in range(8)))
    assert {result.area_fraction for result in results} == {0.0}
    await asyncio.create_task(tools.__aexit__(None, None, None))
    with pytest.raises(ToolCallError, match="outside"):
        await tools.call("mask_gen", PAIR)


async def test_a_cancelled_call_does_not_disturb_the_others(tmp_path: Path, gate: Gate) -> None:
    make_workspace(tmp_path)
    async with ToolClient(tiny_settings("WaitingMask"), tmp_path) as tools:
        first, second = (asyncio.create_task(tools.call("mask_gen", PAIR)) for _ in range(2))
        await gate.wait_for(2)
        first.cancel()
        gate.go.set()
        assert (await second).confidence == 0.5
        with pytest.raises(asyncio.CancelledError):
            await first


async def test_no_task_is_left_behind(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    before = asyncio.all_tasks()
    async with ToolClient(tiny_settings(), tmp_path) as tools:
        await tools.call("mask_gen", PAIR)
    assert asyncio.all_tasks() == before


def _with_server(server: str | list[str]) -> Settings:
    settings = tiny_settings()
    mask = ToolSettings(backend="change", server=server)
    return settings.model_copy(update={"tools": settings.tools.model_copy(update={"mask_gen": mask})})


@pytest.mark.parametrize("server", ["", "localhost:80", "ftp://host/mcp", []])
async def test_a_server_setting_that_is_neither_url_nor_command_is_refused(tmp_path: Path, server: str | list[str]) -> None:
    with pytest.raises(ConfigError, match=r"tools\.mask_gen\.server"):
        async with ToolClient(_with_server(server), tmp_path):
            pass


@pytest.mark.parametrize(
    ("server", "said"), [(["no-such-program-anywhere"], "was not found"), ("http://127.0.0.1:9/mcp", "cannot be reached")]
)
async def test_a_server_that_is_not_there_is_said_on_entering(tmp_path: Path, server: str | list[str], said: str) -> None:
    with pytest.raises(ToolCallError, match=said) as caught:
        async with ToolClient(_with_server(server), tmp_path):
            pass
    assert caught.value.kind == "crashed"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_workspace_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError):
        ToolClient(tiny_settings(), tmp_path / "missing")


def test_a_client_can_be_used_in_one_event_loop_after_another(tmp_path: Path) -> None:
    make_workspace(tmp_path)

    async def call() -> float:
        async with ToolClient(tiny_settings(), tmp_path) as tools:
            return (await tools.call("mask_gen", PAIR)).confidence

    assert [asyncio.run(call()) for _ in range(2)] == [0.9, 0.9]
