"""`make bench-mcp`: what MCP costs: size of the tool list, start of a server, time of a call beside the bare function.

    python tests/bench/mcp_overhead.py [--calls 400]

The bare function is mask_gen's own, without thread and protocol: the cheapest tool, so that the difference is MCP. Bare and
served calls alternate, so that both see the same machine; the figure is the difference of their medians, and beside it that
of their fastest tenths, which a machine that does other work at the same time spoils less.
"""

import argparse
import asyncio
import inspect
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
from helpers.raw_mcp import StdioByHand, http_server
from helpers.workspaces import make_workspace
from mcp import Client, StdioServerParameters

from anomalyagent.configs.schema import Settings
from anomalyagent.graph.mcp_synthesize import extend_with_synthesis
from anomalyagent.mcp_tools.client import ToolClient
from anomalyagent.mcp_tools.contracts import TOOL_NAMES
from anomalyagent.mcp_tools.server import build_server, create_tools
from anomalyagent.mcp_tools.toolbox import Toolbox
from anomalyagent.mcp_tools.workspace import Workspace

PAIR: dict[str, object] = {"normal_image": "part.png", "anomaly_image": "part.png"}
SERVE = [sys.executable, "-m", "anomalyagent", "mcp", "serve", "all"]
STARTS = 7
WARM_UP = 30


class Cost(NamedTuple):
    """Seconds."""

    median: float
    least: float


Call = Callable[[], Awaitable[object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=400)
    calls = parser.parse_args().calls
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder), size=256)
        rows = asyncio.run(measure_calls(workspace, calls))
        rows += measure_starts(workspace.root)
        listed = asyncio.run(listing_of(workspace))
    machine = f"{platform.machine()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine}: medians (fastest)\n")
    print("| what | budget | measured |\n|---|---|---|")
    print(f"| list of all six tools | 6000 characters | {listed} |")
    for what, budget, cost in rows:
        print(f"| {what} | {budget} | {1000 * cost.median:.2f} ms ({1000 * cost.least:.2f}) |")


async def listing_of(workspace: Workspace) -> int:
    settings = Settings()
    async with Client(build_server(TOOL_NAMES, settings, workspace, extend_with_synthesis(settings, workspace))) as client:
        tools = (await client.list_tools()).tools
    listed = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    return len(json.dumps(listed, separators=(",", ":")))


async def measure_calls(workspace: Workspace, calls: int) -> list[tuple[str, str, Cost]]:
    """Seconds that a served call takes longer than the bare one beside it."""
    settings = Settings()
    function = inspect.unwrap(create_tools(["mask_gen"], Toolbox(settings, workspace))[0].fn)

    async def bare() -> object:
        return function(**PAIR)

    rows: list[tuple[str, str, Cost]] = []
    async with ToolClient(settings, workspace) as tools:
        rows.append(("call in this process", "0.5 ms", await over(bare, lambda: tools.call("mask_gen", PAIR), calls)))
    server = StdioServerParameters(command=SERVE[0], args=[*SERVE[1:], "--workspace", str(workspace.root)])
    for mode in ("auto", "legacy"):
        async with Client(server, mode=mode) as client:
            name = f"call over stdio, {'newest' if mode == 'auto' else 'older'} revision"
            rows.append((name, "2 ms", await over(bare, lambda client=client: client.call_tool("mask_gen", dict(PAIR)), calls)))
    with http_server("--workspace", str(workspace.root), command=SERVE) as url:
        async with Client(url) as client:
            rows.append(("call over HTTP", "-", await over(bare, lambda: client.call_tool("mask_gen", dict(PAIR)), calls)))
    return rows


async def over(bare: Call, served: Call, calls: int) -> Cost:
    """How much longer a served call takes than a bare one."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + calls):
        begun = time.perf_counter()
        await bare()
        between = time.perf_counter()
        await served()
        if number >= WARM_UP:
            times[0].append(between - begun)
            times[1].append(time.perf_counter() - between)
    bare_s, served_s = times
    fastest = quantiles(served_s, n=10)[0] - quantiles(bare_s, n=10)[0]
    return Cost(median(served_s) - median(bare_s), fastest)


def measure_starts(root: Path) -> list[tuple[str, str, Cost]]:
    """Seconds from the start of a process to the answer to its first request, and to its first tool call."""
    first: list[float] = []
    called: list[float] = []
    for _ in range(STARTS):
        begun = time.perf_counter()
        with StdioByHand("mcp", "serve", "all", "--workspace", str(root), module="anomalyagent") as server:
            server.shake_hands()
            first.append(time.perf_counter() - begun)
            server.request("tools/call", {"name": "mask_gen", "arguments": PAIR})
            called.append(time.perf_counter() - begun)
    return [
        ("start to first answer (stdio)", "1500 ms", Cost(median(first), min(first))),
        ("start to the answer of a first mask_gen", "-", Cost(median(called), min(called))),
    ]


if __name__ == "__main__":
    main()
