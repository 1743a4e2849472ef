"""Parquet tables of rows: written with Hugging Face `datasets`, and read back only for what they were made for.

Messages and tools are JSON columns (`Json`), so that arguments keep their own keys; images are inside, as PNG. Rows of text
alone have no column for them: TRL takes a table with one for that of a model that sees.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Image, Json, List, Value, disable_progress_bars, enable_progress_bars
from datasets.utils import are_progress_bars_disabled

from anomalyagent.configs.paths import temporary_beside
from anomalyagent.errors import RunError, TraceError
from anomalyagent.graph.trace import SCHEMA_VERSION, ImageEntry
from anomalyagent.graph.wire import tools_digest
from anomalyagent.training.rows.make import Row, image_name

__all__ = ["read_table", "write_table"]

_MOST_IN_MEMORY = 2 * 2**30
"""Bytes of a table that is read whole; larger ones are unpacked on disk and mapped."""
_JSON = ("messages", "prompt", "chosen", "rejected", "tools")
_TEXT = (
    "id",
    "run",
    "item",
    "anomaly_type",
    "policy",
    "kind",
    "outcome",
    "tools_sha256",
    "config_sha256",
    "pair",
    "normal_sha256",
)
_NUMBERS = {
    "score": "float64",
    "reward": "float64",
    "chosen_score": "float64",
    "rejected_score": "float64",
    "trace_version": "int32",
    "seed": "int64",
    "max_rounds": "int32",
}


def write_table(path: Path, rows: Iterable[Row], folders: Mapping[str, Path]) -> int:
    """Write rows to one parquet file, atomically.

    Args:
        folders: run id -> its folder, where the images lie.
    Returns:
        The number of rows; no file is written when there are none.
    Raises:
        TraceError: an image is gone.
        RunError: the file cannot be written.
    """
    filled = [{**row, "images": [_picture(entry, folders[row["run"]]) for entry in row["images"]]} for row in rows]
    if not filled:
        path.unlink(missing_ok=True)
        return 0
    if not any(row["images"] for row in filled):
        filled = [{name: value for name, value in row.items() if name != "images"} for row in filled]
    features = Features({name: _feature(name) for name in filled[0]})
    table = Dataset.from_list(filled, features=features)
    part = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _quiet():
            table.to_parquet(str(part))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror or error}. Make room or choose another folder.") from error
    return len(filled)


def _loaded(path: Path) -> Dataset:
    """`datasets` itself keeps an unpacked copy of each table in the user's home, found again by path and time alone."""
    if path.is_file() and path.stat().st_size <= _MOST_IN_MEMORY:
        parquet: Any = import_module("pyarrow.parquet")  # `datasets` brings it; it has no types
        return Dataset(parquet.read_table(str(path)))
    return Dataset.from_parquet(str(path))


def read_table(path: Path) -> Dataset:
    """Rows that this program's tools and traces fit.

    Raises:
        TraceError: the file is damaged, or its rows were made for another trace version or other tools.
    """
    try:
        table = _loaded(path)
    except Exception as error:  # the library raises whatever its readers raise
        raise TraceError(
            f"{path} cannot be read as a table of rows ({type(error).__name__}: {error}). Export it anew."
        ) from error
    wanted: dict[str, Any] = {"trace_version": SCHEMA_VERSION, "tools_sha256": tools_digest()}
    for name, value in wanted.items():
        if name not in table.column_names:
            raise TraceError(f"{path} has no column {name!r}: it was not written by `anomalyagent traces export`.")
        others = sorted({str(one) for one in table.unique(name)} - {str(value)})
        if others:
            what = "trace version" if name == "trace_version" else "tool schemas (digest)"
            raise TraceError(
                f"{path} was made for other {what}: {', '.join(others)}; this program has {value}. Export the runs anew with "
                "this version, or train with the version that wrote them."
            )
    return table


@contextmanager
def _quiet() -> Generator[None]:
    """Without the library's progress bars."""
    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _picture(entry: ImageEntry, folder: Path) -> dict[str, Any]:
    try:
        return {"bytes": (folder / entry.ref).read_bytes(), "path": image_name(entry)}
    except OSError as error:
        raise TraceError(
            f"the image {entry.ref} of {folder} is gone ({error.strerror}). Restore it, or leave the run out."
        ) from error


def _feature(name: str) -> Any:
    if name in _JSON:
        return List(Json())
    if name == "images":
        return List(Image())
    return Value("string") if name in _TEXT else Value(_NUMBERS[name])
