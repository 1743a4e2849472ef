"""`evaluate classify`: every contender trained and tested with every seed by the protocol of `classify.py`, and the table."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from anomalyagent.errors import ConfigError, ImageError
from anomalyagent.graph.files import write_atomically
from anomalyagent.training.evaluation.classify import ClassifyPreset, check_types, train_and_name
from anomalyagent.training.evaluation.contenders import ORACLE
from anomalyagent.training.evaluation.datasets import GOOD, Stack, load_stack, read_labelled, read_real
from anomalyagent.training.evaluation.keeping import check_table, digest_of, keep
from anomalyagent.training.evaluation.markdown import as_share, as_table
from anomalyagent.training.evaluation.weights import Weights

__all__ = ["Naming", "NamingResult", "compare_naming"]

_PROTOCOL = 2


@dataclass(frozen=True)
class Naming:
    """What is compared. `out`: the Markdown table; CSV and JSON lie beside it."""

    real: Path
    synthetic: Mapping[str, Path]
    oracle: bool
    seeds: int
    preset: ClassifyPreset
    weights: Weights
    out: Path
    work: Path
    skip_types: Sequence[str] = ()


class NamingResult(BaseModel):
    """One contender, trained and tested with one seed. Accuracies in 0..1.

    Attributes:
        images: that it was trained on: of the types to name, at most so many of each as the preset says.
        accuracy, best_on_test: of the last weights, and of the epoch that was best on the test set.
        by_type: accuracy on the images of each type.
        named: for each true type, how often each type was answered.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    contender: str
    few_shot: bool
    seed: int
    images: int
    accuracy: float
    best_on_test: float
    by_type: dict[str, float]
    named: dict[str, dict[str, int]]
    losses: list[float]
    seconds: float
    torch: str
    device: str


def compare_naming(naming: Naming, say: Callable[[str], None]) -> list[NamingResult]:
    """Run a comparison, or what is left of it.

    Raises:
        ConfigError, ImageError, RunError: the inputs make no sense or cannot be read, or results cannot be kept.
    """
    check_table(naming.out)
    if not naming.synthetic and not naming.oracle:
        raise ConfigError("nothing to evaluate: give --synthetic NAME=DIR or --oracle.")
    if ORACLE in naming.synthetic:
        raise ConfigError(f"'{ORACLE}' is the name of the real defects; give your data set another one.")
    split = read_real(naming.real, naming.skip_types)
    size_px = naming.preset.size_px
    test = load_stack([file for file in split.test if file.anomaly_type != GOOD], size_px)
    contenders = {ORACLE: load_stack(split.few_shot, size_px)} if naming.oracle else {}
    if naming.oracle and (few := sorted({file.anomaly_type for file in split.test} - {GOOD, *contenders[ORACLE].types})):
        raise ImageError(
            f"the oracle needs at least three real images of each type, and {', '.join(few)} has fewer; leave it out with "
            "--no-oracle, or those types with --skip-type."
        )
    for name, folder in naming.synthetic.items():
        contenders[name] = load_stack(read_labelled(folder), size_px)
    classes = {name: check_types(name, stack, test) for name, stack in contenders.items()}
    say(
        f"{len(contenders)} contenders x {naming.seeds} seeds on {naming.real.resolve().name}: {len(test.types)} "
        "real defects of "
        f"{len(set(test.types))} types; {naming.weights.note}"
    )
    results: list[NamingResult] = []
    for seed in range(naming.seeds):
        for name, stack in contenders.items():
            facts = [_PROTOCOL, asdict(naming.preset), naming.weights.note, seed, stack.types, test.types]
            key = digest_of(facts, stack.images, test.images)

            def make(name: str = name, stack: Stack = stack, seed: int = seed) -> NamingResult:
                return _train(name, stack, test, classes[name], naming, seed, say)

            result, kept = keep(naming.work, f"classify-{name}-s{seed}-{key}", NamingResult, make)
            say(f"{name}, seed {seed}: accuracy {100 * result.accuracy:.1f}" + (", kept from an earlier run" if kept else ""))
            results.append(result)
            _write(naming, len(test.types), results)
    return results


def _train(
    name: str, stack: Stack, test: Stack, classes: list[str], naming: Naming, seed: int, say: Callable[[str], None]
) -> NamingResult:
    begun = monotonic()
    if not len(stack.images):
        raise ImageError(f"'{name}' has no images.")
    answers = train_and_name(
        stack,
        test,
        classes,
        naming.preset,
        naming.weights.path,
        seed,
        lambda epoch, epochs, loss: say(f"{name}, seed {seed}: epoch {epoch} of {epochs}, loss {loss:.3f}"),
    )
    truth = np.array([classes.index(kind) for kind in test.types])
    right = answers.last == truth
    named = {
        kind: {other: int(np.sum((truth == place) & (answers.last == number))) for number, other in enumerate(classes)}
        for place, kind in enumerate(classes)
    }
    return NamingResult(
        contender=name,
        few_shot=name == ORACLE,
        seed=seed,
        images=sum(min(naming.preset.most, stack.types.count(kind)) for kind in classes),
        accuracy=float(right.mean()),
        best_on_test=answers.best_on_test,
        by_type={kind: float(right[truth == place].mean()) for place, kind in enumerate(classes)},
        named=named,
        losses=answers.losses,
        seconds=monotonic() - begun,
        torch=torch.__version__,
        device=torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {torch.get_num_threads()} threads",
    )


def _write(naming: Naming, tested: int, results: Sequence[NamingResult]) -> None:
    write_atomically(naming.out, _as_markdown(naming, tested, results).encode())
    record = {
        "real": naming.real.resolve().name,
        "preset": asdict(naming.preset),
        "weights": naming.weights.note,
        "test_images": tested,
        "skipped_types": list(naming.skip_types),
        "results": [one.model_dump(mode="json") for one in results],
    }
    write_atomically(naming.out.with_suffix(".json"), (json.dumps(record, indent=2) + "\n").encode())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["contender", "few_shot", "seed", "images", "accuracy", "best_on_test", "seconds"])
    for one in results:
        figures = [f"{one.accuracy:.5f}", f"{one.best_on_test:.5f}", f"{one.seconds:.1f}"]
        writer.writerow([one.contender, int(one.few_shot), one.seed, one.images, *figures])
    write_atomically(naming.out.with_suffix(".csv"), text.getvalue().encode())


def _passes(naming: Naming, results: Sequence[NamingResult]) -> str:
    """`1 pass`; `1 to 8 passes` where contenders with few images get more."""
    each = sorted({naming.preset.passes_over(one.images) for one in results})
    span = f"{each[0]}" if len(each) == 1 else f"{each[0]} to {each[-1]}"
    return f"{span} pass{'' if each[-1] == 1 else 'es'}"


def _as_markdown(naming: Naming, tested: int, results: Sequence[NamingResult]) -> str:
    groups: dict[str, list[NamingResult]] = {}
    for one in results:
        groups.setdefault(one.contender, []).append(one)
    kinds = sorted(results[0].by_type)
    rows = [
        (
            name + (" (few-shot)" if group[0].few_shot else ""),
            str(group[0].images),
            str(len(group)),
            as_share([one.accuracy for one in group]),
            as_share([one.best_on_test for one in group]),
            *(as_share([one.by_type[kind] for one in group]) for kind in kinds),
        )
        for name, group in groups.items()
    ]
    preset = naming.preset
    left_out = f" Left out: {', '.join(naming.skip_types)}." if naming.skip_types else ""
    intro = (
        f"Classification on {naming.real.resolve().name}: ResNet34 ({naming.weights.note}), {preset.size_px} px, "
        f"{preset.epochs} epochs of {_passes(naming, results)}, batches of {preset.batch}, Adam {preset.learning_rate:g}. "
        f"Test: {tested} real defects "
        f"(the last two thirds of each type).{left_out} Accuracy in percent, mean ± standard deviation over the "
        "seeds; guessing "
        f"gives {100 / len(kinds):.0f}. The last weights are the result; the oracle is trained on the first third "
        "of the real ones."
    )
    return f"{intro}\n\n{as_table(('contender', 'images', 'seeds', 'accuracy', 'best on test', *kinds), rows)}\n"
