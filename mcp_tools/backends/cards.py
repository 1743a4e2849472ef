"""Knowledge cards as the tool's result, the same from every backend that holds cards."""

from anomalyagent.knowledge.card_models import Card
from anomalyagent.knowledge.search import Retrieval
from anomalyagent.mcp_tools.contracts import CardHit, KnowledgeResult

__all__ = ["as_result"]


def as_result(backend: str, found: Retrieval) -> KnowledgeResult:
    """What a search found, for the agent."""
    cards = [_describe(hit.card, hit.relevance) for hit in found.hits]
    return KnowledgeResult(backend=backend, match=found.match, cards=cards, note=found.note)


def _describe(card: Card, relevance: float) -> CardHit:
    text = f"{card.appearance} Cause: {card.cause} Location: {card.location} Inspection: {card.inspection}"
    return CardHit(
        id=card.id,
        item=card.item,
        anomaly_type=card.anomaly_type,
        text=text,
        variants=list(card.variants),
        relevance=relevance,
        source=card.source,
    )
