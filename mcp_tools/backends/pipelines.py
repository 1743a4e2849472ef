"""Loading and calling diffusers pipelines of two families, whatever the model.

    inpaint   pipeline(prompt, image, mask_image): SD, SDXL, SD3, FLUX Fill, ...
    edit      pipeline(prompt, image): InstructPix2Pix, FLUX Kontext, FLUX.2, Qwen-Image-Edit, ...

The family is read off the pipeline's own class: one that takes a mask inpaints, one that takes a picture and no strength
follows instructions; of a text-to-image model the matching inpainting pipeline is built (`AutoPipelineForInpainting`).
"""

import inspect
import threading
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from anomalyagent.configs.paths import expand_home
from anomalyagent.configs.schema import SEEDS
from anomalyagent.errors import BackendError, BackendUnavailableError, ConfigError
from anomalyagent.mcp_tools.backends.options import BackendOptions, Device, check_words, choose_device
from anomalyagent.mcp_tools.backends.pretrained import find_pretrained, reason_of
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask

__all__ = ["BACKEND", "DiffusersOptions", "Family", "Lora", "Pipeline", "find_model", "load_pipeline"]

BACKEND = "image_gen backend 'diffusers'"
Family = Literal["inpaint", "edit"]
_OURS = ("prompt", "image", "mask_image", "generator", "output_type", "height", "width", "num_images_per_prompt", "max_area")


class Lora(BackendOptions):
    """Low-rank weights laid over the model."""

    model: str = Field(description="Folder, file or Hugging Face id.")
    weight_name: str | None = Field(default=None, description="File in that folder or repository, where there are several.")
    scale: float = Field(default=1.0, description="How strongly they act.")


class DiffusersOptions(BackendOptions):
    """Options of image_gen backend `diffusers`."""

    model: str = Field(min_length=1, description="folder of a diffusers pipeline, or Hugging Face id")
    revision: str | None = Field(default=None, description="Branch, tag or commit of a Hugging Face id.")
    variant: str | None = Field(default=None, description="Variant of the weight files, such as fp16.")
    local_files_only: bool = Field(default=True, description="False: files that are not in the local cache are downloaded.")
    family: Literal["auto", "inpaint", "edit"] = Field(default="auto", description="auto: read off the pipeline's class.")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        default="auto", description="auto: bfloat16 on a GPU, float32 on the CPU."
    )
    device: Device = "auto"
    offload: Literal["none", "model", "sequential"] = Field(
        default="none", description="Keep weights in main memory: model by model, or layer by layer (slow, least GPU memory)."
    )
    steps: int | None = Field(default=None, ge=1, le=1000, description="Denoising steps; unset: the pipeline's own.")
    guidance: float | None = Field(default=None, ge=0.0, le=100.0, description="guidance_scale; unset: the pipeline's own.")
    strength: float | None = Field(default=None, gt=0.0, le=1.0, description="Inpainting: 1 paints anew, less keeps more.")
    arguments: dict[str, Any] = Field(
        default_factory=dict[str, Any], description="More arguments of the pipeline, e.g. negative_prompt, true_cfg_scale."
    )
    prompt_template: str = Field(
        default="{prompt}", description="What the model is told; {prompt} and, when there is a spec, {mechanism} are filled in."
    )
    lora: list[Lora] = Field(default_factory=list[Lora], description="LoRA weights, as id or {model, weight_name, scale}.")
    size_px: int | None = Field(default=None, ge=16, le=4096, description="Side of the model's pictures; unset: its own.")
    multiple_px: int | None = Field(default=None, ge=1, le=256, description="Sides are multiples of this; unset: the model's.")
    batch: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Pictures drawn at once; the one whose defect has the wanted size is taken.",
    )
    most_changed: float = Field(
        default=0.8, gt=0, le=1, description="Editing: a picture that differs in more of its pixels is refused; 1: none is."
    )
    region_grow: float = Field(default=2.0, ge=1.0, le=10.0, description="Inpainting: width of the region over the defect's.")
    region_context: float = Field(default=2.5, ge=1.0, le=20.0, description="Inpainting: side of the crop over the region's.")

    @field_validator("lora", mode="before")
    @classmethod
    def _plain_names(cls, value: Any) -> Any:
        return [{"model": each} if isinstance(each, str) else each for each in value] if isinstance(value, list) else value

    @field_validator("prompt_template")
    @classmethod
    def _fillable(cls, value: str) -> str:
        return check_words(value)

    @field_validator("arguments")
    @classmethod
    def _not_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(set(value) & {*_OURS, "num_inference_steps", "guidance_scale", "strength"}):
            raise ValueError(f"{', '.join(taken)} cannot be given here: they are set by the backend or its other options")
        return value


@dataclass(frozen=True)
class Pipeline:
    """A loaded pipeline. Several threads may paint; the model works for one at a time, while the others prepare or finish.

    Attributes:
        call: the diffusers pipeline.
        native_px: side of the square pictures that it was trained on.
        multiple_px: sides must be multiples of this.
        arguments: what every call gets besides prompt, picture and seed.
        batch: pictures of one call.
        lock: held while the model works: a pipeline keeps the state of its schedule in itself.
    """

    call: Any
    family: Family
    native_px: int
    multiple_px: int
    arguments: dict[str, Any]
    batch: int = 1
    lock: threading.Lock = field(default_factory=threading.Lock)

    def paint(self, prompt: str, rgb: RGB, mask: Mask | None, seed: int) -> list[RGB]:
        """The model's pictures, `batch` of them less those that its safety checker blacked out.

        Args:
            rgb: (h, w, 3) float32 0..1, sides that the model can work on.
            mask: (h, w) bool, where to paint; None for an editor.
        Returns:
            (h', w', 3) float32 0..1 each; an editor may choose another size.
        Raises:
            BackendError: the model failed, refused, or returned something that is no picture.
        """
        import torch
        from PIL import Image

        accepted = inspect.signature(type(self.call).__call__).parameters
        given = dict(self.arguments)
        if mask is not None:
            given["mask_image"] = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
        given |= {name: side for name, side in zip(("height", "width"), rgb.shape, strict=False) if name in accepted}
        if "max_area" in accepted:  # FLUX Kontext takes the area, and its own sizes near 1 megapixel unless told otherwise
            area_px = rgb.shape[0] * rgb.shape[1]
            given |= {"max_area": area_px, "_auto_resize": abs(area_px / 2**20 - 1.0) < 0.1}
        # Generators on the CPU draw the same numbers whatever device the model runs on.
        generators = [torch.Generator("cpu").manual_seed((seed + number) % SEEDS) for number in range(self.batch)]
        if self.batch > 1:
            given["num_images_per_prompt"] = self.batch
        picture = Image.fromarray(np.rint(np.clip(rgb, 0.0, 1.0) * 255.0).astype(np.uint8))
        name = type(self.call).__name__
        try:
            with self.lock, torch.inference_mode():
                generator = generators if self.batch > 1 else generators[0]
                made = self.call(prompt=prompt, image=picture, generator=generator, output_type="np", **given)
        except torch.OutOfMemoryError as error:
            raise BackendError(
                f"{name} ran out of GPU memory at {rgb.shape[1]} x {rgb.shape[0]}. "
                "Set option offload to model or sequential, or a smaller size_px."
            ) from error
        except (RuntimeError, ValueError, TypeError) as error:
            raise BackendError(f"{name} failed: {error}. Check the options steps, arguments and size_px.") from error
        blacked_out = list(getattr(made, "nsfw_content_detected", None) or [False] * len(made.images))
        shown = [image for image, hidden in zip(made.images, blacked_out, strict=True) if not hidden]
        if not shown:
            raise BackendError(f"the safety checker of {name} blacked out the picture. Try another seed or other words.")
        return [_checked(np.asarray(image, np.float32), name) for image in shown]


def _checked(out: RGB, name: str) -> RGB:
    if out.ndim != 3 or out.shape[2] != 3 or not np.isfinite(out).all():
        raise BackendError(
            f"{name} returned no usable picture (shape {out.shape}, not all numbers finite). "
            "float16 overflows in some models: set option dtype to bfloat16 or float32."
        )
    return np.clip(out, 0.0, 1.0)


def find_model(options: DiffusersOptions) -> None:
    """Check, without loading anything large, that the model is on this machine when nothing may be downloaded.

    Raises:
        BackendUnavailableError: it is not.
    """
    find_pretrained(
        BACKEND,
        options.model,
        "model_index.json",
        "diffusers pipeline",
        revision=options.revision,
        local_files_only=options.local_files_only,
    )


def load_pipeline(options: DiffusersOptions) -> Pipeline:
    """Load a model and put it where it runs.

    Raises:
        BackendUnavailableError: the model, a GPU or a module is missing, or the model can neither inpaint nor edit.
        ConfigError: an option does not fit this pipeline.
    """
    import diffusers
    import torch
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    device = choose_device(options.device, BACKEND)
    if options.offload != "none" and device == "cpu":
        raise ConfigError(f"{BACKEND}: offload '{options.offload}' needs a GPU, there is none. Set option offload to none.")
    find_model(options)
    for library in (diffusers_logging, transformers_logging):
        library.disable_progress_bar()  # servers and runs show their own
    dtype = options.dtype if options.dtype != "auto" else "bfloat16" if device == "cuda" else "float32"
    source = {"revision": options.revision, "local_files_only": options.local_files_only}
    kind = _class_of(diffusers, options, source)
    family, loader = _family_of(kind, options.family)
    try:
        pipe = loader.from_pretrained(_place(options.model), dtype=getattr(torch, dtype), variant=options.variant, **source)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise BackendUnavailableError(f"{BACKEND}: model '{options.model}' cannot be loaded: {reason_of(error)}") from error
    arguments = _call_arguments(pipe, options)
    _lay_over(pipe, options)
    pipe.set_progress_bar_config(disable=True)
    if options.offload == "model":
        pipe.enable_model_cpu_offload()
    elif options.offload == "sequential":
        pipe.enable_sequential_cpu_offload()
    else:
        pipe.to(device)
    native_px, multiple_px = options.size_px or _native_px(pipe), options.multiple_px or _multiple_px(pipe)
    return Pipeline(pipe, family, native_px, multiple_px, arguments, options.batch)


def _class_of(diffusers: Any, options: DiffusersOptions, source: dict[str, Any]) -> Any:
    try:
        config = diffusers.DiffusionPipeline.load_config(_place(options.model), **source)
    except OSError as error:
        # find_model has seen the file, so it is damaged, or the Hub did not give it
        raise BackendUnavailableError(
            f"{BACKEND}: model_index.json of '{options.model}' cannot be read: {reason_of(error)}"
        ) from error
    name = config.get("_class_name")
    kind = getattr(diffusers, str(name), None)
    if kind is None:
        raise BackendUnavailableError(
            f"{BACKEND}: '{options.model}' is a {name}; diffusers {diffusers.__version__} has none. pip install -U diffusers"
        )
    return kind


def _family_of(kind: Any, wanted: str) -> tuple[Family, Any]:
    """The family, and the class that loads the model."""
    from diffusers.pipelines.auto_pipeline import AutoPipelineForInpainting

    accepted = inspect.signature(kind.__call__).parameters
    edits = "image" in accepted and "mask_image" not in accepted and "strength" not in accepted and "prompt" in accepted
    if wanted == "edit" and not edits:
        raise BackendUnavailableError(
            f"{BACKEND}: {kind.__name__} follows no editing instructions. Set option family to auto, or choose another model."
        )
    if "mask_image" in accepted:
        return "inpaint", kind
    if edits and wanted != "inpaint":
        return "edit", kind
    return "inpaint", AutoPipelineForInpainting


def _call_arguments(pipe: Any, options: DiffusersOptions) -> dict[str, Any]:
    accepted = inspect.signature(type(pipe).__call__).parameters
    named = {"num_inference_steps": options.steps, "guidance_scale": options.guidance, "strength": options.strength}
    given = {name: value for name, value in named.items() if value is not None} | options.arguments
    if unknown := sorted(set(given) - set(accepted)):
        more = ", ".join(name for name in accepted if name not in {"self", *_OURS})
        raise ConfigError(f"{BACKEND}: {type(pipe).__name__} takes no {', '.join(unknown)}. It takes: {more}.")
    if options.batch > 1 and "num_images_per_prompt" not in accepted:
        raise ConfigError(f"{BACKEND}: {type(pipe).__name__} draws one picture at a time. Set option batch to 1.")
    return given


def _lay_over(pipe: Any, options: DiffusersOptions) -> None:
    if not options.lora:
        return
    names = [f"lora{number}" for number in range(len(options.lora))]
    for name, each in zip(names, options.lora, strict=True):
        try:
            pipe.load_lora_weights(
                _place(each.model),
                weight_name=each.weight_name,
                adapter_name=name,
                local_files_only=options.local_files_only,
            )
        except (OSError, ValueError, RuntimeError, ImportError, AttributeError) as error:
            raise BackendUnavailableError(
                f"{BACKEND}: LoRA '{each.model}' cannot be laid over {type(pipe).__name__}: {reason_of(error)}"
            ) from error
    pipe.set_adapters(names, [each.scale for each in options.lora])


def _native_px(pipe: Any) -> int:
    cells = getattr(pipe, "default_sample_size", None)
    if not isinstance(cells, int):
        inner = getattr(pipe, "unet", None) or getattr(pipe, "transformer", None)
        cells = getattr(getattr(inner, "config", None), "sample_size", None)
    scale = getattr(pipe, "vae_scale_factor", None)
    if isinstance(cells, int) and isinstance(scale, int):
        return cells * scale
    raise ConfigError(f"{BACKEND}: {type(pipe).__name__} does not say which size it works at. Set option size_px (often 1024).")


def _multiple_px(pipe: Any) -> int:
    processor = getattr(pipe, "image_processor", None)
    scale = getattr(getattr(processor, "config", None), "vae_scale_factor", None) or getattr(pipe, "vae_scale_factor", 8)
    return max(8, int(scale))


def _place(model: str) -> str:
    """A folder with ~ resolved, or the Hugging Face id as it is."""
    path = expand_home(model)
    return str(path) if path.exists() else model
