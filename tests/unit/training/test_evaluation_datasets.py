"""Reading and splitting data sets in MVTec layout."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.defects import make_mvtec

from anomalyagent.errors import ConfigError, ImageError
from anomalyagent.training.evaluation.datasets import choose, load_stack, read_labelled, read_real


@pytest.fixture
def real(tmp_path: Path) -> Path:
    return make_mvtec(tmp_path / "real", {"hole": 7, "spot": 3}, size=32)


def test_the_first_third_of_each_type_may_be_seen_and_the_rest_with_all_good_images_is_the_test_set(real: Path) -> None:
    split = read_real(real)
    seen = [(file.anomaly_type, file.image.stem) for file in split.few_shot]
    assert seen == [("hole", "000"), ("hole", "001"), ("spot", "000")]
    assert [file.anomaly_type for file in split.test] == ["hole"] * 5 + ["spot"] * 2 + ["good"] * 3
    assert len(split.train_good) == 4
    assert not {file.image for file in split.few_shot} & {file.image for file in split.test}


def test_a_type_can_be_left_out(real: Path) -> None:
    split = read_real(real, ["hole"])
    assert {file.anomaly_type for file in split.few_shot + split.test} == {"spot", "good"}


def test_all_photos_of_a_part_stay_on_one_side_of_the_split(real: Path, tmp_path: Path) -> None:
    table = tmp_path / "parts.csv"
    table.write_text(
        "image,part\ntest/hole/000.png,A\ntest/hole/005.png,A\ntest/hole/006.png,A\n"
        "test/hole/001.png,B\ntest/hole/003.png,B\ntest/spot/000.png,C\ntest/spot/001.png,C\n"
    )
    split = read_real(real, parts=table)
    # A third of 7 holes are 2: the 3 photos of A are tested whole, B fits. Of 3 spots the one that is alone fits.
    seen = [(file.anomaly_type, file.image.stem) for file in split.few_shot]
    assert seen == [("hole", "001"), ("hole", "003"), ("spot", "002")]
    tested = {kind: [file.image.stem for file in split.test if file.anomaly_type == kind] for kind in ("hole", "spot", "good")}
    assert tested == {"hole": ["000", "002", "004", "005", "006"], "spot": ["000", "001"], "good": ["000", "001", "002"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,part\ntest/hole/100.png,A\n", r"line 2 .* names test/hole/100\.png, which is not in .*: give paths below"),
        ("photo,part\ntest/hole/000.png,A\n", r"line 2 .* needs the columns 'image' and 'part'; it has .*photo"),
        ("image,part\n", r"lists no images: it needs the columns"),
    ],
)
def test_a_list_of_parts_that_cannot_be_used_is_refused(real: Path, tmp_path: Path, text: str, said: str) -> None:
    table = tmp_path / "parts.csv"
    table.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_real(real, parts=table)


def test_a_list_of_parts_that_is_not_there_is_named(real: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the list of parts .*none\.csv"):
        read_real(real, parts=tmp_path / "none.csv")


def test_leaving_out_an_unknown_type_names_the_known_ones(real: Path) -> None:
    with pytest.raises(ImageError, match="no anomaly type dent to skip; it has: hole, spot"):
        read_real(real, ["dent"])
    with pytest.raises(ImageError, match=r"no anomaly images .*: all of its types \(hole, spot\) are to be skipped"):
        read_real(real, ["hole", "spot"])


def test_an_image_without_its_mask_is_named(real: Path) -> None:
    (real / "ground_truth" / "hole" / "002_mask.png").unlink()
    with pytest.raises(ImageError, match=r"002\.png has no mask: expected .*002_mask\.png"):
        read_real(real)


def test_a_folder_of_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no data set in a known layout"):
        read_labelled(tmp_path)


def test_images_are_chosen_evenly_over_the_types_and_all_when_there_are_no_more(real: Path) -> None:
    files = read_labelled(real)
    chosen = choose(files, 6, seed=1)
    assert [file.anomaly_type for file in chosen] == ["hole"] * 3 + ["spot"] * 3
    assert choose(files, 6, seed=1) == chosen
    assert choose(files, 6, seed=2) != chosen
    assert choose(files, 100, seed=0) == files


def test_a_defect_one_pixel_wide_survives_making_the_image_smaller(real: Path) -> None:
    mask = np.zeros((32, 32), np.uint8)
    mask[:, 9] = 255
    cv2.imwrite(str(real / "ground_truth" / "hole" / "000_mask.png"), mask)
    stack = load_stack(read_labelled(real)[:1], 16)
    assert stack.images.shape == (1, 16, 16, 3)
    assert np.flatnonzero(stack.masks[0].any(axis=0)).tolist() == [4]
    assert stack.masks[0][:, 4].all()


def test_channels_are_read_as_rgb(real: Path) -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 2] = 200
    cv2.imwrite(str(real / "test" / "hole" / "000.png"), red)
    assert load_stack(read_labelled(real)[:1], 8).images[0, 0, 0].tolist() == [200, 0, 0]


def test_a_mask_of_another_size_is_refused(real: Path) -> None:
    cv2.imwrite(str(real / "ground_truth" / "hole" / "000_mask.png"), np.zeros((16, 32), np.uint8))
    with pytest.raises(ImageError, match="is 32 x 16, its image 32 x 32"):
        load_stack(read_labelled(real)[:1], 16)
