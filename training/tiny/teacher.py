"""Whose trajectories the tiny policy imitates first: the expert's decisions in few words, and with other numbers now and then.

The expert takes prompt_gen's spec as it is. A model that only ever saw that would have nothing to choose between when it is
rewarded later, so the teacher moves size, shape and strength of every second spec at random (log-normal), and leaves out
a fixed direction, colour or number of every fourth. What of this pays is for GRPO to find out.
Numbers have two significant digits: a small vocabulary writes them in few tokens, and no eye sees the third.
"""

from typing import Any

import numpy as np

from anomalyagent.graph.policies.base import Decision
from anomalyagent.graph.policies.expert import ExpertPolicy
from anomalyagent.graph.policies.local_grammar import THOUGHTS, plain_number, write_image_call
from anomalyagent.graph.progress import View
from anomalyagent.graph.tasks import derive_seed
from anomalyagent.graph.trace import Answer, ToolCall
from anomalyagent.knowledge.spec import DefectSpec

__all__ = ["SPEC_FIELDS", "TeacherPolicy", "in_few_digits"]

SPEC_FIELDS = (
    "mechanism",
    "zone",
    "center",
    "area_fraction",
    "elongation",
    "orientation_deg",
    "severity",
    "color_shift",
    "count",
)
"""In the order in which they are written; the seed is the graph's."""
_RANGES = {"area_fraction": (1e-4, 0.7), "elongation": (1.0, 200.0), "severity": (0.5, 60.0)}
_SPREAD = {"area_fraction": 0.5, "elongation": 0.3, "severity": 0.5}
"""Standard deviations of the logarithms."""
_LEFT_OUT = ("orientation_deg", "color_shift", "count")


class TeacherPolicy:
    """The expert, in few words, exploring.

    Options:
        explore: share of specs that are moved, 0..1; default 0.5.
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
        decision = await self._expert.decide(view)
        action = decision.action
        if isinstance(action, Answer):
            kept = action.model_copy(update={"synthesis_logic": _logic(view, action)})
            return Decision(THOUGHTS[action.status][0], kept)
        assert isinstance(action, ToolCall)
        arguments = {name: value for name, value in action.arguments.items() if name not in ("seed", "query")}
        if action.name != "image_gen":
            return Decision(THOUGHTS[action.name][0], ToolCall(name=action.name, arguments=arguments))
        given = DefectSpec.model_validate(arguments["spec"])
        rng = np.random.default_rng(derive_seed(view.task.seed, "teacher", len(view.turns)))
        spec = in_few_digits(self._moved(given, rng))
        thought = THOUGHTS["image_gen"][1 if view.progress.rounds else 0]
        return Decision(thought, write_image_call(view.task.item_name, view.task.anomaly_type, spec))

    def _moved(self, spec: DefectSpec, rng: np.random.Generator) -> DefectSpec:
        if rng.random() >= self._explore:
            return spec
        changes: dict[str, Any] = {}
        for name, spread in _SPREAD.items():
            low, high = _RANGES[name]
            changes[name] = float(np.clip(getattr(spec, name) * np.exp(rng.normal(0.0, spread)), low, high))
        for name in _LEFT_OUT:
            if rng.random() < 0.5:
                changes[name] = 1 if name == "count" else None
        return spec.model_copy(update=changes)


def in_few_digits(spec: DefectSpec) -> dict[str, Any]:
    """The spec as the tiny policy writes it: two significant digits, whole degrees and colours, nothing that is unset."""
    given = spec.model_dump(mode="json", exclude_none=True)
    written: dict[str, Any] = {}
    for name in SPEC_FIELDS:
        value = given.get(name)
        if value is None or (name == "count" and value == 1):
            continue
        if name in _RANGES:
            low, high = _RANGES[name]
            value = plain_number(min(max(value, low), high))
        elif name == "center":
            value = [plain_number(round(part, 2)) for part in value]
        elif name == "color_shift":
            value = [min(80, max(-80, round(part))) for part in value]
        elif name == "orientation_deg":
            value = round(value) % 180
        written[name] = value
    return written


def _logic(view: View, answer: Answer) -> str:
    rounds = len(view.progress.rounds)
    return f"{'passed' if answer.status == 'success' else 'not passed'} after {rounds} round{'s' if rounds > 1 else ''}"
