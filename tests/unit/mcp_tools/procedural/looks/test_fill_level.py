"""Too much or too little liquid: the level moves, the meniscus with it; walls, labels and caps stay."""

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.fill_level import FillLevel, names_filling_fault
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer
from anomalyagent.mcp_tools.procedural.structure.liquid_level import find_level

PROMPT = 'Let one part be missing ("{}") on the vial.'
SPEC = DefectSpec(mechanism="missing", area_fraction=0.1, elongation=2.0, severity=12.0)
LEVEL, LABEL = 150, (230, 270)


def _shown(*, opaque: bool = False) -> NDArray[np.uint8]:
    """A vial with an amber liquid, a dark meniscus, a white label and a blue cap, before a pale ground."""
    photo = np.full((360, 220, 3), 205, np.uint8)
    photo[60:330, 60:160] = 120  # walls
    photo[66:324, 66:154] = (60, 110, 60) if opaque else 198
    photo[30:60, 70:150] = (40, 60, 150)
    if not opaque:
        photo[LEVEL:324, 66:154] = (190, 130, 50)
        photo[LEVEL : LEVEL + 3, 66:154] = (110, 75, 30)
    photo[LABEL[0] : LABEL[1], 60:160] = 235
    photo[:, 75:80][66:324] = np.minimum(photo[:, 75:80][66:324].astype(int) + 40, 255)  # the lamp in the wall
    noise = np.random.default_rng(0).normal(0.0, 1.5, photo.shape)
    return np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0.0, 255.0).astype(np.uint8)


def _vial(*, opaque: bool = False) -> Scene:
    return Scene(photo_from_array(_shown(opaque=opaque)))


def _first_of_liquid(rgb: NDArray[np.float32]) -> int:
    """The first row below the cap in which blue is lacking."""
    column = rgb[:, 95:140].mean(axis=1)
    return int(np.flatnonzero(column[:, 0] - column[:, 2] > 0.15)[0])


def test_the_level_is_found_and_the_edges_of_label_and_cap_are_none() -> None:
    level = find_level(_vial())
    assert level is not None
    assert abs(level.y - LEVEL) < 5.0
    assert abs(level.slope) < 0.02
    assert 60.0 < level.empty_px < 100.0
    assert 50.0 < level.filled_px < 90.0


def test_nothing_else_has_a_level() -> None:
    assert find_level(_vial(opaque=True)) is None
    for kind in ("surface", "part"):
        assert find_level(Scene(photo_from_array(make_photo(kind, size=200)))) is None


@pytest.mark.parametrize("half_px", [14, 20, 26])
@pytest.mark.parametrize("cap", [190, 205])
def test_a_pale_cap_on_an_opaque_body_is_no_empty_part(cap: int, half_px: int) -> None:
    photo = np.full((360, 220, 3), (150, 152, 158), np.uint8)
    photo[60:330, 50:170] = (50, 120, 85)
    photo[20:60, 110 - half_px : 110 + half_px] = cap
    noise = np.random.default_rng(0).normal(0.0, 1.5, photo.shape)
    shown = np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0.0, 255.0).astype(np.uint8)
    assert find_level(Scene(photo_from_array(shown))) is None


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("words", "way"), [("underfilled", 1), ("low_fill", 1), ("overfilled", -1)])
def test_the_level_lies_lower_or_higher_and_all_else_stays(words: str, way: int, seed: int) -> None:
    scene = _vial()
    spec = SPEC.model_copy(update={"seed": seed})
    renderer = named_renderer(scene, spec, PROMPT.format(words))
    assert isinstance(renderer, FillLevel)
    drawn = render_defect(scene, spec, renderer)
    after = _first_of_liquid(drawn.photo.rgb)
    assert (after - LEVEL) * way > 8.0
    rows = np.flatnonzero(drawn.mask.any(axis=1))
    low, high = sorted((LEVEL, after))
    assert rows[0] > low - 10
    assert rows[-1] < high + 10
    assert drawn.mask[low + 8 : high - 8, 84:150].mean() > 0.9
    assert not drawn.mask[LABEL[0] + 2 : LABEL[1] - 2].any()
    columns = np.flatnonzero(drawn.mask.any(axis=0))
    assert columns[0] >= 58
    assert columns[-1] <= 162
    meniscus = drawn.photo.rgb[after - 4 : after + 6, 90:145].mean(axis=(1, 2))
    assert meniscus.min() < 0.35  # it is seen at the new place


def test_an_opaque_bottle_is_left_to_the_mechanism() -> None:
    assert not isinstance(named_renderer(_vial(opaque=True), SPEC, PROMPT.format("underfilled")), FillLevel)


@pytest.mark.parametrize(
    ("words", "way"),
    [("wrong fill level", 0), ("half full", 1), ("too much liquid", -1), ("filled letters", None), ("missing cap", None)],
)
def test_names_say_which_way(words: str, way: int | None) -> None:
    assert names_filling_fault(PROMPT.format(words)) == way
