"""image_gen with a diffusion model: any inpainting or instruction-editing pipeline of diffusers, from a folder or by id.

An inpainting model paints inside a region that the spec gives, in a crop at its own size; an editor gets the whole photo and
its answer is aligned to it. Either way only what visibly changed is taken: every other pixel is the original's.

While the model works, another thread measures of the photo what is needed afterwards; the pictures of a batch are brought
back side by side; and a call that waits for the model does not hold up another one that prepares or finishes.
"""

import functools
import math
import os
import threading
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

from anomalyagent.errors import BackendError, BackendUnavailableError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words import read_prompt
from anomalyagent.mcp_tools.backends.base import Edited
from anomalyagent.mcp_tools.backends.options import choose_device, read_options
from anomalyagent.mcp_tools.backends.pipelines import BACKEND, DiffusersOptions, Pipeline, find_model, load_pipeline
from anomalyagent.mcp_tools.backends.region import Region, fit_size, plan_region
from anomalyagent.mcp_tools.backends.whole_frame import measure_for_edit, take_edit
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.imaging.compositing import composite_visible
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.scene import scene_of
from anomalyagent.mcp_tools.modules import missing_modules

__all__ = ["DiffusersImageGen"]

_DRIFT_PIXELS = 8192  # that a drift of colour is read off


class DiffusersImageGen:
    """Edits photos with a diffusers pipeline, loaded on the first call. Options: see `DiffusersOptions`."""

    name = "diffusers"

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        """Check the options, and what can be checked of the model without loading it.

        Raises:
            ConfigError: an option is unknown, missing or out of range.
            BackendUnavailableError: there is no such model here, or no GPU where one is asked for.
        """
        self.options = read_options(DiffusersOptions, BACKEND, options)
        if self.options.lora and (line := missing_modules(("peft",), "diffusers")):
            raise BackendUnavailableError(f"{BACKEND}: LoRA weights need a module that is {line}")
        find_model(self.options)
        if self.options.device == "cuda":
            choose_device("cuda", BACKEND)
        self._loading = threading.Lock()
        self._pipeline: Pipeline | None = None

    @classmethod
    def missing(cls) -> str | None:
        """What has to be installed, in one line."""
        return missing_modules(("torch", "diffusers", "transformers", "accelerate"), "diffusers")

    def edit(self, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited:
        """Let the model paint a defect.

        Args:
            prompt: what the model is told, through option prompt_template.
            spec: where an inpainting model paints; None: read from the prompt. An editor finds the place itself.
        Returns:
            The edit; its spec is the wanted one with `seed`, None when an editor was given none.
        Raises:
            BackendError: the model failed, or changed nothing that can be seen.
            BackendUnavailableError, ConfigError: on the first call, see `load_pipeline`.
        """
        with self._loading:
            if self._pipeline is None:
                self._pipeline = load_pipeline(self.options)
            pipeline = self._pipeline
        if pipeline.family == "edit":
            return self._follow(pipeline, photo, prompt, spec, seed)
        return self._inpaint(pipeline, photo, prompt, spec, seed)

    def _follow(self, pipeline: Pipeline, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited:
        size = fit_size(*photo.shape, pipeline.native_px, pipeline.multiple_px)
        wanted = None if spec is None else spec.model_copy(update={"seed": seed})
        with _beside(functools.partial(measure_for_edit, photo)):
            pictures = pipeline.paint(self._words(prompt, spec), _resized(photo.rgb, size), None, seed)
        who = f"{BACKEND}: '{self.options.model}' (seed {seed})"

        def take(made: RGB) -> Edited:
            return take_edit(photo, None, made, wanted, who, self.options.most_changed)

        return _best(photo, wanted, [functools.partial(take, made) for made in pictures])

    def _inpaint(self, pipeline: Pipeline, photo: Photo, prompt: str, spec: DefectSpec | None, seed: int) -> Edited:
        notes: list[str] = []
        if spec is None:
            reading = read_prompt(prompt)
            spec, notes = reading.spec, list(reading.notes)
        wanted = spec.model_copy(update={"seed": seed})
        region = plan_region(
            scene_of(photo),
            wanted,
            seed,
            native_px=pipeline.native_px,
            multiple_px=pipeline.multiple_px,
            grow=self.options.region_grow,
            context=self.options.region_context,
        )
        crop = photo.rgb[region.window.slices]
        where = _resized((region.weight > 0).astype(np.float32), region.size_hw) >= 0.5
        with _beside(functools.partial(_measure_for_judge, photo)):
            pictures = pipeline.paint(self._words(prompt, wanted), _resized(crop, region.size_hw), where, seed)

        def take(made: RGB) -> Edited:
            after, changed = composite_visible(photo, _pasted(photo.rgb, region, _resized(made, region.window.shape)))
            if not changed.any():
                raise BackendError(
                    f"{BACKEND}: '{self.options.model}' (seed {seed}) changed nothing that can be seen. Try another seed, a "
                    "clearer prompt or a larger area_fraction, or raise its options steps, guidance or strength."
                )
            return Edited(after, changed, wanted, notes=notes)

        return _best(photo, wanted, [functools.partial(take, made) for made in pictures])

    def _words(self, prompt: str, spec: DefectSpec | None) -> str:
        mechanism = spec.mechanism if spec is not None else read_prompt(prompt).spec.mechanism
        return self.options.prompt_template.format(prompt=prompt, mechanism=mechanism)


@contextmanager
def _beside(work: Callable[[], object]) -> Generator[None]:
    """Do `work` in another thread while the body runs, and wait for both; what `work` raises comes out when it is needed."""
    with ThreadPoolExecutor(1, "measure") as pool:
        pool.submit(work)
        yield


def _measure_for_judge(photo: Photo) -> None:
    """What quality_eval and mask_gen ask of the photo next."""
    scene = scene_of(photo)
    _ = scene.lab, scene.jnd


def _best(photo: Photo, wanted: DefectSpec | None, takes: list[Callable[[], Edited]]) -> Edited:
    """Of a batch, the edit whose size is nearest to the one wanted; without a spec, the first that is one."""
    if len(takes) == 1:
        return takes[0]()

    def tried(take: Callable[[], Edited]) -> Edited | BackendError:
        try:
            return take()
        except BackendError as error:
            return error

    with ThreadPoolExecutor(min(len(takes), os.cpu_count() or 1), "finish") as pool:
        found = list(pool.map(tried, takes))
    edits = [one for one in found if isinstance(one, Edited)]
    if not edits:
        raise next(one for one in reversed(found) if isinstance(one, BackendError))
    if wanted is None:
        return edits[0]
    aim_px = wanted.area_fraction * scene_of(photo).object_area_px
    return min(edits, key=lambda one: abs(math.log(float(one.changed.sum()) / aim_px)))


def _pasted(rgb: RGB, region: Region, made: RGB) -> RGB:
    """The whole photo with the model's pixels blended in by the region's weight.

    Outside the region the model should have returned what it saw: by how much it did not, its colours drift, and that
    is taken off everywhere.
    """
    out = rgb.copy()
    crop, into = rgb[region.window.slices], out[region.window.slices]
    outside = np.flatnonzero(region.weight == 0)
    outside = outside[:: max(1, len(outside) // _DRIFT_PIXELS)]
    drift = np.zeros(3, np.float32)
    if outside.size:
        drift = np.median(made.reshape(-1, 3)[outside] - crop.reshape(-1, 3)[outside], axis=0).astype(np.float32)
    x, y, width, height = cv2.boundingRect((region.weight > 0).astype(np.uint8))
    box = slice(y, y + height), slice(x, x + width)
    weight = region.weight[box][..., None]
    into[box] = np.where(weight > 0, np.clip(crop[box] + weight * (made[box] - drift - crop[box]), 0.0, 1.0), crop[box])
    return out


def _resized(values: RGB | Field, size_hw: tuple[int, int]) -> RGB:
    """(h, w, 3) or (h, w) float32 at another size, 0..1."""
    height, width = size_hw
    if values.shape[:2] == (height, width):
        return values
    smaller = height * width < values.shape[0] * values.shape[1]
    resized = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    return np.asarray(np.clip(resized, 0.0, 1.0), np.float32)
