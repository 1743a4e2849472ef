"""A crack that is asked for about as long as wide is a net of fine cracks."""

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from helpers.sites import plain_sheet

from anomalyagent.knowledge.cards import load_cards
from anomalyagent.knowledge.fitting import choose_cards
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect


def net(scene: Scene, **fields: object) -> Rendered:
    given = {"mechanism": "crack", "elongation": 1.5, "area_fraction": 0.05, "severity": 8.0, **fields}
    return render_defect(scene, DefectSpec.model_validate(given))


def cells_of(mask: np.ndarray) -> int:
    """Pieces of sound surface that lines enclose."""
    return int(cv2.connectedComponents((~mask).astype(np.uint8), connectivity=4)[0]) - 2


@pytest.mark.parametrize("seed", range(4))
def test_its_lines_are_fine_and_enclose_cells(seed: int) -> None:
    made = net(Scene(photo_from_array(plain_sheet(192))), seed=seed)
    assert cells_of(made.mask) >= 5
    depth = cv2.distanceTransform(made.mask.astype(np.uint8), cv2.DIST_L2, 3)
    assert np.median(depth[made.mask]) < 2.0


def test_a_long_crack_is_none() -> None:
    made = net(Scene(photo_from_array(plain_sheet(192))), elongation=20.0, area_fraction=0.015, seed=1)
    assert cells_of(made.mask) <= 3


def test_its_lines_have_the_area_that_was_asked_for() -> None:
    scene = Scene(photo_from_array(make_photo("part", 0, 192)))
    ratios = [
        net(scene, area_fraction=wanted, seed=seed).spec.area_fraction / wanted
        for seed in range(4)
        for wanted in (0.01, 0.05, 0.12)
    ]
    assert 0.7 < np.median(ratios) < 1.4
    assert np.mean([0.5 < ratio < 2.0 for ratio in ratios]) >= 0.75


@pytest.mark.parametrize("name", ["crazing", "mud cracks", "alligatoring"])
def test_the_words_for_a_net_ask_for_one(name: str) -> None:
    choice = choose_cards(load_cards([]), "ceramic disc", name)
    widest = max(
        variant.priors.elongation[1] for card in choice.cards for variant in card.variants if variant.mechanism == "crack"
    )
    assert widest <= 3.0
