"""What is said of an anomaly type whose words, or some of them, mean nothing to the embedded prompt writer."""

import re

from anomalyagent.configs.schema import Settings
from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.fitting import choose_cards, names_a_kind
from anomalyagent.knowledge.words import read_prompt

__all__ = ["unknown_kind", "unread_place"]

_NEAR = re.compile(
    r"\b(?:near|beside|next to|close to|around|above|below)\s+(?:(?:the|its|an?|one|each|every)\s+)?\w+.*", re.IGNORECASE
)


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


def unread_place(settings: Settings, item: str, anomaly_type: str) -> str | None:
    """A sentence for the user about a place that is named by a part ("near the big hole"), which is not looked for.

    None where there is no such place, or a card knows the type by this name.
    """
    writer = settings.tools.prompt_gen
    named = _NEAR.search(anomaly_type)
    if named is None or writer.backend != "template" or writer.server is not None:
        return None
    if {"zone", "center"} & set(read_prompt(anomaly_type).understood):
        return None
    if choose_cards(load_cards(settings.knowledge.folders), item, anomaly_type).has_own_name:
        return None
    return (
        f"{anomaly_type!r}: no part is looked for in the photos, so that {named.group()!r} places nothing. Say where it is "
        "('upper left', 'at the rim', '30 % from the left') or give --zone-mask."
    )
