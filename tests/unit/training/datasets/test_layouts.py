"""Readers of the published layouts, on tiny folders in each; anomalib's own readers must find the same images and masks."""

from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.layouts import LAYOUTS, SIZE
from helpers.shapes import make_run_dataset
from PIL import Image

from anomalyagent.errors import ImageError
from anomalyagent.training.datasets.export import export_dataset
from anomalyagent.training.datasets.files import decode_mask
from anomalyagent.training.datasets.layouts import find_categories, read_category
from anomalyagent.training.evaluation.datasets import load_stack, read_labelled, read_real

TYPES = {
    "mvtec": ["dent", "dent", "scratch", "scratch"],
    "mpdd": ["dent", "dent", "scratch", "scratch"],
    "visa_as_mvtec": ["dent", "dent", "scratch", "scratch"],
    "mvtec2": ["bad"] * 4,
    "loco": ["logical_anomalies"] * 2 + ["structural_anomalies"] * 2,
    "btad": ["ko"] * 4,
    "visa": ["chunk missing", "chunk missing", "combined", "wax melded"],
    "realiad": ["AK", "AK", "QS", "QS"],
}


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_every_layout_is_told_and_read(name: str, tmp_path: Path) -> None:
    category = read_category(LAYOUTS[name](tmp_path))
    assert category.layout == {"mpdd": "mvtec", "visa_as_mvtec": "mvtec"}.get(name, name)
    assert (len(category.train_good), len(category.test_good)) == (2, 2)
    assert len(category.validation_good) == (2 if name in ("mvtec2", "loco") else 0)
    assert [file.anomaly_type for file in category.anomalies] == TYPES[name]
    for file in category.anomalies:
        mask = decode_mask(file)
        assert mask is not None
        assert mask.shape == (SIZE, SIZE)
        assert bool(mask.any())
        if name == "loco":
            assert bool(mask[:3, :3].all())


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_every_layout_serves_the_evaluation(name: str, tmp_path: Path) -> None:
    folder = LAYOUTS[name](tmp_path)
    split = read_real(folder)
    assert len(split.few_shot) + len(split.test) == 4 + 2
    stack = load_stack(read_labelled(folder), SIZE)
    assert bool(stack.masks.any(axis=(1, 2)).all())


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_no_image_of_a_layout_is_lost_in_an_export(name: str, tmp_path: Path) -> None:
    folder = LAYOUTS[name](tmp_path / "data")
    done = export_dataset([folder], "coco", tmp_path / "out")
    keeps = 2 if name in ("mvtec2", "loco") else 0  # good photos for validation
    assert (done.images, done.anomalies) == (2 + 2 + keeps + 4, 4)
    assert len(list((tmp_path / "out/images/val").glob("*-good-*"))) == 2 + keeps


ANOMALIB = {
    "mvtec": ("MVTecAD", "bottle", {"val_split_mode": "none"}),
    "mpdd": ("MPDD", "tubes", {"val_split_mode": "none"}),
    "mvtec2": ("MVTecAD2", "can", {}),
    "loco": ("MVTecLOCO", "pushpins", {"val_split_mode": "none"}),
    "btad": ("BTech", "01", {"val_split_mode": "none"}),
    "visa": ("Visa", "candle", {"val_split_mode": "none"}),
    "realiad": ("RealIAD", "audiojack", {"val_split_mode": "none", "test_split_mode": "from_dir", "resolution": 256}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(ANOMALIB))
def test_anomalib_finds_the_same_images_and_masks(name: str, tmp_path: Path) -> None:
    kind, category, options = ANOMALIB[name]
    ours = read_category(LAYOUTS[name](tmp_path))
    library: Any = import_module("anomalib.data")
    pandas: Any = import_module("pandas")
    data = getattr(library, kind)(root=tmp_path, category=category, num_workers=0, **options)
    with pandas.option_context("future.infer_string", False):  # anomalib 2.7 reads LOCO with pandas 2 only
        data.prepare_data()
        data.setup()
    test = data.test_public_data if name == "mvtec2" else data.test_data
    assert len(data.train_data) == len(ours.train_good)
    theirs = {Path(item.image_path).name: np.asarray(item.gt_mask).astype(bool) for item in test if item.gt_label}
    files = {file.image.name: decode_mask(file) for file in ours.anomalies}
    if name in ("loco", "mvtec", "mpdd"):  # the same names in several types: compared as a whole
        masks = [np.asarray(item.gt_mask).astype(bool) for item in test if item.gt_label]
        assert sorted(mask.tobytes() for mask in masks) == sorted(
            mask.tobytes() for file in ours.anomalies if (mask := decode_mask(file)) is not None
        )
        return
    assert theirs.keys() == files.keys()
    assert all(np.array_equal(theirs[key], mask) for key, mask in files.items() if mask is not None)
    assert sum(not item.gt_label for item in test) == len(ours.test_good)


def test_a_folder_of_categories_lists_them_and_is_refused_as_one(tmp_path: Path) -> None:
    for name in ("bottle", "cable"):
        LAYOUTS["mvtec"](tmp_path / name).rename(tmp_path / f"{name}_")
        (tmp_path / name).rmdir()
    assert [path.name for path in find_categories(tmp_path)] == ["bottle_", "cable_"]
    with pytest.raises(ImageError, match="several categories; give one of them: bottle_, cable_"):
        read_category(tmp_path)


def test_a_folder_of_no_layout_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(ImageError, match=r"no data set in a known layout.*It holds: photos"):
        find_categories(tmp_path)
    with pytest.raises(ImageError, match="gone does not exist"):
        find_categories(tmp_path / "gone")


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("mvtec", "bottle/ground_truth/dent/001_mask.png"),
        ("mvtec2", "can/test_public/ground_truth/bad/001_overexposed_mask.png"),
        ("btad", "01/ground_truth/ko/0001.png"),
    ],
)
def test_an_anomaly_without_its_mask_is_named(name: str, mask: str, tmp_path: Path) -> None:
    folder = LAYOUTS[name](tmp_path)
    (tmp_path / mask).unlink()
    with pytest.raises(ImageError, match="has no mask: expected .*" + Path(mask).name):
        read_category(folder)


def test_anomalies_without_masks_are_counted(tmp_path: Path) -> None:
    folder = LAYOUTS["mvtec"](tmp_path)
    for name in ("dent/001", "scratch/000", "scratch/001"):
        (folder / f"ground_truth/{name}_mask.png").unlink()
    with pytest.raises(
        ImageError, match=r"dent/001\.png has no mask: expected .*001_mask\.png; 3 of 4 anomaly images have none\."
    ):
        read_category(folder)


def test_lists_that_are_gone_or_damaged_are_named(tmp_path: Path) -> None:
    visa = LAYOUTS["visa"](tmp_path / "visa")
    (tmp_path / "visa/split_csv/1cls.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ImageError, match="no column object, split, label"):
        read_category(visa)
    (tmp_path / "visa/split_csv/1cls.csv").unlink()
    with pytest.raises(ImageError, match=r"1cls\.csv cannot be read"):
        read_category(visa)
    real = LAYOUTS["realiad"](tmp_path / "real")
    listed = tmp_path / "real/realiad_jsons/realiad_jsons/audiojack.json"
    listed.write_text("{}")
    with pytest.raises(ImageError, match="not a list of Real-IAD images"):
        read_category(real)
    listed.unlink()
    with pytest.raises(ImageError, match="needs Real-IAD's list of its images; expected"):
        read_category(real)


def test_masks_are_found_whatever_the_case_of_their_suffix_and_hidden_files_are_no_photos(tmp_path: Path) -> None:
    folder = LAYOUTS["mvtec"](tmp_path)
    for mask in folder.glob("ground_truth/*/*.png"):
        mask.rename(mask.with_suffix(".PNG"))
    for place in ("train/good", "test/good", "test/dent"):
        (folder / place / "._000.png").write_bytes(b"Mac OS X")
    category = read_category(folder)
    assert (len(category.train_good), len(category.test_good), len(category.anomalies)) == (2, 2, 4)
    assert {str(file.mask)[-9:] for file in category.anomalies} == {"_mask.PNG"}


@pytest.mark.parametrize("kind", ["ones", "red", "palette", "16-bit ones", "16-bit bytes", "16-bit"])
def test_a_mask_says_where_the_defect_is_in_whatever_way_it_was_stored(kind: str, tmp_path: Path) -> None:
    folder = LAYOUTS["mvtec"](tmp_path)
    file = read_category(folder).anomalies[0]
    wanted = decode_mask(file)
    assert wanted is not None
    assert file.mask is not None
    ones = wanted.astype(np.uint8)
    if kind == "palette":
        image = Image.fromarray(ones, mode="P")
        image.putpalette([0, 0, 0, 0, 0, 200])
        image.save(file.mask)
    else:
        stored = {
            "ones": ones,
            "red": ones[..., None] * np.array([0, 0, 255], np.uint8),
            "16-bit ones": ones.astype(np.uint16),
            "16-bit bytes": ones.astype(np.uint16) * 255,
            "16-bit": ones.astype(np.uint16) * 65535,
        }
        cv2.imwrite(str(file.mask), stored[kind])
    found = decode_mask(file)
    assert found is not None
    assert np.array_equal(found, wanted)


def test_a_folder_of_one_category_such_as_a_run_is_read_as_that(tmp_path: Path) -> None:
    run = make_run_dataset(tmp_path)
    assert read_category(run) == read_category(run / "dataset" / "metal_nut")
