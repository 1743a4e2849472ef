"""One piece too many among others on a tray: a whole one, on free ground or on top, and the judge expects it there."""

import cv2
import numpy as np
import pytest

from anomalyagent.configs.schema import KnowledgeSettings
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.more import names_one_more
from anomalyagent.mcp_tools.backends.features import FeatureJudge
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.extra import Extra
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer

PROMPT = 'Introduce one visible deposit of foreign matter ("{}") somewhere on the washers. It lies on the surface.'
SPEC = DefectSpec(mechanism="contamination", area_fraction=0.02, elongation=1.5, severity=10.0)
RADIUS = 22


def _tray(*, crowded: bool = False) -> Scene:
    """Six discs in two rows on grey; `crowded`: so close that no seventh fits between them."""
    height, width = (120, 170) if crowded else (200, 300)
    photo = np.full((height, width, 3), 90, np.uint8)
    for row in range(2):
        for column in range(3):
            at = (round(width * (column + 0.5) / 3), round(height * (row + 0.5) / 2))
            cv2.circle(photo, at, RADIUS, (200, 170, 60), cv2.FILLED)
            cv2.circle(photo, at, RADIUS // 2, (150, 110, 30), cv2.FILLED)
    noise = np.random.default_rng(0).normal(0.0, 2.0, photo.shape)
    return Scene(photo_from_array(np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0.0, 255.0).astype(np.uint8)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("words", ["extra washer", "additional_washer", "surplus piece", "one too many"])
def test_an_extra_piece_lies_on_free_ground_and_passes(words: str, seed: int) -> None:
    scene = _tray()
    spec = SPEC.model_copy(update={"seed": seed})
    drawn = render_defect(scene, spec, named_renderer(scene, spec, PROMPT.format(words)))
    assert not (drawn.mask & scene.foreground).any()
    assert 0.8 < np.count_nonzero(drawn.mask) / (np.pi * RADIUS**2) < 1.5
    judged = FeatureJudge({}, KnowledgeSettings()).judge(scene.photo, drawn.photo, "washers", words, 5.0)
    assert judged.passed
    assert "off_object" not in {finding.name for finding in judged.findings}


def test_where_there_is_no_room_it_lies_on_top_of_others() -> None:
    scene = _tray(crowded=True)
    drawn = render_defect(scene, SPEC, named_renderer(scene, SPEC, PROMPT.format("extra washer")))
    assert 0.02 < (drawn.mask & scene.foreground).sum() / (np.pi * RADIUS**2) < 0.75
    assert np.count_nonzero(drawn.mask) > 0.6 * np.pi * RADIUS**2


@pytest.mark.parametrize("words", ["extra grease", "extra hole", "additional scratch", "foreign washer"])
def test_more_of_something_else_is_no_extra_piece(words: str) -> None:
    scene = _tray()
    assert not names_one_more(words, "washers")
    assert not isinstance(named_renderer(scene, SPEC, PROMPT.format(words)), Extra)
