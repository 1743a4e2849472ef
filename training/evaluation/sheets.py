"""Pictures of what a trained detector sees: test image, truth, map, side by side, one sheet for each anomaly type."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.graph.files import write_atomically
from anomalyagent.training.evaluation.datasets import Stack

__all__ = ["write_sheets"]

_COLUMNS = 4  # test images in a row of the sheet
_MOST = 24  # test images on a sheet
_GAP_PX = 4


def write_sheets(folder: Path, contender: str, test: Stack, maps: NDArray[np.uint8]) -> list[Path]:
    """Write `<folder>/<contender>-<type>.png` for every type of the test set, good images included.

    Args:
        maps: (N, S, S) uint8, 255 = certainly anomalous.
    """
    written: list[Path] = []
    types = np.array(test.types)
    for name in sorted(set(test.types)):
        tiles = [_tile(test.images[i], test.masks[i], maps[i]) for i in np.flatnonzero(types == name)[:_MOST].tolist()]
        tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % min(_COLUMNS, len(tiles)))
        per_row = min(_COLUMNS, len(tiles))
        rows = [np.concatenate(tiles[start : start + per_row], axis=1) for start in range(0, len(tiles), per_row)]
        _, data = cv2.imencode(".png", np.ascontiguousarray(np.concatenate(rows)[..., ::-1]))
        path = folder / f"{contender}-{name}.png"
        write_atomically(path, data.tobytes())
        written.append(path)
    return written


def _tile(image: NDArray[np.uint8], mask: NDArray[np.bool_], heat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Image, image with the outline of the truth, map: (S + gap, 3 S + gap, 3) uint8 RGB."""
    outlined = image.copy()
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(outlined, contours, -1, (255, 0, 0), 1)
    tile = np.concatenate([image, outlined, np.repeat(heat[..., None], 3, axis=2)], axis=1)
    return np.pad(tile, ((0, _GAP_PX), (0, _GAP_PX), (0, 0)), constant_values=255)
