"""Paper tears along a ragged line beside which bare fibres show; a blade leaves neither."""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.torn import Torn
from anomalyagent.mcp_tools.procedural.mechanisms import cut
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer

PROMPT = 'Add a cut ("tear") anywhere on the paper.'


def sheet() -> Scene:
    """Brown paper."""
    noise = np.random.default_rng(4).normal(0.0, 1.0, (200, 200)).astype(np.float32)
    shade = 1.0 + 0.02 * cv2.GaussianBlur(noise, (0, 0), 1.5)[..., None] + 0.008 * noise[..., None]
    return Scene(photo_from_array(np.clip(np.array([175.0, 140.0, 95.0]) * shade, 0, 255).astype(np.uint8)))


def spec_of(seed: int) -> DefectSpec:
    given = {"mechanism": "cut", "area_fraction": 0.015, "elongation": 8.0, "severity": 12.0, "center": (0.5, 0.5)}
    return DefectSpec.model_validate({**given, "orientation_deg": 0.0, "seed": seed})


def test_words_tell_a_tear_in_paper_from_a_cut() -> None:
    assert isinstance(named_renderer(sheet(), spec_of(0), PROMPT), Torn)
    assert not isinstance(named_renderer(sheet(), spec_of(0), PROMPT.replace("tear", "knife cut")), Torn)
    assert not isinstance(named_renderer(sheet(), spec_of(0), PROMPT.replace("paper", "leather")), Torn)


def test_a_tear_is_ragged_and_has_a_pale_fringe() -> None:
    scene = sheet()

    def measured(torn: bool) -> tuple[float, float]:
        ragged, pale = [], []
        for seed in range(6):
            made = render_defect(scene, spec_of(seed), Torn() if torn else cut)
            change = made.photo.rgb.mean(axis=2) - scene.photo.rgb.mean(axis=2)
            gap = (change < -0.06).astype(np.uint8)
            outlines, _ = cv2.findContours(gap, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            outline = max(outlines, key=cv2.contourArea)
            ragged.append(cv2.arcLength(outline, True) / cv2.arcLength(cv2.convexHull(outline), True))
            pale.append(float((change[made.mask] > 0.03).mean()))
        return float(np.median(ragged)), float(np.median(pale))

    torn, sliced = measured(True), measured(False)
    assert torn[0] - 1.0 > 1.5 * (sliced[0] - 1.0)
    assert torn[1] > 0.1
    assert torn[1] > 2.0 * sliced[1]
