"""`evaluate good-samples`: the paper's expert protocol, as a blind review page, and what our judge expects of it.

The paper: three experts each rate realism and semantic consistency from 0 to 10; a sample is good when each of them gives at
least 8 on both. Experts see a sample without knowing who made it, in an order of their own.

    <out>/review.html           one page, works offline; keeps what was rated, downloads ratings-<expert>.json
    <out>/key.json              which sample is whose: not for the experts
    <out>/ratings-*.json        put back here; `evaluate good-samples --out DIR` then counts them
    <out>/good_samples.md/.json the result
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files as resource_files
from math import sqrt
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anomalyagent.configs.faults import first_fault
from anomalyagent.configs.schema import Settings
from anomalyagent.errors import RunError
from anomalyagent.graph.files import write_atomically
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.training.datasets.entries import read_manifest
from anomalyagent.training.datasets.files import Labelled, decode_image
from anomalyagent.training.datasets.layouts import find_categories
from anomalyagent.training.evaluation.datasets import choose, read_labelled
from anomalyagent.training.evaluation.markdown import as_figure, as_table

__all__ = ["GOOD_FROM", "GoodRate", "Rating", "count_ratings", "make_review", "wilson"]

GOOD_FROM = 8
"""Of 10, on both scales, from every expert."""
EXPERTS = 3
_SIDE_PX = 512


class Rating(BaseModel):
    """What an expert gave a sample."""

    model_config = ConfigDict(extra="forbid")

    realism: int = Field(ge=0, le=10)
    consistency: int = Field(ge=0, le=10)
    note: str = ""


class _Ratings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    review: str
    expert: str
    ratings: dict[str, Rating]


class _Sample(BaseModel):
    model_config = ConfigDict(extra="forbid")

    contender: str
    image: str
    item: str
    anomaly_type: str
    judge_location: float | None
    judge_quality: float | None


class _Key(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    review: str
    samples: dict[str, _Sample]


class GoodRate(NamedTuple):
    """One contender. Shares in 0..1, with a 95 % interval.

    Attributes:
        rated: samples that every expert rated; `good`: share of them that is good, None when there is none.
        agreement: share of the rated samples on which all experts agree; None with fewer than two.
        judged, judge_good: samples that our judge could look at, and the share on which it gives 4 of 5 and more twice.
    """

    contender: str
    samples: int
    experts: int
    rated: int
    good: float | None
    interval: tuple[float, float] | None
    agreement: float | None
    judged: int
    judge_good: float | None
    judge_interval: tuple[float, float] | None


def make_review(
    synthetic: Mapping[str, Path],
    out: Path,
    settings: Settings,
    say: Callable[[str], None],
    *,
    count: int = 50,
    seed: int = 0,
) -> Path:
    """Draw samples, let the judge look at them, and write the page.

    Args:
        count: samples of each contender, evenly over its items and types.
    Raises:
        ImageError: a folder cannot be read.
        RunError: the folder holds a review already, or cannot be written.
    """
    if (out / "key.json").exists():
        raise RunError(f"{out} holds a review already; its ratings would be lost. Choose another folder.")
    samples: dict[str, _Sample] = {}
    cards: list[dict[str, str]] = []
    for name, folder in synthetic.items():
        drawn = _draw(name, folder, count, seed, settings)
        say(f"{name}: {len(drawn)} samples")
        for one, sample in drawn:
            image = decode_image(one)
            # Pixels, not files: a name or a format would tell who made it.
            about = f"{seed} {name} {sample.item} {sample.anomaly_type}"
            digest = hashlib.sha256(about.encode() + image.tobytes()).hexdigest()[:16]
            if digest in samples:  # the same picture under two file names
                continue
            samples[digest] = sample
            item, kind = _caption(sample.item), _caption(sample.anomaly_type)
            cards.append({"id": digest, "item": item, "type": kind, "image": _as_uri(image)})
    if (blind := _blindness(samples.values())) != "blind":
        say(blind)
    order = np.random.default_rng([seed, 19]).permutation(len(cards)).tolist()
    review = hashlib.sha256("".join(sorted(samples)).encode()).hexdigest()[:12]
    page = resource_files("anomalyagent.training.evaluation").joinpath("review.html").read_text("utf-8")
    data = json.dumps({"review": review, "samples": [cards[place] for place in order]}, ensure_ascii=False)
    write_atomically(out / "review.html", page.replace("/*DATA*/null", data.replace("<", "\\u003c")).encode())
    write_atomically(out / "key.json", (_Key(review=review, samples=samples).model_dump_json(indent=1) + "\n").encode())
    return out / "review.html"


def count_ratings(out: Path) -> list[GoodRate]:
    """Count the ratings that lie in a review's folder, and write good_samples.md and .json.

    Raises:
        RunError: it holds no review, ratings of another one, two by one expert, or a damaged file.
    """
    if not (out / "key.json").is_file():
        raise RunError(f"{out} holds no review: make one with --synthetic NAME=DIR.")
    key = _read(out / "key.json", _Key)
    given = {path.name: _read(path, _Ratings) for path in sorted(out.glob("ratings-*.json"))}
    for name, one in given.items():
        if one.review != key.review:
            raise RunError(
                f"{name}: the ratings of {one.expert!r} belong to the review {one.review}, not to {key.review} in {out}. "
                "Move the file to its own review."
            )
    files: dict[str, list[str]] = {}
    for name, one in given.items():
        files.setdefault(one.expert, []).append(name)
    for expert, names in files.items():
        if len(names) > 1:
            raise RunError(f"{out} holds two ratings by {expert}, and an expert counts once: keep one of {', '.join(names)}.")
    contenders = list(dict.fromkeys(sample.contender for sample in key.samples.values()))
    rates = [_rate(name, key, list(given.values())) for name in contenders]
    write_atomically(out / "good_samples.md", _as_markdown(rates, _blindness(key.samples.values())).encode())
    record = [one._asdict() for one in rates]
    write_atomically(out / "good_samples.json", (json.dumps(record, indent=2) + "\n").encode())
    return rates


def wilson(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share by Wilson (1927), 0..1."""
    z = 1.96
    share, spread = hits / of, z * z / of
    half = z * sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    middle = (share + spread / 2) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


_File = TypeVar("_File", bound=BaseModel)


def _read(path: Path, kind: type[_File]) -> _File:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValidationError as error:
        raise RunError(
            f"{path} is damaged: {first_fault(error, 'the file')}. Put the file there again as it was made."
        ) from error


def _rate(name: str, key: _Key, given: Sequence[_Ratings]) -> GoodRate:
    mine = {digest: sample for digest, sample in key.samples.items() if sample.contender == name}
    rated = [digest for digest in mine if given and all(digest in one.ratings for one in given)]
    votes = {digest: [_is_good(one.ratings[digest]) for one in given] for digest in rated}
    good = sum(all(one) for one in votes.values())
    scores = [(one.judge_location, one.judge_quality) for one in mine.values()]
    judged = [pair for pair in scores if pair[0] is not None and pair[1] is not None]
    passed = sum(min(pair[0] or 0.0, pair[1] or 0.0) >= GOOD_FROM / 2 for pair in judged)
    agree = sum(len(set(one)) == 1 for one in votes.values())
    return GoodRate(
        contender=name,
        samples=len(mine),
        experts=len(given),
        rated=len(rated),
        good=good / len(rated) if rated else None,
        interval=wilson(good, len(rated)) if rated else None,
        agreement=agree / len(rated) if rated and len(given) > 1 else None,
        judged=len(judged),
        judge_good=passed / len(judged) if judged else None,
        judge_interval=wilson(passed, len(judged)) if judged else None,
    )


def _is_good(rating: Rating) -> bool:
    return rating.realism >= GOOD_FROM and rating.consistency >= GOOD_FROM


def _draw(name: str, folder: Path, count: int, seed: int, settings: Settings) -> list[tuple[Path, _Sample]]:
    """(image, sample) of `count` anomaly images, evenly over the items of the folder and their types."""
    places: dict[Path, tuple[Path, str]] = {}
    files: list[Labelled] = []
    for root in find_categories(folder):
        found = read_labelled(root)
        places |= {file.image: (root, file.anomaly_type) for file in found}
        ranks = {kind: rank for rank, kind in enumerate(dict.fromkeys(file.anomaly_type for file in found))}
        files += [file._replace(anomaly_type=f"{ranks[file.anomaly_type]:04d} {root.resolve().name}") for file in found]
    files.sort(key=lambda file: file.anomaly_type)  # the first type of every item, then the second: few samples show all items
    records = {root: read_manifest(root) for root, _ in places.values()}
    judge: Any = None
    drawn: list[tuple[Path, _Sample]] = []
    for file in choose(files, count, seed):
        root, kind = places[file.image]
        record = records[root].get(file.image.relative_to(root).as_posix(), {})
        item = str(record.get("item") or root.resolve().name.replace("_", " "))
        kind = str(record.get("anomaly_type") or kind)
        normal = root / str(record.get("normal", ""))
        scores: tuple[float | None, float | None] = None, None
        if record.get("normal") and normal.is_file():
            if judge is None:
                from anomalyagent.mcp_tools.registry import create_backend

                judge = create_backend("quality_eval", settings)
            scores = _judge(judge, normal, file.image, item, kind)
        sample = _Sample(
            contender=name,
            image=str(file.image),
            item=item,
            anomaly_type=kind,
            judge_location=scores[0],
            judge_quality=scores[1],
        )
        drawn.append((file.image, sample))
    return drawn


def _judge(judge: Any, normal: Path, anomaly: Path, item: str, kind: str) -> tuple[float, float]:
    from anomalyagent.mcp_tools.imaging.photo import read_photo

    verdict = judge.judge(read_photo(normal), read_photo(anomaly), item, kind, 5.0)
    return verdict.location_score, verdict.quality_score


def _as_uri(image: np.ndarray[Any, Any]) -> str:
    data = cv2.imencode(".png", np.ascontiguousarray(reduced(image, _SIDE_PX)[..., ::-1]))[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _caption(name: str) -> str:
    """Worded alike: `bent_lead` beside `bent lead` would tell who made it."""
    return name.replace("_", " ")


def _blindness(samples: Iterable[_Sample]) -> str:
    """`blind`, or why an expert could tell the contenders apart."""
    items: dict[str, set[str]] = {}
    for sample in samples:
        items.setdefault(sample.contender, set()).add(_caption(sample.item))
    own = sorted(item for item in set[str]().union(*items.values()) if any(item not in one for one in items.values()))
    return f"not blind: captions tell the contenders apart, since not all of them have {', '.join(own)}" if own else "blind"


def _as_markdown(rates: Sequence[GoodRate], blind: str) -> str:
    experts = rates[0].experts
    heading = ("contender", "samples", "rated", "good", "95 %", "agreement", "judge's estimate", "95 %")
    rows = [
        (
            one.contender,
            str(one.samples),
            str(one.rated),
            _percent(one.good),
            _between(one.interval),
            _percent(one.agreement),
            _percent(one.judge_good),
            _between(one.judge_interval),
        )
        for one in rates
    ]
    fewer = "" if experts >= EXPERTS else f" **The paper asks {EXPERTS} experts, these are ratings of {experts}.**"
    return (
        f"Good samples, in percent: every expert gives at least {GOOD_FROM} of 10 for realism and for semantic consistency; "
        f"{experts} experts, {blind}.{fewer} The judge's estimate is the share on which it gives at least "
        f"{GOOD_FROM // 2} of 5 for "
        "location and for quality; it measures pixels and has no expert's eyes.\n\n" + as_table(heading, rows) + "\n"
    )


def _percent(share: float | None) -> str:
    return as_figure(None if share is None else 100 * share, 1)


def _between(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{100 * interval[0]:.0f} - {100 * interval[1]:.0f}"
