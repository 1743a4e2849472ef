"""A workspace with one small photo in it."""

from pathlib import Path

import cv2
import numpy as np

from anomalyagent.mcp_tools.workspace import Workspace


def make_workspace(root: Path, names: tuple[str, ...] = ("part.png",), size: int = 48) -> Workspace:
    """A folder with a noisy brown `size` x `size` photo under each name."""
    root.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1).normal(0, 3, (size, size, 1))
    pixels = np.clip(np.array([60, 90, 120]) + noise, 0, 255).astype(np.uint8)
    for name in names:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(cv2.imencode(target.suffix, pixels)[1].tobytes())
    return Workspace(root)
