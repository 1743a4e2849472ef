"""How a tool's result is put into an MCP answer: structured content, a short text, a link, and a preview on request."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from mcp.server.mcpserver import Image
from mcp.types import CallToolResult, ContentBlock, ResourceLink, TextContent
from pydantic import Field

from anomalyagent.configs.schema import SEEDS
from anomalyagent.errors import BackendError, RemoteOutageError, ToolInputError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.contracts import ToolResult
from anomalyagent.mcp_tools.workspace import Workspace, uri_of

if TYPE_CHECKING:  # loaded with the first image
    from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
    from anomalyagent.mcp_tools.imaging.photo import Photo

__all__ = [
    "META_COST",
    "META_OUTAGE",
    "META_TOKENS",
    "AnomalyRef",
    "AnomalyType",
    "ImageRef",
    "ItemName",
    "NormalRef",
    "Preview",
    "Seed",
    "answer",
    "failed_answer",
    "preview_of",
    "read_pair",
    "spec_text",
]

META_COST = "anomalyagent/cost_usd"
META_TOKENS = "anomalyagent/tokens"
META_OUTAGE = "anomalyagent/outage"
PREVIEW_SIDE_PX = 768
PREVIEW_BYTES = 200_000

ImageRef = Annotated[str, Field(description="Path in the workspace, e.g. photos/nut.png")]
NormalRef = Annotated[str, Field(description="Good photo")]
AnomalyRef = Annotated[str, Field(description="With the defect")]
ItemName = Annotated[
    str,
    Field(min_length=1, max_length=200, description="e.g. metal nut"),
]
AnomalyType = Annotated[str, Field(min_length=1, max_length=200, description="e.g. oil stain")]
Seed = Annotated[int, Field(ge=0, lt=SEEDS, description="For variants")]
Preview = Annotated[bool, Field(description="Add a JPEG")]


def answer(
    result: ToolResult,
    text: str,
    *,
    ref: str | None = None,
    title: str = "",
    preview: bytes | None = None,
    linked: Sequence[tuple[str, str]] = (),
) -> CallToolResult:
    """The MCP answer for `result`; `ref` is linked as a PNG resource, `preview` is JPEG data.

    Args:
        linked: more images of the workspace, each with its title.
    """
    content: list[ContentBlock] = [TextContent(type="text", text=text)]
    for image, shown in [*([] if ref is None else [(ref, title)]), *linked]:
        name = image.rpartition("/")[2]
        content.append(ResourceLink(type="resource_link", name=name, title=shown, uri=uri_of(image), mime_type="image/png"))
    if preview is not None:
        content.append(Image(data=preview, format="jpeg").to_image_content())
    # Without what is unset: the listed schema says `string`, not `string or null`, because hosts read that better.
    fields = {name: value for name, value in result.model_dump(mode="json").items() if value is not None}
    return CallToolResult(content=content, structured_content=fields)


def failed_answer(error: BackendError) -> CallToolResult:
    """The answer for a call that failed after money was spent, or for want of a remote service: the rest is in its metadata."""
    told = {META_COST: error.cost_usd, META_TOKENS: error.tokens, META_OUTAGE: isinstance(error, RemoteOutageError)}
    return CallToolResult.model_validate(
        {"content": [TextContent(type="text", text=str(error))], "isError": True, "_meta": told}
    )


def spec_text(spec: DefectSpec) -> str:
    """The spec as compact JSON, without the fields that are unset, ready to be sent back."""
    return json.dumps(spec.model_dump(mode="json", exclude_none=True), separators=(",", ":"))


def read_pair(workspace: Workspace, normal_image: str, anomaly_image: str) -> "tuple[Photo, Photo]":
    """Both photos of a comparison.

    Raises:
        ToolInputError: their sizes differ.
    """
    normal, anomaly = workspace.read_photo(normal_image), workspace.read_photo(anomaly_image)
    if normal.shape != anomaly.shape:
        sizes = [f"{photo.shape[1]}x{photo.shape[0]}" for photo in (normal, anomaly)]
        raise ToolInputError(
            f"normal_image {normal_image!r} is {sizes[0]} and anomaly_image {anomaly_image!r} is {sizes[1]} pixels; they must "
            "be equal. Use the photo that image_gen was called with as normal_image."
        )
    return normal, anomaly


def preview_of(photo: "Photo", mask: "Mask | None" = None) -> bytes:
    """JPEG of `photo`, at most 768 px a side and 200 kB, with the border of `mask` drawn in magenta around it."""
    from anomalyagent.mcp_tools.imaging.importing import encode_preview

    shown = photo if mask is None else replace(photo, rgb=_outlined(photo.rgb, mask))
    return encode_preview(shown, PREVIEW_SIDE_PX, PREVIEW_BYTES)[0]


def _outlined(rgb: "RGB", mask: "Mask") -> "RGB":
    import cv2
    import numpy as np

    width = 2 * max(1, round(max(mask.shape) / PREVIEW_SIDE_PX)) + 1
    grown = cv2.dilate(mask.astype(np.uint8), np.ones((width, width), np.uint8)).astype(bool)
    drawn = rgb.copy()
    drawn[grown & ~mask] = (1.0, 0.0, 1.0)
    return drawn
