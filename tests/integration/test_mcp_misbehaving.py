"""Other people's stdio servers that crash, hang, lie or do not fit: what the client makes of them."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers import misbehaving_server
from helpers.tiny_backends import tiny_settings
from helpers.workspaces import make_workspace

from anomalyagent.configs.schema import Settings, ToolSettings
from anomalyagent.errors import ToolCallError
from anomalyagent.mcp_tools.client import ToolClient
from anomalyagent.mcp_tools.connection import Connection, OverStdio

PAIR = {"normal_image": "part.png", "anomaly_image": "part.png"}


def _outside(*way: str) -> ToolSettings:
    return ToolSettings(backend="change", server=[sys.executable, misbehaving_server.__file__, *way])


def _settings(*way: str) -> Settings:
    settings = tiny_settings()
    return settings.model_copy(update={"tools": settings.tools.model_copy(update={"mask_gen": _outside(*way)})})


def _servers() -> list[psutil.Process]:
    """The misbehaving servers that run now; other children of this process are none of these tests' business."""

    def is_one(child: psutil.Process) -> bool:
        try:
            return misbehaving_server.__file__ in child.cmdline()
        except psutil.NoSuchProcess:  # it ended meanwhile
            return False

    return [child for child in psutil.Process().children() if is_one(child)]


async def test_a_crash_in_mid_call_is_an_error_that_quotes_the_server_and_other_tools_live_on(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    async with ToolClient(_settings("crash"), tmp_path) as tools:
        with pytest.raises(ToolCallError, match="out of memory, says the server") as caught:
            await tools.call("mask_gen", PAIR)
        assert caught.value.kind == "crashed"
        assert (await tools.call("knowledge_retrieval", {"item_name": "nut", "anomaly_type": "dent"})).backend == "tiny"
        with pytest.raises(ToolCallError) as caught:  # started anew once for each call, never for ever
            await tools.call("mask_gen", PAIR)
        assert caught.value.kind == "crashed"


async def test_a_server_that_crashed_once_is_started_again_and_the_call_repeated(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    async with ToolClient(_settings("crash_once", str(tmp_path / "flag")), tmp_path) as tools:
        assert (await tools.call("mask_gen", PAIR)).backend == "other"


async def test_calls_that_crash_together_start_the_server_again_once(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    async with ToolClient(_settings("crash_once", str(tmp_path / "flag")), tmp_path) as tools:
        results = await asyncio.gather(*(asyncio.create_task(tools.call("mask_gen", PAIR)) for _ in range(4)))
    assert [result.backend for result in results] == ["other"] * 4


async def test_a_server_that_hangs_is_a_timeout_and_is_replaced_before_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anomalyagent.mcp_tools.connection.PROBE_TIMEOUT_S", 0.5)
    make_workspace(tmp_path)
    async with ToolClient(_settings("hang_once", str(tmp_path / "flag")), tmp_path) as tools:
        with pytest.raises(ToolCallError, match="did not answer within") as caught:
            await tools.call("mask_gen", PAIR, 0.5)
        assert caught.value.kind == "timeout"
        assert (await tools.call("mask_gen", PAIR)).backend == "other"


async def test_a_server_that_is_only_slow_is_kept(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    async with ToolClient(_settings("slow"), tmp_path) as tools:
        for _ in range(2):
            with pytest.raises(ToolCallError) as caught:
                await tools.call("mask_gen", PAIR, 0.2)
            assert caught.value.kind == "timeout"


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("other_tool", "has no tool 'mask_gen'; it has segment"),
        ("other_input", "needs an argument 'depth_image' that is not sent"),
        ("no_output", "declares no output schema"),
    ],
)
async def test_a_server_that_does_not_fit_is_refused_on_entering(tmp_path: Path, way: str, said: str) -> None:
    make_workspace(tmp_path)
    with pytest.raises(ToolCallError, match=said) as caught:
        async with ToolClient(_settings(way), tmp_path):
            pass
    assert caught.value.kind == "bad_result"


async def test_a_result_outside_the_contract_is_an_error(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    async with ToolClient(_settings("bad_result"), tmp_path) as tools:
        with pytest.raises(ToolCallError, match="area_fraction") as caught:
            await tools.call("mask_gen", PAIR)
    assert caught.value.kind == "bad_result"


async def test_fields_of_its_own_are_ignored_and_optional_arguments_it_lacks_are_not_sent(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    async with ToolClient(_settings("extra"), tmp_path) as tools:
        assert (await tools.call("mask_gen", {**PAIR, "preview": True})).mask == "m.png"


async def test_a_server_that_never_speaks_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_workspace(tmp_path)
    monkeypatch.setattr("anomalyagent.mcp_tools.connection.START_TIMEOUT_S", 0.5)
    with pytest.raises(ToolCallError, match="did not answer within") as caught:
        async with ToolClient(_settings("silent"), tmp_path):
            pass
    assert caught.value.kind == "timeout"


async def test_a_close_that_is_cancelled_still_ends_the_server(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    tools = await ToolClient(_settings("slow"), tmp_path).__aenter__()
    assert _servers()
    closing = asyncio.create_task(tools.__aexit__(None, None, None))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert not _servers()


async def test_an_entering_that_is_cancelled_ends_the_servers_that_are_open_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(tmp_path)
    opened, whole_open = asyncio.Event(), Connection.open

    async def open_and_tell(connection: Connection) -> None:
        await whole_open(connection)
        if isinstance(connection.place, OverStdio):
            opened.set()

    monkeypatch.setattr(Connection, "open", open_and_tell)
    settings = _settings("slow")
    both = settings.tools.model_copy(update={"prompt_gen": _outside("silent")})
    entering = asyncio.create_task(ToolClient(settings.model_copy(update={"tools": both}), tmp_path).__aenter__())
    await opened.wait()
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not _servers()


async def test_an_entering_that_is_cancelled_while_a_server_is_being_started_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_workspace(tmp_path)
    started, start = list["subprocess.Popen[bytes]"](), subprocess.Popen[bytes].__init__

    def start_and_cancel(process: "subprocess.Popen[bytes]", *given: Any, **named: Any) -> None:
        start(process, *given, **named)
        started.append(process)
        asyncio.get_running_loop().call_soon(entering.cancel)

    monkeypatch.setattr(subprocess.Popen, "__init__", start_and_cancel)
    entering = asyncio.create_task(ToolClient(_settings("silent"), tmp_path).__aenter__())
    with pytest.raises(asyncio.CancelledError):
        await entering
    (process,) = started
    assert process.returncode is not None
