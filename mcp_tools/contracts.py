"""What goes into and comes out of the five tools. Plain pydantic, no heavy imports.

Images travel as references: a path relative to the workspace folder, with forward slashes, confined to it
(`dataset/bottle/train/good/000.png`, `images/3f2a….png`). Scores are those of the paper: location and quality
0 to 5 each, their sum 0 to 10, passed when the sum is above the threshold.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel, ConfigDict, Field

from anomalyagent.knowledge.card_models import Variant  # `cards` loads the arrays; servers start without them
from anomalyagent.knowledge.spec import DefectSpec

__all__ = [
    "MOST_TRIES",
    "RESULT_TYPES",
    "TOOL_NAMES",
    "Adjustment",
    "CardHit",
    "Finding",
    "ImageResult",
    "KnowledgeResult",
    "MaskResult",
    "PromptResult",
    "QualityResult",
    "ReferenceHit",
    "Summed",
    "ToolName",
    "ToolResult",
    "sum_up",
]

ToolName = Literal["prompt_gen", "image_gen", "quality_eval", "knowledge_retrieval", "mask_gen"]
TOOL_NAMES: tuple[ToolName, ...] = ("prompt_gen", "image_gen", "quality_eval", "knowledge_retrieval", "mask_gen")

MOST_TRIES = 8
"""Drawings that one call of image_gen may make."""

Score5 = Annotated[float, Field(ge=0.0, le=5.0)]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]


class ToolResult(BaseModel):
    """Fields that every tool result has."""

    model_config = ConfigDict(extra="forbid")

    backend: str = Field(default="", description="Backend that did the work; empty when its server does not say.")
    cost_usd: float = Field(default=0.0, ge=0.0, description="Money spent on this call, in US dollars.")
    tokens: int = Field(default=0, ge=0, description="Tokens of hosted models used by this call, in and out.")


class PromptResult(ToolResult):
    """Result of prompt_gen."""

    prompt: str = Field(description="English editing prompt: part, appearance, transition, size, what stays unchanged.")
    spec: DefectSpec = Field(description="The same in numbers; pass it to image_gen, change fields to refine.")
    knowledge_card: str | None = Field(default=None, description="Id of the knowledge card that the numbers come from.")


class ImageResult(ToolResult):
    """Result of image_gen."""

    image: str = Field(description="Reference of the anomaly image (PNG, same size and mode as the input).")
    changed_fraction: Unit = Field(description="Share of all pixels that visibly changed; the others are identical.")
    spec: DefectSpec | None = Field(default=None, description="Spec as it was drawn, with centre and orientation filled in.")
    seed: int = Field(description="Seed that was used.")
    drawings: int = Field(default=1, ge=1, description="Drawings made, of which this is the best by the tool's own check.")
    notes: list[str] = Field(default_factory=list, description="What the backend had to adapt, in words.")


class Adjustment(BaseModel):
    """How to change a DefectSpec to remove a finding: `field` is multiplied by, shifted by or set to `value`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: Literal["area_fraction", "elongation", "severity", "count", "zone", "center", "orientation_deg", "mechanism", "seed"]
    how: Literal["multiply", "add", "set", "resample"]
    value: float | str | tuple[float, float] | None = None


class Finding(BaseModel):
    """One named fault of an anomaly image, with what to do about it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Stable name, e.g. too_faint, off_object, halo.")
    weight: Unit = Field(description="How serious it is, 0..1.")
    message: str = Field(description="What was measured, in words with numbers.")
    hint: str = Field(description="What to change in the prompt or spec.")
    adjust: Adjustment | None = Field(default=None, description="The hint in numbers.")


class QualityResult(ToolResult):
    """Result of quality_eval."""

    location_score: Score5 = Field(description="0..5: is the defect on a physically possible part of the object?")
    quality_score: Score5 = Field(description="0..5: does it look real (texture, scale, contrast, no artefacts)?")
    score: float = Field(ge=0.0, le=10.0, description="Sum of both.")
    threshold: float = Field(description="Pass mark: passed means score > threshold.")
    passed: bool
    findings: list[Finding] = Field(default_factory=list[Finding], description="Most serious first.")
    review: str = Field(description="The judgement in words.")


class Summed(TypedDict):
    """The numbers of a `QualityResult`."""

    location_score: float
    quality_score: float
    score: float
    threshold: float
    passed: bool


def sum_up(location: float, quality: float, threshold: float) -> Summed:
    """Both scores (0..5) and their sum to hundredths; it passed if that sum, and nothing else, lies above the pass mark."""
    location, quality = round(location, 2), round(quality, 2)
    total = round(location + quality, 2)
    return Summed(location_score=location, quality_score=quality, score=total, threshold=threshold, passed=total > threshold)


class CardHit(BaseModel):
    """One knowledge card found, as the agent reads it."""

    model_config = ConfigDict(extra="forbid")

    id: str
    item: str
    anomaly_type: str
    text: str = Field(description="Appearance, cause, location and what inspectors look for.")
    variants: list[Variant] = Field(description="Mechanisms and numeric ranges for the spec.")
    relevance: Unit
    source: str


class ReferenceHit(BaseModel):
    """A real defect of the user's that looks like the one that was made; numbers as in a DefectSpec, where they can be told."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Its file.")
    image: str = Field(description="Reference of its photo in the workspace.")
    anomaly_type: str = Field(description="Empty when the file lies in no folder of a type.")
    similarity: float = Field(ge=-1.001, le=1.001, description="Cosine of the looks; 1 is the same.")
    area_fraction: float | None = None
    elongation: float | None = None
    severity: float | None = None
    count: int | None = None
    lightness: float | None = Field(default=None, description="CIELAB L against the surface around it.")


class KnowledgeResult(ToolResult):
    """Result of knowledge_retrieval."""

    match: Literal["exact", "near", "general"] = Field(
        description="exact: this item and type; near: a close item or type; general: by material and mechanism only."
    )
    cards: list[CardHit] = Field(description="Most relevant first.")
    note: str = Field(default="", description="Says so when item or type are unknown, and what was used instead.")
    web: list[str] = Field(default_factory=list[str], description="Found in the web, where a search is configured; unverified.")
    references: list[ReferenceHit] = Field(
        default_factory=list[ReferenceHit], description="Real defects that look like the one made, where the user has some."
    )


class MaskResult(ToolResult):
    """Result of mask_gen."""

    mask: str = Field(description="Reference of the mask (8-bit PNG, 0 or 255, same size as the images).")
    boxes_xyxy: list[tuple[int, int, int, int]] = Field(
        description="Bounding boxes (x0, y0, x1, y1) of the components, in pixels, end exclusive, largest first (at most 32)."
    )
    area_fraction: Unit = Field(description="Share of all pixels inside the mask.")
    confidence: Unit = Field(description="How clearly the mask separates from what did not change, 0..1.")


RESULT_TYPES: Mapping[ToolName, type[ToolResult]] = {
    "prompt_gen": PromptResult,
    "image_gen": ImageResult,
    "quality_eval": QualityResult,
    "knowledge_retrieval": KnowledgeResult,
    "mask_gen": MaskResult,
}
"""What each tool answers with."""
