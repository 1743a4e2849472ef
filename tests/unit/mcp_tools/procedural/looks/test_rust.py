"""Rust is a granular crust that seeps from edges; it is no paint that runs."""

import cv2
import numpy as np
import pytest
from helpers.sites import plain_sheet

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect
from anomalyagent.mcp_tools.procedural.looks.rust import names_running_rust, names_rust
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer

STEEL = (plain_sheet(256) * np.array([0.97, 1.0, 1.04])).clip(0, 255).astype(np.uint8)
SHEET = Scene(photo_from_array(STEEL))


def draw(prompt: str, mechanism: Mechanism = "stain", scene: Scene = SHEET, **fields: object) -> Rendered:
    given = {"mechanism": mechanism, "area_fraction": 0.02, "severity": 14.0, "color_shift": (-14.0, 17.0, 26.0), **fields}
    spec = DefectSpec.model_validate(given)
    return render_defect(scene, spec, named_renderer(scene, spec, prompt))


def roughness_of(mask: np.ndarray) -> float:
    """Length of the outlines over that of a disc of the same area."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return sum(cv2.arcLength(one, True) for one in outlines) / float(2.0 * np.sqrt(np.pi * np.count_nonzero(mask)))


@pytest.mark.parametrize("mechanism", ["stain", "discoloration"])
def test_rust_is_grains_with_ragged_borders_brown_and_uneven(mechanism: Mechanism) -> None:
    before, ragged = lab_from_rgb(SHEET.photo.rgb), []
    for seed in range(6):
        made = draw("rust spots on a steel plate", mechanism, seed=seed, center=(0.5, 0.5))
        shift = lab_from_rgb(made.photo.rgb) - before
        crust = shift[..., 2] > 8.0
        ragged.append(roughness_of(crust))
        assert shift[..., 1][crust].mean() > 5.0
        assert shift[..., 0][crust].mean() < -8.0
        assert shift[..., 0][crust].std() > 5.0
    assert np.mean(ragged) > 2.5


def test_rust_that_runs_leaves_faint_streaks_below_and_no_beads() -> None:
    below, dry = 0.0, 0.0
    for seed in range(6):
        for prompt in ("rust running down a steel plate", "rust on a steel plate"):
            made = draw(prompt, seed=seed, center=(0.5, 0.3))
            shift = (lab_from_rgb(made.photo.rgb) - lab_from_rgb(SHEET.photo.rgb))[..., 2]
            crust = cv2.GaussianBlur((shift > 8.0).astype(np.float32), (0, 0), 2.0) > 0.3
            lowest = np.flatnonzero(crust.any(axis=1)).max()
            tail = float(np.median(cv2.blur(shift, (5, 1))[lowest + 4 : lowest + 24], axis=0).max())  # of the columns
            if "running" in prompt:
                below += tail
            else:
                dry += tail
    assert below > 1.6 * dry


def test_rust_sits_at_the_edges_of_a_part() -> None:
    photo = np.full((256, 256, 3), 40, np.uint8)
    photo[40:216, 40:216] = STEEL[:176, :176]
    scene = Scene(photo_from_array(photo))
    depths = [float(np.median(scene.depth_px[draw("rusty bracket", scene=scene, seed=seed).mask])) for seed in range(8)]
    assert np.median(depths) < 22.0  # half of all places are deeper than 26 pixels


def test_words_tell_brown_rust_from_white_rust_and_from_a_colour() -> None:
    assert names_rust("rust stain", None)
    assert names_rust("corroded patch", (-12.0, 12.0, 18.0))
    assert not names_rust("white rust", None)
    assert not names_rust("rust on zinc", (14.0, 0.0, 1.0))
    assert not names_rust("a rust coloured paint drip", None)
    assert names_running_rust("rust weeping from a screw")
    assert not names_running_rust("rust spot")
