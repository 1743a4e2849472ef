"""Whose trajectories the tiny policy imitates first: the expert's decisions as plans, and other ones now and then.

The expert takes prompt_gen's spec as it is, and changes it as the judge says. A model that only ever saw that would have
nothing to choose between when it is rewarded later, so the teacher moves the steps of every second image plan, starts some
from another spec, and leaves some fields open. What of this pays is for GRPO to find out.
"""

from typing import Any

import numpy as np

from anomalyagent.graph.policies.base import Decision
from anomalyagent.graph.policies.expert import ExpertPolicy
from anomalyagent.graph.policies.local_plans import FREEDOM, SCALED, STEPS, TRIES, base_spec, carry_out, image_plan, sentence
from anomalyagent.graph.progress import View
from anomalyagent.graph.tasks import derive_seed
from anomalyagent.graph.trace import Answer, ToolCall

__all__ = ["TeacherPolicy"]

_CHANCES = (0.2, 0.2, 0.2, 0.2, 0.2)
"""Of each of `STEPS` in a plan that is moved."""
_OPENED = 0.15
"""Chance of each field of a moved plan to be left open."""
_OTHER_BASE = 0.3
_TRIES = (0.7, 0.3)
"""Of each of `TRIES` in a plan that is moved."""


class TeacherPolicy:
    """The expert, in plans, exploring.

    Options:
        explore: share of image plans that are moved, 0..1; default 0.5.
    """

    name = "teacher"

    def __init__(self, options: dict[str, Any]) -> None:
        self._explore = float(options.get("explore", 0.5))
        self._expert = ExpertPolicy({})

    async def decide(self, view: View) -> Decision:
        """The next turn.

        Raises:
            PolicyError: as of the expert.
        """
        action = (await self._expert.decide(view)).action
        if isinstance(action, ToolCall) and action.name == "image_gen":
            plan = self._image_plan(view)
        else:
            assert isinstance(action, (ToolCall, Answer))
            plan = sentence(action)
        return Decision(plan, carry_out(view, plan))

    def _image_plan(self, view: View) -> str:
        rng = np.random.default_rng(derive_seed(view.task.seed, "teacher", len(view.turns)))
        base = "judged" if view.progress.rounds else "asked"
        steps, opened, tries = dict.fromkeys(SCALED, 1.0), frozenset[str](), 1
        if rng.random() < self._explore:
            steps = {word: STEPS[int(rng.choice(len(STEPS), p=_CHANCES))] for word in SCALED}
            opened = frozenset(word for word in FREEDOM if rng.random() < _OPENED)
            tries = TRIES[int(rng.choice(len(TRIES), p=_TRIES))]
            if view.progress.rounds and rng.random() < _OTHER_BASE:
                base = ("asked", "best")[int(rng.integers(2))]
        return image_plan(base_spec(view, base).mechanism, base, steps, opened, tries)
