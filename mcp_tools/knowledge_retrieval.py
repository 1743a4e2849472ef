"""The knowledge_retrieval tool: cards on how a defect of an item looks, where it sits and how large it is."""

from typing import TYPE_CHECKING, Annotated

from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from anomalyagent.mcp_tools.answer_limits import MAX_ANSWER_CHARS
from anomalyagent.mcp_tools.answers import AnomalyType, ItemName, answer
from anomalyagent.mcp_tools.contracts import KnowledgeResult
from anomalyagent.mcp_tools.registry import is_embedded
from anomalyagent.mcp_tools.toolbox import ContractTool, Toolbox, make_tool

if TYPE_CHECKING:  # loads the arrays and codecs
    from anomalyagent.mcp_tools.backends.base import KnowledgeRetrievalBackend

__all__ = ["create_tool"]


def create_tool(toolbox: Toolbox) -> ContractTool:
    """knowledge_retrieval on the backend of `toolbox`."""

    search = toolbox.settings.knowledge.web_search

    def knowledge_retrieval(
        item_name: ItemName,
        anomaly_type: AnomalyType,
        query: Annotated[str, Field(max_length=1000, description="In your words")] = "",
    ) -> Annotated[CallToolResult, KnowledgeResult]:
        """How a defect looks on an item, where it sits, ranges for the spec. For when quality_eval did not pass."""
        backend: KnowledgeRetrievalBackend = toolbox.backend("knowledge_retrieval")
        result = _held_by_one_answer(backend.retrieve(item_name, anomaly_type, query, toolbox.settings.knowledge.top_k))
        if search is not None:
            # Loaded on the first search, so that a server without one starts as fast as before.
            from anomalyagent.mcp_tools.web_search import search_web

            found = search_web(search, item_name, anomaly_type, query)
            told = f" The web search failed: {found.problem}." if found.problem else ""
            result = result.model_copy(update={"web": found.texts, "note": f"{result.note}{told}".strip()})
        lines = [f"{len(result.cards)} cards, match: {result.match}. {result.note}".rstrip()]
        for card in result.cards:
            lines.append(f"- {card.id} ({card.item}, {card.anomaly_type}; relevance {card.relevance:.2f}): {card.text}")
        lines += [f"- from the web, unverified: {text}" for text in result.web]
        return answer(result, "\n".join(lines))

    local = search is None and is_embedded("knowledge_retrieval", toolbox.settings.tools.knowledge_retrieval.backend)
    hints = ToolAnnotations(read_only_hint=True, open_world_hint=not local)
    return make_tool(toolbox, knowledge_retrieval, title="Look up a defect", annotations=hints)


def _held_by_one_answer(result: KnowledgeResult) -> KnowledgeResult:
    """Without the least relevant cards, if there are more than fit; each is said twice, in words and as data."""
    chars, kept = 0, 0
    for card in result.cards:
        chars += len(card.text) + len(card.model_dump_json(exclude_none=True)) + 100
        if chars > MAX_ANSWER_CHARS * 0.9:
            break
        kept += 1
    if kept == len(result.cards):
        return result
    note = f"{result.note} {len(result.cards) - kept} less relevant cards were left out: the answer was too long.".strip()
    return result.model_copy(update={"cards": result.cards[:kept], "note": note})
