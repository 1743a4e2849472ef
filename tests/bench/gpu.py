"""`make bench-gpu [MODEL=folder or id]`: images/s of image_gen `diffusers` at 512 and 1024 px, against its bare pipeline.

    python tests/bench/gpu.py [--model M] [--steps 20] [--count 8] [--sizes 512,1024]

Both get the same pictures, words, seeds and steps, one after the other; the difference is all that we add: choosing the
region, cropping, blending back, finding what visibly changed. Budget on a GPU: 3 % more time than the bare pipeline.

Without a model, an inpainting pipeline of the size of Stable Diffusion 1.5 is made of random weights, which takes as long
as a trained one; without a GPU a tiny one is, which shows that this runs and says nothing about speed.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script

from helpers.tiny_models import save_inpainting_sd15, save_pipeline

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.diffusers import DiffusersImageGen
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array
from anomalyagent.training.datasets.files import decode_image, sorted_images

NORMALS = Path(__file__).parents[2] / "examples" / "normals" / "steel_plate"
BUDGET = 0.03
PROMPT = "Add a dark stain in the middle of the plate."


class Timing(NamedTuple):
    """Median seconds an image."""

    size_px: int
    ours_s: float
    bare_s: float

    @property
    def overhead(self) -> float:
        """Share of the bare time that we add."""
        return self.ours_s / self.bare_s - 1


def measure(model: str, size_px: int, count: int, steps: int) -> Timing:
    """Time `count` images at a size, after one to warm up; ours and bare take turns."""
    backend = DiffusersImageGen({"model": model, "steps": steps, "size_px": size_px})
    photos = _photos(size_px)
    pipe, asked = _recorded(backend, photos[0])
    ours: list[float] = []
    bare: list[float] = []
    for number in range(count):
        photo = photos[number % len(photos)]
        ours.append(_time(lambda photo=photo, number=number: _edit(backend, photo, number)))
        given = asked[-1] | {"generator": torch.Generator("cpu").manual_seed(number)}
        bare.append(_time(lambda given=given: pipe(**given)))
    return Timing(size_px, float(np.median(ours)), float(np.median(bare)))


def _recorded(backend: DiffusersImageGen, photo: Photo) -> tuple[Any, list[dict[str, Any]]]:
    """The pipeline behind the backend, and what it is asked from now on."""
    _edit(backend, photo, 0)
    loaded: Any = backend._pipeline  # pyright: ignore[reportPrivateUsage]
    pipe, asked = loaded.call, list[dict[str, Any]]()

    class Recorder(type(pipe)):  # pyright: ignore[reportUntypedBaseClass]
        def __call__(self, *arguments: Any, **given: Any) -> Any:
            asked.append(given)
            return super().__call__(*arguments, **given)

    pipe.__class__ = Recorder
    _edit(backend, photo, 0)
    return pipe, asked


def _edit(backend: DiffusersImageGen, photo: Photo, seed: int) -> None:
    backend.edit(photo, PROMPT, DefectSpec(mechanism="stain", area_fraction=0.05, severity=9.0), seed)


def _photos(size_px: int) -> list[Photo]:
    files = sorted_images(NORMALS)
    return [photo_from_array(cv2.resize(decode_image(path), (size_px, size_px))) for path in files]


def _time(work: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    begun = perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - begun


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="inpainting or editing pipeline: folder or Hugging Face id")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--count", type=int, default=8, help="images at each size")
    parser.add_argument("--sizes", default="512,1024", help="sides in pixels, commas between")
    given = parser.parse_args(arguments)
    gpu = torch.cuda.is_available()
    with tempfile.TemporaryDirectory() as folder:
        model = given.model
        if model is None:
            model = str(save_inpainting_sd15(Path(folder)) if gpu else save_pipeline(Path(folder) / "tiny", "inpaint"))
        where = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
        print(
            f"{given.model or ('random weights, size of SD 1.5' if gpu else 'tiny random pipeline')}, "
            f"{given.steps} steps, {where}"
        )
        if not gpu:
            print("NO GPU: this shows that the measurement runs, and says nothing about its budget.")
        print("\n| px | ours, images/s | bare pipeline, images/s | overhead | budget |\n|---:|---:|---:|---:|---:|")
        over = False
        for size in (int(part) for part in given.sizes.split(",")):
            one = measure(model, size, given.count, given.steps)
            over |= one.overhead > BUDGET
            print(
                f"| {size} | {1 / one.ours_s:.3f} | {1 / one.bare_s:.3f} | {100 * one.overhead:.1f} % | {100 * BUDGET:.0f} % |"
            )
    return int(over and gpu)


if __name__ == "__main__":
    sys.exit(main())
