"""A fold in cloth or paper is a sharp straight line between a lighter and a darker flank of the sheet's own colour."""

import cv2
import numpy as np
import pytest

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.crease import Crease
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer


def sheet() -> Scene:
    """Red paper with a little cloud, lit evenly."""
    noise = np.random.default_rng(7).normal(0.0, 1.0, (256, 256)).astype(np.float32)
    cloud = cv2.GaussianBlur(noise, (0, 0), 3.0)
    shade = 1.0 + 0.02 * (cloud / cloud.std())[..., None] + 0.008 * noise[..., None]
    return Scene(photo_from_array(np.clip(np.array([180.0, 60.0, 60.0]) * shade, 0, 255).astype(np.uint8)))


def spec_of(seed: int, mechanism: Mechanism = "dent") -> DefectSpec:
    return DefectSpec(
        mechanism=mechanism,
        area_fraction=0.02,
        elongation=20.0,
        severity=8.0,
        center=(0.5, 0.5),
        orientation_deg=0.0,
        seed=seed,
    )


@pytest.mark.parametrize("mechanism", ["dent", "bend"])
def test_words_of_folded_sheets_draw_a_crease(mechanism: Mechanism) -> None:
    scene, spec = sheet(), spec_of(0, mechanism)
    assert named_renderer(scene, spec, 'Add a dent ("fold") anywhere on the fabric.') == Crease()
    assert named_renderer(scene, spec, 'Add a dent ("wrinkle") anywhere on the plastic film.') == Crease(pressed=False)
    assert not isinstance(named_renderer(scene, spec, 'Add a dent ("crease") anywhere on the metal sheet.'), Crease)
    assert not isinstance(named_renderer(scene, spec, 'Add a dent ("dent") anywhere on the paper.'), Crease)


def test_the_flanks_meet_in_a_sharp_line_and_keep_the_colour_of_the_sheet() -> None:
    scene = sheet()
    for seed in range(6):
        made = render_defect(scene, spec_of(seed), Crease())
        rows, columns = np.nonzero(made.mask)
        assert np.ptp(columns) > 10.0 * len(rows) / np.ptp(columns)
        change = made.photo.rgb.mean(axis=2) - scene.photo.rgb.mean(axis=2)
        across = np.diff(change[:, 88:168], axis=0)
        # most of the way from the darkest to the lightest lies within three pixels
        steps = np.abs(np.stack([across[:-2], across[1:-1], across[2:]]).sum(axis=0)).max(axis=0)
        assert np.median(steps) > 0.6 * np.median(np.ptp(change[:, 88:168], axis=0))
        before, after = scene.photo.rgb[made.mask], made.photo.rgb[made.mask]
        assert abs(np.median(after[:, 0] / after[:, 1]) / np.median(before[:, 0] / before[:, 1]) - 1.0) < 0.05
