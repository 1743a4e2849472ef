"""The knowledge_retrieval tool: cards on how a defect of an item looks, where it sits and how large it is."""

from typing import TYPE_CHECKING, Annotated

from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from anomalyagent.mcp_tools.answers import AnomalyType, ItemName, answer
from anomalyagent.mcp_tools.contracts import KnowledgeResult
from anomalyagent.mcp_tools.registry import is_embedded
from anomalyagent.mcp_tools.toolbox import ContractTool, Toolbox, make_tool

if TYPE_CHECKING:  # loads the arrays and codecs
    from anomalyagent.mcp_tools.backends.base import KnowledgeRetrievalBackend

__all__ = ["create_tool"]


def create_tool(toolbox: Toolbox) -> ContractTool:
    """knowledge_retrieval on the backend of `toolbox`."""

    def knowledge_retrieval(
        item_name: ItemName,
        anomaly_type: AnomalyType,
        query: Annotated[str, Field(max_length=1000, description="What else you want to know")] = "",
    ) -> Annotated[CallToolResult, KnowledgeResult]:
        """Look up how a defect looks on an item, where it sits, and ranges for the spec. For when you are unsure, or
        quality_eval did not pass.
        """
        backend: KnowledgeRetrievalBackend = toolbox.backend("knowledge_retrieval")
        result = backend.retrieve(item_name, anomaly_type, query, toolbox.settings.knowledge.top_k)
        lines = [f"{len(result.cards)} cards, match: {result.match}. {result.note}".rstrip()]
        for card in result.cards:
            lines.append(f"- {card.id} ({card.item}, {card.anomaly_type}; relevance {card.relevance:.2f}): {card.text}")
        return answer(result, "\n".join(lines))

    local = is_embedded("knowledge_retrieval", toolbox.settings.tools.knowledge_retrieval.backend)
    hints = ToolAnnotations(read_only_hint=True, open_world_hint=not local)
    return make_tool(toolbox, knowledge_retrieval, title="Look up a defect", annotations=hints)
