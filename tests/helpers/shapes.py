"""A small run's data set with masks that formats find hard: a ring, a single pixel, a thin diagonal, two parts, the border."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
from helpers.photos import make_photo
from numpy.typing import NDArray

__all__ = ["HARD_MASKS", "make_run_dataset"]

Mask = NDArray[np.bool_]


def _draw(size: int = 64) -> dict[str, Mask]:
    masks = {name: np.zeros((size, size), np.uint8) for name in ("ring", "pixel", "diagonal", "two", "border", "row")}
    cv2.circle(masks["ring"], (30, 34), 12, 1, 3)
    masks["pixel"][17, 40] = 1
    masks["diagonal"][np.arange(20, 50), np.arange(10, 40)] = 1
    cv2.ellipse(masks["two"], (16, 20), (9, 4), 30, 0, 360, 1, -1)
    masks["two"][40:52, 36:39] = 1
    masks["border"][0:9, 50:] = 1
    masks["row"][44, 8:31] = 1
    return {name: mask.astype(bool) for name, mask in masks.items()}


HARD_MASKS = _draw()


def make_run_dataset(root: Path, item: str = "metal nut", photos: int = 5) -> Path:
    """Write what a run writes, into `root/dataset/<item>`, and return `root`: each mask of HARD_MASKS twice, as two types."""
    folder = root / "dataset" / item.replace(" ", "_")
    lines: list[str] = []
    for number in range(photos):
        _write(folder / f"train/good/{number:03d}.png", make_photo("part", number, 64))
    for kind in ("dent", "hair line"):
        for number, mask in enumerate(HARD_MASKS.values()):
            place = kind.replace(" ", "_")
            normal = f"train/good/{number % photos:03d}.png"
            image = make_photo("part", number % photos, 64)
            image[mask] = 255 - image[mask] if kind == "dent" else image[mask] // 3
            names = f"test/{place}/{number:03d}.png", f"ground_truth/{place}/{number:03d}_mask.png"
            hashes = _write(folder / names[0], image), _write(folder / names[1], mask.astype(np.uint8) * 255)
            record = {"image": names[0], "mask": names[1], "item": item, "anomaly_type": kind, "number": number}
            record |= {"trajectory": f"{place}-{number:05d}", "seed": 4711 + number, "normal": normal, "source": "nut.jpg"}
            record |= {"source_sha256": "0" * 64, "image_sha256": hashes[0], "mask_sha256": hashes[1], "prompt": f"a {kind}"}
            record |= {"location_score": 4.0, "quality_score": 4.5, "score": 8.5, "rounds": 1 + number % 2}
            record |= {"spec": {"mechanism": "dent", "area_fraction": 0.01} if number % 2 else None}
            lines.append(json.dumps(record) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    return root


def _write(path: Path, image: NDArray[np.uint8]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)
    return hashlib.sha256(path.read_bytes()).hexdigest()
