"""Exports, read by the libraries that they are made for: anomalib, pycocotools, ultralytics, datasets."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.defects import make_mvtec
from helpers.shapes import HARD_MASKS, make_run_dataset
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from anomalyagent.cli.dataset import app
from anomalyagent.errors import ConfigError, ImageError, RunError
from anomalyagent.training.datasets.export import FORMATS, export_dataset
from anomalyagent.training.datasets.formats import coco
from anomalyagent.training.datasets.validate import validate_dataset

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that read
HOLDOUT = 0.4  # two of five photos, and what was drawn on them


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run_dataset(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("exports")

    def get(name: str) -> Path:
        if not (folder / name).exists():
            export_dataset([run], name, folder / name, holdout=HOLDOUT, licence="CC0")
        return folder / name

    return get


def truth(path: str | Path) -> np.ndarray[Any, Any]:
    """The mask that a file of an export must have; its name ends in the number of the mask."""
    return list(HARD_MASKS.values())[int(Path(path).stem.removesuffix("_mask").rpartition("-")[2])]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_anomalibs_mvtec_reader_finds_every_image_with_its_mask(exported: Callable[[str], Path]) -> None:
    anomalib: Any = import_module("anomalib.data")
    data = anomalib.MVTecAD(root=exported("mvtec"), category="metal_nut", num_workers=0, eval_batch_size=1)
    data.setup()
    assert (len(data.train_data), len(data.test_data)) == (3, 2 + 12)
    for item in data.test_data:
        good = Path(item.image_path).parent.name == "good"
        wanted = np.zeros((64, 64), bool) if good else truth(item.image_path)
        assert bool(item.gt_label) is not good
        assert np.array_equal(np.asarray(item.gt_mask).astype(bool), wanted)


def test_anomalibs_folder_reader_reads_the_same_folders(exported: Callable[[str], Path]) -> None:
    anomalib: Any = import_module("anomalib.data")
    data = anomalib.Folder(
        name="nut",
        root=exported("mvtec") / "metal_nut",
        normal_dir="train/good",
        normal_test_dir="test/good",
        abnormal_dir=["test/dent", "test/hair_line"],
        mask_dir=["ground_truth/dent", "ground_truth/hair_line"],
        num_workers=0,
        val_split_mode="same_as_test",
    )
    data.setup()
    assert (len(data.train_data), len(data.test_data)) == (3, 2 + 12)
    anomalies = [item for item in data.test_data if item.gt_label]
    assert len(anomalies) == 12
    assert all(np.array_equal(np.asarray(item.gt_mask).astype(bool), truth(item.image_path)) for item in anomalies)


@pytest.mark.parametrize("split", ["train", "val"])
def test_pycocotools_decodes_every_part_of_every_mask(exported: Callable[[str], Path], split: str) -> None:
    tools: Any = import_module("pycocotools.coco")
    read = tools.COCO(str(exported("coco") / f"annotations/instances_{split}.json"))
    assert [one["name"] for one in read.loadCats(read.getCatIds())] == ["dent", "hair line"]
    masks: Any = import_module("pycocotools.mask")
    for image in read.loadImgs(read.getImgIds()):
        annotations = read.loadAnns(read.getAnnIds(imgIds=image["id"]))
        union = np.zeros((64, 64), bool)
        for one in annotations:
            part = read.annToMask(one).astype(bool)
            assert one["area"] == part.sum()
            assert one["bbox"] == masks.toBbox(read.annToRLE(one)).tolist()
            assert not (union & part).any()
            union |= part
        wanted = np.zeros_like(union) if "-good-" in image["file_name"] else truth(image["file_name"])
        assert np.array_equal(union, wanted)
        assert len(annotations) == cv2.connectedComponents(wanted.astype(np.uint8))[0] - 1
        assert (exported("coco") / "images" / split / image["file_name"]).is_file()


def test_run_lengths_count_down_the_columns_and_start_outside() -> None:
    assert coco.encode(np.array([[1, 0], [1, 1]], bool)) == {"size": [2, 2], "counts": [0, 2, 1, 1]}
    assert coco.encode(np.array([[0, 1], [0, 0]], bool))["counts"] == [2, 1, 1]
    assert coco.encode(np.ones((2, 1), bool))["counts"] == [0, 2]


def test_ultralytics_reads_the_outlines_and_draws_the_masks_again(
    exported: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    monkeypatch.setattr(Image, "open", Image.open)  # it puts its own in place, which later tests must not get
    # It wants opencv-python beside our headless one: `make` installs it without its dependencies.
    pytest.importorskip("ultralytics", reason="run: pip install --no-deps ultralytics")
    data: Any = import_module("ultralytics.data.dataset")
    draw: Any = import_module("ultralytics.data.utils")
    described = draw.check_det_dataset(str(exported("yolo-seg") / "data.yaml"), autodownload=False)
    assert described["names"] == {0: "dent", 1: "hair line"}
    for split, count in (("train", 3 + 8), ("val", 2 + 4)):
        read = data.YOLODataset(img_path=described[split], data=described, task="segment", imgsz=64, augment=False)
        assert len(read.labels) == count
        for label in read.labels:
            drawn = np.zeros((64, 64), bool)
            for outline in label["segments"]:
                drawn |= draw.polygon2mask((64, 64), [outline.reshape(-1) * 64]).astype(bool)
            if "-good-" in label["im_file"]:
                assert not drawn.any()
                continue
            assert np.array_equal(drawn, without_holes(truth(label["im_file"])))
            assert set(label["cls"].ravel()) == {0.0 if "-dent-" in label["im_file"] else 1.0}
    for cache in exported("yolo-seg").glob("labels/*.cache"):
        cache.unlink()


def test_hugging_face_datasets_reads_images_masks_and_what_is_known(exported: Callable[[str], Path], tmp_path: Path) -> None:
    datasets: Any = import_module("datasets")
    read = datasets.load_dataset("imagefolder", data_dir=str(exported("hf")), cache_dir=str(tmp_path))
    assert {split: len(rows) for split, rows in read.items()} == {"train": 3 + 8, "validation": 2 + 4}
    for row in [*read["train"], *read["validation"]]:
        mask = np.asarray(row["mask"])
        assert row["image"].size == (64, 64)
        assert set(np.unique(mask)) <= {0, 255}
        assert bool(mask.any()) is row["anomalous"]
        assert row["item"] == "metal nut"
        assert (row["score"] == 8.5) is row["anomalous"]
    specs = {row["spec"] for row in read["train"] if row["spec"]}
    assert [json.loads(spec) for spec in specs] == [{"mechanism": "dent", "area_fraction": 0.01}]


def test_labelme_files_hold_the_outlines_of_the_masks(exported: Callable[[str], Path]) -> None:
    files = sorted(exported("labelme").glob("*/*.json"))
    assert len(files) == 17
    for path in files:
        content = json.loads(path.read_text("utf-8"))
        assert (path.parent / content["imagePath"]).is_file()
        drawn = Image.new("L", (content["imageWidth"], content["imageHeight"]))
        for shape in content["shapes"]:  # as labelme's own shape_to_mask draws it
            ImageDraw.Draw(drawn).polygon([tuple(point) for point in shape["points"]], outline=1, fill=1)
        wanted = np.zeros((64, 64), bool) if "-good-" in path.stem else without_holes(truth(path))
        assert np.array_equal(np.asarray(drawn).astype(bool), wanted)


def without_holes(mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(mask.shape, np.uint8), contours, -1, 1, -1).astype(bool)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "mvtec"])
def test_no_photo_of_the_validation_part_is_shown_in_training(exported: Callable[[str], Path], run: Path, name: str) -> None:
    normals = {one["trajectory"]: one["normal"] for one in lines(run / "dataset/metal_nut/manifest.jsonl")}
    shown = {"train": set[str](), "val": set[str]()}
    for row in lines(exported(name) / "manifest.jsonl"):
        assert f"/{row['split']}" in f"/{row['image']}"
        assert row["licence"] == "CC0"
        if row["synthetic"]:
            shown[row["split"]].add(normals[row["trajectory"]])
    assert shown["train"] == {"train/good/000.png", "train/good/001.png", "train/good/003.png"}
    assert shown["val"] == {"train/good/002.png", "train/good/004.png"}


@pytest.mark.parametrize("name", list(FORMATS))
def test_an_export_is_sound_and_the_same_bytes_again(
    exported: Callable[[str], Path], run: Path, tmp_path: Path, name: str
) -> None:
    assert [one.problems for one in validate_dataset(exported(name))] == [[]]
    again = export_dataset([run], name, tmp_path / "again", holdout=HOLDOUT, licence="CC0")
    assert again.held_out == 6
    assert {file(again.folder, path) for path in again.folder.rglob("*")} == {
        file(exported(name), path) for path in exported(name).rglob("*") if path.suffix != ".cache"
    }


def file(root: Path, path: Path) -> tuple[str, bytes]:
    return path.relative_to(root).as_posix(), path.read_bytes() if path.is_file() else b""


def test_outlines_say_that_holes_were_filled(run: Path, tmp_path: Path) -> None:
    assert "holes" in export_dataset([run], "yolo-seg", tmp_path / "yolo").notes[0]
    assert export_dataset([run], "coco", tmp_path / "coco").notes == []


def test_several_items_become_one_export_with_classes_of_their_own(run: Path, tmp_path: Path) -> None:
    other = make_run_dataset(tmp_path / "other", item="bolt")
    export_dataset([run, other], "coco", tmp_path / "both")
    content = json.loads((tmp_path / "both/annotations/instances_train.json").read_text("utf-8"))
    names = [one["name"] for one in content["categories"]]
    assert names == ["metal nut: dent", "metal nut: hair line", "bolt: dent", "bolt: hair line"]
    export_dataset([run, other], "mvtec", tmp_path / "mvtec")
    assert sorted(path.name for path in (tmp_path / "mvtec").iterdir()) == ["bolt", "metal_nut"]
    with pytest.raises(ImageError, match="two sources hold an item 'metal nut'"):
        export_dataset([run, run], "coco", tmp_path / "twice")


def test_photos_of_other_kinds_become_png_for_mvtec_readers(tmp_path: Path) -> None:
    real = make_mvtec(tmp_path / "real", {"spot": 2}, train=2, good=1, size=32)
    for path in real.glob("t*/*/*.png"):
        image = cv2.imread(str(path))
        assert image is not None
        cv2.imwrite(str(path.with_suffix(".jpg")), image)
        path.unlink()
    out = export_dataset([real], "mvtec", tmp_path / "out", item="spot plate").folder / "spot_plate"
    assert not list(out.rglob("*.jpg"))
    before, after = cv2.imread(str(real / "test/spot/001.jpg")), cv2.imread(str(out / "test/spot/001.png"))
    assert before is not None
    assert after is not None
    assert np.array_equal(before, after)
    assert len(list(out.glob("train/good/*"))) == 2
    assert len(list(out.glob("test/good/*"))) == 1
    assert [one.sound for one in validate_dataset(out)] == [True]


def test_an_export_never_goes_into_a_folder_that_holds_something(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        export_dataset([run], "coco", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.txt"]
    with pytest.raises(ConfigError, match="unknown format 'voc'; known: mvtec, coco"):
        export_dataset([run], "voc", tmp_path / "new")


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    run = make_run_dataset(tmp_path / "run")
    (run / "dataset/metal_nut/test/dent/003.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"003\.png cannot be decoded"):
        export_dataset([run], "coco", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_the_command_exports_and_validates(run: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "coco")
    done = CliRunner().invoke(app, ["export", str(run), "--format", "coco", "--out", out, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["images"] == 17
    done = CliRunner().invoke(app, ["validate", out])
    assert done.exit_code == 0
    assert "coco, 17 images, sound" in done.output
    (tmp_path / "coco/images/train/metal_nut-dent-000.png").unlink()
    done = CliRunner().invoke(app, ["validate", out])
    assert done.exit_code == 3
    assert "image metal_nut-dent-000.png is not in images/train" in done.output


def test_an_export_of_an_export_keeps_its_promises(run: Path, exported: Callable[[str], Path], tmp_path: Path) -> None:
    """Good photos of training and test have the same names there; defects on test photos came into training."""
    first = exported("mvtec")
    again = export_dataset([first], "mvtec", tmp_path / "mvtec", holdout=HOLDOUT).folder
    assert [one.problems for one in validate_dataset(again)] == [[]]
    normals = {one["trajectory"]: one["normal"] for one in lines(again / "metal_nut/manifest.jsonl") if one["synthetic"]}
    coco = export_dataset([first], "coco", tmp_path / "coco", holdout=HOLDOUT).folder
    for row in lines(coco / "manifest.jsonl"):
        if row["synthetic"]:
            assert row["split"] == ("val" if normals[row["trajectory"]].startswith("test/") else "train")


@pytest.mark.parametrize(("photos", "held_out"), [(1, 0), (2, 1), (4, 1)])
def test_of_a_few_photos_one_is_held_out_with_all_that_was_drawn_on_it(photos: int, held_out: int, tmp_path: Path) -> None:
    small = make_run_dataset(tmp_path / "run", photos=photos)
    normals = {one["trajectory"]: one["normal"] for one in lines(small / "dataset/metal_nut/manifest.jsonl")}
    done = export_dataset([small], "coco", tmp_path / "coco")
    shown = {"train": set[str](), "val": set[str]()}
    good = 0
    for row in lines(done.folder / "manifest.jsonl"):
        good += row["split"] == "val" and not row["synthetic"]
        if row["synthetic"]:
            shown[row["split"]].add(normals[row["trajectory"]])
    assert not shown["train"] & shown["val"]
    assert good == held_out
    assert bool(shown["val"]) is bool(held_out)
    assert done.notes == ([] if held_out else ["nothing could be held out for validation: that takes two good photos."])


@pytest.mark.parametrize("name", ["coco", "yolo-seg", "labelme"])
def test_an_anomaly_whose_mask_is_empty_is_told(name: str, tmp_path: Path) -> None:
    real = make_mvtec(tmp_path / "real", {"spot": 3}, size=32)
    cv2.imwrite(str(real / "ground_truth/spot/001_mask.png"), np.zeros((32, 32), np.uint8))
    notes = export_dataset([real], name, tmp_path / "out").notes
    assert notes == ["the masks of 1 anomaly images are empty, so these look good here: 001.png."]


def test_a_photo_that_lies_on_its_side_is_turned_as_its_mask_is(tmp_path: Path) -> None:
    real = make_mvtec(tmp_path / "real", {"spot": 1}, size=48)
    image, mask = Image.open(real / "test/spot/000.png"), Image.open(real / "ground_truth/spot/000_mask.png")
    upright = image.crop((0, 0, 48, 32))
    lying = Image.Exif()
    lying[0x0112] = 6
    (real / "test/spot/000.png").unlink()
    upright.rotate(90, expand=True).save(real / "test/spot/000.jpg", exif=lying, quality=95)
    mask.crop((0, 0, 48, 32)).save(real / "ground_truth/spot/000_mask.png")
    out = export_dataset([real], "mvtec", tmp_path / "out").folder / "real"
    assert Image.open(out / "test/spot/000.png").size == Image.open(out / "ground_truth/spot/000_mask.png").size == (48, 32)
    assert np.abs(np.asarray(Image.open(out / "test/spot/000.png"), float) - np.asarray(upright, float)).mean() < 10


def test_names_that_would_meet_are_refused(tmp_path: Path) -> None:
    for item, kind in (("nut-m8", "dent"), ("nut", "m8-dent")):
        make_mvtec(tmp_path / item, {kind: 1}, size=32)
    with pytest.raises(ImageError, match="two images would be called 'nut-m8-dent-000'"):
        export_dataset([tmp_path / "nut-m8", tmp_path / "nut"], "coco", tmp_path / "out")


def test_words_of_a_type_may_hold_any_line_separator(tmp_path: Path) -> None:
    odd = make_run_dataset(tmp_path / "run")
    manifest = odd / "dataset/metal_nut/manifest.jsonl"
    manifest.write_text(manifest.read_text("utf-8").replace("a dent", "a dent\u2028near the rim"), "utf-8")
    out = export_dataset([odd], "hf", tmp_path / "hf").folder
    assert [one.problems for one in validate_dataset(out)] == [[]]
