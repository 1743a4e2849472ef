"""All measurements of one pair of photos, ready for the faults and the scores."""

from collections.abc import Mapping
from dataclasses import dataclass

from anomalyagent.knowledge.spec import Mechanism
from anomalyagent.mcp_tools.judge.appearance import Appearance, measure_appearance
from anomalyagent.mcp_tools.judge.blending import Blending, measure_blending
from anomalyagent.mcp_tools.judge.expectation import Expectation, covers_object
from anomalyagent.mcp_tools.judge.likeness import Likeness, Look, compare_looks
from anomalyagent.mcp_tools.judge.pair import Pair
from anomalyagent.mcp_tools.judge.placing import Placing, measure_placing

__all__ = ["Measured", "measure"]


@dataclass(frozen=True)
class Measured:
    """What was measured, by subject, beside what was expected."""

    expected: Expectation
    placing: Placing
    blending: Blending
    appearance: Appearance
    likeness: Likeness


def measure(pair: Pair, expected: Expectation, looks: Mapping[Mechanism, Look]) -> Measured:
    """Measure a pair; the same input gives the same numbers."""
    appearance = measure_appearance(pair, expected)
    placing = measure_placing(pair, expected)
    return Measured(
        expected=expected,
        placing=placing,
        blending=measure_blending(pair, whole_object=covers_object(placing.variant)),
        appearance=appearance,
        likeness=compare_looks(appearance.descriptor, expected.mechanisms, looks),
    )
