"""The quality_eval tool: scores an anomaly photo beside its normal photo, with named findings and what to change."""

from typing import TYPE_CHECKING, Annotated

from mcp.types import CallToolResult, ToolAnnotations

from anomalyagent.mcp_tools.answers import AnomalyRef, AnomalyType, ItemName, NormalRef, answer, read_pair
from anomalyagent.mcp_tools.contracts import QualityResult
from anomalyagent.mcp_tools.registry import is_embedded
from anomalyagent.mcp_tools.toolbox import ContractTool, Toolbox, make_tool

if TYPE_CHECKING:  # loads the arrays and codecs
    from anomalyagent.mcp_tools.backends.base import QualityEvalBackend

__all__ = ["create_tool"]


def create_tool(toolbox: Toolbox) -> ContractTool:
    """quality_eval on the workspace and backend of `toolbox`."""

    def quality_eval(
        normal_image: NormalRef, anomaly_image: AnomalyRef, item_name: ItemName, anomaly_type: AnomalyType
    ) -> Annotated[CallToolResult, QualityResult]:
        """Judge whether the defect is believable: score 0-10 (location 0-5 + quality 0-5), passed, and findings with hints.
        Next: mask_gen if passed; else change the spec as hinted and call image_gen again.
        """
        normal, anomaly = read_pair(toolbox.workspace, normal_image, anomaly_image)
        backend: QualityEvalBackend = toolbox.backend("quality_eval")
        threshold = toolbox.settings.tools.quality_eval.threshold
        result = backend.judge(normal, anomaly, item_name, anomaly_type, threshold)
        verdict = "passed" if result.passed else "not passed"
        lines = [
            f"score {result.score:.1f} of 10 (location {result.location_score:.1f}, quality {result.quality_score:.1f}), "
            f"{verdict} (more than {result.threshold:g} is needed). {result.review}"
        ]
        lines += [f"- {finding.name}: {finding.message.rstrip('.')}. {finding.hint}".rstrip() for finding in result.findings]
        return answer(result, "\n".join(lines))

    local = is_embedded("quality_eval", toolbox.settings.tools.quality_eval.backend)
    hints = ToolAnnotations(read_only_hint=True, open_world_hint=not local)
    return make_tool(toolbox, quality_eval, title="Judge the defect", annotations=hints)
