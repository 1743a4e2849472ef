"""`langgraph dev` serves the graph of langgraph.json: its API runs, interrupts, resumes and forks a synthesis."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers.photos import make_photos
from helpers.ports import free_port
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

ROOT = Path(__file__).parents[2]
START_S = 240

pytest.importorskip("langgraph_api", reason="the dev extra brings langgraph-cli[inmem]")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    port = free_port()
    program = [str(Path(sys.executable).with_name("langgraph")), "dev", "--no-browser", "--no-reload", "--port", str(port)]
    program += ["--config", str(ROOT / "langgraph.json")]
    # It keeps `.langgraph_api` where it works: in the project two servers would share it, one test process's and another's.
    folder = tmp_path_factory.mktemp("dev")
    log = folder / "log"
    with log.open("wb") as output:
        quiet = {**os.environ, "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LANGSMITH_TRACING": "false"}
        process = subprocess.Popen(program, cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=quiet)
        try:
            url, end = f"http://127.0.0.1:{port}", time.monotonic() + START_S
            while time.monotonic() < end and process.poll() is None:
                try:
                    if httpx.get(f"{url}/ok", timeout=2).status_code == 200:
                        break
                except httpx.TransportError:
                    time.sleep(0.2)
            else:
                pytest.fail(f"langgraph dev did not start:\n{log.read_text()[-3000:]}")
            yield url
        finally:
            process.terminate()
            process.wait(240)


@pytest.fixture
async def client(server: str) -> AsyncGenerator[LangGraphClient]:
    async with get_client(url=server) as opened:
        yield opened


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    make_photos(tmp_path, count=1, size=128)
    return tmp_path


def ask(workspace: Path) -> dict[str, Any]:
    photo = next(workspace.glob("*.png")).name
    return {"normal_image": photo, "item_name": "metal nut", "anomaly_type": "scratch", "seed": 3}


def told(state: Any) -> list[str]:
    return [turn["action"].get("name", turn["action"]["kind"]) for turn in state["turns"]]


async def test_the_api_runs_interrupts_resumes_and_forks_a_synthesis(client: LangGraphClient, workspace: Path) -> None:
    config: Any = {"configurable": {"workspace": str(workspace)}}
    assert [one["graph_id"] for one in await client.assistants.search()] == ["synthesize"]

    thread = (await client.threads.create())["thread_id"]
    state: Any = await client.runs.wait(thread, "synthesize", input=ask(workspace), config=config)
    assert state["outcome"] in ("accepted", "rejected")
    assert told(state)[:3] == ["prompt_gen", "image_gen", "quality_eval"]
    assert all((workspace / image["ref"]).is_file() for image in state["images"])

    other = (await client.threads.create())["thread_id"]
    asking: Any = {"configurable": {"workspace": str(workspace), "approve": ["image_gen"]}}
    paused: Any = await client.runs.wait(other, "synthesize", input=ask(workspace), config=asking)
    waiting = paused["__interrupt__"][0]["value"]
    assert waiting["turn"]["action"]["name"] == "image_gen"
    assert (await client.threads.get_state(other))["next"] == ["image_gen"]
    ruling = {"kind": "edit", "changes": {"spec.severity": 12.5}}
    while "__interrupt__" in paused:
        paused = await client.runs.wait(other, "synthesize", command={"resume": ruling}, config=asking)
        ruling = {"kind": "approve"}
    drawn = next(turn for turn in paused["turns"] if turn["action"].get("name") == "image_gen")
    assert drawn["action"]["arguments"]["spec"]["severity"] == 12.5
    assert "spec.severity" in [edit["path"] for edit in paused["edits"]]

    history = await client.threads.get_history(thread, limit=100)
    before_image = next(one for one in reversed(history) if one["next"] == ["image_gen"])
    values: Any = before_image["values"]
    pending = values["pending"]
    pending["action"]["arguments"]["spec"]["severity"] = 4.0  # stronger than drawn, these bright stripes cannot show
    checkpoint: Any = before_image["checkpoint"]
    await client.threads.update_state(thread, {"pending": pending}, as_node="agent", checkpoint=checkpoint)
    forked: Any = await client.runs.wait(thread, "synthesize", input=None, config=config)
    assert forked["turns"][:1] == state["turns"][:1]
    assert forked["turns"][1]["action"]["arguments"]["spec"]["severity"] == 4.0
    assert forked["turns"][1]["observation"]["images"] != state["turns"][1]["observation"]["images"]
    assert forked["outcome"] in ("accepted", "rejected")


async def test_a_photo_that_is_not_in_the_workspace_is_an_error_of_the_run(client: LangGraphClient, workspace: Path) -> None:
    config: Any = {"configurable": {"workspace": str(workspace)}}
    thread = (await client.threads.create())["thread_id"]
    wrong = {**ask(workspace), "normal_image": "../nowhere.png"}
    answer: Any = await client.runs.wait(thread, "synthesize", input=wrong, config=config, raise_error=False)
    assert answer["__error__"]["error"] == "WorkspaceError"
