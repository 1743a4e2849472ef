"""Writing an export: a folder with the rows or files of some runs, their images, and a data card.

    sft, grpo, preference   train.parquet, test.parquet    messages and tools as JSON columns, images inside
    atif                    atif/<split>/<run>-<id>.json, atif/images/<sha>.png
    otel                    otel/<split>/<run>.jsonl       OpenTelemetry GenAI spans, OTLP/JSON, for observing (graph/otel.py)
    always                  README.md                      the data card

Same runs and filters: same rows in the same order.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from anomalyagent.errors import BackendUnavailableError, RunError, TraceError
from anomalyagent.graph.files import alone_in, link_or_copy, write_atomically
from anomalyagent.graph.inputs import hash_file
from anomalyagent.graph.trace import Trajectory
from anomalyagent.training.rows.atif import to_atif
from anomalyagent.training.rows.card import HEADING, write_card
from anomalyagent.training.rows.make import Row, grpo_rows, image_name, preference_rows, sft_rows
from anomalyagent.training.rows.redact import Redactor
from anomalyagent.training.rows.select import Chosen, Filters, Picked, pick

__all__ = ["FORMATS", "Exported", "Format", "export_traces"]

Format = Literal["sft", "grpo", "preference", "atif", "otel"]
FORMATS: tuple[Format, ...] = ("sft", "grpo", "preference", "atif", "otel")
CARD = "README.md"
_TABLES = ("train.parquet", "test.parquet")
_PLACES = (*_TABLES, "atif", "otel")


class Exported(NamedTuple):
    """What was written: split -> rows (files of formats that are no tables), and why trajectories were left out."""

    out: Path
    rows: dict[str, int]
    left_out: dict[str, int]
    redacted: int


def export_traces(
    runs: Sequence[Path], form: Format, out: Path, filters: Filters, *, system: bool = True, images: bool = True
) -> Exported:
    """Write the trajectories of some runs.

    Args:
        system: conversations begin with the tools and the format.
        images: with the images; False: text alone, for models that do not see.
    Raises:
        TraceError: a run cannot be read, nothing is left to export, or an image is gone.
        ConfigError: a filter cannot be used.
        RunError: the folder holds something else, another export writes into it, or it cannot be written.
        BackendUnavailableError: `datasets` is not installed.
    """
    if out.exists() and not _may_be_written(out):
        raise RunError(f"{out} is {'not empty' if out.is_dir() else 'a file'} and holds no export. Choose a new folder.")
    picked = pick(runs, filters)
    redactors: dict[Path, Redactor] = {}

    def redactor_of(one: Chosen) -> Redactor:
        return redactors.setdefault(one.run_dir, Redactor(one.run_dir))

    with alone_in(out):  # of two exports with other filters one would put into `train` what the other has in `test`
        if form == "atif":
            rows = _write_atif(picked, out, redactor_of)
        elif form == "otel":
            rows = _write_spans(picked, out, redactor_of)
        else:
            rows = _write_tables(picked, form, out, redactor_of, system=system, images=images)
        _forget_formats(out, form)
        redacted = sum(one.replaced for one in redactors.values())
        sources = sorted({one.trajectory.run_id for one in picked.chosen})
        card = write_card(picked, form, rows, redacted, sources, _digest(out / f"{split}.parquet" for split in rows))
        write_atomically(out / CARD, card.encode("utf-8"))
    return Exported(out, rows, dict(picked.left_out), redacted)


def _digest(tables: Iterable[Path]) -> str:
    """Of those that are there."""
    digest = hashlib.sha256()
    for path in tables:
        if path.is_file():
            digest.update(hash_file(path).encode())
    return digest.hexdigest()[:16]


def _may_be_written(out: Path) -> bool:
    """An empty folder, an export, or one that was cut off before its card was written."""
    if not out.is_dir():
        return False
    card = out / CARD
    if card.is_file():
        return HEADING in card.read_text("utf-8", "replace")
    return all(path.name in _PLACES or path.name.startswith(".") for path in out.iterdir())


def _write_tables(
    picked: Picked, form: Format, out: Path, redactor: Callable[[Chosen], Redactor], *, system: bool, images: bool
) -> dict[str, int]:
    try:
        from anomalyagent.training.rows.table import write_table
    except ModuleNotFoundError as error:
        raise BackendUnavailableError(
            f"tables need the Python module {error.name!r}, which is not installed. Run: pip install 'anomalyagent[train]'"
        ) from error
    counts: dict[str, int] = {}
    for split in ("train", "test"):
        chosen = [one for one in picked.chosen if one.split == split]
        if not chosen:
            (out / f"{split}.parquet").unlink(missing_ok=True)
            continue
        folders = {one.trajectory.run_id: one.run_dir for one in chosen}
        rows = _rows(form, chosen, redactor, system=system, images=images)
        counts[split] = write_table(out / f"{split}.parquet", rows, folders)
    if not any(counts.values()):
        raise TraceError(
            "no preference pair was found: it takes a trajectory with a failed and a passed round, or two of a task."
        )
    return counts


def _rows(
    form: Format, chosen: Sequence[Chosen], redactor: Callable[[Chosen], Redactor], *, system: bool, images: bool
) -> Iterable[Row]:
    if form == "sft":
        return sft_rows(chosen, redactor, system=system, images=images)
    if form == "grpo":
        return grpo_rows(chosen, redactor, system=system, images=images)
    return preference_rows(chosen, redactor, system=system, images=images)


def _write_spans(picked: Picked, out: Path, redactor: Callable[[Chosen], Redactor]) -> dict[str, int]:
    try:
        from anomalyagent.graph.otel import write_otlp_json
    except ModuleNotFoundError as error:
        raise BackendUnavailableError(
            f"spans need the Python module {error.name!r}, which is not installed. Run: pip install 'anomalyagent[otel]'"
        ) from error
    groups: dict[tuple[str, str], list[Chosen]] = {}
    for one in picked.chosen:
        groups.setdefault((one.split, one.trajectory.run_id), []).append(one)
    counts: dict[str, int] = {}
    for (split, run_id), ones in groups.items():
        clean = (Trajectory.model_validate(redactor(one).value(one.trajectory.model_dump(mode="json"))) for one in ones)
        written = io.StringIO()
        write_otlp_json(clean, ones[0].run_dir, written)
        write_atomically(out / "otel" / split / f"{run_id}.jsonl", written.getvalue().encode("utf-8"))
        counts[split] = counts.get(split, 0) + len(ones)
    _forget(out / "otel", {(split, f"{run_id}.jsonl") for split, run_id in groups})
    return counts


def _write_atif(picked: Picked, out: Path, redactor: Callable[[Chosen], Redactor]) -> dict[str, int]:
    counts: dict[str, int] = {}
    written: set[tuple[str, str]] = set()
    for one in picked.chosen:
        document = to_atif(one.trajectory, one.max_rounds, lambda entry: f"../images/{image_name(entry)}")
        redacted: dict[str, Any] = redactor(one).value(document)
        text = json.dumps(redacted, ensure_ascii=False, indent=1)
        name = f"{one.trajectory.run_id}-{one.trajectory.id}.json"
        write_atomically(out / "atif" / one.split / name, (text + "\n").encode("utf-8"))
        for entry in one.trajectory.images:
            target = out / "atif" / "images" / image_name(entry)
            written.add(("images", target.name))
            if not target.is_file():
                link_or_copy(one.run_dir / entry.ref, target, link=False)
        written.add((one.split, name))
        counts[one.split] = counts.get(one.split, 0) + 1
    _forget(out / "atif", written)
    return counts


def _forget_formats(out: Path, form: Format) -> None:
    """Delete what an earlier export wrote in another format: its splits may be others, and the card no longer tells of it."""
    kept = (form,) if form in ("atif", "otel") else _TABLES
    for name in _PLACES:
        place = out / name
        if name not in kept and place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        elif name not in kept:
            place.unlink(missing_ok=True)


def _forget(folder: Path, written: set[tuple[str, str]]) -> None:
    """Delete what an earlier export into the same folder left: with other filters, a trajectory may be of another split."""
    for path in folder.glob("*/*"):
        if path.is_file() and (path.parent.name, path.name) not in written:
            path.unlink()
