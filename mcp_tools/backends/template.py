"""prompt_gen without a model: the priors of the fitting card, sampled, adapted to the type's words, written as a prompt."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from anomalyagent.configs.paths import expand_home
from anomalyagent.configs.schema import KnowledgeSettings, Settings
from anomalyagent.errors import ConfigError
from anomalyagent.knowledge.cards import Card, load_cards
from anomalyagent.knowledge.fitting import Choice, adapt_spec, choose_cards
from anomalyagent.knowledge.sampling import sample_spec, sample_typical
from anomalyagent.knowledge.spec import MECHANISMS, DefectSpec
from anomalyagent.knowledge.words import mechanism_of, render_prompt
from anomalyagent.mcp_tools.contracts import PromptResult
from anomalyagent.mcp_tools.imaging.photo import Photo

if TYPE_CHECKING:
    from anomalyagent.mcp_tools.procedural.references import Donor

__all__ = ["TemplatePromptGen"]

_DRAW_CARD = 11
"""Stream of random numbers that picks a card; the spec's own numbers come from the plain seed."""


class TemplatePromptGen:
    """Writes the first editing prompt of a task: another seed is another defect, the same seed is the same text.

    Options:
        reference: folder of real defects with masks; sizes, shapes and strengths of the types that it holds are drawn from
            theirs instead of the cards'.
        without: mechanisms that are not drawn where a card leaves another choice (for ablations).
    """

    name = "template"

    def __init__(self, options: Mapping[str, Any], knowledge: KnowledgeSettings) -> None:
        for key in options:
            if key not in ("reference", "without"):
                raise ConfigError(f"unknown option {key!r} of prompt_gen backend 'template'; known: reference, without.")
        self._without = frozenset(str(name) for name in options.get("without") or ())
        if unknown := sorted(self._without - set(MECHANISMS)):
            raise ConfigError(f"option without of prompt_gen backend 'template' names no mechanism: {', '.join(unknown)}.")
        self._reference = expand_home(options["reference"]) if options.get("reference") else None
        self._folders = tuple(knowledge.folders)
        self._chosen: dict[tuple[str, str], Choice] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> "TemplatePromptGen":
        """The backend with the knowledge folders of the settings."""
        return cls(settings.tools.prompt_gen.options, settings.knowledge)

    @cached_property
    def _donors(self) -> "list[Donor]":
        if self._reference is None:
            return []
        from anomalyagent.mcp_tools.procedural.references import load_references  # loads the arrays

        return load_references(self._reference)

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
            choice = _leave_out(choose_cards(self._cards, item_name, anomaly_type), self._without)
            self._chosen[key] = self._with_references(choice, anomaly_type)
        cards, has_own_name = self._chosen[key]
        if not cards:
            spec = sample_typical(mechanism_of(anomaly_type, item_name).mechanism, seed)
            return self._result(adapt_spec(spec, anomaly_type), item_name, anomaly_type, None)
        card = cards[0]
        if len(cards) > 1:
            weights = np.array([one.frequency for one in cards])
            card = cards[int(np.random.default_rng([seed, _DRAW_CARD]).choice(len(cards), p=weights / weights.sum()))]
        spec = sample_spec(card, seed)
        if not has_own_name:
            spec = adapt_spec(spec, anomaly_type, card.variants)
        return self._result(spec, item_name, anomaly_type, card.id)

    def _with_references(self, choice: Choice, anomaly_type: str) -> Choice:
        """The cards with the ranges that the user's real defects of this type span."""
        if not self._donors:
            return choice
        from anomalyagent.mcp_tools.procedural.references import of_type, priors_of

        donors = of_type(self._donors, anomaly_type)
        if not donors:
            return choice
        cards = [
            card.model_copy(
                update={
                    "variants": tuple(
                        variant.model_copy(update={"priors": priors_of(donors, variant.priors)}) for variant in card.variants
                    )
                }
            )
            for card in choice.cards
        ]
        return Choice(cards, choice.has_own_name)

    def _result(self, spec: DefectSpec, item_name: str, anomaly_type: str, card_id: str | None) -> PromptResult:
        prompt = render_prompt(spec, item_name, anomaly_type)
        return PromptResult(backend=self.name, prompt=prompt, spec=spec, knowledge_card=card_id)


def _leave_out(choice: Choice, without: frozenset[str]) -> Choice:
    """The cards without the variants of some mechanisms; a card that has no other keeps them."""
    if not without:
        return choice
    cards: list[Card] = []
    for card in choice.cards:
        kept = tuple(variant for variant in card.variants if variant.mechanism not in without)
        cards.append(card.model_copy(update={"variants": kept}) if kept else card)
    return Choice(cards, choice.has_own_name)
