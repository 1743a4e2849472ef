"""Any chat model that LangChain knows, hosted or on a server of one's own: asked in words and pictures, its answers checked.

    model: openai:gpt-5.5 | anthropic:claude-... | google_genai:gemini-... | ollama:qwen3-vl | ...
    model: openai:Qwen/Qwen3-VL-4B-Thinking, base_url: http://127.0.0.1:8000/v1        vLLM, `transformers serve`, llama.cpp

Answers in a fixed shape come by the provider's structured output, or as JSON in the text (`structured: text`, for models and
servers without it). Either way they are validated here; what does not fit goes back to the model with the reason.
"""

import json
import re
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator

from anomalyagent.configs.faults import faults_of
from anomalyagent.configs.schema import ModelPrice
from anomalyagent.errors import BackendError, BackendUnavailableError
from anomalyagent.mcp_tools.modules import is_installed, missing_modules
from anomalyagent.mcp_tools.remote.costs import FREE, Usage, cost_of, find_price
from anomalyagent.mcp_tools.remote.failures import BrokenAnswerError, Remote
from anomalyagent.mcp_tools.remote.options import KEY_NAMES, RemoteOptions, read_key, refuse_secrets

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage

__all__ = ["Answered", "ChatModel", "ChatOptions", "Spoken", "schema_text", "text_of", "thoughts_of"]

_LOCAL = frozenset({"ollama", "huggingface"})
_OF_EXTRA = frozenset({"langchain", "langchain_openai", "langchain_google_genai"})
"""What `anomalyagent[chat]` brings."""
_OTHER_MODULES = {"azure_openai": "langchain_openai", "nvidia": "langchain_nvidia_ai_endpoints"}
"""Modules of providers that are not called langchain_<provider>."""
_SHAPED = frozenset({"openai", "anthropic", "google_genai", "azure_openai", "xai"})
"""Providers whose own servers keep to a JSON schema."""
_THOUGHTS = re.compile(r"\A\s*<(think|thinking)>.*?</\1>", re.DOTALL)
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)

Shape = TypeVar("Shape", bound=BaseModel)


class ChatOptions(RemoteOptions):
    """Options of everything that asks a chat model."""

    model: str = Field(min_length=1, description="provider:model, as in init_chat_model, e.g. google_genai:gemini-3.8-flash")
    temperature: float | None = Field(default=None, ge=0, le=2, description="Unset: the model's own.")
    max_tokens: int | None = Field(default=4096, ge=16, description="Most tokens of one answer; null: the model's own limit.")
    structured: Literal["auto", "schema", "text"] = Field(
        default="auto",
        description="schema: the provider's structured output; text: JSON in the text; auto: schema where known.",
    )
    answers: int = Field(default=3, ge=1, le=10, description="Times that the model is asked until its answer fits.")
    image_px: int = Field(default=768, ge=64, le=4096, description="Longer side of the pictures that it is shown.")
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any], description="More arguments of the LangChain model.")

    @field_validator("arguments")
    @classmethod
    def _no_secret(cls, value: dict[str, Any]) -> dict[str, Any]:
        refuse_secrets(value)
        return value

    @property
    def provider(self) -> str:
        """`openai` of `openai:gpt-5.5`; empty when the name does not say."""
        head, colon, _ = self.model.partition(":")
        return head if colon else ""


class Spoken(NamedTuple):
    """A message of the model, and what it cost."""

    message: "AIMessage"
    cost_usd: float
    tokens: int


class Answered(NamedTuple, Generic[Shape]):
    """An answer in the wanted shape, and what all attempts cost together."""

    value: Shape
    cost_usd: float
    tokens: int


class ChatModel:
    """One model, made on its first call.

    Args:
        who: for messages, e.g. "quality_eval backend 'vlm'".
    Raises:
        BackendUnavailableError: there is no key, no price, or no module for the provider.
    """

    def __init__(self, options: ChatOptions, who: str, prices: Mapping[str, ModelPrice]) -> None:
        self.options = options
        self._who = who
        local = options.provider in _LOCAL and options.base_url is None
        self._price = FREE if local else find_price(prices, options.model, options.base_url, who)
        names = KEY_NAMES.get(options.provider, ())
        self._key = read_key(options, names, who) if names or options.api_key_env else ""
        if line := _not_installed(options.provider):
            raise BackendUnavailableError(f"{who} cannot be used: {line}")
        self._remote = Remote(options, who, self._key, names)
        self._lock = threading.Lock()
        self._made: BaseChatModel | None = None

    def speak(self, messages: "Sequence[BaseMessage]") -> Spoken:
        """The model's next message.

        Raises:
            BackendError: it refused or failed; see `Remote.call`.
        """
        model = self._model()

        def request() -> "AIMessage":
            with _untraced():
                return _whole(model.invoke(list(messages)))

        return self._spoken(self._remote.call(request))

    async def aspeak(self, messages: "Sequence[BaseMessage]", tools: Sequence[dict[str, Any]] = ()) -> Spoken:
        """As `speak`; with `tools` (function schemas), the message may call one of them."""
        model: Any = self._model()
        if tools:
            model = model.bind_tools(list(tools), **self._one_call())

        async def request() -> "AIMessage":
            with _untraced():
                return _whole(await model.ainvoke(list(messages)))

        return self._spoken(await self._remote.acall(request))

    def ask(self, messages: "Sequence[BaseMessage]", shape: type[Shape]) -> Answered[Shape]:
        """An answer in a fixed shape; one that does not fit is sent back with the reason, `answers` times in all.

        Raises:
            BackendError: no answer fitted, or the model failed; with what all attempts cost.
        """
        from langchain_core.messages import AIMessage, HumanMessage

        talk, cost_usd, tokens, problem = list(messages), 0.0, 0, ""
        for _ in range(self.options.answers):
            try:
                said = self._shaped(talk, shape) if self._native else self.speak(talk)
            except BackendError as error:
                error.cost_usd, error.tokens = error.cost_usd + cost_usd, error.tokens + tokens
                raise
            cost_usd, tokens = cost_usd + said.cost_usd, tokens + said.tokens
            text = text_of(said.message)
            try:
                return Answered(_read(said.message, text, shape), cost_usd, tokens)
            except ValueError as error:
                problem = str(error)
            talk += [
                AIMessage(text or "(nothing)"),
                HumanMessage(f"That answer cannot be used: {problem}. Answer again, with the JSON object and nothing else."),
            ]
        raise BackendError(
            f"{self._who}: {self.options.model} gave no usable answer in {self.options.answers} attempts: {problem}. "
            "Use a stronger model, or raise its options max_tokens or answers.",
            cost_usd=cost_usd,
            tokens=tokens,
        )

    @property
    def _native(self) -> bool:
        wanted = self.options.structured
        return wanted == "schema" or (wanted == "auto" and self.options.provider in _SHAPED and self.options.base_url is None)

    def _shaped(self, messages: "Sequence[BaseMessage]", shape: type[Shape]) -> Spoken:
        model: Any = self._model().with_structured_output(shape, include_raw=True)

        def request() -> "AIMessage":
            with _untraced():
                return _whole(model.invoke(list(messages))["raw"])

        return self._spoken(self._remote.call(request))

    def _model(self) -> "BaseChatModel":
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> "BaseChatModel":
        from langchain.chat_models import init_chat_model

        options, given = self.options, dict(self.options.arguments)
        if options.provider not in _LOCAL:
            # `Remote` repeats, for all services alike; Google's client counts the first attempt too
            given |= {"timeout": options.timeout_s, "max_retries": 1 if options.provider == "google_genai" else 0}
            if options.max_tokens is not None:
                given["max_tokens"] = options.max_tokens
        given |= {name: value for name in ("temperature", "base_url") if (value := getattr(options, name)) is not None}
        if self._key:
            given["api_key"] = self._key
        try:
            return init_chat_model(options.model, **given)
        except ImportError as error:
            wanted = re.search(r"pip install [\w.-]+", str(error))
            fix = wanted[0] if wanted else f"pip install langchain-{options.provider}"
            raise BackendUnavailableError(
                f"{self._who}: the module for {options.model} is not installed. Run: {fix}"
            ) from error
        except Exception as error:  # each provider's class complains in its own way: no key, a name it cannot place, ...
            said = " ".join(str(error).split())[:300]
            raise BackendUnavailableError(
                f"{self._who}: the model '{options.model}' cannot be made: {said}. Name it provider:model, check its options."
            ) from error

    def _one_call(self) -> dict[str, Any]:
        """Exactly one tool call a turn, where the provider can be told so."""
        if self.options.provider in ("openai", "azure_openai", "groq", "xai", "openrouter"):
            return {"tool_choice": "required", "parallel_tool_calls": False}
        return {"tool_choice": "any"} if self.options.provider in ("anthropic", "google_genai", "mistralai") else {}

    def _spoken(self, message: "AIMessage") -> Spoken:
        cost_usd, tokens = self._bill(message)
        if refusal := _refusal(message):
            raise BackendError(
                f"{self._who}: {self.options.model} refused: {refusal}. Try other words.", cost_usd=cost_usd, tokens=tokens
            )
        return Spoken(message, cost_usd, tokens)

    def _bill(self, message: "AIMessage") -> tuple[float, int]:
        said = message.usage_metadata
        if said is None:
            if self._price.input or self._price.output:
                raise BackendUnavailableError(
                    f"{self._who}: the server of {self.options.model} does not tell how many tokens it used, so they cannot be "
                    "paid by the token. Give its price as per_request."
                )
            return cost_of(Usage(requests=1), self._price), 0
        cached = said.get("input_token_details", {}).get("cache_read", 0) or 0
        usage = Usage(said["input_tokens"], cached, 0, said["output_tokens"], requests=1)
        return cost_of(usage, self._price), usage.tokens


def _not_installed(provider: str) -> str | None:
    """The line that installs what a provider's models need; None when it is there, or when LangChain alone knows what it is."""
    if line := missing_modules(("langchain",), "chat"):
        return line
    if provider not in KEY_NAMES and provider not in _LOCAL and provider not in _OTHER_MODULES:
        return None
    module = _OTHER_MODULES.get(provider, f"langchain_{provider}")
    if module in _OF_EXTRA:
        return missing_modules((module,), "chat")
    return None if is_installed(module) else f"{module} is not installed. Run: pip install {module.replace('_', '-')}"


def text_of(message: "AIMessage") -> str:
    """The text of a message, without pictures and what the model thought elsewhere."""
    return str(message.text)


def thoughts_of(message: "AIMessage") -> str:
    """What the model thought before it spoke, where the service tells it apart."""
    blocks = [block for block in message.content_blocks if block["type"] == "reasoning"]
    told = "\n".join(str(block.get("reasoning", "")) for block in blocks) or str(
        message.additional_kwargs.get("reasoning_content") or ""
    )
    return told.strip()


def _whole(answer: Any) -> "AIMessage":
    """The message, if it is one."""
    from langchain_core.messages import AIMessage

    if not isinstance(answer, AIMessage):
        raise BrokenAnswerError(f"no message but a {type(answer).__name__}")
    return answer


def _refusal(message: "AIMessage") -> str:
    """What a model says that will not answer; empty when it does."""
    if refusal := message.additional_kwargs.get("refusal"):
        return " ".join(str(refusal).split()).rstrip(".")
    reason = message.response_metadata.get("finish_reason")
    filtered = reason in ("content_filter", "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST") and not message.text
    return f"its filter stopped the answer ({reason})" if filtered else ""


def _read(message: "AIMessage", text: str, shape: type[Shape]) -> Shape:
    """The answer's value.

    Raises:
        ValueError: it does not fit; the message tells the model why.
    """
    if message.tool_calls:  # some providers put structured output there
        data: object = message.tool_calls[0]["args"]
    else:
        body = _THOUGHTS.sub("", text).strip()
        fenced = _FENCE.match(body)
        try:
            data = json.loads(fenced[1] if fenced else body)
        except ValueError as error:
            cut = " (it was cut off)" if message.response_metadata.get("finish_reason") == "length" else ""
            raise ValueError(f"it is not one JSON object: {error}{cut}") from error
    try:
        return shape.model_validate(data)
    except ValidationError as error:
        raise ValueError("; ".join(map(str, faults_of(error, "the answer")[:4]))) from error


@contextmanager
def _untraced() -> Generator[None]:
    """Whatever the environment says, no trace of a conversation leaves the machine."""
    from langsmith import tracing_context

    with tracing_context(enabled=False):
        yield


def schema_text(shape: type[BaseModel]) -> str:
    """The JSON schema of an answer, as it is told to models that are not held to it."""
    return json.dumps(shape.model_json_schema(), ensure_ascii=False)
