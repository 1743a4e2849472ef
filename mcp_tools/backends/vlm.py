"""quality_eval with a vision language model as judge: any LangChain chat model that sees pictures.

It is shown the normal photo, the anomaly photo and the changed place enlarged on both, and gives two scores with findings and a
review in a fixed shape. Whether the image passed is decided here, by the sum of the scores alone; no word of the review counts.
Source: the paper, section on quality evaluation (location and quality, 0 to 5 each; what the marks mean).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from anomalyagent.configs.schema import ModelPrice
from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.backends.options import read_options
from anomalyagent.mcp_tools.contracts import Adjustment, Finding, QualityResult, sum_up
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.change import mask_of_change
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.judge.scoring import review_nothing
from anomalyagent.mcp_tools.modules import missing_modules
from anomalyagent.mcp_tools.remote.chat import ChatModel, ChatOptions, schema_text
from anomalyagent.mcp_tools.remote.pictures import image_block, png_of, text_block

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

__all__ = ["ModelJudge", "Verdict", "VlmOptions"]

BACKEND = "quality_eval backend 'vlm'"

FaultName = Literal[
    "too_faint",
    "too_strong",
    "oversized",
    "undersized",
    "off_object",
    "wrong_zone",
    "wrong_shape",
    "wrong_type",
    "wrong_light",
    "implausible_color",
    "hard_cut",
    "flat_interior",
    "sharpness_mismatch",
    "background_drift",
    "other",
]


class _Remedy(NamedTuple):
    means: str
    hint: str
    adjust: Adjustment | None


_NEW_SEED = Adjustment(field="seed", how="resample")
_REMEDIES: dict[str, _Remedy] = {
    "too_faint": _Remedy("can hardly be seen", "Make it stronger.", Adjustment(field="severity", how="multiply", value=1.6)),
    "too_strong": _Remedy(
        "contrast is exaggerated", "Make it weaker.", Adjustment(field="severity", how="multiply", value=0.6)
    ),
    "oversized": _Remedy(
        "too large for such a defect", "Make it smaller.", Adjustment(field="area_fraction", how="multiply", value=0.5)
    ),
    "undersized": _Remedy(
        "too small for such a defect", "Make it larger.", Adjustment(field="area_fraction", how="multiply", value=2.0)
    ),
    "off_object": _Remedy(
        "on the background or floating", "Place it on the object.", Adjustment(field="center", how="resample")
    ),
    "wrong_zone": _Remedy(
        "on a part where it cannot occur", "Choose another place on the object.", Adjustment(field="center", how="resample")
    ),
    "wrong_shape": _Remedy("not the outline of such a defect", "Change its shape; try another seed.", _NEW_SEED),
    "wrong_type": _Remedy(
        "another kind of defect than asked for", "Say more clearly which defect; try another seed.", _NEW_SEED
    ),
    "wrong_light": _Remedy(
        "shaded against the scene's light",
        "Light it from the side of the scene's light; try another direction.",
        Adjustment(field="orientation_deg", how="resample"),
    ),
    "implausible_color": _Remedy(
        "colours foreign to the material", "Use the material's own colours; try another seed.", _NEW_SEED
    ),
    "hard_cut": _Remedy(
        "pasted on: a sharp border, a halo", "Let it blend with its surroundings; try another seed.", _NEW_SEED
    ),
    "flat_interior": _Remedy("without structure inside", "Give it structure; try another seed.", _NEW_SEED),
    "sharpness_mismatch": _Remedy(
        "sharper or softer than the photo", "Match the photo's sharpness; try another seed.", _NEW_SEED
    ),
    "background_drift": _Remedy(
        "other things changed as well", "Leave every other pixel as it is; try another seed.", _NEW_SEED
    ),
    "other": _Remedy("anything else", "See the message.", None),
}


class Fault(BaseModel):
    """One fault, as the model names it."""

    model_config = ConfigDict(extra="forbid")

    name: FaultName
    weight: float = Field(ge=0, le=1, description="how serious, 0 to 1")
    message: str = Field(description="what you see, one sentence")


class Verdict(BaseModel):
    """The model's judgement."""

    model_config = ConfigDict(extra="forbid")

    location_score: float = Field(ge=0, le=5)
    quality_score: float = Field(ge=0, le=5)
    findings: list[Fault] = Field(description="most serious first; empty when there is nothing to improve")
    review: str = Field(description="the judgement in two or three sentences")

    @field_validator("location_score", "quality_score", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("a score is a number from 0 to 5, not a yes or no")
        return value

    @field_validator("review")
    @classmethod
    def _said(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the review is empty")
        return value.strip()


class VlmOptions(ChatOptions):
    """Options of quality_eval backend `vlm`."""

    close_up: bool = Field(default=True, description="Also show the changed place enlarged, before and after.")
    instructions: str = Field(
        default="", max_length=4000, description="Added to what the judge is told, e.g. what your inspectors mind."
    )


class ModelJudge:
    """Judges by looking. Options: see `VlmOptions`."""

    name = "vlm"

    def __init__(self, options: Mapping[str, Any], prices: Mapping[str, ModelPrice]) -> None:
        """Check the options; nothing is sent.

        Raises:
            ConfigError: an option is unknown, missing or out of range.
            BackendUnavailableError: there is no key, or no price for the model.
        """
        self.options = read_options(VlmOptions, BACKEND, options)
        self._model = ChatModel(self.options, BACKEND, prices)

    @classmethod
    def missing(cls) -> str | None:
        """What has to be installed, in one line."""
        return missing_modules(("langchain",), "chat")

    def judge(self, normal: Photo, anomaly: Photo, item_name: str, anomaly_type: str, threshold: float) -> QualityResult:
        """Location and quality score, findings and review. An image in which nothing visible changed is not shown to the model.

        Raises:
            ToolInputError: the photos have different sizes.
            BackendError: the model refused, failed, or gave no usable answer; with what was spent.
        """
        if normal.shape != anomaly.shape:
            raise ToolInputError("photos of different sizes cannot be compared. Pass the photo that was edited.")
        changed = mask_of_change(normal, anomaly)
        if not changed.any():
            return review_nothing(self.name, threshold)
        said = self._model.ask(self._messages(normal, anomaly, changed, item_name, anomaly_type), Verdict)
        verdict = said.value
        return QualityResult(
            backend=self.name,
            cost_usd=said.cost_usd,
            tokens=said.tokens,
            **sum_up(verdict.location_score, verdict.quality_score, threshold),
            findings=[_finding(fault) for fault in verdict.findings],
            review=verdict.review,
        )

    def _messages(self, normal: Photo, anomaly: Photo, changed: Mask, item_name: str, anomaly_type: str) -> "list[BaseMessage]":
        from langchain_core.messages import HumanMessage, SystemMessage

        before, after = normal.rgb, anomaly.shown_with(normal.scale)
        side = self.options.image_px
        blocks = [text_block("Photo 1, the good part:"), image_block(png_of(before, side))]
        blocks += [text_block("Photo 2, the same part with the defect:"), image_block(png_of(after, side))]
        if self.options.close_up:
            window = _around(changed)
            blocks += [text_block("The changed place enlarged, before and after:")]
            blocks += [image_block(png_of(_enlarged(rgb[window], side // 2), side)) for rgb in (before, after)]
        share = 100 * float(changed.mean())
        blocks.append(
            text_block(
                f"Item: {item_name}\nWanted anomaly type: {anomaly_type}\n"
                f"{share:.2f} % of the pixels differ visibly; all others are identical. Judge photo 2."
            )
        )
        return [SystemMessage(_rubric(self.options.instructions)), HumanMessage(content=list(blocks))]


def _rubric(instructions: str) -> str:
    names = "\n".join(f"- {name}: {remedy.means}" for name, remedy in _REMEDIES.items())
    return (
        "You inspect industrial parts and judge whether a synthetic defect looks like a real one. Give two scores from 0 to 5, "
        "decimals allowed.\n"
        "location_score: is the defect on a part of the object where such a defect can occur (not floating on the background, "
        "aligned with the geometry)?\n"
        "quality_score: does it look real (texture, scale, contrast, light, no overlay), and is it of the wanted type?\n"
        "5: indistinguishable from a real one. 3 to 4: small flaws. 1 to 2: clear faults. 0: failed.\n"
        f"Name each fault with one of these names:\n{names}\n"
        "Be strict: a defect that a trained inspector would call fake gets at most 2.\n"
        + (f"{instructions.strip()}\n" if instructions.strip() else "")
        + f"Answer with one JSON object of this schema and nothing else:\n{schema_text(Verdict)}"
    )


def _finding(fault: Fault) -> Finding:
    remedy = _REMEDIES[fault.name]
    return Finding(
        name=fault.name, weight=round(fault.weight, 3), message=fault.message.strip(), hint=remedy.hint, adjust=remedy.adjust
    )


def _around(changed: Mask) -> tuple[slice, slice]:
    """A square window around the change, twice as wide as it, at least an eighth of the photo."""
    height, width = changed.shape
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    middle = (rows[0] + rows[-1]) // 2, (columns[0] + columns[-1]) // 2
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side = int(min(max(2 * extent, max(height, width) // 8, 16), height, width))
    top = int(np.clip(middle[0] - side // 2, 0, height - side))
    left = int(np.clip(middle[1] - side // 2, 0, width - side))
    return slice(top, top + side), slice(left, left + side)


def _enlarged(rgb: RGB, least_px: int) -> RGB:
    side = rgb.shape[0]
    if side >= least_px:
        return rgb
    size = (least_px, least_px)
    return np.asarray(np.clip(cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC), 0.0, 1.0), np.float32)
