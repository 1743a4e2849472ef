"""A trajectory as chat messages, and the templates that turn messages into a model's text and back.

    system (unless left out), user with the normal image, then assistant and tool turn by turn, the answer last

`to_messages` gives Hugging Face messages: `reasoning_content` and `tool_calls` (or the `<answer>` as `content`) of our
turns, and `CHAT_TEMPLATE` writes them in the paper's format exactly as `graph.wire.write_turn` does. With `images`, contents
are lists of blocks with one image block for each image that joins the conversation. All wording is in `graph.wire` and
`graph.observations`: SFT rows, GRPO prompts and live runs are the same text, byte for byte.
"""

from collections.abc import Callable
from typing import Any

from anomalyagent.graph.progress import View
from anomalyagent.graph.trace import ImageEntry, Malformed, ToolCall, Trajectory
from anomalyagent.graph.wire import Message, converse

__all__ = [
    "CHAT_TEMPLATE",
    "RESPONSE_TEMPLATE",
    "to_messages",
    "view_of",
]

CHAT_TEMPLATE = """\
{%- macro show(content) -%}
{%- if content is string -%}{{- content -}}
{%- else -%}
{%- for block in content -%}
{%- if block.type == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}{%- else -%}{{- block.text -}}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.role == 'assistant' -%}
{%- generation -%}
{%- if message.reasoning_content is defined and message.reasoning_content is not none -%}
{{- '<thinking>' + message.reasoning_content + '</thinking>\\n' -}}
{%- endif -%}
{%- if message.content -%}{{- show(message.content) -}}{%- endif -%}
{%- if message.tool_calls -%}
{%- for call in message.tool_calls -%}
{{- '<tool_call>' + (call.function | tojson | replace('</', '<\\\\/')) + '</tool_call>' -}}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>' -}}
{%- endgeneration -%}
{{- '\\n' -}}
{%- else -%}
{{- show(message.content) + '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
"""ChatML in the paper's format; `generation` marks our own turns, the only ones that training learns from."""

RESPONSE_TEMPLATE: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "reasoning_content": {"open": "<thinking>", "close_pattern": r"</thinking>\s*", "content": "text"},
        "tool_calls": {
            "open": "<tool_call>",
            "close_pattern": r"</tool_call>\s*",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"<\|im_end\|>\s*", "content": "text"},
    },
}
"""The way back, for `tokenizer.parse_response`; answers stay in the content. `graph.wire.read_turn` is the strict one."""


def view_of(trajectory: Trajectory, max_rounds: int) -> View:
    """A finished trajectory as a policy would see it. `max_rounds`: the run's `limits.rounds`."""
    return View(trajectory.task, trajectory.turns, trajectory.images, max_rounds)


def to_messages(view: View, *, system: bool = True, images: Callable[[ImageEntry], str] | None = None) -> list[dict[str, Any]]:
    """The conversation as Hugging Face messages.

    Args:
        view: the conversation so far, or `view_of` a finished one.
        system: begin with the tools and the format.
        images: path of an image, for models that see; None: text alone.
    """
    return [_to_dict(message, images) for message in converse(view, system=system)]


def _to_dict(message: Message, images: Callable[[ImageEntry], str] | None) -> dict[str, Any]:
    if message.said is None:
        return {"role": message.role, "content": _content(message, images)}
    action = message.said.action
    if isinstance(action, Malformed):
        return {"role": "assistant", "content": message.text}
    head, _, body = message.text.partition("</thinking>\n")
    reasoning = head.removeprefix("<thinking>")
    if isinstance(action, ToolCall):
        arguments = {key: value for key, value in action.arguments.items() if value is not None}
        call = {"type": "function", "function": {"name": action.name, "arguments": arguments}}
        return {"role": "assistant", "reasoning_content": reasoning, "content": "", "tool_calls": [call]}
    return {"role": "assistant", "reasoning_content": reasoning, "content": body}


def _content(message: Message, images: Callable[[ImageEntry], str] | None) -> str | list[dict[str, Any]]:
    if images is None:
        return message.text
    blocks: list[dict[str, Any]] = [{"type": "image", "image": images(entry)} for entry in message.images]
    return [*blocks, {"type": "text", "text": message.text}]
