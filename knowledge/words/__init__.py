"""DefectSpec <-> English, and anomaly type names -> mechanism. The public face of this package.

    render_prompt(spec, item, type) -> str      an editing prompt as in the paper (section on prompt generation)
    parse_prompt(text, default)     -> spec     reads it back, and reads what people and language models write
    read_prompt(text, default)      -> reading  the same with what was understood and what was not
    complete_spec(spec, text)       -> spec     with what it leaves out
    mechanism_of(type, item)        -> guess    for any words
    tell_changes(before, after)     -> [str]    what differs between two specs

Tolerances of the round trip: mechanism, zone, count exact; center 0.006; area, elongation and severity 6 %;
orientation 0.51 degrees (modulo 180); colour 0.51 in each of L, a, b. The seed is not in the text: it comes from the default.
"""

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.changes import tell_changes
from anomalyagent.knowledge.words.reader import PromptReading, complete_spec, read_prompt
from anomalyagent.knowledge.words.types import MechanismGuess, mechanism_of
from anomalyagent.knowledge.words.writer import render_prompt

__all__ = [
    "MechanismGuess",
    "PromptReading",
    "complete_spec",
    "mechanism_of",
    "parse_prompt",
    "read_prompt",
    "render_prompt",
    "tell_changes",
]


def parse_prompt(text: str, default: DefectSpec | None = None) -> DefectSpec:
    """The spec of `read_prompt`."""
    return read_prompt(text, default).spec
