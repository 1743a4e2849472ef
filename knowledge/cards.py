"""Knowledge cards: the readable records that the knowledge index is built from.

    knowledge/cards/*.yaml      a list of cards, or of groups of cards, in each file
    - item: bottle                         as in the data set, or the name of a material in the grid
      item_aliases: [glass bottle, ...]
      material: glass
      source: general engineering knowledge
      cards:                               a group: what stands above holds for each card below
        - id: mvtec/bottle/broken_large    unique, stable
          anomaly_type: broken_large       verbatim name
          type_aliases: [large break, ...]
          appearance / cause / location / inspection: prose, one to three sentences each
          frequency: 1.0                   relative share among the item's types, used by `auto`
          variants:                        the ways in which it is drawn, most typical first
            - mechanism: chip
              weight: 0.7
              priors: {area_fraction: [0.01, 0.15], elongation: [1, 3], severity: [6, 25],
                       contrast: darker, zones: [edge], count: [1, 1]}

Ranges are [low, high], the central 90 % of what is seen; sizes and severities are drawn log-uniformly inside them.
A user's card with the id of a shipped card replaces it. Cards of later folders come first, so they win every lookup.
"""

from anomalyagent.knowledge.card_files import load_cards, read_card_file, user_card_folder
from anomalyagent.knowledge.card_models import Card, Contrast, Priors, Variant
from anomalyagent.knowledge.lookup import find_card, guess_material, match_item, types_for_item

__all__ = [
    "Card",
    "Contrast",
    "Priors",
    "Variant",
    "find_card",
    "guess_material",
    "load_cards",
    "match_item",
    "read_card_file",
    "types_for_item",
    "user_card_folder",
]
