"""The judge of the reward: it scores the images of a trajectory, and the agent never reads its findings.

    held_out   measures like quality_eval, but on another photo of the scene (resampled, by its seed), with weights of its own
               for each fault, and with a feature that quality_eval does not have: would a detector that knows only this
               normal photo find the defect (PCA of patches, area under the ROC curve)?
    a backend  of quality_eval, e.g. a vision-language model: any name that `tools.quality_eval.backend` takes

What fools the judge that an agent hears (a lucky seed, a measure pushed just below its mark) seldom fools this one as well.
"""

import hashlib
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from anomalyagent.configs.schema import Settings
from anomalyagent.graph.progress import Round, read_progress
from anomalyagent.graph.trace import Trajectory
from anomalyagent.mcp_tools.backends.features import FeatureJudge
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array, read_photo
from anomalyagent.mcp_tools.judge.measuring import measure
from anomalyagent.mcp_tools.judge.pair import Pair
from anomalyagent.mcp_tools.judge.scoring import Calibration, read_calibration, score
from anomalyagent.mcp_tools.registry import create_backend
from anomalyagent.training.rewards import ImageScore

__all__ = ["JudgeSettings", "RewardJudge", "make_judge"]

PATCH_PX = 6
STRIDE_PX = 3
COMPONENTS = 10
_UNSEEN, _SEEN = 0.6, 0.9
"""Areas under the curve from which on a detector begins to find a defect, and finds it well."""


class JudgeSettings(BaseModel):
    """Who scores images for the reward."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    backend: str = Field(default="held_out", description="held_out, or a quality_eval backend.")
    options: dict[str, Any] = Field(default_factory=dict, description="Options of that backend.")
    seed: int = Field(default=1, ge=0, description="Of held_out.")
    spread: float = Field(default=0.25, ge=0, description="Standard deviation of the logarithms of held_out's weights.")


class RewardJudge(Protocol):
    """Scores every anomaly image of a trajectory."""

    def scores(self, trajectory: Trajectory, workspace: Path) -> list[ImageScore]: ...


def make_judge(chosen: JudgeSettings, settings: Settings) -> RewardJudge:
    """The judge that the settings name.

    Args:
        settings: of the tools; knowledge folders and, for a backend, its surroundings are taken from there.
    Raises:
        BackendUnavailableError: no such backend, or something that it needs is missing.
    """
    return _HeldOut(chosen, settings) if chosen.backend == "held_out" else _Backend(chosen, settings)


class _HeldOut:
    def __init__(self, chosen: JudgeSettings, settings: Settings) -> None:
        self._seed = chosen.seed
        self._features = FeatureJudge({}, settings.knowledge)
        rng = np.random.default_rng([chosen.seed, 0x7E57])
        shipped = read_calibration()
        self._calibration = Calibration(
            shipped.base_location,
            shipped.base_quality,
            {
                name: scale._replace(
                    location=scale.location * float(np.exp(rng.normal(0.0, chosen.spread))),
                    quality=scale.quality * float(np.exp(rng.normal(0.0, chosen.spread))),
                )
                for name, scale in sorted(shipped.faults.items())
            },
            shipped.looks,
        )

    def scores(self, trajectory: Trajectory, workspace: Path) -> list[ImageScore]:
        rounds = read_progress(trajectory.turns).rounds
        if not rounds:
            return []
        task = trajectory.task
        expected = self._features.expectation_of(task.item_name, task.anomaly_type)
        normal = read_photo(workspace / task.normal_image)
        factor = self._factor(task.normal_sha256)
        before = _rephotographed(normal, factor)
        found: list[ImageScore] = []
        for one in rounds:
            asked = one.result.spec is None or one.result.spec.mechanism in expected.mechanisms
            pair = Pair.compare(before, _rephotographed(read_photo(workspace / one.result.image), factor))
            if pair is None:
                found.append(ImageScore(number=one.number, score=0.0, as_asked=asked))
                continue
            judged = score(measure(pair, expected, self._calibration.looks), self._calibration)
            seen = _detectability(before, pair, self._seed)
            share = float(np.clip((seen - _UNSEEN) / (_SEEN - _UNSEEN), 0.0, 1.0))
            total = judged.location + judged.quality * (0.5 + 0.5 * share)
            found.append(ImageScore(number=one.number, score=round(min(10.0, max(0.0, total)), 3), as_asked=asked))
        return found

    def _factor(self, photo_sha256: str) -> float:
        digest = hashlib.sha256(f"{self._seed}:{photo_sha256}".encode()).digest()
        return 0.9 + 0.3 * int.from_bytes(digest[:4], "big") / 2**32


class _Backend:
    def __init__(self, chosen: JudgeSettings, settings: Settings) -> None:
        tree = settings.model_dump()
        tree["tools"]["quality_eval"] |= {"backend": chosen.backend, "options": chosen.options, "server": None}
        self._settings = Settings.model_validate(tree)
        self._judge = create_backend("quality_eval", self._settings)

    def scores(self, trajectory: Trajectory, workspace: Path) -> list[ImageScore]:
        task = trajectory.task
        rounds = read_progress(trajectory.turns).rounds
        normal = read_photo(workspace / task.normal_image) if rounds else None
        return [self._score(one, normal, workspace, trajectory) for one in rounds if normal is not None]

    def _score(self, one: Round, normal: Photo, workspace: Path, trajectory: Trajectory) -> ImageScore:
        anomaly = read_photo(workspace / one.result.image)
        task, threshold = trajectory.task, self._settings.tools.quality_eval.threshold
        result = self._judge.judge(normal, anomaly, task.item_name, task.anomaly_type, threshold)
        return ImageScore(number=one.number, score=result.score)


def _detectability(normal: Photo, pair: Pair, seed: int) -> float:
    """How well a detector that knows only the normal photo ranks the defect's patches above the others.

    Patches are colour, 6 x 6 pixels; the normal photo's are described by ten principal components, and a patch is the more
    suspicious the worse they describe it.

    Returns:
        Area under the ROC curve, 0..1; 0.5 is chance.
    """
    known, _ = _patches(normal.rgb)
    tested, centers = _patches(pair.rgb)
    rng = np.random.default_rng(seed)
    sample = known[rng.choice(len(known), min(1200, len(known)), replace=False)]
    mean = sample.mean(axis=0)
    _, values, axes = np.linalg.svd(sample - mean, full_matrices=False)
    kept = min(COMPONENTS, len(values))
    scale = values[:kept] / np.sqrt(len(sample)) + 1e-6
    rest = max(1e-6, float(np.sqrt((values[kept:] ** 2).sum() / len(sample))))
    part = (tested - mean) @ axes[:kept].T
    residual = tested - mean - part @ axes[:kept]
    suspicion = ((part / scale) ** 2).sum(axis=1) + (residual**2).sum(axis=1) / rest**2 * kept
    defect = pair.visible[centers[:, 0], centers[:, 1]]
    if defect.all() or not defect.any():
        near = cv2.dilate(pair.visible.astype(np.uint8), np.ones((PATCH_PX, PATCH_PX), np.uint8)) > 0
        defect = near[centers[:, 0], centers[:, 1]]
        if defect.all() or not defect.any():
            return 0.5
    ranks = np.empty(len(suspicion))
    ranks[np.argsort(suspicion, kind="stable")] = np.arange(1, len(suspicion) + 1)
    hits = int(defect.sum())
    return float((ranks[defect].sum() - hits * (hits + 1) / 2) / (hits * (len(defect) - hits)))


def _patches(rgb: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """(N, 108) patches and (N, 2) their centres (row, column)."""
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(rgb, np.float32), (PATCH_PX, PATCH_PX), axis=(0, 1))
    picked = windows[::STRIDE_PX, ::STRIDE_PX]
    rows, columns = picked.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1).reshape(-1, 2)
    flat = np.ascontiguousarray(picked.reshape(rows * columns, -1))
    return np.asarray(flat, np.float32), np.asarray(grid * STRIDE_PX + PATCH_PX // 2, np.intp)


def _rephotographed(photo: Photo, factor: float) -> Photo:
    height, width = photo.shape
    size = (max(32, round(width * factor)), max(32, round(height * factor)))
    kind = cv2.INTER_AREA if factor < 1.0 else cv2.INTER_LINEAR
    return photo_from_array(np.asarray(cv2.resize(photo.native, size, interpolation=kind)), photo.mode)
