"""What the graph carries from node to node, and what checkpoints store: plain data only.

(Nested pydantic objects in checkpoints warn today and are refused by LangGraph's strict serializer.) `turns`, `images` and
`pending` are dumps of the records in `graph.trace`; nodes validate them where they use them.
"""

import math
import operator
from typing import Annotated, Any, TypedDict

from anomalyagent.graph.trace import Edit, ImageEntry, Outcome, Task, Turn

__all__ = ["GraphState", "initial_state", "read_edits", "read_images", "read_turns", "spent"]


class GraphState(TypedDict, total=False):
    """One trajectory under way.

    Attributes:
        task: the Task.
        turns: finished Turns; a node's value is appended.
        images: ImageEntry of every image in the conversation; a node's value is appended.
        pending: the Turn whose tool call is still to be made, without its observation; None otherwise.
        stop: why the trajectory ends here without an answer (a limit was reached, the policy failed); None otherwise.
        outcome, reason: set by `finish`.
        edits: Edits that a person made; a node's value is appended.
        earlier_cost_usd, earlier_tokens: spent on this task in an earlier session that came to nothing.
    """

    task: dict[str, Any]
    turns: Annotated[list[dict[str, Any]], operator.add]
    images: Annotated[list[dict[str, Any]], operator.add]
    pending: dict[str, Any] | None
    stop: str | None
    outcome: Outcome
    reason: str
    edits: Annotated[list[dict[str, Any]], operator.add]
    earlier_cost_usd: float
    earlier_tokens: int


def initial_state(task: Task, normal_sha256: str) -> GraphState:
    """The state at the start of a task: image 1 is the normal image, `normal_sha256` is of the file that it refers to."""
    normal = ImageEntry(number=1, role="normal", ref=task.normal_image, sha256=normal_sha256)
    return {
        "task": task.model_dump(mode="json"),
        "turns": [],
        "images": [normal.model_dump(mode="json")],
        "pending": None,
        "stop": None,
    }


def read_turns(state: GraphState) -> list[Turn]:
    """The finished turns as records."""
    return [Turn.model_validate(turn) for turn in state.get("turns", [])]


def spent(state: GraphState) -> tuple[float, int]:
    """US dollars and tokens of all turns, and of earlier sessions."""
    turns = state.get("turns", [])
    cost_usd = math.fsum([*(turn["cost_usd"] for turn in turns), state.get("earlier_cost_usd", 0.0)])
    return cost_usd, sum(turn["tokens"] for turn in turns) + state.get("earlier_tokens", 0)


def read_edits(state: GraphState) -> list[Edit]:
    """What a person changed, as records."""
    return [Edit.model_validate(edit) for edit in state.get("edits", [])]


def read_images(state: GraphState) -> list[ImageEntry]:
    """The images of the conversation as records."""
    return [ImageEntry.model_validate(image) for image in state.get("images", [])]
