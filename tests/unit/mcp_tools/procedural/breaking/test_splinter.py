"""What comes out of wood leaves a place along its fibres, with torn ends and a ridged floor."""

import cv2
import numpy as np
import pytest

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.breaking.named_body import named_body
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.mechanisms.chip import Breaking


def board(upright: bool) -> Scene:
    """A brown board with its grain from left to right, or upright."""
    rng = np.random.default_rng(2)
    lines = np.repeat(rng.normal(0.0, 1.0, (200, 1)), 200, axis=1)
    grain = 9.0 * cv2.GaussianBlur(lines, (0, 0), 1.2)[..., None] + rng.normal(0.0, 1.5, (200, 200, 1))
    native = np.clip(np.array([186.0, 134.0, 84.0]) + grain, 0, 255).astype(np.uint8)
    return Scene(photo_from_array(np.ascontiguousarray(native.transpose(1, 0, 2)) if upright else native))


@pytest.mark.parametrize("upright", [False, True])
def test_a_chip_of_wood_is_a_long_tear_along_the_grain_and_no_lump_of_rock(upright: bool) -> None:
    scene = board(upright)
    assert scene.fibrous
    for seed in range(6):
        spec = DefectSpec(mechanism="chip", center=(0.5, 0.5), area_fraction=0.015, elongation=1.5, severity=12.0, seed=seed)
        made = render_defect(scene, spec, Breaking(named_body("a chip in the oak board")))
        ys, xs = np.nonzero(made.mask)
        along, across = (ys, xs) if upright else (xs, ys)
        assert np.std(along) > 2.5 * np.std(across)
        inside = cv2.erode(made.mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        down, right = (float(np.abs(np.diff(made.photo.rgb[..., 1], axis=side, append=0)[inside]).mean()) for side in (0, 1))
        assert (right > 1.5 * down) if upright else (down > 1.5 * right)  # ridges run with the grain


def test_a_chip_at_the_frame_of_a_board_is_torn_out_of_its_face() -> None:
    scene = board(upright=False)
    spec = DefectSpec(mechanism="chip", zone="edge", center=(0.98, 0.5), area_fraction=0.02, elongation=1.5, severity=12.0)
    ys, xs = np.nonzero(render_defect(scene, spec, Breaking(named_body("chipped board"))).mask)
    assert np.ptp(xs) > 1.5 * np.ptp(ys)
