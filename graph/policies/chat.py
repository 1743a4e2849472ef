"""`chat`: any LangChain chat model decides, and sees every image that it made.

    policy:
      name: chat
      options:
        model: google_genai:gemini-3.8-flash
        format: tools        # native tool calls; text: the paper's format, for models trained on it and servers without tools

Messages are worded by `graph.wire`, so a run by a hosted model is training data for one of our own. A model that cannot be
reached, refuses, or writes nonsense costs a turn, not the run; only a missing key, price or credit ends the trajectory.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from anomalyagent.configs.faults import first_fault
from anomalyagent.configs.schema import ModelPrice
from anomalyagent.errors import (
    AnomalyAgentError,
    BackendError,
    BackendUnavailableError,
    PolicyError,
    RemoteOutageError,
)
from anomalyagent.graph.policies.base import Decision, wrong_option
from anomalyagent.graph.progress import View
from anomalyagent.graph.trace import Action, Answer, ImageEntry, Malformed, ToolCall, Turn
from anomalyagent.graph.wire import ANSWER, TOOLS, Message, Said, converse, read_turn, system_text
from anomalyagent.mcp_tools.listing import flat
from anomalyagent.mcp_tools.remote.chat import ChatModel, ChatOptions, Spoken, text_of, thoughts_of

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage, BaseMessage

__all__ = ["ChatPolicy", "ChatPolicyOptions"]

WHO = "policy 'chat'"
MOST_SILENCES = 3
"""Turns in a row in which the model could not be asked after which a trajectory ends."""
OUTAGE, REFUSAL = "outage: ", "refusal: "
MOST_PICTURES_KEPT = 32


def _portable(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A function schema without what some providers refuse or misread (null unions, tuples, additionalProperties)."""
    function: Mapping[str, Any] = tool["function"]
    return {"type": "function", "function": {**function, "parameters": flat(function["parameters"], {})}}


_TOOLS = [_portable(tool) for tool in (*TOOLS, ANSWER)]


class ChatPolicyOptions(ChatOptions):
    """Options of policy `chat`."""

    format: Literal["tools", "text"] = Field(
        default="tools", description="tools: native tool calls; text: <thinking>, <tool_call> and <answer> in the text."
    )
    most_images: int = Field(
        default=8,
        ge=0,
        le=64,
        description="Images that it is shown: the normal one and the newest; 0: none, words alone.",
    )
    instructions: str = Field(default="", max_length=4000, description="Added to what it is told.")


class ChatPolicy:
    """Asks a chat model for each turn.

    Raises:
        PolicyError: an option cannot be used; or there is no key, or no price for the model.
    """

    name = "chat"

    def __init__(self, options: dict[str, Any], prices: Mapping[str, ModelPrice] | None = None) -> None:
        try:
            self.options = ChatPolicyOptions.model_validate(options)
            self._model = ChatModel(self.options, WHO, prices or {})
        except ValidationError as error:
            raise wrong_option(error, ChatPolicyOptions, WHO) from error
        except BackendUnavailableError as error:
            raise PolicyError(str(error)) from error
        self._pictures: OrderedDict[str, bytes] = OrderedDict()

    async def decide(self, view: View) -> Decision:
        """The model's next turn.

        Raises:
            PolicyError: it could not be asked several times in a row, or its key, price or credit is missing.
        """
        silent = _silences(view.turns)
        if len(silent) >= MOST_SILENCES:
            raise PolicyError(f"the model could not be asked {len(silent)} times in a row: {silent[-1]}")
        native = self.options.format == "tools"
        try:
            messages = await self._messages(view, native)
            said = await self._model.aspeak(messages, _TOOLS if native else ())
        except RemoteOutageError as error:
            return _silence(OUTAGE, error)
        except BackendUnavailableError as error:
            raise PolicyError(str(error)) from error
        except BackendError as error:
            return _silence(REFUSAL, error)
        thought, action = _read_call(said.message) if native else _read_text(said)
        return Decision(thought, action, said.cost_usd, said.tokens)

    async def _messages(self, view: View, native: bool) -> "list[BaseMessage]":
        from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

        shown = self._shown(view)
        system = system_text(native=native)
        if self.options.instructions.strip():
            system = f"{system}\n\n{self.options.instructions.strip()}"
        talk: list[BaseMessage] = [SystemMessage(system)]
        call = ""
        spoken = [turn for turn in view.turns if not _is_silence(turn)]
        for number, message in enumerate(converse(_only(view, spoken), system=False)):
            if message.said is not None:
                call = f"call_{number}" if native and not isinstance(message.said.action, Malformed) else ""
                talk.append(_spoken_again(message, call) if call else AIMessage(message.text or "(nothing)"))
                continue
            blocks = await self._blocks(message, shown, view)
            if call:
                talk.append(ToolMessage(message.text, tool_call_id=call))
                # Pictures inside a tool's answer are not understood everywhere, so they follow as the user's.
                blocks = blocks[:-1]
            if blocks:
                talk.append(HumanMessage(content=list(blocks)))
            call = ""
        return talk

    def _shown(self, view: View) -> set[int]:
        """Numbers of the images to show."""
        most = self.options.most_images
        numbers = [entry.number for entry in view.images]
        return set(numbers[:1] + numbers[1:][-(most - 1) :]) if most > 1 else set(numbers[:most])

    async def _blocks(self, message: Message, shown: set[int], view: View) -> list[dict[str, Any]]:
        from anomalyagent.mcp_tools.remote.pictures import image_block, text_block

        blocks: list[dict[str, Any]] = []
        for entry in message.images:
            if entry.number in shown:
                png = await asyncio.to_thread(self._picture, view, entry)
                blocks += [text_block(f"Image {entry.number} ({entry.role}):"), image_block(png)]
        return [*blocks, text_block(message.text)]

    def _picture(self, view: View, entry: ImageEntry) -> bytes:
        kept = self._pictures.get(entry.sha256)
        if kept is None:
            from anomalyagent.mcp_tools.imaging.photo import read_own_photo
            from anomalyagent.mcp_tools.remote.pictures import png_of

            try:
                photo = read_own_photo(view.workspace / entry.ref)
            except AnomalyAgentError as error:
                raise PolicyError(f"image {entry.number} cannot be shown to the model: {error}") from error
            kept = png_of(photo.rgb, self.options.image_px)
        self._pictures[entry.sha256] = kept
        self._pictures.move_to_end(entry.sha256)
        while len(self._pictures) > MOST_PICTURES_KEPT:
            self._pictures.popitem(last=False)
        return kept


def _only(view: View, turns: Sequence[Turn]) -> View:
    return View(view.task, turns, view.images, view.max_rounds, view.turns_left, view.workspace)


def _spoken_again(message: Message, call: str) -> "AIMessage":
    """A turn of the model as the tool call that it was."""
    from langchain_core.messages import AIMessage

    assert message.said is not None
    thought, action = message.said
    if isinstance(action, ToolCall):
        name, arguments = action.name, {key: value for key, value in action.arguments.items() if value is not None}
    else:
        assert isinstance(action, Answer)
        name, arguments = "answer", action.model_dump(mode="json", exclude={"kind"})
    return AIMessage(thought, tool_calls=[{"name": name, "args": arguments, "id": call, "type": "tool_call"}])


def _read_call(message: "AIMessage") -> Said:
    """The turn in a message with native tool calls; of several calls the first counts, the others are not made."""
    text = text_of(message).strip()
    thought = text or thoughts_of(message)
    if message.tool_calls:
        first = message.tool_calls[0]
        if first["name"] != "answer":
            return Said(thought, ToolCall(name=first["name"], arguments=first["args"]))
        try:
            return Said(thought, Answer.model_validate({"final_image_index": None, **first["args"]}))
        except ValidationError as error:
            return _malformed(thought, _short_json(first["args"]), f"the answer cannot be used: {first_fault(error, 'answer')}")
    if message.invalid_tool_calls:
        broken = message.invalid_tool_calls[0]
        raw = str(broken.get("args") or "")
        return _malformed(thought, raw or "(an empty call)", f"the arguments of {broken.get('name')} are not valid JSON")
    if "<tool_call>" in text or "<answer>" in text:  # it was trained on the text format and kept to it
        return read_turn(text)
    cut = " The answer was cut off." if message.response_metadata.get("finish_reason") == "length" else ""
    return _malformed(thought, text or "(nothing)", f"no tool was called.{cut}")


def _read_text(said: Spoken) -> Said:
    text = text_of(said.message).strip()
    inner = thoughts_of(said.message)
    head, mark, rest = text.partition("</think>")
    if mark:  # servers without a reasoning parser leave it in the text
        inner, text = head.replace("<think>", "", 1).strip(), rest.strip()
    turn = read_turn(text)
    raw = turn.action.raw if isinstance(turn.action, Malformed) else None
    if raw is not None and not raw.strip():
        return _malformed(inner, "(nothing)", "the turn is empty")
    return Said(turn.thought or inner, turn.action)


def _malformed(thought: str, raw: str, problem: str) -> Said:
    advice = "Call exactly one tool, or call answer to end."
    return Said(thought, Malformed(raw=raw, problem=f"The turn could not be read: {problem.rstrip('.')}. {advice}"))


def _short_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:2000]


def _silence(kind: str, error: BackendError) -> Decision:
    """A turn in which the model said nothing: what it cost, and why."""
    return Decision("", Malformed(raw="", problem=f"{kind}{error}"), error.cost_usd, error.tokens)


def _is_silence(turn: Turn) -> bool:
    action: Action = turn.action
    return isinstance(action, Malformed) and not action.raw and action.problem.startswith((OUTAGE, REFUSAL))


def _silences(turns: Sequence[Turn]) -> list[str]:
    """Problems of the last turns in a row in which the model could not be asked."""
    found: list[str] = []
    for turn in reversed(turns):
        if not _is_silence(turn):
            break
        assert isinstance(turn.action, Malformed)
        found.insert(0, turn.action.problem)
    return found
