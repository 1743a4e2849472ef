"""Good photos with harmless differences in a data set: names, numbers, and on which side of a split they stand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.defects import make_mvtec
from helpers.shapes import make_run_dataset
from typer.testing import CliRunner

from anomalyagent.cli.dataset import app
from anomalyagent.errors import ImageError
from anomalyagent.training.datasets.export import export_dataset
from anomalyagent.training.datasets.harmless import add_harmless
from anomalyagent.training.datasets.validate import validate_dataset
from anomalyagent.training.evaluation.datasets import read_harmless, read_labelled


def names(good: Path) -> list[str]:
    return sorted(path.name for path in good.glob("*_harmless_*"))


def test_there_are_as_many_as_anomaly_images_each_named_after_its_photo(tmp_path: Path) -> None:
    run = make_run_dataset(tmp_path)
    folder = run / "dataset/metal_nut"
    done = CliRunner().invoke(app, ["harmless", str(run)])
    assert done.exit_code == 0, done.output
    wanted = len(read_labelled(folder))
    assert f"{wanted} good photos" in done.output
    made = names(folder / "train/good")
    assert len(made) == len(read_harmless(folder)) == wanted
    for name in made:
        photo, variant = (cv2.imread(str(folder / "train/good" / one)) for one in (f"{name[:3]}.png", name))
        assert photo is not None
        assert variant is not None
        assert photo.shape == variant.shape
        assert (photo != variant).any()
        assert np.abs(photo.astype(int) - variant).mean() < 12
    assert all(one.sound for one in validate_dataset(run))


def test_a_larger_count_adds_and_changes_nothing_that_is_there(tmp_path: Path) -> None:
    good = [make_run_dataset(tmp_path / one) / "dataset/metal_nut/train/good" for one in ("a", "b")]
    assert add_harmless(tmp_path / "a", 4, 1) == 4
    before = {name: (good[0] / name).read_bytes() for name in names(good[0])}
    assert add_harmless(tmp_path / "a", 7, 1) == 3
    assert add_harmless(tmp_path / "a", 7, 1) == 0
    assert add_harmless(tmp_path / "b", 7, 1) == 7
    assert names(good[0]) == names(good[1])
    assert all((good[0] / name).read_bytes() == content for name, content in before.items())
    assert all((good[0] / name).read_bytes() == (good[1] / name).read_bytes() for name in names(good[0]))


def test_the_bytes_do_not_depend_on_how_the_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    for place in ("a", "b"):
        folder = make_mvtec(tmp_path / place / "widget", {"hole": 2}, size=48)
        monkeypatch.chdir(folder)
        add_harmless(folder if place == "a" else Path(), 2, 0)
        made.append(b"".join(path.read_bytes() for path in sorted((folder / "train/good").glob("*_harmless_*"))))
    assert made[0]
    assert made[0] == made[1]


def test_variants_of_a_photo_that_is_held_out_are_held_out_with_it(tmp_path: Path) -> None:
    run = make_run_dataset(tmp_path / "run")
    add_harmless(run, 12, 0)
    export_dataset([run], "mvtec", tmp_path / "out", holdout=0.4)
    train, held = (
        [cv2.imread(str(path)) for path in sorted((tmp_path / "out").glob(f"*/{part}/good/*.png"))]
        for part in ("train", "test")
    )
    assert len(train) + len(held) == 5 + 12
    assert len(read_harmless(tmp_path / "out")) == len(train) - 3  # they are still told from photos
    assert names(tmp_path / "out/metal_nut/test/good")[0].startswith("000_harmless_00")
    for one in held:  # light changes a photo less than another part does
        assert one is not None
        apart = [float(np.abs(one.astype(int) - other).mean()) for other in train if other is not None]
        near = [float(np.abs(one.astype(int) - other).mean()) for other in held if other is not None and other is not one]
        assert min(near) < min(apart)


def test_a_folder_without_good_photos_is_refused(tmp_path: Path) -> None:
    folder = make_mvtec(tmp_path / "widget", {"hole": 3})
    for photo in (folder / "train/good").glob("*"):
        photo.unlink()
    with pytest.raises(ImageError, match="good"):
        add_harmless(folder, 3, 0)
