"""`make bench`: the embedded configuration's times and memory beside their budgets, on one core.

    python tests/bench/budgets.py [--tasks 120] [--out budgets.md]

Each figure is a median with its quartiles. Photos are the bundled ones at 256 x 256. The first trajectories, which load
codecs and tables, are not counted ("warm").
"""

import argparse
import asyncio
import hashlib
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple, TypeVar

import cv2
import psutil

from anomalyagent.configs.loading import load_settings
from anomalyagent.graph.trace import Task
from anomalyagent.graph.worker import Worker, WorkerSetup
from anomalyagent.mcp_tools.contracts import TOOL_NAMES

NORMALS = Path(__file__).parents[2] / "examples" / "normals"
PARTS = {"metal_nut": ("metal nut", "scratch"), "steel_plate": ("steel plate", "dent"), "tablet": ("tablet", "crack")}
WARM_UP = 12
_T = TypeVar("_T")


class Row(NamedTuple):
    """One line of the table. `budget` and values in `unit`."""

    what: str
    budget: float
    unit: str
    values: list[float]

    def line(self) -> str:
        middle = median(self.values)
        low, _, high = quantiles(self.values, n=4) if len(self.values) > 1 else (middle, middle, middle)
        verdict = "yes" if middle <= self.budget else "NO"
        spread = f"{low:.3g} - {high:.3g}"
        return f"| {self.what} | {self.budget:g} {self.unit} | {middle:.3g} | {spread} | {len(self.values)} | {verdict} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=120, help="trajectories measured")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure_trajectories(Path(folder) / "run", arguments.tasks))
        rows += measure_tools(Path(folder) / "tools")
        rows += [measure_start(tool, Path(folder)) for tool in (*TOOL_NAMES, "all")]
        growth = measure_growth()
    table = "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {cpu_name()}, one core, Python {platform.python_version()}, seed 0",
            "",
            "| what | budget | median | quartiles | n | within |",
            "|---|---|---|---|---|---|",
            *[row.line() for row in rows],
            "",
            "Milliseconds for each megapixel (image_gen + quality_eval + mask_gen, median of 15): "
            + ", ".join(f"{side} px: {per_pixel:.0f}" for side, per_pixel in growth),
        ]
    )
    print(table)
    if arguments.out:
        arguments.out.write_text(table + "\n", "utf-8")


async def measure_trajectories(run_dir: Path, tasks: int) -> list[Row]:
    """Whole single-round trajectories with checkpoints, trace and PNGs; and the memory of this process while they go on."""
    settings = load_settings(None, (), {})
    photos = write_photos(run_dir, 256)
    seconds: list[float] = []
    memory: list[float] = []
    setup = WorkerSetup(run_dir=run_dir, run_id="bench", config_sha256="bench", settings=settings)
    (run_dir / "trajectories").mkdir(parents=True, exist_ok=True)
    async with Worker(setup) as worker:
        for index in range(WARM_UP + tasks):
            part = list(PARTS)[index % len(PARTS)]
            item, anomaly_type = PARTS[part]
            task = Task(
                id=f"{part}-{index:05d}",
                index=index,
                normal_image=photos[part],
                normal_sha256=hashlib.sha256((run_dir / photos[part]).read_bytes()).hexdigest(),
                item_name=item,
                anomaly_type=anomaly_type,
                seed=index,
            )
            begun = time.perf_counter()
            trajectory = await worker.make(task)
            if index >= WARM_UP:
                if trajectory.rounds == 1:
                    seconds.append(time.perf_counter() - begun)
                memory.append(psutil.Process().memory_info().rss / 2**20)
    half = len(memory) // 2
    return [
        Row("one trajectory, single round", 150, "ms", [1000 * s for s in seconds]),
        Row("memory of a run", 400, "MB", memory),
        Row("memory growth over the second half of the run", 8, "MB", [memory[-1] - memory[half]]),
    ]


def measure_tools(folder: Path) -> list[Row]:
    """The embedded backends alone, a new defect each time, the photo's analysis warm."""
    times: dict[str, list[float]] = {"image_gen": [], "quality_eval": [], "mask_gen": []}
    for part in PARTS:
        for tool, values in run_tools(folder, part, 256, 25).items():
            times[tool] += values
    budgets = {"image_gen": 25, "quality_eval": 30, "mask_gen": 10}
    return [Row(tool, budgets[tool], "ms", [1000 * value for value in values]) for tool, values in times.items()]


def run_tools(folder: Path, part: str, side: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of each backend call on one photo."""
    from anomalyagent.mcp_tools.imaging.photo import read_photo
    from anomalyagent.mcp_tools.registry import create_backend

    settings = load_settings(None, (), {})
    item, anomaly_type = PARTS[part]
    photo = read_photo(folder / write_photos(folder, side)[part])
    prompts, images = create_backend("prompt_gen", settings), create_backend("image_gen", settings)
    judge, masks = create_backend("quality_eval", settings), create_backend("mask_gen", settings)
    times: dict[str, list[float]] = {"image_gen": [], "quality_eval": [], "mask_gen": []}
    for seed in range(repeats + 2):
        draft = prompts.write_prompt(photo, item, anomaly_type, seed)
        edited, t1 = timed(lambda draft=draft, seed=seed: images.edit(photo, draft.prompt, draft.spec, seed))
        _, t2 = timed(lambda edited=edited: judge.judge(photo, edited.photo, item, anomaly_type, 5.0))
        _, t3 = timed(lambda edited=edited: masks.segment(photo, edited.photo))
        if seed >= 2:
            for tool, value in zip(times, (t1, t2, t3), strict=True):
                times[tool].append(value)
    return times


def measure_growth() -> list[tuple[int, float]]:
    """(side, ms for each megapixel): flat or falling when cost is linear in pixels."""
    found: list[tuple[int, float]] = []
    for side in (256, 512, 1024, 2048):
        with tempfile.TemporaryDirectory() as folder:
            times = run_tools(Path(folder), "metal_nut", side, 15)
        found.append((side, 1000 * sum(median(values) for values in times.values()) / (side * side / 1e6)))
    return found


def measure_start(tool: str, workspace: Path) -> Row:
    """Seconds from starting a server's process to its answer to `initialize`."""
    request = (
        b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
        b'"capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}\n'
    )
    values: list[float] = []
    for _ in range(5):
        begun = time.perf_counter()
        command = [sys.executable, "-m", "anomalyagent.mcp_tools.server", tool, "--workspace", str(workspace)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(request)
            server.stdin.flush()
            if b'"result"' not in server.stdout.readline():
                raise SystemExit(f"the {tool} server did not answer initialize")
            values.append(time.perf_counter() - begun)
            server.stdin.close()
    return Row(f"server start: {tool}", 1.5, "s", values)


def write_photos(folder: Path, side: int) -> dict[str, str]:
    """The bundled photos at side x side, as PNG references."""
    references: dict[str, str] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        photo = cv2.imread(str(NORMALS / part / "000.jpg"))
        if photo is None:
            raise SystemExit(f"{NORMALS / part / '000.jpg'} is missing")
        references[part] = f"{part}-{side}.png"
        cv2.imwrite(str(folder / references[part]), cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA))
    return references


def timed(call: Callable[[], _T]) -> tuple[_T, float]:
    """Result and seconds."""
    begun = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begun


def cpu_name() -> str:
    """The processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines: Sequence[str] = info.read_text().splitlines() if info.exists() else ()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


if __name__ == "__main__":
    main()
