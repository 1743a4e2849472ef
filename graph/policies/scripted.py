"""`scripted`: plays a given list of decisions, for tests, demonstrations and replays.

    policy:
      name: scripted
      options:
        file: turns.yaml            or  turns: [...]  in place

    # turns.yaml: one entry a turn
    - thought: A first prompt is needed.
      action: {kind: tool_call, name: prompt_gen, arguments: {image: 1, item_name: nut, anomaly_type: scratch}}
    - thought: Done.
      action: {kind: answer, status: failure, final_image_index: null, mask_generated: false, synthesis_logic: none}

The turn played is the one whose number the conversation has reached, so a resumed trajectory plays on where it stopped.
In texts, `{item_name}` and `{anomaly_type}` stand for those of the task; with `repeat: true` the last entry is played for ever.
"""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from anomalyagent.errors import PolicyError
from anomalyagent.graph.policies.base import Decision
from anomalyagent.graph.progress import View
from anomalyagent.graph.trace import Answer, Malformed, ToolCall

__all__ = ["ScriptedPolicy"]


class _Scripted(BaseModel):
    model_config = ConfigDict(extra="forbid")

    thought: str = ""
    action: ToolCall | Answer | Malformed = Field(discriminator="kind")
    cost_usd: float = 0.0


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    file: Path | None = None
    turns: list[_Scripted] | None = None
    repeat: bool = False


class ScriptedPolicy:
    """Plays what it was given.

    Raises:
        PolicyError: neither or both of `file` and `turns`, an unreadable file, or an entry that is no turn.
    """

    name = "scripted"

    def __init__(self, options: dict[str, Any]) -> None:
        try:
            read = _Options.model_validate(options)
            if (read.file is None) == (read.turns is None):
                raise PolicyError(
                    "the scripted policy plays either policy.options.file or policy.options.turns; give one of the two."
                )
            turns = read.turns
            if read.file is not None:
                turns = TypeAdapter(list[_Scripted]).validate_python(yaml.safe_load(read.file.read_text(encoding="utf-8")))
        except (ValidationError, yaml.YAMLError, OSError) as error:
            raise PolicyError(
                f"the script of the scripted policy cannot be used: {error}. See the top of policies/scripted.py."
            ) from error
        self._turns = turns or []
        self._repeat = read.repeat

    async def decide(self, view: View) -> Decision:
        """The entry whose number the conversation has reached.

        Raises:
            PolicyError: the script is over before an answer was given.
        """
        position = len(view.turns)
        if position >= len(self._turns):
            if not (self._repeat and self._turns):
                raise PolicyError(
                    f"the script has {len(self._turns)} turns and was asked for turn {position + 1}: end it with an answer."
                )
            position = len(self._turns) - 1
        entry = self._turns[position]
        action = entry.action
        if isinstance(action, ToolCall):
            action = action.model_copy(
                update={"arguments": {key: _fill(value, view) for key, value in action.arguments.items()}}
            )
        return Decision(entry.thought, action, entry.cost_usd)


def _fill(value: Any, view: View) -> Any:
    if not isinstance(value, str):
        return value
    return value.replace("{item_name}", view.task.item_name).replace("{anomaly_type}", view.task.anomaly_type)
