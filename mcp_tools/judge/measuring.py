"""All measurements of one pair of photos, ready for the faults and the scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anomalyagent.knowledge.spec import Mechanism
from anomalyagent.mcp_tools.judge.appearance import DESCRIPTOR, Appearance, measure_appearance
from anomalyagent.mcp_tools.judge.blending import Blending, measure_blending
from anomalyagent.mcp_tools.judge.expectation import Expectation, covers_object
from anomalyagent.mcp_tools.judge.likeness import Likeness, Look, compare_looks
from anomalyagent.mcp_tools.judge.pair import Pair
from anomalyagent.mcp_tools.judge.placing import Placing, measure_placing

__all__ = ["Measured", "measure"]

_SHAPE_KEPT = 0.15
"""Doublings of length by width: what misses by less is the shape of the card, drawn."""
_SIZE_KEPT = 0.3
"""Doublings of the area: no more than what is visible misses what was drawn by."""
_ALL_EDGE_PX = 9.0
_WIDER = 2.0
"""Spreads by which a change is clearly wider than the known examples."""
_TONE_KEPT = 0.2
"""A tone that is missed by less is the card's."""


@dataclass(frozen=True)
class Measured:
    """What was measured, by subject, beside what was expected."""

    expected: Expectation
    placing: Placing
    blending: Blending
    appearance: Appearance
    likeness: Likeness

    def with_looks(self, looks: Mapping[Mechanism, Look]) -> "Measured":
        """The same, compared with other looks."""
        settled = _settled(self.placing, self.expected, _is_wider(self.appearance.descriptor, self.expected, looks))
        likeness = compare_looks(self.appearance.descriptor, self.expected.mechanisms, looks, settled)
        return replace(self, likeness=likeness)


def measure(pair: Pair, expected: Expectation, looks: Mapping[Mechanism, Look]) -> Measured:
    """Measure a pair; the same input gives the same numbers."""
    appearance = measure_appearance(pair, expected)
    placing = measure_placing(pair, expected)
    blending = measure_blending(pair, whole_object=covers_object(placing.variant))
    return Measured(expected, placing, blending, appearance, Likeness(0.0, None)).with_looks(looks)


def _is_wider(descriptor: Sequence[float], expected: Expectation, looks: Mapping[Mechanism, Look]) -> bool:
    """Whether the change is clearly wider than the examples of every asked mechanism that the looks were made from."""
    place = DESCRIPTOR.index("width")
    known = [looks[name] for name in expected.mechanisms if name in looks]
    return bool(known) and all(descriptor[place] > look.mean[place] + _WIDER * look.spread[place] for look in known)


def _settled(placing: Placing, expected: Expectation, wider: bool) -> list[int]:
    """What the knowledge card says about shape, size and tone, and what is so, does not speak for another mechanism.

    A black speck is as small, round and dark as its card demands: that most small, round, dark changes are holes says nothing.
    Steepness and grain are means over the area, and the more of it lies far from the outline, the less of them is left: of
    holes larger than any that the looks know they say no more than that they are large, as their card has it.

    Args:
        wider: the change is wider than the examples of the asked mechanisms.
    """
    if expected.card_id is None:
        return []
    shaped, dark = placing.elongation_miss < _SHAPE_KEPT, placing.tone_miss < _TONE_KEPT
    sized = shaped and placing.oversized < _SIZE_KEPT and placing.undersized < _SIZE_KEPT
    # what is hardly wider than the blur of its own outline is all edge: steep, and full of fine detail, whatever it is
    edge = sized and (placing.width_px < _ALL_EDGE_PX or wider)
    kept = {"elongation": shaped, "width": sized, "tone": dark, "steepness": edge, "grain": edge}
    return [DESCRIPTOR.index(name) for name, holds in kept.items() if holds]
