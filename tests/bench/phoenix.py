"""Traces load into Phoenix: a server is started, a run is sent to it, and what it stored is read back and compared.

make bench-phoenix          installs Phoenix into .venv-phoenix (about 850 MB) and runs this
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

import httpx
from helpers.photos import make_photos

from anomalyagent.configs.loading import load_settings
from anomalyagent.graph.locate import iterate_trajectories
from anomalyagent.graph.run import Request, synthesize
from anomalyagent.graph.trace import Trajectory

START_S = 180


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phoenix", type=Path, required=True, help="The program `phoenix`.")
    parser.add_argument("--port", type=int, default=6106)
    given = parser.parse_args()
    with TemporaryDirectory() as folder:
        run_dir = Path(folder) / "nuts"
        photos = make_photos(Path(folder) / "photos", count=2, size=128)
        synthesize(Request([photos], "metal nut", ["scratch", "dent"], 4, run_dir), load_settings())
        url = f"http://127.0.0.1:{given.port}"
        environment = {
            "PHOENIX_WORKING_DIR": folder,
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(given.port),
            "PHOENIX_GRPC_PORT": str(given.port + 1),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }
        with (Path(folder) / "phoenix.log").open("wb") as log:
            server = subprocess.Popen(
                [str(given.phoenix), "serve"], env={**os.environ, **environment}, stdout=log, stderr=subprocess.STDOUT
            )
            try:
                _wait(url, server)
                command = [sys.executable, "-m", "anomalyagent", "trace", "otel", str(run_dir), "--endpoint", url]
                for _ in range(2):  # a second time adds nothing
                    subprocess.run(command, check=True)
                _compare(url, run_dir)
            finally:
                server.terminate()
                server.wait(30)


def _wait(url: str, server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and server.poll() is None:
        try:
            if httpx.get(f"{url}/healthz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.5)
    sys.exit("Phoenix did not start.")


def _compare(url: str, run_dir: Path) -> None:
    """Every trajectory is one trace, every turn one span, with kind, names and scores."""
    wanted = [one for one in iterate_trajectories(run_dir) if isinstance(one, Trajectory)]
    number = sum(1 + len(one.turns) for one in wanted)
    spans: list[dict[str, object]] = []
    for _ in range(60):  # it stores in the background
        spans = httpx.get(f"{url}/v1/projects/{run_dir.name}/spans", params={"limit": 1000}, timeout=30).json()["data"]
        if len(spans) >= number:
            break
        time.sleep(0.5)
    agents = [span for span in spans if span["span_kind"] == "AGENT"]
    tools = [span for span in spans if span["span_kind"] == "TOOL"]
    calls = [turn for one in wanted for turn in one.turns if turn.action.kind == "tool_call"]
    judged = [span for span in tools if span["name"] == "execute_tool quality_eval"]
    found = {
        "spans": (len(spans), number),
        "agents": (len(agents), len(wanted)),
        "tools": (len(tools), len(calls)),
        "with scores": (sum(bool(span["events"]) for span in judged), len(judged)),
    }
    print(found)
    if any(got != due for got, due in found.values()) or not judged:
        sys.exit("Phoenix does not hold what was sent.")
    print(f"Phoenix holds {len(wanted)} trajectories with {number} spans, as sent.")


if __name__ == "__main__":
    main()
