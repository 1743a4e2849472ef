"""A component that is not there leaves its pads on the board: under its leads, or under a can."""

import cv2
import numpy as np
import pytest
from helpers.boards import CANS, CHIPS, board, owners

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer

PROMPT = 'Let one part be missing ("missing component") on the circuit board.'


@pytest.mark.parametrize("seed", range(8))
def test_pads_lie_where_leads_were_and_two_where_a_can_was(seed: int) -> None:
    scene = board()
    spec = DefectSpec(mechanism="missing", area_fraction=0.01, severity=14.0, seed=seed)
    drawn = render_defect(scene, spec, named_renderer(scene, spec, PROMPT))
    one = int(np.bincount(owners()[drawn.mask & (owners() > 0)]).argmax())
    place = cv2.dilate((owners() == one).astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
    rgb = drawn.photo.rgb
    metal = (place & (rgb.min(axis=2) > 0.55) & drawn.mask).astype(np.uint8)
    pads = cv2.connectedComponentsWithStats(metal)[2][1:, cv2.CC_STAT_AREA]
    if one > len(CHIPS):
        assert len(CANS) >= one - len(CHIPS)
        assert np.count_nonzero(pads >= 4) == 2
    else:
        x, y, width, height = CHIPS[one - 1]
        rows = np.flatnonzero(metal.any(axis=1)) if metal.any() else np.array([y])
        assert not metal[y - height // 2 + 4 : y + height // 2 - 3, x - width // 2 : x + width // 2].any()
        assert rows.min() < y < rows.max()
    assert rgb[place & drawn.mask & (metal == 0)].max(axis=1).mean() < 0.6  # the rest is board
