"""image_gen with OpenAI's image edits, or any server with the same `/images/edits`, through the official `openai` SDK.

The photo goes as PNG, mirrored outwards to one of the sizes that the model knows. The service takes no seed: two calls with one
seed draw two defects.
"""

import base64
import binascii
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from anomalyagent.configs.schema import ModelPrice
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.base import Edited
from anomalyagent.mcp_tools.backends.hosted import Answer, EditorOptions, HostedEditor
from anomalyagent.mcp_tools.backends.options import read_options
from anomalyagent.mcp_tools.backends.region import plan_region
from anomalyagent.mcp_tools.backends.whole_frame import Canvas, nearest_shape, spread
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.photo import Photo, encode_png
from anomalyagent.mcp_tools.imaging.scene import scene_of
from anomalyagent.mcp_tools.modules import missing_modules
from anomalyagent.mcp_tools.remote.costs import Usage
from anomalyagent.mcp_tools.remote.options import KEY_NAMES
from anomalyagent.mcp_tools.remote.pictures import png_of

if TYPE_CHECKING:
    from openai import OpenAI

__all__ = ["OpenAIImageGen", "OpenAIOptions"]

BACKEND = "image_gen backend 'openai'"
SEEDLESS = "the service takes no seed: the same call draws another defect"


class OpenAIOptions(EditorOptions):
    """Options of image_gen backend `openai`."""

    sizes: list[str] = Field(
        default=["1024x1024", "1536x1024", "1024x1536"],
        min_length=1,
        description="Sizes (width x height) that the model makes; the one of the photo's shape is taken.",
    )
    quality: str | None = Field(default=None, description="low, medium, high, ...; unset: the service's own.")
    input_fidelity: Literal["high", "low"] | None = Field(
        default=None, description="How closely the photo is kept, for models that take it (gpt-image-1.5)."
    )
    mask: bool = Field(default=False, description="Also send where the spec wants the defect, as the service's edit mask.")

    @field_validator("sizes")
    @classmethod
    def _width_by_height(cls, value: list[str]) -> list[str]:
        for size in value:
            _pixels(size)
        return value


class OpenAIImageGen:
    """Edits photos with a model behind an OpenAI-compatible server. Options: see `OpenAIOptions`."""

    name = "openai"

    def __init__(self, options: Mapping[str, Any], prices: Mapping[str, ModelPrice]) -> None:
        """Check the options; nothing is sent.

        Raises:
            ConfigError: an option is unknown, missing or out of range.
            BackendUnavailableError: there is no key, or no price for the model.
        """
        self.options = read_options(OpenAIOptions, BACKEND, options)
        self._editor = HostedEditor(self.options, BACKEND, KEY_NAMES["openai"], prices)
        self._lock = threading.Lock()
        self._made: OpenAI | None = None

    @classmethod
    def missing(cls) -> str | None:
        """What has to be installed, in one line."""
        return missing_modules(("openai",), "api")

    def edit(self, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited:
        """Let the model draw a defect.

        Args:
            prompt: what the model is told, through option prompt_template.
            spec: where option mask wants it; else only its mechanism is told.
        Raises:
            BackendError: the service refused, failed, or returned no edit of this photo; with what was spent.
            RemoteOutageError, BackendUnavailableError: see `Remote.call`.
        """
        wanted = None if spec is None else spec.model_copy(update={"seed": seed})
        size = nearest_shape(photo, map(_pixels, self.options.sizes))
        canvas = spread(photo, *size)
        fields: dict[str, Any] = {
            "model": self.options.model,
            "prompt": self._editor.words(prompt, wanted),
            "image": ("photo.png", png_of(canvas.rgb), "image/png"),
            "size": f"{size[0]}x{size[1]}",
            "n": 1,
        }
        fields |= {name: value for name in ("quality", "input_fidelity") if (value := getattr(self.options, name)) is not None}
        if self.options.mask and wanted is not None:
            fields["mask"] = ("mask.png", _mask_png(canvas, _region(photo, wanted, seed)), "image/png")
        client = self._client()

        def request() -> Answer:
            return _read(client.images.edit(**fields, extra_body=self.options.arguments or None))

        return self._editor.edit(photo, canvas, wanted, request, SEEDLESS)

    def _client(self) -> "OpenAI":
        with self._lock:
            if self._made is None:
                from openai import OpenAI

                self._made = OpenAI(
                    api_key=self._editor.key,
                    base_url=self.options.base_url,
                    timeout=self.options.timeout_s,
                    max_retries=0,  # `Remote` does it, for all services alike
                )
            return self._made


def _read(response: Any) -> Answer:
    """The picture of an ImagesResponse."""
    usage = _usage(response)
    data: Any = getattr(response, "data", None) or []
    if not data:
        return Answer(None, "an answer without a picture", usage)
    encoded = data[0].b64_json
    if not encoded:
        return Answer(None, "the picture came as a link; set option arguments to {response_format: b64_json}", usage)
    try:
        return Answer(base64.b64decode(encoded, validate=True), "", usage)
    except (binascii.Error, ValueError):
        return Answer(None, "the picture is not valid base64", usage)


def _usage(response: Any) -> Usage:
    said: Any = getattr(response, "usage", None)
    made = len(getattr(response, "data", None) or [])
    if said is None:
        return Usage(images=made, requests=1)
    into, out = getattr(said, "input_tokens_details", None), getattr(said, "output_tokens_details", None)
    cached = getattr(into, "cached_tokens", None) or 0
    of_images = getattr(out, "image_tokens", None)
    return Usage(
        input_tokens=said.input_tokens or 0,
        cached_tokens=cached,
        image_input_tokens=getattr(into, "image_tokens", None) or 0,
        output_tokens=said.output_tokens or 0,
        # servers that do not tell them apart make pictures, not text
        image_output_tokens=(said.output_tokens or 0) if of_images is None else of_images,
        images=made,
        requests=1,
    )


def _pixels(size: str) -> tuple[int, int]:
    """(width, height) of "1536x1024"."""
    width, cross, height = size.partition("x")
    if not cross or not width.isdigit() or not height.isdigit() or not (64 <= int(width) <= 8192 and 64 <= int(height) <= 8192):
        raise ValueError(f"a size is written width x height in pixels, such as 1536x1024; got {size!r}")
    return int(width), int(height)


def _region(photo: Photo, spec: DefectSpec, seed: int) -> Mask:
    """(H, W) bool: where the spec wants the defect, with room around it."""
    region = plan_region(scene_of(photo), spec, seed, native_px=1024, multiple_px=1, grow=2.0, context=2.5)
    where = np.zeros(photo.shape, np.bool_)
    where[region.window.slices] = region.weight > 0
    return where


def _mask_png(canvas: Canvas, where: Mask) -> bytes:
    """RGBA PNG of the canvas, transparent where the model may draw."""
    import cv2

    rows, columns = canvas.inside
    size = columns.stop - columns.start, rows.stop - rows.start
    alpha = np.full(canvas.rgb.shape[:2], 255, np.uint8)
    shown = cv2.resize(where.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    alpha[canvas.inside][shown > 0] = 0
    rgb = np.rint(canvas.rgb * 255.0).astype(np.uint8)
    return encode_png(np.dstack([rgb, alpha]))
