"""`make bench-clients`: eight clients at once on one HTTP server, 1,000 calls each, one of them killed every second.

    python tests/bench/clients.py [--clients 8] [--calls 1000] [--every 1.0]

A client is a process that knows the right answer to each of its calls. A killed one is replaced by another, which goes on
with the calls that are left; the one call in the air is lost. Prints how many calls were answered right and what the
server's memory did; exit code 1 if an answer was wrong or memory grew.
"""

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.raw_mcp import environment
from mcp import Client

from anomalyagent.configs.schema import KnowledgeSettings, Settings
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.server import build_server
from anomalyagent.mcp_tools.workspace import Workspace

NORMALS = Path(__file__).parents[2] / "examples" / "normals"
SERVE = [sys.executable, "-m", "anomalyagent", "mcp", "serve", "all"]
SIDE_PX = 96
DIFFERENT = 24
MOST_GROWTH_MB = 30.0


class Outcome(NamedTuple):
    """How it went."""

    right: int
    wrong: list[str]
    killed: int
    seconds: float
    memory_mb: list[float]

    @property
    def grown_mb(self) -> float:
        """From the end of the first third to the end."""
        return self.memory_mb[-1] - self.memory_mb[len(self.memory_mb) // 3]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two kills")
    given = parser.parse_args()
    outcome = asyncio.run(run(given.clients, given.calls, given.every))
    print(
        f"{outcome.right} right and {len(outcome.wrong)} wrong answers in {outcome.seconds:.0f} s, {outcome.killed} clients "
        f"killed; memory of the server {outcome.memory_mb[len(outcome.memory_mb) // 3]:.0f} MB after a third, "
        f"{outcome.memory_mb[-1]:.0f} MB at the end (most {max(outcome.memory_mb):.0f})"
    )
    for problem in outcome.wrong[:5]:
        print(problem)
    return 1 if outcome.wrong or outcome.grown_mb > MOST_GROWTH_MB else 0


async def run(clients: int, calls: int, every_s: float) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "work"
        root.mkdir()
        known = Path(folder) / "known.json"
        known.write_text(json.dumps(await right_answers(root, Path(folder) / "cache")))
        options = ["--workspace", str(root), "--set", f"knowledge.cache_dir={folder}/cache", "--transport", "http"]
        options += ["--port", "0", "--set", "server.requests_per_minute=1000000"]
        with subprocess.Popen([*SERVE, *options], stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            url = server.stderr.readline().split(" at ")[1].strip()
            try:
                return await asyncio.to_thread(drive, url, known, server.pid, clients, calls, every_s)
            finally:
                server.kill()


async def right_answers(root: Path, cache: Path) -> list[tuple[dict[str, Any], Any]]:
    """Calls of all five tools, and what a server of this process answers."""
    photo = cv2.imread(str(NORMALS / "metal_nut" / "000.jpg"))
    assert photo is not None
    cv2.imwrite(str(root / "nut.png"), cv2.resize(photo, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA))
    named = {"item_name": "metal nut"}
    settings = Settings(knowledge=KnowledgeSettings(cache_dir=cache))
    known: list[tuple[dict[str, Any], Any]] = []
    async with Client(build_server(TOOL_NAMES, settings, Workspace(root))) as client:

        async def ask(name: str, arguments: dict[str, Any]) -> Any:
            answer = await client.call_tool(name, arguments)
            assert not answer.is_error, answer.content
            known.append(({"name": name, "arguments": arguments}, answer.structured_content))
            return answer.structured_content

        for seed in range(DIFFERENT):
            kind = {**named, "anomaly_type": ("scratch", "dent", "stain")[seed % 3]}
            prompt = await ask("prompt_gen", {"image": "nut.png", **kind, "seed": seed})
            drawn = {"image": "nut.png", "prompt": prompt["prompt"], "spec": prompt["spec"], "preview": seed % 4 == 0}
            image = (await ask("image_gen", drawn))["image"]
            pair = {"normal_image": "nut.png", "anomaly_image": image}
            await ask("quality_eval", {**pair, **kind})
            await ask("mask_gen", pair)
        await ask("knowledge_retrieval", {**named, "anomaly_type": "scratch"})
    return known


def drive(url: str, known: Path, server: int, clients: int, calls: int, every_s: float) -> Outcome:
    """Start the clients, kill and replace one after another, until all calls are answered or lost."""
    rng = random.Random(0)
    begun, next_kill = time.perf_counter(), time.perf_counter() + every_s
    right, killed, wrong, memory = 0, 0, list[str](), list[float]()
    measured = psutil.Process(server)
    live = {slot: start(url, known, 0, calls) for slot in range(clients)}
    while live:
        time.sleep(0.05)
        memory.append(measured.memory_info().rss / 2**20)
        dead = [slot for slot, client in live.items() if client.poll() is not None]
        if time.perf_counter() >= next_kill:
            next_kill += every_s
            victim = rng.choice(list(live))
            if victim not in dead:
                live[victim].send_signal(signal.SIGKILL)
                live[victim].wait()
                dead.append(victim)
                killed += 1
        for slot in dead:
            client = live.pop(slot)
            assert client.stdout is not None
            client.stdout.seek(0)
            lines = client.stdout.read().split("\n")
            said = [line for line in lines[:-1] if line]  # what comes after the last line end was cut off by the kill
            wrong += [line for line in said if not line.isdigit()]
            numbers = [int(line) for line in said if line.isdigit()]
            right += len(numbers)
            if client.returncode != 0:
                went_on = numbers[-1] + 2 if numbers else client.first + 1
                if client.returncode != -signal.SIGKILL:
                    wrong.append(f"a client ended by itself with {client.returncode}")
                elif went_on < calls:
                    live[slot] = start(url, known, went_on, calls)
    return Outcome(right, wrong, killed, time.perf_counter() - begun, memory)


class Started(subprocess.Popen[str]):
    """A client process, its report in a file."""

    first: int


def start(url: str, known: Path, first: int, calls: int) -> Started:
    report = tempfile.TemporaryFile("w+")  # noqa: SIM115  read when the client has ended
    command = [sys.executable, "-m", "helpers.knowing_client", url, str(known), str(first), str(calls)]
    client = Started(command, stdout=report, stderr=subprocess.DEVNULL, text=True, env=environment())
    client.stdout = report
    client.first = first
    return client


if __name__ == "__main__":
    sys.exit(main())
