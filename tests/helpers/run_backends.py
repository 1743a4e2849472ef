"""Backends for tests of whole runs: fast, deterministic, and with rounds, rejections and faults where a test wants them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from helpers.tiny_backends import TinyImage, TinyJudge, tiny_settings

from anomalyagent.configs.schema import Settings
from anomalyagent.errors import BackendError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.base import Edited
from anomalyagent.mcp_tools.contracts import QualityResult
from anomalyagent.mcp_tools.imaging.photo import Photo

HERE = "helpers.run_backends"


class SpeckleImage(TinyImage):
    """Draws a bright speckle whose place and shade come from the seed, so that each seed makes another image."""

    def edit(self, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited:
        rng = np.random.default_rng(seed)
        changed = np.zeros(photo.shape, bool)
        y, x = (int(value) for value in rng.integers(2, np.array(photo.shape) - 10))
        changed[y : y + 6, x : x + 8] = True
        shade = np.full_like(photo.rgb, rng.uniform(0.75, 1.0))
        return Edited(photo.edited(shade, changed), changed, spec)


class PickyJudge(TinyJudge):
    """Passes `options.share` (default a half) of all images, decided by their content."""

    def judge(self, normal: Photo, anomaly: Photo, item_name: str, anomaly_type: str, threshold: float) -> QualityResult:
        share = float(self.options.get("share", 0.5))
        good = int(anomaly.sha256[:8], 16) / 2**32 < share
        score = 7.0 if good else 3.0
        return QualityResult(
            backend=self.name,
            location_score=score / 2,
            quality_score=score / 2,
            score=score,
            threshold=threshold,
            passed=good,
            review="Looked at.",
            cost_usd=0.01,
        )


class RefusingImage(TinyImage):
    """Draws nothing, ever."""

    def edit(self, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited:
        raise BackendError("nothing can be drawn here. Try another place.")


class DyingImage(SpeckleImage):
    """Kills its process as often as `options.deaths` says; counts in the file `options.file`."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._file = Path(options["file"])

    def edit(self, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited:
        died = len(self._file.read_text()) if self._file.exists() else 0
        if died < self.options["deaths"]:
            self._file.write_text("x" * (died + 1))
            os.abort()
        return super().edit(photo, prompt, spec, seed)


def run_settings(image: str = "SpeckleImage", image_options: dict[str, Any] | None = None, share: float = 0.5) -> Settings:
    """Settings of a run with these backends."""
    tiny = tiny_settings().model_dump()
    tiny["tools"]["image_gen"] |= {"backend": f"{HERE}:{image}", "options": image_options or {}}
    tiny["tools"]["quality_eval"] |= {"backend": f"{HERE}:PickyJudge", "options": {"share": share}}
    return Settings.model_validate(tiny)
