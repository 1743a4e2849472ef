"""`make bench-gpu [MODEL=folder or id]`: images/s of image_gen `diffusers` at 512 and 1024 px, against its bare pipeline.

    python tests/bench/gpu.py [--model M] [--steps 20] [--count 12] [--sizes 512,1024] [--waits 1,3] [--only-waits]

Ours is what a run does for an image: the photo is decoded, edited and stored as PNG. The bare pipeline gets pictures of the
same size, the same words, seeds and steps. They take turns, and who begins takes turns too, so that a card that grows warm or
a neighbour that grows busy harms both alike.

    one at a time   median over the pairs of (ours - bare) / bare, with a 95 % interval (bootstrap): nothing else is under way.
                    The budget of 3 % is held when the whole interval holds it
    two under way   as `synthesize --jobs 2` works: while the model paints for one image, the other is prepared or finished.
                    From the model's first picture to its last, three rounds of as many as the pairs: median, and the worst,
                    which must hold the budget too. A whole run adds the work on one image, once
    our own         milliseconds of CPU time, outside the pipeline, of the thread that makes an image. It needs no difference
                    of two noisy times, and a busy machine does not change it

Without a model, an inpainting pipeline of the size of Stable Diffusion 1.5 is made of random weights, which takes as long
as a trained one; without a GPU a tiny one is, which shows that this runs and says nothing about speed.

Then the same without any model, which needs no GPU: a stand-in takes a given time for each picture and leaves the processor
alone meanwhile, as a GPU does. What it returns is what a good model would: the defect, and an editor's noise everywhere else.
Each photo is seen for the first time. This tells what we add to a model of that speed, as far as a stand-in can: a real
pipeline also starts thousands of kernels from the processor, which is not in it.
"""

import argparse
import functools
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter, sleep, thread_time
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script

from helpers.tiny_models import save_inpainting_sd15, save_pipeline

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.diffusers import DiffusersImageGen
from anomalyagent.mcp_tools.backends.pipelines import Family, Pipeline
from anomalyagent.mcp_tools.imaging.photo import encode_png, write_atomically
from anomalyagent.mcp_tools.workspace import Workspace
from anomalyagent.training.datasets.files import decode_image, sorted_images

NORMALS = Path(__file__).parents[2] / "examples" / "normals"
BUDGET, ROUNDS = 0.03, 3
PROMPT = "Add a dark stain in the middle of the plate."


class Timing(NamedTuple):
    """Seconds of each image, ours and of the bare pipeline, and what of ours the processor worked outside it.

    Attributes:
        round_s: of each round, two images under way at once: from the model's first picture to its last, for each picture.
    """

    size_px: int
    ours_s: list[float]
    own_s: list[float]
    bare_s: list[float]
    round_s: list[float]

    @property
    def alone(self) -> tuple[float, float, float]:
        """Share of the bare time that we add to one image at a time: median of the pairs, and its 95 % interval."""
        values = np.array([ours / bare - 1 for ours, bare in zip(self.ours_s, self.bare_s, strict=True)])
        drawn = np.median(np.random.default_rng(0).choice(values, (2000, len(values))), axis=1)
        return float(np.median(values)), float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))

    @property
    def together(self) -> tuple[float, float]:
        """The same with two under way: median of the rounds, and the worst."""
        bare = float(np.median(self.bare_s))
        return float(np.median(self.round_s)) / bare - 1, max(self.round_s) / bare - 1


class Watched:
    """What a pipeline was asked, and for each picture when it began, when it ended, and CPU time of its thread."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.begun_s: list[float] = []
        self.ended_s: list[float] = []
        self.worked_s: list[float] = []

    def watch(self, asked: dict[str, Any], work: Callable[[], Any]) -> Any:
        """Do it, and take notes."""
        begun, worked = perf_counter(), thread_time()
        made = work()
        self.asked.append(asked)
        self.worked_s.append(thread_time() - worked)
        self.begun_s.append(begun)
        self.ended_s.append(perf_counter())
        return made


def measure(backend: DiffusersImageGen, size_px: int, count: int, bare_call: Callable[..., Any], watched: Watched) -> Timing:
    """Time `count` pairs at a size, then rounds of as many; the backend is warm."""
    timing = Timing(size_px, [], [], [], [])
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(backend, Path(folder), size_px)

        def ours(number: int) -> None:
            ref, worked = desk.new_photo(number), thread_time()
            timing.ours_s.append(_time(lambda: desk.make(ref, number)))
            timing.own_s.append(thread_time() - worked - watched.worked_s[-1])

        def bare(number: int) -> None:
            timing.bare_s.append(_time(lambda: _call(bare_call, watched.asked[-1], number)))

        for number in range(count):
            for one in (ours, bare) if number % 2 == 0 else (bare, ours):
                one(number)
        for _ in range(ROUNDS):
            refs, before = [desk.new_photo(number) for number in range(count)], len(watched.ended_s)
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(desk.make, refs, range(count)))
            timing.round_s.append((watched.ended_s[-1] - watched.begun_s[before]) / count)
    return timing


class Desk:
    """What a run does for an image, and photos that it has not seen."""

    def __init__(self, backend: DiffusersImageGen, folder: Path, size_px: int) -> None:
        self.backend, self.workspace = backend, Workspace(folder)
        self.photos = [cv2.resize(decode_image(path), (size_px, size_px)) for path in sorted_images(NORMALS, deep=True)]
        self.made = 0

    def new_photo(self, number: int) -> str:
        """Reference of a photo that is different each time; it is a file, not yet read."""
        self.made += 1
        native = np.ascontiguousarray(np.roll(self.photos[number % len(self.photos)], self.made, axis=1))
        ref = f"{self.made:05}.png"
        write_atomically(self.workspace.root / ref, encode_png(native))
        return ref

    def make(self, ref: str, seed: int) -> str:
        """Decode, edit, store."""
        photo = self.workspace.read_photo(ref)
        spec = DefectSpec(mechanism="stain", area_fraction=0.02, severity=9.0)
        return self.workspace.store_photo(self.backend.edit(photo, PROMPT, spec, seed).photo)


def _call(pipe: Callable[..., Any], asked: dict[str, Any], seed: int) -> None:
    with torch.inference_mode():
        pipe(**asked | {"generator": torch.Generator("cpu").manual_seed(seed)})


def measure_model(model: str, size_px: int, count: int, steps: int) -> Timing:
    """A real pipeline, ours against bare."""
    backend = DiffusersImageGen({"model": model, "steps": steps, "size_px": size_px})
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(backend, Path(folder), size_px)
        desk.make(desk.new_photo(0), 0)  # loads the model
        loaded: Any = backend._pipeline  # pyright: ignore[reportPrivateUsage]
        pipe, watched = loaded.call, Watched()
        kind: Any = type(pipe)

        class Recorder(kind):  # pyright: ignore[reportUntypedBaseClass]
            def __call__(self, *arguments: Any, **given: Any) -> Any:
                return watched.watch(given, lambda: kind.__call__(self, *arguments, **given))

        pipe.__class__ = Recorder
        desk.make(desk.new_photo(1), 0)
        return measure(backend, size_px, count, functools.partial(kind.__call__, pipe), watched)


class Waiting:
    """In place of a pipeline: it takes `seconds` for a picture, nearly all of them asleep."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.watched = seconds, Watched()

    def __call__(
        self, prompt: str, image: Any, generator: Any, output_type: str, height: int, width: int, mask_image: Any = None
    ) -> SimpleNamespace:
        given = {"prompt": prompt, "image": image, "output_type": output_type, "height": height, "width": width}
        given |= {} if mask_image is None else {"mask_image": mask_image}
        return self.watched.watch(given, lambda: self._wait(image, mask_image))

    def bare(self, image: Any, mask_image: Any = None, **_: Any) -> None:
        """A picture for nobody."""
        self._wait(image, mask_image)

    def _wait(self, image: Any, mask_image: Any) -> SimpleNamespace:
        begun = perf_counter()
        rgb = np.asarray(image, np.float32) / np.float32(255)
        height, width = rgb.shape[:2]
        if mask_image is not None:
            rgb = np.where(np.asarray(mask_image)[..., None] > 0, np.float32(0.5) * rgb, rgb)
        else:
            rgb = cv2.GaussianBlur(rgb, (0, 0), 0.5) + _noise(height, width)
            cv2.circle(rgb, (width // 2, height // 2), width // 12, (0.1, 0.1, 0.1), -1)
        made = np.clip(rgb, np.float32(0), np.float32(1))[None]
        sleep(max(0.0, self.seconds - (perf_counter() - begun)))
        return SimpleNamespace(images=made)


@functools.cache
def _noise(height: int, width: int) -> Any:
    return np.random.default_rng(1).normal(0, 0.008, (height, width, 3)).astype(np.float32)


def measure_waiting(model: str, family: Family, size_px: int, count: int, seconds: float) -> Timing:
    """The stand-in, ours against bare."""
    backend, waiting = DiffusersImageGen({"model": model}), Waiting(seconds)
    backend._pipeline = Pipeline(waiting, family, size_px, 8, {})  # pyright: ignore[reportPrivateUsage]
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(backend, Path(folder), size_px)
        waiting.seconds = 0.0
        desk.make(desk.new_photo(0), 0)  # modules, tables
        waiting.seconds = seconds
        return measure(backend, size_px, count, waiting.bare, waiting.watched)


def _time(work: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    begun = perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return perf_counter() - begun


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _table(first: str) -> None:
    print(
        f"\n| {first} | px | ours, images/s | bare, images/s | one at a time (95 %) | two under way (worst) | our own, CPU ms |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")


def _row(first: str, one: Timing) -> None:
    middle, least, most = one.alone
    usual, worst = one.together
    print(
        f"| {first} | {one.size_px} | {' | '.join(f'{1 / float(np.median(each)):.3f}' for each in (one.ours_s, one.bare_s))} | "
        f"{_percent(middle)} ({100 * least:.1f} to {100 * most:.1f}) | {_percent(usual)} ({100 * worst:.1f}) | "
        f"{1000 * float(np.median(one.own_s)):.0f} |",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="inpainting or editing pipeline: folder or Hugging Face id")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--count", type=int, default=12, help="pairs at each size, and images of a round")
    parser.add_argument("--sizes", default="512,1024", help="sides in pixels, commas between")
    parser.add_argument("--shown-sizes", default="64,128", help="sides at which the tiny pipeline runs where there is no GPU")
    parser.add_argument("--waits", default="1,3", help="seconds an image of the stand-in, commas between; empty: leave it out")
    parser.add_argument("--only-waits", action="store_true", help="no model at all")
    given = parser.parse_args(arguments)
    gpu = torch.cuda.is_available()
    sizes = [int(part) for part in given.sizes.split(",")]
    over = False
    with tempfile.TemporaryDirectory() as folder:
        tiny = str(save_pipeline(Path(folder) / "tiny", "inpaint"))
        if not given.only_waits:
            model = given.model or (str(save_inpainting_sd15(Path(folder) / "large")) if gpu else tiny)
            where = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
            called = given.model or ("random weights, size of SD 1.5" if gpu else "tiny random pipeline")
            print(f"{called}, {given.steps} steps, {given.count} pairs, {where}; budget {_percent(BUDGET)}")
            if not gpu:
                print("NO GPU: this table shows that the measurement runs, and says nothing about its budget.")
            _table("model")
            for size in sizes if gpu or given.model else [int(part) for part in given.shown_sizes.split(",")]:
                one = measure_model(model, size, given.count, given.steps)
                over |= max(one.alone[2], one.together[1]) > BUDGET
                _row("given" if given.model else "random", one)
        if given.waits:
            print(f"\nNO MODEL, a stand-in that leaves the processor alone; {os.cpu_count()} cores, new photos:")
            _table("stand-in")
            families: tuple[Family, ...] = ("inpaint", "edit")
            for family, size, seconds in itertools.product(families, sizes, map(float, given.waits.split(","))):
                _row(f"{family}, {seconds:g} s", measure_waiting(tiny, family, size, given.count, seconds))
    return int(over and gpu)


if __name__ == "__main__":
    sys.exit(main())
