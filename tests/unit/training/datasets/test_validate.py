"""`validate`: each fault that makes a reader fail, or learn something false, is found and named."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.shapes import make_run_dataset

from anomalyagent.training.datasets.export import export_dataset
from anomalyagent.training.datasets.validate import validate_dataset


def folder_of(root: Path) -> Path:
    return make_run_dataset(root) / "dataset" / "metal_nut"


def repaint(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None
    cv2.imwrite(str(path), change(image))


def test_the_data_set_of_a_run_is_sound_and_lacks_good_test_photos(tmp_path: Path) -> None:
    verdicts = validate_dataset(make_run_dataset(tmp_path))
    assert [(one.format, one.samples, one.sound) for one in verdicts] == [("mvtec", 17, True)]
    assert [problem.path for problem in verdicts[0].problems] == ["test/good"]


@pytest.mark.parametrize("item", ["test", "OK", "dataset"])
def test_an_item_called_like_a_folder_of_a_layout_is_found_in_its_run(tmp_path: Path, item: str) -> None:
    run = make_run_dataset(tmp_path, item)
    for folder in (run, run / "dataset", run / "dataset" / item):
        assert [(one.format, one.samples, one.sound) for one in validate_dataset(folder)] == [("mvtec", 17, True)]


def test_a_line_of_a_manifest_ends_at_a_line_feed_and_at_no_other_separator(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_bytes().splitlines()]
    text = "".join(json.dumps({**line, "prompt": "one\u2028two\x85three"}, ensure_ascii=False) + "\n" for line in lines)
    (folder / "manifest.jsonl").write_text(text, encoding="utf-8")
    assert validate_dataset(tmp_path)[0].sound


def empty_mask(folder: Path) -> None:
    repaint(folder / "ground_truth/dent/001_mask.png", np.zeros_like)


def grey_mask(folder: Path) -> None:
    repaint(folder / "ground_truth/dent/001_mask.png", lambda mask: mask // 255 * 200)


def wrong_size(folder: Path) -> None:
    repaint(folder / "ground_truth/dent/001_mask.png", lambda mask: mask[:-2])


def painted_outside(folder: Path) -> None:
    repaint(folder / "test/dent/001.png", lambda image: np.where(np.indices(image.shape)[0] < 3, 255 - image, image))


def damaged(folder: Path) -> None:
    (folder / "test/dent/001.png").write_bytes(b"no image")


def no_mask(folder: Path) -> None:
    (folder / "ground_truth/dent/001_mask.png").unlink()


def mask_alone(folder: Path) -> None:
    (folder / "ground_truth/dent/099_mask.png").write_bytes((folder / "ground_truth/dent/001_mask.png").read_bytes())


def defect_in_training(folder: Path) -> None:
    (folder / "train/dent").mkdir()


def stray(folder: Path) -> None:
    (folder / "test/dent/notes.txt").write_text("hello")


def not_padded(folder: Path) -> None:
    for number in (10, 100):
        for pattern in ("test/dent/{}.png", "ground_truth/dent/{}_mask.png"):
            source = folder / pattern.format("001")
            (folder / pattern.format(number)).write_bytes(source.read_bytes())


def gone(folder: Path) -> None:
    for name in ("test/dent/001.png", "ground_truth/dent/001_mask.png"):
        (folder / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty_mask, "test/dent/001.png has an empty mask"),
        (grey_mask, "values other than 0 and 255, such as 200"),
        (wrong_size, "has a mask of 64 x 62, and is 64 x 64"),
        (painted_outside, "pixels outside the mask"),
        (painted_outside, "001.png is not the file that manifest.jsonl speaks of"),
        (damaged, "001.png cannot be decoded"),
        (no_mask, "001.png has no mask"),
        (mask_alone, "ground_truth/dent/099_mask.png is a mask without an image"),
        (defect_in_training, "train/dent is a defect among the training images"),
        (stray, "test/dent/notes.txt is no image"),
        (not_padded, "images and masks come in different orders"),
        (gone, "test/dent/001.png is in manifest.jsonl, and not there"),
    ],
)
def test_each_fault_of_a_data_set_is_named(spoil: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    spoil(folder)
    (verdict,) = validate_dataset(folder)
    assert not verdict.sound
    assert any(message in f"{one.path} {one.text}" for one in verdict.problems if one.severe), verdict.problems


def test_numbering_anew_mends_names_that_sort_wrongly(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run")
    not_padded(folder)
    export_dataset([folder], "mvtec", tmp_path / "out")
    assert validate_dataset(tmp_path / "out")[0].sound


def unknown_class(folder: Path) -> None:
    path = next(path for path in sorted((folder / "labels/train").glob("*.txt")) if path.stat().st_size)
    path.write_text("7 0.1 0.1 0.2 0.2 0.3 0.1\n0 0.1 0.1 1.2 0.2 0.3 0.1\n0 0.1 0.1\nhello\n")


def lost_image(folder: Path) -> None:
    next(folder.glob("*/*.png")).unlink()


def wrong_area(folder: Path) -> None:
    path = folder / "annotations/instances_train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["area"] += 1
    content["annotations"][1]["category_id"] = 9
    content["annotations"][2]["image_id"] = 999
    content["annotations"].append(content["annotations"][3])
    path.write_text(json.dumps(content))


def moved_out(folder: Path) -> None:
    path = next(path for path in sorted(folder.glob("train/*.json")) if '"label"' in path.read_text())
    content = json.loads(path.read_text())
    content["shapes"][0]["points"][0][0] = 1000
    content["imageWidth"] += 1
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "spoil", "messages"),
    [
        ("yolo-seg", unknown_class, ["class 7 has no name", "outside 0..1", "2 coordinates are no outline", "not a class"]),
        ("hf", lost_image, ["is not there"]),
        ("labelme", lost_image, ["its image"]),
        ("coco", wrong_area, ["another area", "is of class 9", "of image 999, which is not there", "two annotations have"]),
        ("labelme", moved_out, ["leaves the image", "says 65 x 64, is 64 x 64"]),
    ],
)
def test_each_fault_of_an_export_is_named(
    name: str, spoil: Callable[[Path], None], messages: list[str], tmp_path: Path
) -> None:
    folder = export_dataset([make_run_dataset(tmp_path / "run")], name, tmp_path / "out").folder
    assert validate_dataset(folder)[0].problems == []
    spoil(folder)
    (verdict,) = validate_dataset(folder)
    assert not verdict.sound
    for message in messages:
        assert any(message in problem.text for problem in verdict.problems), verdict.problems


def test_a_damaged_export_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    folder = export_dataset([make_run_dataset(tmp_path / "run")], "coco", tmp_path / "out").folder
    (folder / "annotations/instances_train.json").write_text("{")
    (verdict,) = validate_dataset(folder)
    assert "is no sound coco export" in verdict.problems[0].text


def test_a_real_defect_beside_its_repaired_twin_is_sound_and_not_synthetic(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run")
    painted_outside(folder)
    lines = [json.loads(line) for line in (folder / "manifest.jsonl").read_bytes().splitlines()]
    made = {key: value for key, value in lines[0].items() if key != "image_sha256"}
    for policy, sound in (("expert", False), ("from-real", True)):
        told = [{**made, **line, "policy": policy, "image_sha256": None} for line in lines]
        (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
        assert validate_dataset(folder)[0].sound is sound
        out = tmp_path / policy
        export_dataset([folder], "mvtec", out)
        assert validate_dataset(out)[0].sound is sound
        rows = [json.loads(line) for line in next(out.rglob("manifest.jsonl")).read_text().splitlines()]
        assert any(row["synthetic"] for row in rows) is not sound
