"""`make bench-chat`: 50 tasks in each format of the chat policy, driven by a tiny random model; and by `transformers serve`.

helper server      half of what it says cannot be used (tests/helpers/tiny_chat.py): tools, then text format
transformers serve the same random weights, loaded from a folder, saying nothing but noise
"""

import asyncio
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.photos import make_photos
from helpers.runs import request
from helpers.services import Service
from helpers.tiny_chat import TinyChat, save_tiny_chat

from anomalyagent.configs.schema import Settings
from anomalyagent.graph.inputs import hash_file
from anomalyagent.graph.run import synthesize
from anomalyagent.graph.trace import Task, Trajectory
from anomalyagent.graph.worker import Worker, WorkerSetup

TASKS = 50
PRICE = {"input": 1.0, "output": 4.0}


def settings_of(url: str, model: str, form: str, **limits: int) -> Settings:
    """A chat model does all that one can do."""
    options: dict[str, Any] = {
        "model": f"openai:{model}",
        "base_url": f"{url}/v1",
        "pause_s": 0,
        "image_px": 64,
        "max_tokens": 24,
    }
    return Settings.model_validate(
        {
            "policy": {"name": "chat", "options": {**options, "format": form}},
            "tools": {
                "prompt_gen": {"backend": "chat", "options": {**options, "answers": 2}},
                "quality_eval": {"backend": "vlm", "options": {**options, "answers": 2}},
            },
            "prices": {model: PRICE},
            "limits": {"attempts_per_sample": 1, "turns": 40, **limits},
        }
    )


def run_half_bad(form: str, folder: Path) -> None:
    """A whole run by the helper server."""
    chat, clock = TinyChat(seed=1), time.perf_counter()
    normals = make_photos(folder / "normals", "part", count=3, size=96)
    with Service([chat]) as service:
        wanted = request(normals, folder / "run", types=["oil stain"], count=TASKS)
        summary = synthesize(wanted, settings_of(service.url, "tiny", form))
        calls = len(service.asked)
    wanted_usd = calls * (900 * PRICE["input"] + 60 * PRICE["output"]) / 1e6
    assert summary.accepted + summary.rejected + summary.failed == TASKS
    assert math.isclose(summary.cost_usd, wanted_usd, abs_tol=1e-9), (summary.cost_usd, wanted_usd)
    print(
        f"{form}: {TASKS} tasks, {calls} calls ({chat.said}): {summary.accepted} accepted, {summary.rejected} rejected, "
        f"{summary.failed} failed, none crashed; {summary.cost_usd:.4f} USD, as the price table says; "
        f"{time.perf_counter() - clock:.0f} s"
    )


def run_transformers_serve(folder: Path) -> None:
    """One trajectory after another by `transformers serve`: the model's noise is told to it and ends nothing but its task."""
    model = str(save_tiny_chat(folder / "model"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    command = [str(program), "serve", model, "--port", str(port), "--host", "127.0.0.1", "--device", "cpu"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    url, clock = f"http://127.0.0.1:{port}", time.perf_counter()
    try:
        while True:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                if server.poll() is not None or time.perf_counter() - clock > 120:
                    server.kill()
                    said = server.stderr.read().decode()[-2000:] if server.stderr else ""
                    raise SystemExit(f"transformers serve did not start: {said}") from None
                time.sleep(0.5)
        clock = time.perf_counter()
        made = asyncio.run(_make(folder, settings_of(url, model, "text", turns=4)))
        scripted = asyncio.run(_judge_and_prompts(folder, url, model))
    finally:
        server.kill()
        server.wait()
    kinds = Counter(turn.action.kind for one in made for turn in one.turns)
    print(
        f"transformers serve, policy: {len(made)} tasks, {sum(kinds.values())} turns ({dict(kinds)}), "
        f"{dict(Counter(one.outcome for one in made))}, none crashed; {sum(one.tokens for one in made)} tokens"
    )
    errors = Counter(_kind(turn.observation.error) for one in scripted for turn in one.turns if turn.observation)
    print(
        f"transformers serve, prompt_gen and quality_eval under the expert: {len(scripted)} tasks, calls: {dict(errors)}; "
        f"{time.perf_counter() - clock:.0f} s in all"
    )


def _kind(error: str | None) -> str:
    return "done" if error is None else error.partition(":")[0]


async def _make(folder: Path, settings: Settings) -> list[Trajectory]:
    run_dir = folder / f"tasks_{settings.policy.name}_{settings.tools.prompt_gen.backend}"
    normal = make_photos(run_dir / "normals", "part", count=1, size=96) / "good_00.png"
    setup = WorkerSetup(run_dir=run_dir, run_id="bench", config_sha256="", settings=settings)
    (run_dir / "trajectories").mkdir(exist_ok=True)
    async with Worker(setup) as worker:
        return [
            await worker.make(
                Task(
                    id=f"stain-{number:05d}",
                    index=number,
                    normal_image="normals/good_00.png",
                    normal_sha256=hash_file(normal),
                    item_name="ring",
                    anomaly_type="oil stain",
                    seed=number,
                )
            )
            for number in range(TASKS)
        ]


async def _judge_and_prompts(folder: Path, url: str, model: str) -> list[Trajectory]:
    tree = settings_of(url, model, "text").model_dump()
    tree["policy"] = {"name": "expert", "options": {}}
    found = await _make(folder, Settings.model_validate(tree))
    tree["tools"]["prompt_gen"] = {"backend": "template", "options": {}}
    return found + await _make(folder, Settings.model_validate(tree))


def main() -> None:
    os.environ.setdefault("OPENAI_API_KEY", "none")
    with tempfile.TemporaryDirectory() as name:
        for form in ("tools", "text"):
            run_half_bad(form, Path(name) / form)
        run_transformers_serve(Path(name) / "serve")


if __name__ == "__main__":
    main()
