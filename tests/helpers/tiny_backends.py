"""The smallest backends that keep the contracts, for tests of servers and clients; named `helpers.tiny_backends:Class`."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from anomalyagent.configs.schema import QualityEvalSettings, Settings, ToolSettings, ToolsSettings
from anomalyagent.errors import ToolInputError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.base import Edited, Segmented
from anomalyagent.mcp_tools.contracts import KnowledgeResult, PromptResult, QualityResult
from anomalyagent.mcp_tools.imaging.photo import Photo


class _Tiny:
    name = "tiny"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options


class TinyPrompt(_Tiny):
    def write_prompt(self, photo: Photo, item_name: str, anomaly_type: str, seed: int) -> PromptResult:
        spec = DefectSpec(mechanism="stain", seed=seed)
        return PromptResult(backend=self.name, prompt=f"{anomaly_type} on {item_name}", spec=spec, knowledge_card=None)


class TinyImage(_Tiny):
    """Paints an 8 px square white, at a place that depends on the seed."""

    def edit(self, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited:
        changed = np.zeros(photo.shape, bool)
        corner = seed % 16
        changed[corner : corner + 8, 4:12] = True
        return Edited(photo.edited(np.ones_like(photo.rgb), changed), changed, spec)


class TinyJudge(_Tiny):
    def judge(self, normal: Photo, anomaly: Photo, item_name: str, anomaly_type: str, threshold: float) -> QualityResult:
        return QualityResult(
            backend=self.name,
            cost_usd=0,
            location_score=4.0,
            quality_score=3.5,
            score=7.5,
            threshold=threshold,
            passed=threshold < 7.5,
            review="Fine.",
        )


class TinyKnowledge:
    name = "tiny"

    def __init__(self, options: Mapping[str, Any], knowledge: Any) -> None:
        self.folders = knowledge.folders

    def retrieve(self, item_name: str, anomaly_type: str, query: str, top_k: int) -> KnowledgeResult:
        return KnowledgeResult(
            backend=self.name, match="general", cards=[], note=f"{top_k} asked, {len(self.folders)} folders", cost_usd=0
        )


class TinyMask(_Tiny):
    def segment(self, normal: Photo, anomaly: Photo) -> Segmented:
        return Segmented((normal.native != anomaly.native).any(axis=-1), 0.9)


class BrokenMask(_Tiny):
    """Has a fault, with a secret in its message."""

    def segment(self, normal: Photo, anomaly: Photo) -> Segmented:
        raise KeyError("secret-value-4711")


class RefusingMask(_Tiny):
    def segment(self, normal: Photo, anomaly: Photo) -> Segmented:
        raise ToolInputError("the photos show different parts. Pass two photos of one part.")


class Gate:
    """What holds the masks of one test: `entered` counts the calls that came, `go` lets them pass."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.go = threading.Event()

    async def wait_for(self, calls: int = 1) -> None:
        """Return when so many further calls have come."""
        for _ in range(calls):
            assert await asyncio.to_thread(self.entered.acquire, timeout=240), "a call did not come"


class WaitingMask(_Tiny):
    """Does not answer before its gate is opened: the one that stood here when it was made, of the fixture `gate`."""

    gate = Gate()

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._gate = self.gate

    def segment(self, normal: Photo, anomaly: Photo) -> Segmented:
        self._gate.entered.release()
        self._gate.go.wait(240)
        return Segmented(np.zeros(normal.shape, bool), 0.5)


class NeedsSomething(_Tiny):
    @classmethod
    def missing(cls) -> str | None:
        return "the file weights.bin is not there. Download it."


def tiny_settings(mask: str = "TinyMask") -> Settings:
    """Settings with tiny backends for all five tools."""
    here = "helpers.tiny_backends"
    tools = ToolsSettings(
        prompt_gen=ToolSettings(backend=f"{here}:TinyPrompt"),
        image_gen=ToolSettings(backend=f"{here}:TinyImage"),
        quality_eval=QualityEvalSettings(backend=f"{here}:TinyJudge"),
        knowledge_retrieval=ToolSettings(backend=f"{here}:TinyKnowledge"),
        mask_gen=ToolSettings(backend=f"{here}:{mask}"),
    )
    return Settings(tools=tools)
