"""Tiny data sets in each published layout, made on the spot: 2 good photos to train with, 2 to test with, 4 defects."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from helpers.defects import make_defect, make_mvtec
from helpers.photos import make_photo
from numpy.typing import NDArray

__all__ = ["LAYOUTS", "SIZE"]

SIZE = 32


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def _photo(path: Path, seed: int) -> None:
    _write(path, make_photo("part", seed, SIZE))


def _defect(path: Path, mask_path: Path, seed: int, value: int = 255) -> None:
    image, mask = make_defect(seed, SIZE, radius=4)
    _write(path, image)
    _write(mask_path, np.where(mask > 0, np.uint8(value), np.uint8(0)))


def _mvtec(root: Path, category: str) -> Path:
    return make_mvtec(root / category, {"dent": 2, "scratch": 2}, train=2, good=2, size=SIZE)


def _visa_as_mvtec(root: Path) -> Path:
    folder = _mvtec(root, "candle")
    for path in folder.glob("ground_truth/*/*_mask.png"):
        path.rename(path.with_name(path.name.replace("_mask", "")))
    return folder


def _mvtec2(root: Path) -> Path:
    folder = root / "can"
    for number in range(2):
        _photo(folder / f"train/good/{number:03d}_regular.png", number)
        _photo(folder / f"validation/good/{number:03d}_regular.png", 10 + number)
        _photo(folder / f"test_public/good/{number:03d}_regular.png", 20 + number)
        _photo(folder / f"test_private/{number:03d}_regular.png", 30 + number)
    for number in range(4):
        name = f"{number:03d}_overexposed"
        _defect(folder / f"test_public/bad/{name}.png", folder / f"test_public/ground_truth/bad/{name}_mask.png", number)
    return folder


def _loco(root: Path) -> Path:
    folder = root / "pushpins"
    for number in range(2):
        _photo(folder / f"train/good/{number:03d}.png", number)
        _photo(folder / f"validation/good/{number:03d}.png", 10 + number)
        _photo(folder / f"test/good/{number:03d}.png", 20 + number)
        for kind, value in (("logical_anomalies", 251), ("structural_anomalies", 3)):
            masks = folder / "ground_truth" / kind / f"{number:03d}"
            _defect(folder / f"test/{kind}/{number:03d}.png", masks / "000.png", number, value)
            second = np.zeros((SIZE, SIZE), np.uint8)
            second[:3, :3] = value - 1
            _write(masks / "001.png", second)
    return folder


def _btad(root: Path) -> Path:
    folder = root / "01"
    for number in range(2):
        _photo(folder / f"train/ok/{number:04d}.bmp", number)
        _photo(folder / f"test/ok/{number:04d}.bmp", 20 + number)
    for number in range(4):
        _defect(folder / f"test/ko/{number:04d}.bmp", folder / f"ground_truth/ko/{number:04d}.png", number)
    return folder


def _visa(root: Path) -> Path:
    rows, notes = ["object,split,label,image,mask"], ["image,label,mask"]
    data = "candle/Data"
    for number in range(4):
        image = f"{data}/Images/Normal/{number:04d}.JPG"
        _photo(root / image, number)
        rows.append(f"candle,{'train' if number < 2 else 'test'},normal,{image},")
        notes.append(f"{image},normal,")
    for number, label in enumerate(["chunk missing", "chunk missing", "wax melded", '"wax melded,chunk missing"']):
        image, mask = f"{data}/Images/Anomaly/{number:03d}.JPG", f"{data}/Masks/Anomaly/{number:03d}.png"
        _defect(root / image, root / mask, number, value=1 + number)
        rows.append(f"candle,test,anomaly,{image},{mask}")
        notes.append(f"{image},{label},{mask}")
    _photo(root / "pcb1/Data/Images/Normal/0000.JPG", 0)  # the list is of all categories
    rows.append("pcb1,train,normal,pcb1/Data/Images/Normal/0000.JPG,")
    (root / "split_csv").mkdir()
    (root / "split_csv/1cls.csv").write_text("\n".join(rows) + "\n")
    (root / "candle/image_anno.csv").write_text("\n".join(notes) + "\n")
    return root / "candle"


def _realiad(root: Path) -> Path:
    folder = root / "realiad_256" / "audiojack"
    content: dict[str, object] = {"meta": {"normal_class": "OK", "prefix": "audiojack/"}}
    lists: dict[str, list[dict[str, str | None]]] = {"train": [], "test": []}
    for number in range(4):
        image = f"OK/S{number:04d}/audiojack_{number:04d}_OK_C1.jpg"
        _photo(folder / image, number)
        lists["train" if number < 2 else "test"].append(
            {"category": "audiojack", "anomaly_class": "OK", "image_path": image, "mask_path": None}
        )
        kind = "AK" if number < 2 else "QS"
        stem = f"NG/{kind}/S{number:04d}/audiojack_{number:04d}_NG_{kind}_C1"
        _defect(folder / f"{stem}.jpg", folder / f"{stem}.png", number)
        lists["test"].append(
            {"category": "audiojack", "anomaly_class": kind, "image_path": f"{stem}.jpg", "mask_path": f"{stem}.png"}
        )
    path = root / "realiad_jsons" / "realiad_jsons" / "audiojack.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content | lists))
    return folder


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "mvtec": lambda root: _mvtec(root, "bottle"),
    "mpdd": lambda root: _mvtec(root, "tubes"),
    "visa_as_mvtec": _visa_as_mvtec,
    "mvtec2": _mvtec2,
    "loco": _loco,
    "btad": _btad,
    "visa": _visa,
    "realiad": _realiad,
}
"""Name -> writes one category into a folder and returns the category's folder."""
