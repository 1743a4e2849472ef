"""image_gen with Google's Gemini image models ("Nano Banana"), through the official `google-genai` SDK.

The photo goes as PNG, mirrored outwards to one of the aspect ratios that the model knows.
"""

import threading
import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from anomalyagent.configs.schema import ModelPrice
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.base import Edited
from anomalyagent.mcp_tools.backends.hosted import Answer, EditorOptions, HostedEditor
from anomalyagent.mcp_tools.backends.options import read_options
from anomalyagent.mcp_tools.backends.whole_frame import nearest_shape, spread
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.modules import missing_modules
from anomalyagent.mcp_tools.remote.costs import Usage
from anomalyagent.mcp_tools.remote.options import KEY_NAMES
from anomalyagent.mcp_tools.remote.pictures import png_of

if TYPE_CHECKING:
    from google.genai import Client

__all__ = ["GeminiImageGen", "GeminiOptions"]

BACKEND = "image_gen backend 'gemini'"
RATIOS = ((1, 1), (2, 3), (3, 2), (3, 4), (4, 3), (4, 5), (5, 4), (9, 16), (16, 9), (21, 9))
SIDE_PX = {"512": 512, "1K": 1024, "2K": 2048, "4K": 4096}
_LATER = frozenset(
    {"FINISH_REASON_UNSPECIFIED", "STOP", "OTHER", "IMAGE_OTHER", "NO_IMAGE", "MAX_TOKENS", "MALFORMED_RESPONSE"}
)
"""Reasons to stop without a picture after which another attempt may bring one; all others are refusals."""


class GeminiOptions(EditorOptions):
    """Options of image_gen backend `gemini`."""

    image_size: Literal["512", "1K", "2K", "4K"] | None = Field(
        default=None, description="Size of the picture, for models that take it; unset: the model's own, about 1K."
    )
    temperature: float | None = Field(default=None, ge=0, le=2)
    safety: Literal["default", "off"] = Field(
        default="default", description="off: the adjustable safety filters are switched off."
    )


class GeminiImageGen:
    """Edits photos with a Gemini image model. Options: see `GeminiOptions`."""

    name = "gemini"

    def __init__(self, options: Mapping[str, Any], prices: Mapping[str, ModelPrice]) -> None:
        """Check the options; nothing is sent.

        Raises:
            ConfigError: an option is unknown, missing or out of range.
            BackendUnavailableError: there is no key, or no price for the model.
        """
        self.options = read_options(GeminiOptions, BACKEND, options)
        self._editor = HostedEditor(self.options, BACKEND, KEY_NAMES["google_genai"], prices)
        self._lock = threading.Lock()
        self._made: Client | None = None

    @classmethod
    def missing(cls) -> str | None:
        """What has to be installed, in one line."""
        return missing_modules(("google.genai",), "api")

    def edit(self, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited:
        """Let the model draw a defect.

        Args:
            prompt: what the model is told, through option prompt_template.
            spec: its mechanism can be told; the model finds the place itself.
        Raises:
            BackendError: the service refused, failed, or returned no edit of this photo; with what was spent.
            RemoteOutageError, BackendUnavailableError: see `Remote.call`.
        """
        from google.genai import types

        wanted = None if spec is None else spec.model_copy(update={"seed": seed})
        ratio = nearest_shape(photo, RATIOS)
        side = SIDE_PX[self.options.image_size or "1K"]
        scale = side / (ratio[0] * ratio[1]) ** 0.5
        canvas = spread(photo, round(ratio[0] * scale), round(ratio[1] * scale))
        contents: Any = [
            types.Part.from_bytes(data=png_of(canvas.rgb), mime_type="image/png"),
            types.Part.from_text(text=self._editor.words(prompt, wanted)),
        ]
        config = types.GenerateContentConfig(
            response_modalities=["IMAGE"],
            image_config=types.ImageConfig(aspect_ratio=f"{ratio[0]}:{ratio[1]}", image_size=self.options.image_size),
            seed=seed % 2**31,  # the service's seeds are 32-bit
            temperature=self.options.temperature,
            safety_settings=_safety(self.options.safety),
            http_options=types.HttpOptions(extra_body=self.options.arguments) if self.options.arguments else None,
        )
        client = self._client()

        def request() -> Answer:
            return _read(client.models.generate_content(model=self.options.model, contents=contents, config=config))

        return self._editor.edit(photo, canvas, wanted, request)

    def _client(self) -> "Client":
        with self._lock:
            if self._made is None:
                from google.genai import Client, types

                self._made = Client(
                    api_key=self._editor.key,
                    http_options=types.HttpOptions(
                        base_url=self.options.base_url,
                        timeout=round(1000 * self.options.timeout_s),
                        retry_options=types.HttpRetryOptions(attempts=1),  # `Remote` does it, for all services alike
                    ),
                )
                weakref.finalize(self, self._made.close)  # unlike OpenAI's, it leaves its connections open when it is collected
            return self._made


def _safety(wanted: str) -> Any:
    if wanted == "default":
        return None
    from google.genai import types

    kinds = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
    return [
        types.SafetySetting(category=types.HarmCategory(f"HARM_CATEGORY_{kind}"), threshold=types.HarmBlockThreshold.OFF)
        for kind in kinds
    ]


def _read(response: Any) -> Answer:
    """The last picture of a GenerateContentResponse that is no thought."""
    usage = _usage(response)
    feedback = getattr(response, "prompt_feedback", None)
    if feedback is not None and feedback.block_reason is not None:
        said = f"the prompt was blocked ({_name(feedback.block_reason)}) {feedback.block_reason_message or ''}"
        return Answer(None, said.strip(), usage, refused=True)
    candidates: Any = response.candidates or []
    words: list[str] = []
    picture: bytes | None = None
    for part in _parts(response):
        if part.thought:
            continue
        if part.inline_data is not None and (part.inline_data.mime_type or "image/").startswith("image/"):
            picture = part.inline_data.data
        elif part.text:
            words.append(part.text)
    if picture:
        return Answer(picture, "", usage)
    reason = _name(candidates[0].finish_reason) if candidates else "no candidate"
    said = " ".join(" ".join(words).split())[:200]
    if candidates and reason not in _LATER:
        return Answer(None, f"no picture, {reason} {candidates[0].finish_message or said}".strip(), usage, refused=True)
    return Answer(None, f"an answer without a picture, {reason}{f': {said}' if said else ''}", usage)


def _parts(response: Any) -> list[Any]:
    """The parts of the first candidate; a blocked one has no content."""
    first = next(iter(response.candidates or []), None)
    return list((first.content.parts if first is not None and first.content else None) or [])


def _usage(response: Any) -> Usage:
    said: Any = response.usage_metadata
    made = sum(1 for part in _parts(response) if part.inline_data is not None and not part.thought)
    if said is None:
        return Usage(images=made, requests=1)
    return Usage(
        input_tokens=(said.prompt_token_count or 0) + (said.tool_use_prompt_token_count or 0),
        cached_tokens=said.cached_content_token_count or 0,
        image_input_tokens=_of_images(said.prompt_tokens_details),
        output_tokens=(said.candidates_token_count or 0) + (said.thoughts_token_count or 0),
        image_output_tokens=_of_images(said.candidates_tokens_details),
        images=made,
        requests=1,
    )


def _of_images(details: Any) -> int:
    return sum(one.token_count or 0 for one in details or [] if _name(one.modality) == "IMAGE")


def _name(value: Any) -> str:
    return str(getattr(value, "name", None) or value or "no reason given")
