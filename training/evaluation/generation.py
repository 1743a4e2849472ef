"""`evaluate generation`: IS and IC-LPIPS of contenders on one item, for each anomaly type and their mean."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from anomalyagent.errors import ImageError
from anomalyagent.graph.files import write_atomically
from anomalyagent.training.datasets.files import Labelled, decode_image
from anomalyagent.training.evaluation.datasets import Images, read_labelled, read_real
from anomalyagent.training.evaluation.diversity import CLUSTER_MOST, SIDE_PX, SPLITS, InceptionScorer, Perceptual, as_sides
from anomalyagent.training.evaluation.keeping import digest_of, keep
from anomalyagent.training.evaluation.markdown import as_figure, as_table
from anomalyagent.training.evaluation.paper import PAPER
from anomalyagent.training.evaluation.weights import Weights

__all__ = ["Generation", "TypeGeneration", "evaluate_generation", "mean_of", "write_generation"]

_PROTOCOL = 1


class TypeGeneration(BaseModel):
    """One contender on one type. None where a metric cannot be worked out; `notes` say why.

    Attributes:
        images, references: how many were looked at.
        clusters: images nearest to each reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    contender: str
    anomaly_type: str
    images: int
    references: int
    inception_score: float | None
    ic_lpips: float | None
    clusters: list[int]
    notes: list[str]


class Generation(BaseModel):
    """One contender on one item: its types, and their means."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contender: str
    item: str
    inception_score: float | None
    ic_lpips: float | None
    types: list[TypeGeneration]


def evaluate_generation(
    real: Path,
    synthetic: Mapping[str, Path],
    inception: Weights | None,
    vgg: Weights | None,
    work: Path,
    say: Callable[[str], None],
    *,
    count: int = 500,
    skip_types: Sequence[str] = (),
) -> list[Generation]:
    """Metrics of each contender; what is finished is kept in `work`.

    Args:
        inception, vgg: None leaves IS or IC-LPIPS out.
        count: images of each type at most, the first ones.
    Raises:
        ImageError: a folder cannot be read.
    """
    references: dict[str, list[Labelled]] = {}
    for file in read_real(real, skip_types).few_shot:
        references.setdefault(file.anomaly_type, []).append(file)
    scorer = InceptionScorer(inception.path) if inception and inception.path else None
    perceptual = Perceptual(vgg.path) if vgg and vgg.path else None
    marks = [weights.note if weights else "" for weights in (inception, vgg)]
    found: list[Generation] = []
    for name, folder in synthetic.items():
        groups: dict[str, list[Labelled]] = {}
        for file in read_labelled(folder):
            groups.setdefault(file.anomaly_type, []).append(file)
        types: list[TypeGeneration] = []
        for kind, files in groups.items():
            if kind in skip_types:
                continue
            images, anchors = _load(files[:count]), _load(references.get(kind, []))
            key = digest_of([_PROTOCOL, name, kind, *marks, SPLITS, CLUSTER_MOST], images, anchors)

            def make(kind: str = kind, images: Images = images, anchors: Images = anchors, name: str = name) -> TypeGeneration:
                return _measure(name, kind, images, anchors, scorer, perceptual)

            one, kept = keep(work, f"generation-{key}", TypeGeneration, make)
            types.append(one)
            say(f"{name}, {kind}: {_say(one)}{', kept from an earlier run' if kept else ''}")
        if not types:
            raise ImageError(f"'{name}' has no images of a type that was not left out.")
        score = mean_of([one.inception_score for one in types])
        spread = mean_of([one.ic_lpips for one in types])
        found.append(Generation(contender=name, item=real.resolve().name, inception_score=score, ic_lpips=spread, types=types))
    return found


def mean_of(values: Sequence[float | None]) -> float | None:
    """Mean of those that are there; None of none."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def write_generation(out: Path, found: Sequence[Generation], weights: Sequence[str]) -> None:
    """Write `out` (Markdown) and the JSON beside it."""
    rows: list[tuple[str, ...]] = [
        (one.method, "15 items", "-", "-", as_figure(one.inception_score), as_figure(one.ic_lpips))
        for one in PAPER
        if one.inception_score is not None or one.ic_lpips is not None
    ]
    for one in found:
        for kind in one.types:
            figures = as_figure(kind.inception_score, 3), as_figure(kind.ic_lpips, 3)
            rows.append((one.contender, kind.anomaly_type, str(kind.images), str(kind.references), *figures))
        figures = as_figure(one.inception_score, 3), as_figure(one.ic_lpips, 3)
        rows.append((f"**{one.contender}**", "**mean**", str(sum(kind.images for kind in one.types)), "-", *figures))
    notes = [f"- {one.contender}, {kind.anomaly_type}: {note}" for one in found for kind in one.types for note in kind.notes]
    text = (
        f"Generated images of {found[0].item} at {SIDE_PX} px. IS: mean of {SPLITS} splits (torch-fidelity). IC-LPIPS: mean "
        f"pairwise LPIPS-VGG of the images nearest to each real defect of the first third, at most {CLUSTER_MOST} "
        "(lpips). Means over the types. Rows without a count are the paper's, over all of MVTec AD: of one item they are for "
        "orientation.\n\n"
        + "".join(f"- {one}\n" for one in weights)
        + "\n"
        + as_table(("contender", "type", "images", "references", "IS", "IC-LPIPS"), rows, names=2)
        + "\n"
    )
    write_atomically(out, (text + ("\n" + "\n".join(notes) + "\n" if notes else "")).encode())
    record = {"weights": list(weights), "contenders": [one.model_dump(mode="json") for one in found]}
    write_atomically(out.with_suffix(".json"), (json.dumps(record, indent=2) + "\n").encode())


def _measure(
    name: str, kind: str, images: Images, anchors: Images, scorer: InceptionScorer | None, perceptual: Perceptual | None
) -> TypeGeneration:
    notes: list[str] = []
    score = clustered = None
    if scorer is not None:
        if len(images) >= 2 * SPLITS:
            score = scorer.score(images)
        else:
            notes.append(f"IS needs at least {2 * SPLITS} images, got {len(images)}")
    if perceptual is not None:
        if len(anchors):
            clustered = perceptual.cluster(images, anchors)
            if clustered.value is None:
                notes.append("no reference is the nearest of two images")
        else:
            notes.append(f"the real set has no reference of type {kind}: no such type, or fewer than three images of it")
    return TypeGeneration(
        contender=name,
        anomaly_type=kind,
        images=len(images),
        references=len(anchors),
        inception_score=score,
        ic_lpips=clustered.value if clustered else None,
        clusters=clustered.sizes if clustered else [],
        notes=notes,
    )


def _load(files: Sequence[Labelled]) -> Images:
    if not files:
        return np.zeros((0, SIDE_PX, SIDE_PX, 3), np.uint8)
    return np.stack([as_sides(decode_image(file.image)) for file in files])


def _say(one: TypeGeneration) -> str:
    parts = [f"IS {one.inception_score:.3f}"] if one.inception_score is not None else []
    parts += [f"IC-LPIPS {one.ic_lpips:.3f}"] if one.ic_lpips is not None else []
    return ", ".join([*parts, *one.notes]) or "nothing was asked for"
