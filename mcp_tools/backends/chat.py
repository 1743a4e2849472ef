"""prompt_gen with a chat model that sees the photo: it writes the editing prompt, and the prompt is read back as a spec.

Source: the paper, section on prompt generation: which part, what appearance, how it meets the surrounding material, how small,
what must stay unchanged.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from anomalyagent.configs.schema import ModelPrice
from anomalyagent.knowledge.sampling import sample_typical
from anomalyagent.knowledge.words import mechanism_of, read_prompt
from anomalyagent.mcp_tools.backends.options import read_options
from anomalyagent.mcp_tools.contracts import PromptResult
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.modules import missing_modules
from anomalyagent.mcp_tools.remote.chat import ChatModel, ChatOptions, schema_text
from anomalyagent.mcp_tools.remote.pictures import image_block, png_of, text_block

__all__ = ["ChatPromptGen", "WrittenPrompt"]

BACKEND = "prompt_gen backend 'chat'"
LEAST_CHARACTERS, MOST_CHARACTERS = 20, 2000


class WrittenPrompt(BaseModel):
    """The model's answer."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(description="the editing prompt, in English, one paragraph")

    @field_validator("prompt")
    @classmethod
    def _paragraph(cls, value: str) -> str:
        text = " ".join(value.split())
        if not LEAST_CHARACTERS <= len(text) <= MOST_CHARACTERS:
            raise ValueError(f"a prompt has {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters, this one {len(text)}")
        return text


class ChatPromptGen:
    """Writes the first editing prompt of a task after looking at the photo. Options: see `ChatOptions`."""

    name = "chat"

    def __init__(self, options: Mapping[str, Any], prices: Mapping[str, ModelPrice]) -> None:
        """Check the options; nothing is sent.

        Raises:
            ConfigError: an option is unknown, missing or out of range.
            BackendUnavailableError: there is no key, or no price for the model.
        """
        self.options = read_options(ChatOptions, BACKEND, options)
        self._model = ChatModel(self.options, BACKEND, prices)

    @classmethod
    def missing(cls) -> str | None:
        """What has to be installed, in one line."""
        return missing_modules(("langchain",), "chat")

    def write_prompt(self, photo: Photo, item_name: str, anomaly_type: str, seed: int) -> PromptResult:
        """The model's prompt, and what it says in numbers; what it leaves open is as is typical of the defect.

        Raises:
            BackendError: the model refused, failed, or gave no usable answer; with what was spent.
        """
        from langchain_core.messages import HumanMessage, SystemMessage

        blocks = [
            image_block(png_of(photo.rgb, self.options.image_px)),
            text_block(f"Item: {item_name}\nAnomaly type: {anomaly_type}\nVariant: {seed % 1000}"),
        ]
        said = self._model.ask([SystemMessage(_INSTRUCTIONS), HumanMessage(content=list(blocks))], WrittenPrompt)
        typical = sample_typical(mechanism_of(anomaly_type, item_name).mechanism, seed)
        spec = read_prompt(said.value.prompt, typical).spec.model_copy(update={"seed": seed})
        return PromptResult(backend=self.name, cost_usd=said.cost_usd, tokens=said.tokens, prompt=said.value.prompt, spec=spec)


_INSTRUCTIONS = (
    "You write one prompt for an image editor that is to draw a realistic defect on this photo of a good industrial part. "
    "Look at the photo. Say on which part of the object the defect sits and roughly where, what it looks like (kind, shape, "
    "direction, colour, strength), how it meets the surrounding material, and how small it is in percent of the object. Say "
    "that everything else stays unchanged. Real defects are small and physically possible. The variant number asks for another "
    f"place and look each time.\nAnswer with one JSON object of this schema and nothing else:\n{schema_text(WrittenPrompt)}"
)
