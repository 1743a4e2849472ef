"""What is missing shows what lies behind it: background behind leads and bites, plain ground under prints."""

from pathlib import Path

import numpy as np
import pytest
from helpers.sites import comb, draw, labelled_sheet, plain_sheet, site_on

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import read_photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.components import find_components
from anomalyagent.mcp_tools.procedural.cutout import fill_behind
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.mechanisms import missing

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
