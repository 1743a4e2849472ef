"""Printing faults change existing marks and their close surroundings only; sheets without print get a stray mark."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.sites import draw, labelled_sheet, plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array, read_photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.mechanisms import print as print_fault

NORMALS = Path(__file__).parents[5] / "examples" / "normals"
SPEC = DefectSpec(mechanism="print", severity=8.0)


@pytest.mark.parametrize("seed", range(12))
def test_a_fault_of_existing_print_stays_around_the_marks(seed: int) -> None:
    site = site_on(labelled_sheet(), (64, 64), 280)
    edit = print_fault.render(site, SPEC, np.random.default_rng(seed))
    assert edit is not None
    assert edit.photographed
    change = np.abs(draw(site, edit) - site.scene.photo.rgb).max(axis=2)
    assert (change > 0.08).sum() > 15
    rows, columns = np.nonzero(change > 0.08)
    marked_rows, marked_columns = np.nonzero(site.scene.photo.rgb[..., 0] < 0.5)
    nearest = np.hypot(rows[:, None] - marked_rows[None], columns[:, None] - marked_columns[None]).min(axis=1)
    assert nearest.max() < 45
    assert np.median(nearest) < 12


def test_reprinted_marks_have_only_the_colours_of_ink_and_ground() -> None:
    for seed in range(12):
        site = site_on(labelled_sheet(), (64, 64), 280)
        edit = print_fault.render(site, SPEC, np.random.default_rng(seed))
        assert edit is not None
        after = draw(site, edit)[edit.window.slices][edit.support]
        share = (205 / 255 - after[:, 0]) / (205 / 255 - 40 / 255)  # how much ink, by the red channel
        expected = 205 / 255 + share * (130 / 255 - 205 / 255)
        assert np.percentile(np.abs(after[:, 2] - expected), 95) < 0.1


@pytest.mark.parametrize("seed", range(6))
def test_a_sheet_without_print_gets_a_stray_mark(seed: int) -> None:
    site = site_on(plain_sheet(), (64, 64), 400, reach=3.0)
    edit = print_fault.render(site, SPEC, np.random.default_rng(seed))
    assert edit is not None
    assert not edit.photographed
    assert 0.2 * 400 < edit.support.sum() < 5.0 * 400


def test_dark_sheets_get_pale_ink() -> None:
    site = site_on(plain_sheet(level=25), (64, 64), 400, reach=3.0)
    edit = print_fault.render(site, SPEC, np.random.default_rng(0))
    assert edit is not None
    assert draw(site, edit)[edit.window.slices][edit.support].mean() > site.scene.photo.rgb.mean() + 0.05


def test_print_on_a_body_of_two_colours_is_found() -> None:
    photo = np.full((240, 320, 3), 220, np.uint8)
    cv2.rectangle(photo, (20, 70), (165, 170), (20, 20, 22), -1)
    cv2.rectangle(photo, (165, 74), (300, 166), (190, 75, 30), -1)
    photo[82:88, 30:290] = photo[82:88, 30:290] // 2 + 110  # a light along both
    cv2.putText(photo, "LOT", (45, 136), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (210, 205, 200), 4)
    cv2.putText(photo, "500", (195, 136), cv2.FONT_HERSHEY_SIMPLEX, 1.3, (210, 205, 200), 4)
    photo = cv2.GaussianBlur(photo.astype(np.float32), (0, 0), 0.8) + np.random.default_rng(0).normal(0, 1.5, photo.shape)
    scene = Scene(photo_from_array(photo.clip(0, 255).astype(np.uint8)))
    found = [target.xy for target in print_fault.targets(scene, DefectSpec(mechanism="print", area_fraction=0.02))]
    assert len(found) > 20
    assert np.mean([96 < y < 142 for _, y in found]) > 0.9
    assert any(x < 160 for x, _ in found)
    assert any(x > 170 for x, _ in found)


def test_the_upper_ends_of_pins_are_no_print() -> None:
    scene = Scene(read_photo(NORMALS / "connector" / "001.jpg"))
    assert print_fault.targets(scene, DefectSpec(mechanism="print", area_fraction=0.02)) == []
