"""`dataset export`: a run, or any data set in a known layout, in the format of the tool that is to train on it.

    mvtec      <item>/{train/good,test/good,test/<type>,ground_truth/<type>}: anomalib and every other reader of MVTec AD
    coco       images/{train,val}/, annotations/instances_{train,val}.json (RLE, one annotation for each part of a defect)
    yolo-seg   images/{train,val}/, labels/{train,val}/, data.yaml (outlines)
    hf         {train,validation}/metadata.jsonl with image and mask columns: load_dataset("imagefolder", data_dir=...)
    labelme    {train,val}/<stem>.json beside each image (outlines, editable by hand)

Each holds manifest.jsonl too: what is known of every image (seed, spec, scores, hashes, source photo, licence). An export
is built beside its place and moved there when it is whole.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from anomalyagent.errors import ConfigError, RunError
from anomalyagent.training.datasets.entries import gather_entries
from anomalyagent.training.datasets.files import GOOD
from anomalyagent.training.datasets.formats import coco, hf, labelme, mvtec, yolo

__all__ = ["FORMATS", "Exported", "export_dataset"]

FORMATS = {"mvtec": mvtec.write, "coco": coco.write, "yolo-seg": yolo.write, "hf": hf.write, "labelme": labelme.write}


class Exported(NamedTuple):
    """What was written. `notes`: what a user should know, such as details that a format cannot hold."""

    folder: Path
    images: int
    anomalies: int
    held_out: int
    notes: list[str]


def export_dataset(
    sources: Sequence[Path],
    format_name: str,
    out: Path,
    *,
    holdout: float = 0.2,
    item: str | None = None,
    licence: str = "",
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Exported:
    """Write an export.

    Args:
        sources: folders of runs, or data sets in any known layout.
        out: must not exist, or be empty.
        holdout: share of the good photos, and of what was drawn on them, for validation.
        licence: of the images, for the manifest and the places that a format has for it.
    Raises:
        ConfigError: the format is unknown.
        ImageError: a source cannot be read.
        RunError: the folder is not empty, or cannot be written.
    """
    if format_name not in FORMATS:
        raise ConfigError(f"unknown format '{format_name}'; known: {', '.join(FORMATS)}.")
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise RunError(f"{out} is not empty, and an export into it would mix two data sets. Delete it, or choose another.")
    entries = gather_entries(sources, holdout, item)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as beside:
            building = Path(beside) / "export"
            building.mkdir()
            notes = FORMATS[format_name](entries, building, licence, progress)
            if out.is_dir():
                out.rmdir()
            building.rename(out)
    except OSError as error:
        raise RunError(f"cannot write {out}: {error.strerror or error}.") from error
    anomalies = sum(one.anomaly_type != GOOD for one in entries)
    held_out = sum(one.split == "val" for one in entries)
    if holdout and not held_out and format_name != "mvtec":  # which says so itself
        notes.append("nothing could be held out for validation: that takes two good photos.")
    return Exported(out, len(entries), anomalies, held_out, notes)
