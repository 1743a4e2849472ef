"""What a policy is: it turns the conversation so far into the next turn.

A policy is built as `Policy(options)` with the `policy.options` of the settings, loads anything heavy on first use, and
raises `PolicyError` when it cannot decide. What it decides is judged by `graph.rules`; an illegal action comes back to
it as an observation. The same view must give the same decision wherever the run is to be reproducible.
"""

from dataclasses import dataclass
from typing import Protocol

from anomalyagent.graph.progress import View
from anomalyagent.graph.trace import Action

__all__ = ["Decision", "Policy"]


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
