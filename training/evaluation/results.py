"""Results of finished trainings on disk: a killed comparison resumes, and nothing is trained twice.

    <work>/<contender>-s<seed>-<key>.json     the result
    <work>/<contender>-s<seed>-<key>.npz      maps of the test images, (N, S, S) uint8 (255 = certainly anomalous)

The key is a digest of all that a training depends on: every pixel and mask that it sees, the preset, the seed.
"""

import hashlib
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from anomalyagent.errors import RunError
from anomalyagent.graph.files import write_atomically
from anomalyagent.training.evaluation.datasets import GOOD, Images, Stack
from anomalyagent.training.evaluation.keeping import make_work_folder
from anomalyagent.training.evaluation.localize import Preset
from anomalyagent.training.evaluation.metrics import Maps, Scores

__all__ = ["Result", "ResultStore", "digest_of"]

# Raise it when the protocol changes, so that results of the old one are not taken for new ones.
_PROTOCOL = 2


class Result(BaseModel):
    """One contender, trained and tested with one seed.

    Attributes:
        few_shot: the contender has seen real defects of the item.
        images: how many anomaly images it brought; `mask_share`: mean share of their pixels that are anomalous.
        harmless: how many good photos with harmless differences it brought.
        last, best_on_test: metrics of the last weights, and of the check that was best on the test set.
        pixel_ap_by_type: of the last weights, each anomaly type against the good images.
        losses: mean training loss of each twentieth of the steps.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    contender: str
    few_shot: bool
    seed: int
    key: str
    images: int
    harmless: int = 0
    mask_share: float
    last: Scores
    best_on_test: Scores
    pixel_ap_by_type: dict[str, float]
    losses: list[float]
    seconds: float
    torch: str
    device: str


class ResultStore:
    """The folder of finished results."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_work_folder(folder)

    def lock(self, contender: str, seed: int, key: str) -> FileLock:
        """Held while this result is made, so that two comparisons over one folder do not train the same thing."""
        return FileLock(self._path(contender, seed, key, ".lock"))

    def find(self, contender: str, seed: int, key: str) -> Result | None:
        """The finished result, or None.

        Raises:
            RunError: the file is damaged.
        """
        path = self._path(contender, seed, key, ".json")
        if not path.is_file():
            return None
        try:
            return Result.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise RunError(f"{path} is damaged; delete it, and its training is done again. {error}") from error

    def save(self, result: Result, maps: Maps) -> None:
        """Keep a result; the maps first, so that a result always has its maps."""
        packed = io.BytesIO()
        np.savez_compressed(packed, maps=np.rint(maps * 255).astype(np.uint8))
        names = result.contender, result.seed, result.key
        write_atomically(self._path(*names, ".npz"), packed.getvalue())
        write_atomically(self._path(*names, ".json"), (result.model_dump_json(indent=2) + "\n").encode())

    def maps(self, result: Result) -> NDArray[np.uint8]:
        """(N, S, S) uint8 maps of the test images."""
        with np.load(self._path(result.contender, result.seed, result.key, ".npz")) as packed:
            return packed["maps"]

    def _path(self, contender: str, seed: int, key: str, suffix: str) -> Path:
        return self._folder / f"{contender}-s{seed}-{key}{suffix}"


def digest_of(anomalies: Stack, normals: Images, test: Stack, preset: Preset, seed: int) -> str:
    """16 hex digits of all that a training depends on."""
    facts: list[Any] = [_PROTOCOL, asdict(preset), seed]
    # Only there does more of an image's type count than its mask: what was kept before types were looked at stays valid.
    if vanished := [kind for kind, mask in zip(test.types, test.masks, strict=True) if kind != GOOD and not mask.any()]:
        facts.append(vanished)
    digest = hashlib.sha256(json.dumps(facts).encode())
    for array in (anomalies.images, anomalies.masks, normals, test.images, test.masks):
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
