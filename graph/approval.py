"""Approve mode: the graph pauses before a call of a chosen tool, until a person lets it pass, changes or rejects it.

The pause is LangGraph's interrupt: the state is in the checkpoints, so a pause outlives its process, and any client that can
resume a thread (`Command(resume={...})`, the API of `langgraph dev`) can answer it with a Ruling:

    {"kind": "approve"}
    {"kind": "edit", "changes": {"spec.severity": 2}}          paths as in graph/edits.py, of the call only
    {"kind": "reject", "reason": "the place is wrong"}         the agent reads the reason as the call's observation
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, cast

from langgraph.types import interrupt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anomalyagent.configs.faults import first_fault
from anomalyagent.errors import ForkError
from anomalyagent.graph.edits import edit_call
from anomalyagent.graph.observations import describe_rejection
from anomalyagent.graph.progress import View
from anomalyagent.graph.rules import check
from anomalyagent.graph.trace import Edit, Observation, ToolCall, Turn
from anomalyagent.mcp_tools.contracts import TOOL_NAMES

__all__ = ["REJECTED", "Approver", "Pause", "Ruling", "apply_ruling", "ask_for_approval", "read_pause", "tools_to_approve"]

REJECTED = "rejected: "
"""How the error of a call that a person rejected begins."""


class Ruling(BaseModel):
    """What a person says to a pause."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["approve", "edit", "reject"]
    changes: dict[str, Any] = Field(default_factory=dict[str, Any])
    reason: str = ""


class Pause(NamedTuple):
    """A call that waits.

    Attributes:
        id: of the trajectory.
        turn: the turn, without an observation.
        problem: what was wrong with the last ruling about it; None at first.
    """

    id: str
    turn: Turn
    problem: str | None = None


Approver = Callable[[Pause], Ruling]
"""Asks a person; it may block."""


def tools_to_approve(names: Iterable[str]) -> list[str]:
    """The names, each once.

    Raises:
        ForkError: there is no such tool.
    """
    wanted = list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in TOOL_NAMES]
    if unknown:
        raise ForkError(f"there is no tool {unknown[0]!r} to approve; the tools are {', '.join(TOOL_NAMES)}.")
    return wanted


def ask_for_approval(view: View, turn: Turn) -> tuple[Turn, list[Edit]]:
    """Pause until a ruling comes that can be carried out. To be called in a node of a graph with checkpoints.

    Returns:
        The turn to carry on with (a rejected one has its observation) and what was changed in it.
    """
    problem: str | None = None
    while True:
        answer: object = interrupt({"turn": turn.model_dump(mode="json"), "problem": problem})
        try:
            return apply_ruling(view, turn, Ruling.model_validate(answer))
        except ValidationError as error:
            problem = f"this is no ruling: {first_fault(error)}."
        except ForkError as error:
            problem = str(error)


def apply_ruling(view: View, turn: Turn, decision: Ruling) -> tuple[Turn, list[Edit]]:
    """Carry out a ruling.

    Raises:
        ForkError: the changes do not fit the call, or make it illegal.
    """
    assert isinstance(turn.action, ToolCall)
    if decision.kind == "reject":
        reason = decision.reason.strip() or "no reason was given"
        observation = Observation(text=describe_rejection(turn.action.name, decision.reason), error=f"{REJECTED}{reason}")
        return turn.model_copy(update={"observation": observation}), [Edit(turn=turn.index, path="rejected", after=reason)]
    if decision.kind == "approve" or not decision.changes:
        return turn, []
    edited = edit_call(view.task, turn, decision.changes)
    if not isinstance(edited.turn.action, ToolCall) or edited.turn.action.name != turn.action.name:
        raise ForkError(f"the call waits as one of {turn.action.name}: change its arguments, or reject it and say why.")
    problem = check(view, edited.turn.action)
    if problem:
        raise ForkError(problem)
    return edited.turn, edited.edits


def read_pause(name: str, value: object) -> Pause:
    """The pause of an interrupt's value."""
    told = cast("dict[str, Any]", value)
    return Pause(name, Turn.model_validate(told["turn"]), told["problem"])
