"""A comparison: every contender trained and tested with every seed, finished results kept, the table rewritten after each.

Seeds are the outer loop, so that the table of a run that was stopped early still compares all contenders.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import torch

from anomalyagent.training.evaluation.contenders import (
    Contender,
    Ground,
    are_of_another_scene,
    gather_contenders,
    load_ground,
)
from anomalyagent.training.evaluation.datasets import GOOD, Stack
from anomalyagent.training.evaluation.keeping import check_table
from anomalyagent.training.evaluation.localize import Outcome, Preset, train_and_test
from anomalyagent.training.evaluation.metrics import pixel_ap_by_type
from anomalyagent.training.evaluation.results import Result, ResultStore, digest_of
from anomalyagent.training.evaluation.sheets import write_sheets
from anomalyagent.training.evaluation.tables import Setting, write_tables

__all__ = ["Comparison", "compare"]

_REPORT_EVERY_S = 15.0


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        out: the Markdown table; CSV and JSON lie beside it.
        sheets: folder for pictures of the maps.
        harmless: data set whose good photos with harmless differences are for all contenders that bring none.
        parts: list of the parts that the real images show: no part is learned from by the oracle and tested.
    """

    real: Path
    synthetic: Mapping[str, Path]
    peers: Sequence[str]
    oracle: bool
    seeds: int
    count: int
    preset: Preset
    out: Path
    work: Path
    skip_types: Sequence[str] = ()
    textures: Path | None = None
    sheets: Path | None = None
    harmless: Path | None = None
    parts: Path | None = None


def compare(comparison: Comparison, say: Callable[[str], None]) -> list[Result]:
    """Run a comparison, or what is left of it. `say` gets one line of progress at a time.

    Raises:
        ConfigError, ImageError, RunError: see the modules that read the inputs and keep the results.
    """
    check_table(comparison.out)
    store = ResultStore(comparison.work)
    ground = load_ground(
        comparison.real, comparison.skip_types, comparison.preset.size_px, comparison.harmless, comparison.parts
    )
    contenders = gather_contenders(
        ground,
        comparison.synthetic,
        comparison.peers,
        comparison.count,
        oracle=comparison.oracle,
        textures=comparison.textures,
    )
    setting = _describe(comparison, ground)
    say(
        f"{len(contenders)} contenders x {comparison.seeds} seeds on {setting.real}: {setting.test_anomalous} anomalous "
        f"and {setting.test_good} good test images, {comparison.preset.steps} steps each"
    )
    clock = _Clock(len(contenders) * comparison.seeds, comparison.preset.steps, say)
    results: list[Result] = []
    for seed in range(comparison.seeds):
        for contender in contenders:
            anomalies = contender.bring(seed)
            if seed == 0 and contender.name in comparison.synthetic and are_of_another_scene(anomalies.images, ground.normals):
                say(
                    f"note: the images of '{contender.name}' look unlike the good photos of {setting.real}: another item, "
                    f"framing or light? A detector learns little from them. Make them with --normals {comparison.real}"
                )
            result = _one(contender, anomalies, seed, ground, comparison.preset, store, clock)
            results.append(result)
            write_tables(comparison.out, setting, results)
            if comparison.sheets is not None and seed == 0:
                write_sheets(comparison.sheets, contender.name, ground.test, store.maps(result))
    return results


def _one(
    contender: Contender, anomalies: Stack, seed: int, ground: Ground, preset: Preset, store: ResultStore, clock: "_Clock"
) -> Result:
    harmless = contender.harmless if contender.harmless is not None else ground.harmless
    normals = ground.normals if harmless is None else np.concatenate([ground.normals, harmless])
    key = digest_of(anomalies, normals, ground.test, preset, seed)
    with store.lock(contender.name, seed, key):
        found = store.find(contender.name, seed, key)
        # The key holds pixels, not names: kept under other names of the types, it cannot stand in the same table.
        marked = {kind for kind, mask in zip(ground.test.types, ground.test.masks, strict=True) if mask.any()}
        if found is not None and set(found.pixel_ap_by_type) == marked:
            clock.skip(contender.name, seed, found)
            return found
        clock.start(contender.name, seed)
        begun = monotonic()
        outcome = train_and_test(anomalies, normals, ground.test, preset, seed, clock.step)
        result = Result(
            contender=contender.name,
            few_shot=contender.few_shot,
            seed=seed,
            key=key,
            images=len(anomalies.images),
            harmless=len(normals) - len(ground.normals),
            mask_share=float(anomalies.masks.mean()),
            last=outcome.last,
            best_on_test=outcome.best_on_test,
            pixel_ap_by_type=pixel_ap_by_type(outcome.maps, ground.test.masks, ground.test.types, GOOD),
            losses=_thin_out(outcome),
            seconds=monotonic() - begun,
            torch=torch.__version__,
            device=torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads",
        )
        store.save(result, outcome.maps)
    clock.finish(result)
    return result


def _thin_out(outcome: Outcome) -> list[float]:
    return [float(part.mean()) for part in np.array_split(np.array(outcome.losses), min(20, len(outcome.losses)))]


def _describe(comparison: Comparison, ground: Ground) -> Setting:
    good = ground.test.types.count(GOOD)
    return Setting(
        real=comparison.real.resolve().name,
        preset=comparison.preset,
        count=comparison.count,
        seeds=comparison.seeds,
        normals=len(ground.normals),
        test_anomalous=len(ground.test.types) - good,
        test_good=good,
        skipped_types=list(comparison.skip_types),
        parts_apart=comparison.parts is not None,
    )


class _Clock:
    """Progress in words: what runs, how far it is, and how long the rest will take at the speed so far."""

    def __init__(self, runs: int, steps: int, say: Callable[[str], None]) -> None:
        self._left, self._steps, self._say = runs, steps, say
        self._trained_steps, self._trained_s = 0, 0.0
        self._name, self._begun, self._said, self._done = "", 0.0, 0.0, 0

    def start(self, name: str, seed: int) -> None:
        self._name, self._begun, self._said, self._done = f"{name}, seed {seed}", monotonic(), monotonic(), 0

    def step(self, step: int, loss: float) -> None:
        self._done = step
        if monotonic() - self._said >= _REPORT_EVERY_S and step < self._steps:
            self._said = monotonic()
            self._say(f"{self._name}: step {step} of {self._steps}, loss {loss:.4f}, {self._time_left()}")

    def skip(self, name: str, seed: int, result: Result) -> None:
        self._left -= 1
        self._say(f"{name}, seed {seed}: pixel AP {100 * result.last.pixel_ap:.1f}, kept from an earlier run")

    def finish(self, result: Result) -> None:
        self._trained_steps, self._trained_s = self._trained_steps + self._steps, self._trained_s + result.seconds
        self._left -= 1
        self._name, self._begun, self._done = "", monotonic(), 0
        self._say(
            f"{result.contender}, seed {result.seed}: pixel AP {100 * result.last.pixel_ap:.1f}, image AP "
            f"{100 * result.last.image_ap:.1f} after {result.seconds:.0f} s; {self._left} to go, {self._time_left()}"
        )

    def _time_left(self) -> str:
        trained = self._trained_s + (monotonic() - self._begun if self._name else 0.0)
        a_step = trained / max(1, self._trained_steps + self._done)
        minutes = a_step * (self._left * self._steps - self._done) / 60
        return f"about {minutes:.0f} min left"
