"""The mask_gen tool: the pixels whose change can be seen, as a 0/255 PNG."""

from typing import TYPE_CHECKING, Annotated

from mcp.types import CallToolResult, ToolAnnotations

from anomalyagent.mcp_tools.answers import AnomalyRef, NormalRef, Preview, answer, preview_of, read_pair
from anomalyagent.mcp_tools.contracts import MaskResult
from anomalyagent.mcp_tools.registry import is_embedded
from anomalyagent.mcp_tools.toolbox import ContractTool, Toolbox, make_tool

if TYPE_CHECKING:  # these load the arrays and codecs
    from anomalyagent.mcp_tools.backends.base import MaskGenBackend
    from anomalyagent.mcp_tools.imaging.arrays import Mask

__all__ = ["create_tool"]

MOST_BOXES = 32
_ANOTHER_PHOTO = 0.9
"""Share of the pixels (0..1) above which the pair is hardly a photo and its edit: a spec covers at most 0.7 of the object."""


def create_tool(toolbox: Toolbox) -> ContractTool:
    """mask_gen on the workspace and backend of `toolbox`."""

    def mask_gen(
        normal_image: NormalRef, anomaly_image: AnomalyRef, preview: Preview = False
    ) -> Annotated[CallToolResult, MaskResult]:
        """Last, for an image that passed: the mask of the pixels that visibly changed, PNG of 0 and 255."""
        normal, anomaly = read_pair(toolbox.workspace, normal_image, anomaly_image)
        backend: MaskGenBackend = toolbox.backend("mask_gen")
        segmented = backend.segment(normal, anomaly)
        mask = segmented.mask
        ref = toolbox.workspace.store_mask(mask)
        boxes = _boxes_of(mask)
        result = MaskResult(
            backend=backend.name, mask=ref, boxes_xyxy=boxes, area_fraction=float(mask.mean()), confidence=segmented.confidence
        )
        if boxes:
            area = f"{100 * result.area_fraction:.2f} % of the pixels, {len(boxes)} part(s)"
            text = f"Stored {ref}: {area}, confidence {result.confidence:.2f}."
            if result.area_fraction > _ANOTHER_PHOTO:
                text += " Nearly all of it differs: these look like two photos, not one photo and an edit of it."
        else:
            text = f"Stored {ref}: no visible difference, the mask is empty. Draw the defect again with a higher severity."
        shown = preview_of(anomaly, mask) if preview else None
        return answer(result, text, ref=ref, title="Mask of the defect", preview=shown)

    local = is_embedded("mask_gen", toolbox.settings.tools.mask_gen.backend)
    hints = ToolAnnotations(destructive_hint=False, idempotent_hint=True, open_world_hint=not local)
    return make_tool(toolbox, mask_gen, title="Mask the defect", annotations=hints)


def _boxes_of(mask: "Mask") -> list[tuple[int, int, int, int]]:
    """Bounding boxes (x0, y0, x1, y1), end exclusive, of the 8-connected parts of `mask`, largest area first, at most 32."""
    import cv2
    import numpy as np

    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    parts = sorted(stats[1:].tolist(), key=lambda part: (-part[cv2.CC_STAT_AREA], part))
    return [(x, y, x + width, y + height) for x, y, width, height, _ in parts[:MOST_BOXES]]
