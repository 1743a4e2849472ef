"""The knowledge_retrieval tool: cards on how a defect of an item looks, where it sits and how large it is."""

import threading
from typing import TYPE_CHECKING, Annotated

from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from anomalyagent.configs.schema import ReferenceSettings
from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.answer_limits import MAX_ANSWER_CHARS
from anomalyagent.mcp_tools.answers import AnomalyType, ItemName, answer, read_pair
from anomalyagent.mcp_tools.contracts import KnowledgeResult
from anomalyagent.mcp_tools.registry import is_embedded
from anomalyagent.mcp_tools.toolbox import ContractTool, Toolbox, make_tool

if TYPE_CHECKING:  # loads the arrays and codecs
    from anomalyagent.mcp_tools.backends.base import KnowledgeRetrievalBackend
    from anomalyagent.mcp_tools.reference_search import ReferenceSearch

__all__ = ["create_tool"]

Query = Annotated[str, Field(max_length=1000, description="In your words")]


def create_tool(toolbox: Toolbox) -> ContractTool:
    """knowledge_retrieval on the backend of `toolbox`; where the user has reference defects, it also takes a pair of images."""
    look_up = _LookUp(toolbox)

    def knowledge_retrieval(
        item_name: ItemName,
        anomaly_type: AnomalyType,
        query: Query = "",
    ) -> Annotated[CallToolResult, KnowledgeResult]:
        """How a defect looks on an item, where it sits, ranges for the spec. For when quality_eval did not pass."""
        return look_up(item_name, anomaly_type, query)

    def with_references(
        item_name: ItemName,
        anomaly_type: AnomalyType,
        query: Query = "",
        normal_image: Annotated[str, Field(description="Good photo, to find real defects like that of anomaly_image")] = "",
        anomaly_image: Annotated[str, Field(description="With the defect")] = "",
    ) -> Annotated[CallToolResult, KnowledgeResult]:
        return look_up(item_name, anomaly_type, query, normal_image, anomaly_image)

    with_references.__doc__, with_references.__name__ = knowledge_retrieval.__doc__, knowledge_retrieval.__name__
    settings = toolbox.settings
    local = settings.knowledge.web_search is None
    local = local and is_embedded("knowledge_retrieval", settings.tools.knowledge_retrieval.backend)
    hints = ToolAnnotations(read_only_hint=True, open_world_hint=not local)
    call = knowledge_retrieval if settings.knowledge.references is None else with_references
    return make_tool(toolbox, call, title="Look up a defect", annotations=hints)


class _LookUp:
    """Cards, and what web search and references add to them where they are configured."""

    def __init__(self, toolbox: Toolbox) -> None:
        self._toolbox = toolbox
        self._lock = threading.Lock()
        self._references: ReferenceSearch | None = None

    def __call__(
        self, item_name: str, anomaly_type: str, query: str, normal_image: str = "", anomaly_image: str = ""
    ) -> CallToolResult:
        toolbox, knowledge = self._toolbox, self._toolbox.settings.knowledge
        if bool(normal_image) != bool(anomaly_image):
            raise ToolInputError("normal_image and anomaly_image belong together: give both, or none.")
        backend: KnowledgeRetrievalBackend = toolbox.backend("knowledge_retrieval")
        result = _held_by_one_answer(backend.retrieve(item_name, anomaly_type, query, knowledge.top_k))
        if knowledge.web_search is not None:
            # Loaded on the first search, so that a server without one starts as fast as before.
            from anomalyagent.mcp_tools.web_search import search_web

            found = search_web(knowledge.web_search, item_name, anomaly_type, query)
            told = f" The web search failed: {found.problem}." if found.problem else ""
            result = result.model_copy(update={"web": found.texts, "note": f"{result.note}{told}".strip()})
        if knowledge.references is not None and anomaly_image:
            result = self._with_references(knowledge.references, result, normal_image, anomaly_image, anomaly_type)
        lines = [f"{len(result.cards)} cards, match: {result.match}. {result.note}".rstrip()]
        for card in result.cards:
            lines.append(f"- {card.id} ({card.item}, {card.anomaly_type}; relevance {card.relevance:.2f}): {card.text}")
        lines += [f"- from the web, unverified: {text}" for text in result.web]
        lines += [f"- a real one like it: {one.image} ({one.name}, {one.similarity:.2f} alike)" for one in result.references]
        return answer(result, "\n".join(lines), linked=[(one.image, one.name) for one in result.references])

    def _with_references(
        self, settings: ReferenceSettings, result: KnowledgeResult, normal_image: str, anomaly_image: str, anomaly_type: str
    ) -> KnowledgeResult:
        workspace = self._toolbox.workspace
        normal, anomaly = read_pair(workspace, normal_image, anomaly_image)
        with self._lock:
            if self._references is None:
                from anomalyagent.mcp_tools.reference_search import ReferenceSearch  # loads chromadb

                self._references = ReferenceSearch(settings)
        found = self._references.like(normal, anomaly, anomaly_type)
        shown = [
            one.model_copy(update={"image": workspace.store_photo(photo)})
            for one, photo in zip(found.hits, found.photos, strict=True)
        ]
        return result.model_copy(update={"references": shown, "note": f"{result.note} {found.note}".strip()})


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
