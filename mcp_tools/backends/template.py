"""prompt_gen without a model: the priors of the fitting knowledge card, sampled and written out as a prompt."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from anomalyagent.configs.schema import KnowledgeSettings, Settings
from anomalyagent.errors import ConfigError
from anomalyagent.knowledge.cards import Card, find_card, guess_material, load_cards, match_item, types_for_item
from anomalyagent.knowledge.sampling import sample_spec, sample_typical
from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.knowledge.words import mechanism_of, render_prompt
from anomalyagent.mcp_tools.contracts import PromptResult
from anomalyagent.mcp_tools.imaging.photo import Photo

__all__ = ["TemplatePromptGen"]

_DRAW_CARD = 11
"""Stream of random numbers that picks a card; the spec's own numbers come from the plain seed."""


class TemplatePromptGen:
    """Writes the first editing prompt of a task: another seed is another defect, the same seed is the same text.

    It takes no options.
    """

    name = "template"

    def __init__(self, options: Mapping[str, Any], knowledge: KnowledgeSettings) -> None:
        if options:
            raise ConfigError(f"unknown option {min(options)!r} of prompt_gen backend 'template'; it takes none.")
        self._folders = tuple(knowledge.folders)
        self._chosen: dict[tuple[str, str], list[Card]] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> "TemplatePromptGen":
        """The backend with the knowledge folders of the settings."""
        return cls(settings.tools.prompt_gen.options, settings.knowledge)

    @cached_property
    def _cards(self) -> list[Card]:
        return load_cards(self._folders)

    def write_prompt(self, photo: Photo, item_name: str, anomaly_type: str, seed: int) -> PromptResult:  # noqa: ARG002
        """Prompt and spec for one task. The photo is not looked at: places and sizes are relative to the object.

        Raises:
            KnowledgeError: the knowledge cards cannot be read.
        """
        key = (item_name, anomaly_type)
        if key not in self._chosen:
            self._chosen[key] = self._choose_cards(item_name, anomaly_type)
        cards = self._chosen[key]
        if not cards:
            spec = sample_typical(mechanism_of(anomaly_type, item_name).mechanism, seed)
            return self._result(spec, item_name, anomaly_type, None)
        card = cards[0]
        if len(cards) > 1:
            weights = np.array([one.frequency for one in cards])
            card = cards[int(np.random.default_rng([seed, _DRAW_CARD]).choice(len(cards), p=weights / weights.sum()))]
        return self._result(sample_spec(card, seed), item_name, anomaly_type, card.id)

    def _result(self, spec: DefectSpec, item_name: str, anomaly_type: str, card_id: str | None) -> PromptResult:
        prompt = render_prompt(spec, item_name, anomaly_type)
        return PromptResult(backend=self.name, prompt=prompt, spec=spec, knowledge_card=card_id)

    def _choose_cards(self, item_name: str, anomaly_type: str) -> list[Card]:
        """The card of item and type; else cards of its mechanism; else, for a word without meaning, the item's types."""
        exact = find_card(self._cards, item_name, anomaly_type)
        if exact is not None:
            return [exact]
        guess = mechanism_of(anomaly_type, item_name)
        if guess.confidence == 0.0:
            return types_for_item(self._cards, item_name)
        material = guess_material(self._cards, item_name)
        of_item = match_item(self._cards, item_name)
        of_material = [card for card in self._cards if material is not None and card.material == material]
        general = [card for card in self._cards if card.is_general]
        for family in (of_item, [card for card in of_material if card.is_general], of_material, general, self._cards):
            if found := _with_mechanism(family, guess.mechanism):
                return found[:1]
        return []


def _with_mechanism(cards: list[Card], mechanism: Mechanism) -> list[Card]:
    """Cards that draw the mechanism, those where it is most typical first, reduced to it."""
    found: list[tuple[float, Card]] = []
    for card in cards:
        variants = tuple(variant for variant in card.variants if variant.mechanism == mechanism)
        if variants:
            share = sum(variant.weight for variant in variants) / sum(variant.weight for variant in card.variants)
            found.append((share, card.model_copy(update={"variants": variants})))
    return [card for _, card in sorted(found, key=lambda pair: -pair[0])]
