"""What is missing shows what lies behind it: background behind leads and bites, plain ground under prints."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.sites import comb, draw, labelled_sheet, plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array, read_photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.mechanisms import missing
from anomalyagent.mcp_tools.procedural.parts.search import find_components
from anomalyagent.mcp_tools.procedural.retouching.cutout import fill_behind

SPEC = DefectSpec(mechanism="missing", severity=8.0)


def test_a_missing_lead_is_filled_with_background() -> None:
    site = site_on(comb(), (66, 90), 220)
    gone = 0
    for seed in range(8):
        edit = missing.render(site, SPEC, np.random.default_rng(seed))
        assert edit is not None
        assert edit.strength_fixed
        before, after = site.scene.photo.rgb, draw(site, edit)
        freed = (before[72:104, :, 2] < 0.4) & (after[72:104, :, 2] > 0.6)
        gone += bool(freed.sum() > 90 and np.abs(after[72:104][freed] - 215 / 255).mean() < 0.06)
    assert gone >= 6


@pytest.mark.parametrize("photo", ["000", "001", "002"])
def test_a_missing_pin_leaves_no_stump_and_the_edge_of_the_housing_goes_on(photo: str) -> None:
    """Slivers of gold stayed at the root, and a pale patch lay over the shade below the housing."""
    scene = Scene(read_photo(Path(f"examples/normals/connector/{photo}.jpg")))
    for seed in range(4):
        made = render_defect(scene, SPEC.model_copy(update={"area_fraction": 0.05, "elongation": 4.0, "seed": seed}))
        before, after = scene.lab, Scene(made.photo).lab
        gold = before[..., 2] > 15  # housing and bench are grey
        rows, columns = np.nonzero(made.mask & gold)
        assert len(rows) > 100
        root = slice(rows.min() - 12, rows.min() + 10), slice(columns.min() - 1, columns.max() + 2)
        assert (after[root][..., 2] > 12).sum() <= 2
        pale = after[root][..., 0] - np.maximum(
            *(before[root[0], edge : edge + 1, 0] for edge in (root[1].start - 6, root[1].stop + 5))
        )
        assert np.percentile(pale, 95) < 12


def test_a_missing_print_leaves_the_plain_ground() -> None:
    site = site_on(labelled_sheet(), (64, 64), 280)
    parts = find_components(site)
    assert parts
    part = parts[0]
    filled = fill_behind(site.scene.photo.rgb[part.window.slices], part.mask, np.random.default_rng(0))
    assert np.abs(filled[part.mask] - 205 / 255).mean() < 0.03
    assert np.array_equal(filled[~part.mask], site.scene.photo.rgb[part.window.slices][~part.mask])


def test_a_filling_takes_nothing_from_neighbouring_marks() -> None:
    site = site_on(labelled_sheet(), (64, 64), 280)
    photo = site.scene.photo.rgb
    hole = np.zeros((128, 128), bool)
    hole[48:80, 55:70] = True  # the middle bar, its neighbours stay
    filled = fill_behind(photo, hole, np.random.default_rng(0))
    assert filled[hole].min() > 0.7


@pytest.mark.parametrize("seed", range(4))
def test_a_bite_at_the_outline_shows_the_background(seed: int) -> None:
    photo = np.full((128, 128, 3), 225, np.uint8)
    y, x = np.mgrid[:128, :128]
    photo[np.hypot(x - 64, y - 64) < 45] = 70
    site = site_on(photo, (106, 64), 300)
    edit = missing.render(site, SPEC, np.random.default_rng(seed))
    assert edit is not None
    before, after = site.scene.photo.rgb[..., 0], draw(site, edit)[..., 0]
    assert ((before < 0.4) & (after > 0.8)).sum() > 100


def test_a_sheet_without_parts_loses_a_layer() -> None:
    site = site_on(plain_sheet(), (64, 64), 500)
    edit = missing.render(site, SPEC, np.random.default_rng(0))
    assert edit is not None
    assert edit.opacity is not None
    assert 0.6 * 500 < edit.opacity.sum() < 1.6 * 500


@pytest.mark.parametrize("seed", range(3))
def test_a_piece_missing_from_a_compartment_leaves_its_floor(seed: int) -> None:
    """The walls of the tray were copied into the empty place."""
    photo = np.full((240, 320, 3), 176, np.uint8)
    for x in range(0, 321, 80):
        cv2.line(photo, (x, 0), (x, 239), (120, 120, 120), 5)
    for y in range(0, 241, 80):
        cv2.line(photo, (0, y), (319, y), (120, 120, 120), 5)
    for row in range(3):
        for column in range(4):
            x, y, angle = 40 + 80 * column, 40 + 80 * row, 30.0 * (row + column)
            cv2.ellipse(photo, (x + 7, y + 8), (20, 13), angle, 0, 360, (140, 140, 140), cv2.FILLED)
            cv2.ellipse(photo, (x, y), (20, 13), angle, 0, 360, (215, 170, 20), cv2.FILLED)
    noise = np.random.default_rng(0).normal(0.0, 7.0, photo.shape)
    scene = Scene(photo_from_array(np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)))
    made = render_defect(scene, DefectSpec(mechanism="missing", area_fraction=0.08, severity=16.0, seed=seed))
    inside = cv2.erode(made.mask.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    assert np.count_nonzero(inside) > 300
    assert cv2.blur(made.photo.rgb.mean(axis=2), (3, 3))[inside].min() > 0.62


@pytest.mark.parametrize("seed", range(3))
def test_a_piece_missing_from_a_heap_leaves_paper(seed: int) -> None:
    """The neighbours went on into the empty place."""
    photo = np.full((320, 360, 3), 240, np.uint8)
    for row in range(3):
        for column in range(4):
            cv2.circle(photo, (82 + 52 * column + 26 * (row % 2), 110 + 46 * row), 26, (120, 84, 40), cv2.FILLED)
    scene = Scene(photo_from_array(cv2.GaussianBlur(photo, (0, 0), 0.8)))
    made = render_defect(scene, DefectSpec(mechanism="missing", area_fraction=0.08, severity=16.0, seed=seed))
    inside = cv2.erode(made.mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert np.count_nonzero(inside) > 1000
    assert float((made.photo.rgb[inside].mean(axis=1) > 0.85).mean()) > 0.97
