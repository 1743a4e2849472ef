"""What the hosted image editors share: options, a paid call that is repeated where that helps, the edit made of its answer."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import Field, field_validator

from anomalyagent.configs.schema import ModelPrice
from anomalyagent.errors import BackendError, ImageError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words import read_prompt
from anomalyagent.mcp_tools.backends.base import Edited
from anomalyagent.mcp_tools.backends.options import check_words
from anomalyagent.mcp_tools.backends.whole_frame import EDIT_INSTRUCTION, MOST_CHANGED, Canvas, take_edit
from anomalyagent.mcp_tools.imaging.arrays import RGB
from anomalyagent.mcp_tools.imaging.decoding import decode_image
from anomalyagent.mcp_tools.imaging.photo import MAX_PIXELS, Photo, photo_from_array
from anomalyagent.mcp_tools.remote.costs import Usage, cost_of, find_price
from anomalyagent.mcp_tools.remote.failures import BrokenAnswerError, RefusedError, Remote
from anomalyagent.mcp_tools.remote.options import RemoteOptions, read_key, refuse_secrets

__all__ = ["Answer", "EditorOptions", "HostedEditor"]

LEAST_SIDE_PX = 16


class EditorOptions(RemoteOptions):
    """Options of every hosted editor."""

    prompt_template: str = Field(
        default=EDIT_INSTRUCTION, description="What the model is told; {prompt} and {mechanism} are filled in."
    )
    most_changed: float = Field(
        default=MOST_CHANGED, gt=0, le=1, description="A picture that differs in more of its pixels is refused; 1: none is."
    )
    arguments: dict[str, Any] = Field(default_factory=dict[str, Any], description="More fields of the service's request.")

    @field_validator("prompt_template")
    @classmethod
    def _fillable(cls, value: str) -> str:
        return check_words(value)

    @field_validator("arguments")
    @classmethod
    def _no_secret(cls, value: dict[str, Any]) -> dict[str, Any]:
        refuse_secrets(value)
        return value


class Answer(NamedTuple):
    """A service's answer: the encoded picture, or why there is none (`refused`: it will not make it); and what it used."""

    picture: bytes | None
    problem: str
    usage: Usage
    refused: bool = False


class HostedEditor:
    """Key, price and calls of one editor.

    Args:
        who: for messages, e.g. "image_gen backend 'openai'".
        key_names: environment variables that may hold the key.
    Raises:
        BackendUnavailableError: there is no key, or no price.
    """

    def __init__(self, options: EditorOptions, who: str, key_names: tuple[str, ...], prices: Mapping[str, ModelPrice]) -> None:
        self.who = who
        self.price = find_price(prices, options.model, options.base_url, who)
        self.key = read_key(options, key_names, who)
        self._options = options
        self._remote = Remote(options, who, self.key, key_names)

    def words(self, prompt: str, spec: DefectSpec | None) -> str:
        """What the model is told."""
        mechanism = spec.mechanism if spec is not None else read_prompt(prompt).spec.mechanism
        return self._options.prompt_template.format(prompt=prompt, mechanism=mechanism)

    def edit(
        self, photo: Photo, canvas: Canvas, spec: DefectSpec | None, request: Callable[[], Answer], note: str = ""
    ) -> Edited:
        """Ask for a picture until one comes that can be read, and put what it changed into the photo.

        Raises:
            BackendError: with what was spent; see `Remote.call` and `take_edit`.
        """
        used = Usage()

        def attempt() -> RGB:
            nonlocal used
            answer = request()
            used += answer.usage  # an answer that is of no use is paid for too
            if answer.refused:
                raise RefusedError(answer.problem)
            if answer.picture is None:
                raise BrokenAnswerError(answer.problem)
            return _decoded(answer.picture)

        try:
            made = self._remote.call(attempt)
            edited = take_edit(photo, canvas, made, spec, f"{self.who}: {self._options.model}", self._options.most_changed)
        except BackendError as error:
            error.cost_usd, error.tokens = cost_of(used, self.price), used.tokens
            raise
        return Edited(
            edited.photo,
            edited.changed,
            edited.spec,
            cost_usd=cost_of(used, self.price),
            tokens=used.tokens,
            notes=[note] if note else [],
        )


def _decoded(data: bytes) -> RGB:
    try:
        decoded = decode_image(data, "the picture that came back", max_pixels=MAX_PIXELS, min_side_px=LEAST_SIDE_PX)
    except ImageError as error:
        raise BrokenAnswerError(str(error)) from error
    return photo_from_array(decoded.native, decoded.mode).rgb
