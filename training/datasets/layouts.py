"""Readers of the layouts in which inspection data sets are published; a category is told by its folders.

    MVTec AD, MPDD, ours    train/good, test/good, test/<type>/<stem>.*, ground_truth/<type>/<stem>_mask.*
    VisA in MVTec layout    the same with ground_truth/<type>/<stem>.*
    MVTec AD 2              train/good, validation/good, test_public/{good,bad}, test_public/ground_truth/bad/<stem>_mask.*
    MVTec LOCO              train/good, validation/good, test/{good,logical_anomalies,structural_anomalies},
                            ground_truth/<type>/<stem>/000.png, 001.png, ... (any of them, any value but 0)
    VisA                    <category>/Data/Images/{Normal,Anomaly}, <category>/image_anno.csv, split_csv/1cls.csv beside the
                            categories; masks hold class numbers
    BTAD                    train/ok, test/{ok,ko}, ground_truth/ko/<stem>.*
    Real-IAD                <category>/{OK,NG}/..., and <category>.json, in realiad_jsons/ above, with the split and the types

Sources: the data sets' own readme files; anomalib's readers of the same.
"""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anomalyagent.errors import ImageError
from anomalyagent.training.datasets.files import GOOD, SUFFIXES, Labelled, sorted_images

__all__ = ["Category", "find_categories", "read_category", "tell_layout"]

_LOCO_TYPES = ("logical_anomalies", "structural_anomalies")
_COMBINED = "combined"  # as MVTec AD calls images with several kinds of defects


@dataclass(frozen=True)
class Category:
    """One item of a data set; every list is sorted by type, then name.

    Attributes:
        layout: mvtec, mvtec2, loco, visa, btad or realiad.
        validation_good: good images that the data set keeps apart from training and test (MVTec AD 2, LOCO).
    """

    name: str
    layout: str
    train_good: list[Labelled]
    test_good: list[Labelled]
    anomalies: list[Labelled]
    validation_good: list[Labelled]


def tell_layout(folder: Path) -> str | None:
    """The layout of a category's folder; None when it is of none."""
    has = {name: _is_part(folder / name) for name in ("test_public", "test", "Data/Images", "OK", "NG")}
    if has["test_public"]:
        return "mvtec2"
    if has["test"]:
        if any((folder / "test" / name).is_dir() for name in _LOCO_TYPES):
            return "loco"
        return "btad" if any((folder / part).is_dir() for part in ("test/ko", "train/ok")) else "mvtec"
    if has["Data/Images"]:
        return "visa"
    return "realiad" if has["OK"] or has["NG"] else None


def find_categories(folder: Path) -> list[Path]:
    """The folder itself when it is one category; else those of its subfolders that are, the data set of a run included.

    Raises:
        ImageError: it holds none.
    """
    if tell_layout(folder):
        return [folder]
    for parent in (folder, folder / "dataset"):
        found = sorted(path for path in parent.glob("*") if path.is_dir() and tell_layout(path))
        if found:
            return found
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ImageError(f"{folder} {what}. Give the folder of a run or of a data set.")
    inside = ", ".join(sorted(path.name for path in folder.glob("*"))[:8])
    raise ImageError(
        f"{folder} is no data set in a known layout: expected {folder}/test/<type>/*.png (MVTec layout), or the folders of "
        f"MVTec AD 2, MVTec LOCO, VisA, BTAD, MPDD or Real-IAD. It holds: {inside or 'nothing'}."
    )


def read_category(folder: Path) -> Category:
    """The files of one category; of a folder that holds one, a run for example, of that.

    Raises:
        ImageError: the layout is unknown or holds several categories, an anomaly has no mask, or a list of files is damaged.
    """
    layout = tell_layout(folder)
    if layout is None:
        found = find_categories(folder)
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ImageError(f"{folder} holds several categories; give one of them: {names}.")
        return read_category(found[0])
    return _READERS[layout](folder)


def _read_mvtec(folder: Path) -> Category:
    def mask_of(image: Path, name: str) -> Path | None:
        truth = folder / "ground_truth" / name
        return _any_suffix(truth, f"{image.stem}_mask") or _any_suffix(truth, image.stem)

    found = [
        (image, mask_of(image, one.name), one.name) for one in _subfolders(folder / "test") for image in sorted_images(one)
    ]
    if bare := [(image, kind) for image, mask, kind in found if mask is None]:
        image, kind = bare[0]
        share = f"; {len(bare)} of {len(found)} anomaly images have none" if len(bare) > 1 else ""
        raise ImageError(f"{image} has no mask: expected {folder / 'ground_truth' / kind / image.stem}_mask.png{share}.")
    anomalies = [Labelled(image, mask, kind) for image, mask, kind in found]
    return Category(
        folder.resolve().name, "mvtec", _good(folder / "train" / GOOD), _good(folder / "test" / GOOD), anomalies, []
    )


def _read_mvtec2(folder: Path) -> Category:
    test = folder / "test_public"
    anomalies: list[Labelled] = []
    for one in _subfolders(test):
        if one.name == "ground_truth":
            continue
        for image in sorted_images(one):
            mask = _any_suffix(test / "ground_truth" / one.name, f"{image.stem}_mask")
            if mask is None:
                raise ImageError(f"{image} has no mask: expected {test}/ground_truth/{one.name}/{image.stem}_mask.png.")
            anomalies.append(Labelled(image, mask, one.name))
    return Category(
        folder.resolve().name,
        "mvtec2",
        _good(folder / "train" / GOOD),
        _good(test / GOOD),
        anomalies,
        _good(folder / "validation" / GOOD),
    )


def _read_loco(folder: Path) -> Category:
    anomalies: list[Labelled] = []
    for one in _subfolders(folder / "test"):
        for image in sorted_images(one):
            masks = sorted_images(folder / "ground_truth" / one.name / image.stem)
            if not masks:
                raise ImageError(f"{image} has no mask: expected {folder}/ground_truth/{one.name}/{image.stem}/000.png.")
            anomalies.append(Labelled(image, masks[0], one.name, tuple(masks[1:]), least=1))
    return Category(
        folder.resolve().name,
        "loco",
        _good(folder / "train" / GOOD),
        _good(folder / "test" / GOOD),
        anomalies,
        _good(folder / "validation" / GOOD),
    )


def _read_btad(folder: Path) -> Category:
    anomalies: list[Labelled] = []
    for image in sorted_images(folder / "test" / "ko"):
        mask = _any_suffix(folder / "ground_truth" / "ko", image.stem)
        if mask is None:
            raise ImageError(f"{image} has no mask: expected {folder}/ground_truth/ko/{image.stem}.png.")
        anomalies.append(Labelled(image, mask, "ko"))
    good = _good(folder / "train" / "ok"), _good(folder / "test" / "ok")
    return Category(folder.resolve().name, "btad", *good, anomalies, [])


def _read_visa(folder: Path) -> Category:
    folder = folder.resolve()
    root, name = folder.parent, folder.name
    split = root / "split_csv" / "1cls.csv"
    types = _visa_types(folder / "image_anno.csv")
    lists: dict[tuple[str, str], list[Labelled]] = {}
    for row in _rows(split, ("object", "split", "label", "image", "mask")):
        if row["object"] != name:
            continue
        image = root / row["image"]
        if row["label"] == "normal":
            lists.setdefault((row["split"], GOOD), []).append(Labelled(image, None, GOOD))
            continue
        if not row["mask"]:
            raise ImageError(f"{image} has no mask in {split}.")
        kind = types.get(Path(row["image"]).name, "bad")
        lists.setdefault(("test", "bad"), []).append(Labelled(image, root / row["mask"], kind, least=1))
    anomalies = sorted(lists.get(("test", "bad"), []), key=_by_type_and_name)
    good = sorted(lists.get(("train", GOOD), [])), sorted(lists.get(("test", GOOD), []))
    return Category(name, "visa", *good, anomalies, [])


def _visa_types(path: Path) -> dict[str, str]:
    """Name of an anomaly image -> its type, `combined` where several are named; empty without the file."""
    if not path.is_file():
        return {}
    rows = _rows(path, ("image", "label"))
    return {
        Path(row["image"]).name: _COMBINED if "," in row["label"] else row["label"].strip()
        for row in rows
        if row["label"] != "normal"
    }


def _read_realiad(folder: Path) -> Category:
    folder = folder.resolve()
    name = folder.name
    places = [folder / f"{name}.json", folder.parent / f"{name}.json"]
    places += [up / f"realiad_jsons{sub}" / f"{name}.json" for up in folder.parents[:2] for sub in ("/realiad_jsons", "")]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise ImageError(f"{folder} needs Real-IAD's list of its images; expected {places[2]}.")
    try:
        content: dict[str, Any] = json.loads(found.read_bytes())
        train = [_realiad(folder, one) for one in content["train"]]
        test = [_realiad(folder, one) for one in content["test"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ImageError(f"{found} is not a list of Real-IAD images: {type(error).__name__}: {error}.") from error
    train_good, test_good = ([one for one in part if one.anomaly_type == GOOD] for part in (train, test))
    anomalies = sorted((one for one in train + test if one.anomaly_type != GOOD), key=_by_type_and_name)
    return Category(name, "realiad", sorted(train_good), sorted(test_good), anomalies, [])


def _realiad(folder: Path, record: dict[str, Any]) -> Labelled:
    image, kind = folder / record["image_path"], record["anomaly_class"]
    if kind == "OK":
        return Labelled(image, None, GOOD)
    if not record["mask_path"]:
        raise ImageError(f"{image} has no mask in the list of Real-IAD images.")
    return Labelled(image, folder / record["mask_path"], kind, least=1)


_READERS: dict[str, Callable[[Path], Category]] = {
    "mvtec": _read_mvtec,
    "mvtec2": _read_mvtec2,
    "loco": _read_loco,
    "visa": _read_visa,
    "btad": _read_btad,
    "realiad": _read_realiad,
}


def _is_part(folder: Path) -> bool:
    """A folder of a layout, and no category of its own: an item may be called `test` or `OK`."""
    return folder.is_dir() and not (folder / "train" / GOOD).is_dir()


def _good(folder: Path) -> list[Labelled]:
    return [Labelled(path, None, GOOD) for path in sorted_images(folder)]


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and path.name != GOOD)


def _any_suffix(folder: Path, stem: str) -> Path | None:
    suffixes = [one for suffix in SUFFIXES for one in (suffix, suffix.upper())]
    return next((path for suffix in suffixes if (path := folder / f"{stem}{suffix}").is_file()), None)


def _by_type_and_name(file: Labelled) -> tuple[str, Path]:
    return file.anomaly_type, file.image


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImageError(f"the list {path} cannot be read: {error}.") from error
    if rows and (absent := [name for name in columns if rows[0].get(name) is None]):
        raise ImageError(f"{path} has no column {', '.join(absent)}.")
    return rows
