"""What the formats share: placing images and masks, the parts and outlines of a mask, the manifest."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import ImageError, RunError
from anomalyagent.graph.files import link_or_copy, write_atomically
from anomalyagent.training.datasets.entries import MANIFEST, Entry, shows_a_real_defect
from anomalyagent.training.datasets.files import GOOD, decode_pair

__all__ = [
    "EmptyMasks",
    "HolesFilled",
    "Mask",
    "Problem",
    "Progress",
    "describe",
    "load_mask",
    "name_of",
    "outlines_of",
    "parts_of",
    "place_image",
    "place_mask",
    "place_png",
    "place_truth",
    "read_json",
    "write_manifest",
    "write_text",
]

Mask = NDArray[np.bool_]
"""(H, W) bool."""
Progress = Callable[[int, int], None]
_THIN_PX = 0.4
_OF_THE_SOURCE = ("image", "mask", "mask_sha256", "normal", "number")


class Problem(NamedTuple):
    """What is wrong with a file. `severe`: a reader fails or learns something false; else it may only surprise."""

    path: str
    text: str
    severe: bool = True


class HolesFilled:
    """Counts what outlines cannot say: the holes of a part are filled."""

    def __init__(self) -> None:
        self.parts = 0
        self.pixels = 0

    def notes(self) -> list[str]:
        """One line, or none."""
        if not self.parts:
            return []
        return [
            f"outlines have no holes: {self.pixels} pixels inside of parts ({self.parts}) were filled; "
            "coco, hf and mvtec keep them."
        ]


class EmptyMasks:
    """Counts anomaly images whose mask marks nothing: where annotations say what is bad, they look good."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def look_at(self, entry: Entry, mask: Mask) -> None:
        """Count it, if it is one."""
        if entry.anomaly_type != GOOD and not mask.any():
            self.names.append(entry.source.image.name)

    def notes(self) -> list[str]:
        """One line, or none."""
        if not self.names:
            return []
        shown = f"{', '.join(self.names[:3])}{', ...' if len(self.names) > 3 else ''}"
        return [f"the masks of {len(self.names)} anomaly images are empty, so these look good here: {shown}."]


def load_mask(entry: Entry) -> Mask:
    """(H, W) bool of an entry, all False for a good image.

    Raises:
        ImageError: a file is damaged, or the mask has another size than its image.
    """
    image, mask = decode_pair(entry.source)
    return np.zeros(image.shape[:2], np.bool_) if mask is None else mask


def place_image(entry: Entry, folder: Path) -> Path:
    """Copy an image as it is into `folder`, and return its path."""
    target = folder / f"{entry.stem}{entry.source.image.suffix.lower()}"
    link_or_copy(entry.source.image, target, link=False)
    return target


def place_png(source: Path, target: Path) -> None:
    """Copy a PNG as it is; write any other format as PNG, all pixels kept, turned as its EXIF orientation says.

    Raises:
        ImageError: the image cannot be decoded.
    """
    if source.suffix.lower() == ".png":
        link_or_copy(source, target, link=False)
        return
    # Only "unchanged" keeps an alpha channel, and only the others turn what a camera has stored lying on its side.
    flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if source.suffix.lower() in (".jpg", ".jpeg") else cv2.IMREAD_UNCHANGED
    image = cv2.imdecode(np.fromfile(source, np.uint8), flags)
    if image is None:
        raise ImageError(f"{source} cannot be decoded as an image.")
    write_atomically(target, cv2.imencode(".png", image)[1].tobytes())


def place_truth(entry: Entry, target: Path) -> None:
    """Copy the mask of an entry as it is where it is a PNG of 0 and 255; else write one."""
    mask, file = load_mask(entry), entry.source.mask
    if file is not None and file.suffix.lower() == ".png" and not entry.source.more_masks:
        stored = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED)
        if stored is not None and stored.ndim == 2 and np.array_equal(stored, mask.astype(np.uint8) * 255):
            link_or_copy(file, target, link=False)
            return
    place_mask(mask, target)


def place_mask(mask: Mask, target: Path) -> None:
    """Write a mask as PNG of 0 and 255."""
    write_atomically(target, cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes())


def parts_of(mask: Mask) -> list[Mask]:
    """The 8-connected parts of a mask, from top to bottom."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return [np.asarray(labels == label) for label in range(1, count)]


def outlines_of(mask: Mask, filled: HolesFilled) -> list[NDArray[np.float64]]:
    """Outline of each part, (N, 2) x and y of pixel centres counted from 0, N >= 3; drawn and filled it is the part again."""
    outlines: list[NDArray[np.float64]] = []
    for part in parts_of(mask):
        contours, _ = cv2.findContours(part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        whole = cv2.drawContours(np.zeros(part.shape, np.uint8), contours, -1, 1, cv2.FILLED)
        added = int(np.count_nonzero(whole)) - int(np.count_nonzero(part))
        filled.parts += added > 0
        filled.pixels += added
        points = contours[0][:, 0, :].astype(np.float64)
        if len(points) < 3:  # a pixel, or a straight row of them: readers want a surface
            first, last = points[0], points[-1]
            across = np.array([_THIN_PX, 0.0]) if len(points) == 1 else np.zeros(2)
            points = np.stack([first, last + across, last + _THIN_PX, first + _THIN_PX - across])
        outlines.append(points)
    return outlines


def name_of(entry: Entry, several_items: bool) -> str:
    """Name of the class of an anomaly: its type, with its item where there are several."""
    return f"{entry.item}: {entry.anomaly_type}" if several_items else entry.anomaly_type


def describe(entry: Entry, image: str, mask: str | None, licence: str) -> dict[str, Any]:
    """One line of the manifest: where the image is now, and all that its source's manifest says of it."""
    known = {key: value for key, value in entry.record.items() if key not in _OF_THE_SOURCE}
    here = {"image": image, "mask": mask, "item": entry.item, "anomaly_type": entry.anomaly_type, "split": entry.split}
    synthetic = bool(entry.record.get("trajectory")) and not shows_a_real_defect(entry.record)
    return {**known, **here, "synthetic": synthetic, "source_file": entry.source.image.name, "licence": licence or None}


def write_manifest(folder: Path, lines: Sequence[dict[str, Any]]) -> None:
    """Write manifest.jsonl."""
    write_text(folder / MANIFEST, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8."""
    write_atomically(path, text.encode("utf-8"))


def read_json(path: Path) -> Any:
    """Plain data of a JSON file.

    Raises:
        RunError: it cannot be read.
    """
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read as JSON: {error}. Export again.") from error
