"""A knot in wood is a dark oval with rings, around which the grain swerves; cloth and grey photos have none of it."""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.knot import Knot
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer

PROMPT = 'Add one clear stain ("knot") anywhere on the veneer.'


def board(*, grey: bool = False) -> Scene:
    """Wood whose grain runs from left to right."""
    noise = np.random.default_rng(4).normal(0.0, 1.0, (240, 240)).astype(np.float32)
    grain = cv2.GaussianBlur(noise, (0, 0), sigmaX=40.0, sigmaY=1.0)
    shade = 1.0 + 0.06 * (grain / grain.std())[..., None]
    color = np.array([150.0, 150.0, 150.0] if grey else [190.0, 145.0, 98.0])
    return Scene(photo_from_array(np.clip(color * shade, 0, 255).astype(np.uint8)))


def spec_of(seed: int) -> DefectSpec:
    return DefectSpec(
        mechanism="stain", area_fraction=0.03, elongation=1.6, severity=12.0, center=(0.5, 0.5), orientation_deg=70.0, seed=seed
    )


def test_only_grown_wood_has_knots() -> None:
    assert isinstance(named_renderer(board(), spec_of(0), PROMPT), Knot)
    assert not isinstance(named_renderer(board(grey=True), spec_of(0), PROMPT), Knot)
    assert not isinstance(named_renderer(board(), spec_of(0), PROMPT.replace("knot", "oil")), Knot)


def test_a_knot_is_a_dark_compact_oval_along_the_grain() -> None:
    scene = board()
    for seed in range(6):
        made = render_defect(scene, spec_of(seed), Knot())
        rows, columns = np.nonzero(made.mask)
        assert np.ptp(columns) > np.ptp(rows)
        assert made.mask[120, 120]
        heart = (slice(112, 129), slice(112, 129))
        assert made.photo.rgb[heart].mean() < 0.8 * scene.photo.rgb[heart].mean()
        assert 0.3 < made.mask.sum() / (0.03 * 240 * 240) < 2.5


def test_no_knot_takes_a_large_part_of_the_board() -> None:
    for seed in range(4):
        made = render_defect(board(), spec_of(seed).model_copy(update={"area_fraction": 0.2, "count": 1}), Knot())
        assert made.mask.mean() < 0.09
