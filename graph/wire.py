"""The paper's text format: the one place that words a conversation for a model, and that reads a model's text back.

    <thinking>why</thinking>
    <tool_call>{"name": "image_gen", "arguments": {"image": 1, ...}}</tool_call>

    <thinking>why</thinking>
    <answer>{"status": "success", "final_image_index": 2, "mask_generated": true, "synthesis_logic": "..."}</answer>

Images of a conversation are numbered from 1, which is the normal image. Live runs, training rows and rollouts all build
their messages with `converse`, so they are identical byte for byte; what tools answered comes from `graph.observations`.
Source: the paper, appendix on the agent's prompts; its `prompt_gen` gap is closed (see `rules.py`).
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

from pydantic import ValidationError

from anomalyagent.configs.faults import first_fault
from anomalyagent.graph.observations import describe_task
from anomalyagent.graph.progress import View
from anomalyagent.graph.rules import TOOL_ARGUMENTS, Argument
from anomalyagent.graph.trace import Action, Answer, ImageEntry, Malformed, ToolCall
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.contracts import MOST_TRIES, TOOL_NAMES, ToolName

__all__ = [
    "ANSWER",
    "TOOLS",
    "TURN_START",
    "Message",
    "Said",
    "converse",
    "read_turn",
    "render",
    "system_text",
    "tools_digest",
    "write_turn",
]

TURN_START = "<|im_start|>assistant\n"
"""What opens a turn of the model in ChatML."""

Role = Literal["system", "user", "assistant", "tool"]


class Said(NamedTuple):
    """What a model said in one turn."""

    thought: str
    action: Action


@dataclass(frozen=True)
class Message:
    """One message of a conversation.

    Attributes:
        role: `tool` answers a tool call, whatever became of it; `user` answers anything else.
        text: what the model reads, or, of the assistant, wrote: the whole turn in the text format.
        images: that join the conversation with it (they are shown before its text).
        said: of the assistant: the same turn, taken apart.
    """

    role: Role
    text: str
    images: tuple[ImageEntry, ...] = ()
    said: Said | None = None


_PURPOSES: dict[ToolName, str] = {
    "prompt_gen": "Write the first editing prompt for the normal image, with its spec in numbers. Once, first.",
    "image_gen": "Draw the anomaly on the normal image (image 1). Where a spec is given, it decides.",
    "quality_eval": "Judge the newest anomaly image: location 0-5 and quality 0-5, findings with hints. After every image_gen.",
    "knowledge_retrieval": "Look up how such a defect looks, where it sits and which numbers fit. After a low score.",
    "mask_gen": "Make the mask of an anomaly image that passed, or of the best one when the rounds are spent.",
}


def _schema(argument: Argument) -> dict[str, Any]:
    if argument.kind == "image":
        return {"type": "integer", "minimum": 1, "description": "Number of an image of this conversation."}
    if argument.kind == "seed":
        return {"type": "integer", "minimum": 0}
    if argument.kind == "tries":
        told = "Draw again, up to so many times in this call, while a check of its own finds the drawing too poor; default 1."
        return {"type": "integer", "minimum": 1, "maximum": MOST_TRIES, "description": told}
    if argument.kind == "text":
        return {"type": "string"}
    fields = DefectSpec.model_json_schema()["properties"]
    plain = {name: {key: part for key, part in field.items() if key != "title"} for name, field in fields.items()}
    return {"type": "object", "properties": plain, "required": ["mechanism"], "additionalProperties": False}


def _tool(name: ToolName) -> dict[str, Any]:
    arguments = TOOL_ARGUMENTS[name]
    parameters = {
        "type": "object",
        "properties": {key: _schema(argument) for key, argument in arguments.items()},
        "required": [key for key, argument in arguments.items() if argument.required],
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": _PURPOSES[name], "parameters": parameters}}


TOOLS: tuple[dict[str, Any], ...] = tuple(_tool(name) for name in TOOL_NAMES)
"""The five tools as function schemas (JSON schema), as a chat API and the `tools` column of a data set want them."""


_JOB = "You make realistic images of industrial defects, with their masks, by calling tools. "
_ORDER = (
    "Order: prompt_gen once; image_gen; quality_eval. If it passed: mask_gen, then the answer. If not: knowledge_retrieval "
    "when the score is low or no hint helps, then image_gen again with a better prompt and spec. When the rounds are "
    "spent: mask_gen on the best image and an answer with status failure. Images are given by their numbers."
)


ANSWER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "answer",
        "description": "End the episode. success: an image passed and has its mask. failure: rounds are spent, none passed.",
        "parameters": {
            "type": "object",
            "properties": {
                "status": {"type": "string", "enum": ["success", "failure"]},
                "final_image_index": {
                    "type": "integer",
                    "description": "Number of the anomaly image that passed, or of the best one; left out when there is none.",
                },
                "mask_generated": {"type": "boolean", "description": "Whether that image has its mask."},
                "synthesis_logic": {"type": "string", "description": "What was made and why it is good, one sentence."},
            },
            "required": ["status", "mask_generated", "synthesis_logic"],
            "additionalProperties": False,
        },
    },
}
"""The end of an episode as one more function, for models that only call tools."""


def tools_digest() -> str:
    """Fingerprint of what a call looks like: tools, arguments, fields of a spec. A model trained for other ones is not used.

    Descriptions and the list of mechanisms are left out: with others, the calls that a model has learned still fit.
    """
    looks = {tool: {name: [each.kind, each.required] for name, each in TOOL_ARGUMENTS[tool].items()} for tool in TOOL_NAMES}
    return hashlib.sha256(json.dumps([looks, list(DefectSpec.model_fields)]).encode()).hexdigest()[:16]


def system_text(*, native: bool = False) -> str:
    """The system message for a model that has not learned the tools: its job, the tools, the format, the order.

    Args:
        native: for a model that is given `TOOLS` and `ANSWER` apart and calls them; tools and format are left out.
    """
    if native:
        return f"{_JOB}Think first, then call exactly one tool a turn; call answer to end.\n\n{_ORDER}"
    tools = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in TOOLS)
    return (
        f"{_JOB}"
        "Think first, then make exactly one call a turn, or give the answer.\n\n"
        f"Tools, one JSON schema a line:\n{tools}\n\n"
        "Every turn has this format and nothing else:\n"
        "<thinking>why</thinking>\n"
        '<tool_call>{"name": "...", "arguments": {...}}</tool_call>\n'
        "The last turn has:\n"
        "<thinking>why</thinking>\n"
        '<answer>{"status": "success" or "failure", "final_image_index": number or null, "mask_generated": true or false, '
        '"synthesis_logic": "..."}</answer>\n\n'
        f"{_ORDER}"
    )


_TAGS = re.compile(r"</?(?:thinking|tool_call|answer)>")
_THINKING = re.compile(r"\s*<thinking>(.*?)</thinking>\s*", re.DOTALL)
_END_MARKS = ("<|im_end|>", "<|endoftext|>")


def write_turn(thought: str, action: Action) -> str:
    """A turn in the text format. Of a malformed one: what the model wrote. Tags inside a thought are left out."""
    if isinstance(action, Malformed):
        return action.raw
    thinking = f"<thinking>{_TAGS.sub('', thought).strip()}</thinking>\n"
    if isinstance(action, ToolCall):
        arguments = {key: value for key, value in action.arguments.items() if value is not None}
        return f"{thinking}<tool_call>{_json({'name': action.name, 'arguments': arguments})}</tool_call>"
    return f"{thinking}<answer>{_json(action.model_dump(mode='json', exclude={'kind'}))}</answer>"


def read_turn(text: str) -> Said:
    """Read a model's text: its thought and its action, `Malformed` with the problem where it is none.

    A missing thought is no fault (some models think elsewhere); two calls, a call and an answer, text around them, or JSON
    that cannot be read are.
    """
    body = text
    for mark in _END_MARKS:
        body = body.removesuffix(mark)
    thinking = _THINKING.match(body)
    thought, rest = (thinking[1].strip(), body[thinking.end() :]) if thinking else ("", body.strip())
    rest = rest.strip()
    calls, answers = rest.count("<tool_call>"), rest.count("<answer>")
    if calls + answers != 1:
        count = "neither a call nor an answer" if calls + answers == 0 else f"{calls} calls and {answers} answers"
        return _malformed(thought, text, f"the turn holds {count}")
    tag = "tool_call" if calls else "answer"
    if not (rest.startswith(f"<{tag}>") and rest.endswith(f"</{tag}>")):
        return _malformed(thought, text, f"there is text around the <{tag}>, or it is not closed")
    inside = rest.removeprefix(f"<{tag}>").removesuffix(f"</{tag}>")
    try:
        data: object = json.loads(inside)
    except ValueError as error:
        return _malformed(thought, text, f"the content of <{tag}> is not valid JSON ({error})")
    if not isinstance(data, dict):
        return _malformed(thought, text, f"the content of <{tag}> is not a JSON object")
    fields = cast("dict[str, Any]", data)
    return _read_call(thought, text, fields) if calls else _read_answer(thought, text, fields)


def converse(view: View, *, system: bool = True, forgotten: int = 0) -> list[Message]:
    """The conversation so far, as the model reads it before its next turn (or, at the end, as it was).

    Args:
        system: begin with `system_text()`; a model from scratch that knows nothing but these tools does without.
        forgotten: number of turns after the first one that are left out, with what came back, for a model with little room.
    """
    messages = [Message("system", system_text())] if system else []
    messages.append(Message("user", describe_task(view.task, view.max_rounds), tuple(view.images[:1])))
    for turn in [*view.turns[:1], *view.turns[1 + forgotten :]]:
        messages.append(Message("assistant", write_turn(turn.thought, turn.action), said=Said(turn.thought, turn.action)))
        if turn.observation is not None:
            role: Role = "tool" if isinstance(turn.action, ToolCall) else "user"
            messages.append(Message(role, turn.observation.text, tuple(turn.observation.images)))
    return messages


def render(messages: Sequence[Message], *, start_turn: bool = False) -> str:
    """The messages as one text (ChatML), as `training.conversation.CHAT_TEMPLATE` renders them for models that see no images.

    Args:
        start_turn: end with the opening of an assistant's turn.
    """
    said = "".join(f"<|im_start|>{message.role}\n{message.text}<|im_end|>\n" for message in messages)
    return said + (TURN_START if start_turn else "")


def _read_call(thought: str, text: str, data: Mapping[str, Any]) -> Said:
    name, arguments = data.get("name"), data.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict) or len(data) != 2:
        return _malformed(thought, text, 'a <tool_call> holds {"name": text, "arguments": object} and nothing else')
    return Said(thought, ToolCall(name=name, arguments=cast("dict[str, Any]", arguments)))


def _read_answer(thought: str, text: str, data: Mapping[str, Any]) -> Said:
    try:
        return Said(thought, Answer.model_validate(data))
    except ValidationError as error:
        return _malformed(thought, text, f"the <answer> cannot be used: {first_fault(error, 'answer')}")


def _malformed(thought: str, raw: str, problem: str) -> Said:
    advice = (
        "Write <thinking>...</thinking>, then one <tool_call>{...}</tool_call> or one <answer>{...}</answer>, nothing else."
    )
    return Said(thought, Malformed(raw=raw, problem=f"The turn could not be read: {problem}. {advice}"))


def _json(value: object) -> str:
    """JSON on one line; `</` is escaped inside texts, so that no text ends its tag early."""
    return json.dumps(value, ensure_ascii=False).replace("</", "<\\/")
