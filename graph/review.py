"""What a person said about trajectories: keep, drop or fix, with a note; and how far that agrees with the judge.

    <run>/reviews.jsonl     one JSON object a line, only ever appended; the last line about a trajectory counts

A line is written in one call and brought to the disk before `record_verdict` returns. One that was cut off (a power cut, a full
disk) is skipped when it is read, and the next one starts on a line of its own.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from anomalyagent.configs.faults import first_fault
from anomalyagent.errors import RunError
from anomalyagent.graph.locate import find_in_run
from anomalyagent.graph.runfile import now
from anomalyagent.graph.trace import Outcome

__all__ = [
    "REVIEWS_FILE",
    "VERDICTS",
    "Agreement",
    "Review",
    "Verdict",
    "agreement",
    "cohens_kappa",
    "read_history",
    "read_reviews",
    "record_verdict",
]

REVIEWS_FILE = "reviews.jsonl"
Verdict = Literal["keep", "drop", "fix"]
VERDICTS: tuple[Verdict, ...] = ("keep", "drop", "fix")
MOST_NOTE_CHARACTERS = 4000
LOCK_TIMEOUT_S = 60.0


class Review(BaseModel):
    """One line of the file. `verdict` None takes an earlier one back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trajectory: str
    verdict: Verdict | None
    note: str = Field(default="", max_length=MOST_NOTE_CHARACTERS)
    reviewer: str = ""
    at: str = Field(description="UTC, ISO 8601.")


@dataclass(frozen=True)
class Agreement:
    """Judge and reviewer over the trajectories that both judged; failed ones are left out.

    The judge says yes when it accepted, the reviewer when the verdict is keep: what must be fixed is not good as it is.

    Attributes:
        table: (judge's outcome, verdict) -> how many.
        share: of the trajectories on which they agree.
        kappa: Cohen's; None where it is not defined (nothing reviewed, or both always said the same one thing).
    """

    table: Mapping[tuple[Outcome, Verdict], int]
    reviewed: int
    share: float | None
    kappa: float | None
    overruled_accepted: tuple[str, ...]
    overruled_rejected: tuple[str, ...]


def record_verdict(run_dir: Path, trajectory: str, verdict: Verdict | None, note: str = "", reviewer: str = "") -> Review:
    """Append one verdict; None takes an earlier one back.

    Raises:
        TraceError: the run has no such trajectory.
        RunError: the note is too long, or the file cannot be written.
    """
    find_in_run(run_dir, trajectory)
    try:
        review = Review(trajectory=trajectory, verdict=verdict, note=note.strip(), reviewer=reviewer, at=now())
    except ValidationError as error:
        raise RunError(f"this verdict cannot be stored: {first_fault(error)}; received {len(note)} characters.") from error
    line = json.dumps(review.model_dump(mode="json"), ensure_ascii=True).encode() + b"\n"
    path = run_dir / REVIEWS_FILE
    try:
        with FileLock(run_dir / f".{REVIEWS_FILE}.lock", timeout=LOCK_TIMEOUT_S):
            file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                size = os.fstat(file).st_size
                torn = size > 0 and _last_byte(path) != b"\n"
                data = b"\n" + line if torn else line
                if os.write(file, data) != len(data):
                    raise OSError("only a part was written")
                os.fsync(file)
            finally:
                os.close(file)
    except (OSError, Timeout) as error:
        raise RunError(
            f"the verdict on {trajectory} was not stored in {path}: {error}. Make room or fix the permissions."
        ) from error
    return review


def read_history(run_dir: Path) -> list[Review]:
    """Every verdict in the order in which they were given; lines that were cut off or edited are skipped.

    Raises:
        RunError: the file is there and cannot be read.
    """
    path = run_dir / REVIEWS_FILE
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}. Fix its permissions.") from error
    found: list[Review] = []
    for line in raw.split(b"\n"):
        try:
            found.append(Review.model_validate_json(line))
        except ValidationError:
            continue
    return found


def read_reviews(run_dir: Path) -> dict[str, Review]:
    """The verdict that counts for each reviewed trajectory, by its id.

    Raises:
        RunError: as `read_history`.
    """
    latest: dict[str, Review] = {}
    for review in read_history(run_dir):
        latest.pop(review.trajectory, None)
        if review.verdict is not None:
            latest[review.trajectory] = review
    return latest


def agreement(outcomes: Mapping[str, Outcome], reviews: Mapping[str, Review]) -> Agreement:
    """How far judge and reviewer agree.

    Args:
        outcomes: how each trajectory ended, by id; what was not reviewed may be in it.
        reviews: as `read_reviews` gives them.
    """
    table: dict[tuple[Outcome, Verdict], int] = {}
    judge: list[bool] = []
    person: list[bool] = []
    overruled: dict[bool, list[str]] = {True: [], False: []}
    for name, review in reviews.items():
        outcome = outcomes.get(name, "failed")
        if outcome == "failed" or review.verdict is None:
            continue
        table[outcome, review.verdict] = table.get((outcome, review.verdict), 0) + 1
        good, kept = outcome == "accepted", review.verdict == "keep"
        judge.append(good)
        person.append(kept)
        if good != kept:
            overruled[good].append(name)
    same = sum(a == b for a, b in zip(judge, person, strict=True))
    return Agreement(
        table=table,
        reviewed=len(judge),
        share=same / len(judge) if judge else None,
        kappa=cohens_kappa(judge, person),
        overruled_accepted=tuple(overruled[True]),
        overruled_rejected=tuple(overruled[False]),
    )


def cohens_kappa(a: Sequence[bool], b: Sequence[bool]) -> float | None:
    """(p_o - p_e) / (1 - p_e): agreement beyond what two raters with these habits reach by chance; 1 is perfect, 0 is chance.

    Returns:
        None where p_e is 1 (both always said the same one thing) or there is nothing to compare.
    Source: Cohen, A Coefficient of Agreement for Nominal Scales, 1960.
    """
    if len(a) != len(b):
        raise ValueError(f"two raters of the same things are needed; received {len(a)} and {len(b)} ratings.")
    if not a:
        return None
    yes_a, yes_b = sum(a) / len(a), sum(b) / len(b)
    chance = yes_a * yes_b + (1 - yes_a) * (1 - yes_b)
    if 1 - chance < 1e-12:
        return None
    same = sum(x == y for x, y in zip(a, b, strict=True)) / len(a)
    return (same - chance) / (1 - chance)


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)
