"""What a backend of each tool must offer. Backends work on decoded photos; servers deal with references and files.

A backend class takes its options (a dict from the config) in its constructor, loads anything heavy on first use,
and raises `BackendUnavailableError` with the one line that would fix it when something is missing.
"""

from dataclasses import dataclass, field
from typing import Protocol

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.contracts import KnowledgeResult, PromptResult, QualityResult
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.photo import Photo

__all__ = [
    "Edited",
    "ImageGenBackend",
    "KnowledgeRetrievalBackend",
    "MaskGenBackend",
    "PromptGenBackend",
    "QualityEvalBackend",
    "Segmented",
]


@dataclass(frozen=True)
class Edited:
    """An anomaly image, already composited: pixels outside `changed` are identical to the input."""

    photo: Photo
    changed: Mask
    spec: DefectSpec | None
    cost_usd: float = 0.0
    tokens: int = 0
    notes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Segmented:
    """A mask of what visibly changed, and how clear it is (0..1)."""

    mask: Mask
    confidence: float


class PromptGenBackend(Protocol):
    """Writes the editing prompt."""

    name: str

    def write_prompt(self, photo: Photo, item_name: str, anomaly_type: str, seed: int) -> PromptResult: ...


class ImageGenBackend(Protocol):
    """Edits a normal photo."""

    name: str

    def edit(self, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited: ...


class QualityEvalBackend(Protocol):
    """Judges an anomaly photo beside its normal photo."""

    name: str

    def judge(self, normal: Photo, anomaly: Photo, item_name: str, anomaly_type: str, threshold: float) -> QualityResult: ...


class KnowledgeRetrievalBackend(Protocol):
    """Finds knowledge cards."""

    name: str

    def retrieve(self, item_name: str, anomaly_type: str, query: str, top_k: int) -> KnowledgeResult: ...


class MaskGenBackend(Protocol):
    """Finds the pixels whose change can be seen."""

    name: str

    def segment(self, normal: Photo, anomaly: Photo) -> Segmented: ...
