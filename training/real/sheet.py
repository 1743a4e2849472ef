"""Contact sheets of twins: the real defect with the outline of its mask, the twin, and the verdict, a sheet for each type."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.graph.files import write_atomically
from anomalyagent.graph.tasks import Slot, TypePlan
from anomalyagent.graph.trace import Trajectory
from anomalyagent.mcp_tools.imaging.arrays import RGB
from anomalyagent.mcp_tools.imaging.photo import read_mask, read_photo

__all__ = ["write_twin_sheets"]

_SIDE_PX = 200
_CAPTION_PX = 16
_COLUMNS = 4
_MOST = 60  # on a sheet, evenly picked
_ACCEPTED, _REJECTED = (40, 190, 70), (235, 80, 40)


def write_twin_sheets(run_dir: Path, plans: Sequence[TypePlan], read: Callable[[Slot], Trajectory]) -> list[Path]:
    """Write `twins-<type>.jpg` into the run folder.

    Args:
        read: gives the trajectory of a defect.
    """
    written: list[Path] = []
    for kind, plan in enumerate(plans):
        picks = np.unique(np.linspace(0, plan.count - 1, min(plan.count, _MOST)).astype(int)).tolist()
        tiles = [tile for index in picks if (tile := _tile(run_dir, read(Slot(kind, index)))) is not None]
        if not tiles:
            continue
        per_row = min(_COLUMNS, len(tiles))
        tiles += [np.full_like(tiles[0], 32)] * (-len(tiles) % per_row)
        rows = [np.concatenate(tiles[start : start + per_row], axis=1) for start in range(0, len(tiles), per_row)]
        _, data = cv2.imencode(".jpg", np.concatenate(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        path = run_dir / f"twins-{plan.folder}.jpg"
        write_atomically(path, data.tobytes())
        written.append(path)
    return written


def _tile(run_dir: Path, trajectory: Trajectory) -> NDArray[np.uint8] | None:
    if trajectory.final_image is None or trajectory.mask is None:
        return None
    defect, twin = read_photo(run_dir / trajectory.final_image), read_photo(run_dir / trajectory.task.normal_image)
    outlined = np.ascontiguousarray(_fitted(defect.rgb))
    mask = read_mask(run_dir / trajectory.mask).astype(np.float32)
    shape = cv2.resize(mask, (outlined.shape[1], outlined.shape[0]), interpolation=cv2.INTER_AREA) > 0.3
    contours, _ = cv2.findContours(shape.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(outlined, contours, -1, (255, 0, 0), 1)
    parts = [_framed(outlined), _framed(_fitted(twin.rgb))]
    tile = np.concatenate(parts, axis=1)
    caption = np.full((_CAPTION_PX, tile.shape[1], 3), 32, np.uint8)
    accepted = trajectory.outcome == "accepted"
    why = f"score {trajectory.score:.1f}, {trajectory.rounds} rounds" if accepted else trajectory.reason
    text = f"{trajectory.task.index} {why}"[:62]
    cv2.putText(caption, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.36, _ACCEPTED if accepted else _REJECTED, 1, cv2.LINE_AA)
    return np.concatenate([tile, caption])


def _fitted(rgb: RGB) -> NDArray[np.uint8]:
    scale = _SIDE_PX / max(rgb.shape[:2])
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    resized = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return np.rint(np.clip(resized, 0.0, 1.0) * 255.0).astype(np.uint8)


def _framed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, _SIDE_PX - height), (0, _SIDE_PX - width + 4), (0, 0)), constant_values=32)
