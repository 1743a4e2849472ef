"""What a policy is: it turns the conversation so far into the next turn.

A policy is built as `Policy(options)` with the `policy.options` of the settings, loads anything heavy on first use, and
raises `PolicyError` when it cannot decide. What it decides is judged by `graph.rules`; an illegal action comes back to
it as an observation. The same view must give the same decision wherever the run is to be reproducible.
"""

from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ValidationError

from anomalyagent.configs.faults import first_fault, tell_option
from anomalyagent.errors import PolicyError
from anomalyagent.graph.progress import View
from anomalyagent.graph.trace import Action

__all__ = ["Decision", "Policy", "wrong_option"]


@dataclass(frozen=True)
class Decision:
    """The agent's half of a turn: what it thinks, what it does, and what deciding cost in US dollars and tokens."""

    thought: str
    action: Action
    cost_usd: float = 0.0
    tokens: int = 0


class Policy(Protocol):
    """Decides the next turn."""

    name: str

    async def decide(self, view: View) -> Decision: ...


def wrong_option(error: ValidationError, kind: type[BaseModel], who: str) -> PolicyError:
    """What to raise when `policy.options` do not fit the model `kind` of a policy's options; `who`: the policy in words."""
    fault = first_fault(error)
    known = ", ".join(kind.model_fields)
    return PolicyError(f"policy.options.{fault.where} of {who}: {tell_option(fault, kind)}. Its options are: {known}.")
