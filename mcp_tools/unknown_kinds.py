"""What is said of an anomaly type whose words mean nothing to the embedded prompt writer."""

from anomalyagent.configs.schema import Settings
from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.fitting import names_a_kind

__all__ = ["unknown_kind"]


def unknown_kind(settings: Settings, item: str, anomaly_type: str) -> str | None:
    """A sentence for the user; None when the words are understood.

    A model that writes the prompts, or another server, may read more than we know.
    """
    writer = settings.tools.prompt_gen
    if writer.backend != "template" or writer.server is not None:
        return None
    if names_a_kind(load_cards(settings.knowledge.folders), item, anomaly_type):
        return None
    if anomaly_type == "auto":
        return "'auto' is for `synthesize`: here it draws what such an item usually suffers. Name a kind, e.g. 'scratch'."
    return (
        f"{anomaly_type!r} names no kind of defect that is known here (only English is read): what such an item usually "
        "suffers is drawn under that name. Name the kind in English, e.g. 'scratch'."
    )
