"""Mould grows in several round colonies with fuzzy borders; what is made in a mould has none."""

import cv2
import numpy as np
import pytest

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.mould import Mould, names_mould
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer

PROMPT = 'Put one stain ("{}") on the bread.'


def _scene(level: tuple[int, int, int]) -> Scene:
    noise = np.random.default_rng(0).normal(0.0, 3.0, (240, 240, 3))
    return Scene(photo_from_array(np.clip(np.array(level) + cv2.GaussianBlur(noise, (0, 0), 0.7), 0.0, 255.0).astype(np.uint8)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level", [(215, 190, 150), (120, 30, 20)])
def test_colonies_of_several_sizes_are_pale_or_dark_and_never_glow(level: tuple[int, int, int], seed: int) -> None:
    scene = _scene(level)
    spec = DefectSpec(mechanism="stain", area_fraction=0.02, elongation=1.3, severity=10.0, seed=seed)
    renderer = named_renderer(scene, spec, PROMPT.format("mould"))
    assert isinstance(renderer, Mould)
    drawn = render_defect(scene, spec, renderer)
    shown = drawn.mask.astype(np.uint8)
    sizes = cv2.connectedComponentsWithStats(shown)[2][1:, cv2.CC_STAT_AREA]
    around = cv2.convexHull(np.argwhere(shown > 0).astype(np.float32))
    assert np.count_nonzero(sizes >= 6) >= 2 or shown.sum() < 0.75 * cv2.contourArea(around)
    strongest = np.abs(drawn.photo.rgb - scene.photo.rgb).sum(axis=2) > 0.3
    grown = np.median(drawn.photo.rgb[strongest], axis=0)
    before = np.array(level) / 255.0
    if level[0] > 150:
        assert grown.mean() < before.mean()
    else:  # white threads hide the red
        assert grown.mean() > before.mean()
        assert np.ptp(grown) < 0.6 * np.ptp(before)


@pytest.mark.parametrize(("words", "named"), [("mildew", True), ("fuzzy mould", True), ("mould line", False), ("stain", False)])
def test_names(words: str, named: bool) -> None:
    assert names_mould(PROMPT.format(words)) is named
