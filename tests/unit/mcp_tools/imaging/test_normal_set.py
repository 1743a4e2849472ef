"""What a whole set of photos shows."""

from pathlib import Path

import cv2
import numpy as np
from helpers.photos import make_photo, make_photos

from anomalyagent.mcp_tools.imaging.normal_set import measure_set


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))


def test_a_brushed_sheet_is_a_surface_whose_texture_runs_one_way(tmp_path: Path) -> None:
    traits = measure_set(files(make_photos(tmp_path, "surface", 4)))
    assert traits is not None
    assert traits.surface
    assert traits.directional > 0.5
    assert traits.chroma < 8.0


def test_a_part_is_an_object_that_looks_the_same_when_it_is_turned(tmp_path: Path) -> None:
    traits = measure_set(files(make_photos(tmp_path, "part", 4)))
    assert traits is not None
    assert not traits.surface
    assert traits.symmetry > 0.6


def test_a_weave_is_regular_and_grain_is_not(tmp_path: Path) -> None:
    y, x = np.mgrid[:128, :128]
    rng = np.random.default_rng(0)
    for name, picture in (
        ("weave", 120 + 40 * np.sin(x * 0.7) * np.sin(y * 0.7) + rng.normal(0, 4, x.shape)),
        ("grain", 120 + cv2.GaussianBlur(rng.normal(0, 60, x.shape), (0, 0), 1.2)),
    ):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), np.clip(picture, 0, 255).astype(np.uint8))
    weave, grain = measure_set(files(tmp_path / "weave")), measure_set(files(tmp_path / "grain"))
    assert weave is not None
    assert grain is not None
    assert weave.grey
    assert weave.regular > 0.35 > grain.regular


def test_the_photo_that_is_unlike_all_others_is_named(tmp_path: Path) -> None:
    make_photos(tmp_path, "surface", 8)
    odd = make_photo("surface", 3, 96).copy()
    odd[20:70, 20:70] //= 4
    cv2.imwrite(str(tmp_path / "odd.png"), odd)
    traits = measure_set(files(tmp_path))
    assert traits is not None
    assert traits.unusual == ["odd.png"]


def test_files_that_are_no_photos_are_left_out(tmp_path: Path) -> None:
    make_photos(tmp_path, "surface", 2)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    traits = measure_set(files(tmp_path))
    assert traits is not None
    assert traits.photos == 2
    assert measure_set([tmp_path / "broken.png"]) is None


def test_parts_that_lie_apart_are_counted(tmp_path: Path) -> None:
    for number in range(4):
        tray = np.full((240, 320, 3), 40, np.uint8)
        for row, column in np.ndindex(3, 4):
            cv2.circle(tray, (40 + 78 * column + number, 40 + 78 * row), 24, (60, 90, 200), -1)
        cv2.imwrite(str(tmp_path / f"{number}.png"), tray)
    traits = measure_set(sorted(tmp_path.glob("*.png")))
    assert traits is not None
    assert traits.pieces == 12
    assert not traits.surface
