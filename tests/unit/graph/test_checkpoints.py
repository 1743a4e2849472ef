"""The checkpoint store of a run is opened by several workers at the same moment."""

import asyncio
from pathlib import Path

from anomalyagent.graph.build import open_checkpoints


async def open_once(path: Path) -> None:
    async with open_checkpoints(path) as saver:
        await saver.setup()


async def test_many_workers_can_open_a_new_store_together(tmp_path: Path) -> None:
    for attempt in range(12):
        await asyncio.gather(*[open_once(tmp_path / f"{attempt}.sqlite") for _ in range(6)])
