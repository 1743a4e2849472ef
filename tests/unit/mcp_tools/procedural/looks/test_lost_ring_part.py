"""Rings of equal parts are found; one tooth is lost or chipped, one ball is gone, and the others stay whole."""

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.lost_ring_part import LostBall, LostTooth
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer
from anomalyagent.mcp_tools.procedural.parts.rings import ring_of_balls, ring_of_teeth

TEETH, BALLS, SIDE = 20, 10, 260
MIDDLE = (128.0, 132.0)
PROMPT = 'Let one part be missing ("{}") on the {}.'


def _polar() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    return np.hypot(x - MIDDLE[0], y - MIDDLE[1]), np.arctan2(y - MIDDLE[1], x - MIDDLE[0])


def _scene(shown: NDArray[np.float32]) -> Scene:
    noise = np.random.default_rng(0).normal(0.0, 2.0, shown.shape)
    soft = cv2.GaussianBlur(shown.astype(np.float32), (0, 0), 0.8)
    return Scene(photo_from_array(np.clip(soft + noise, 0.0, 255.0).astype(np.uint8)))


def _teeth() -> NDArray[np.int32]:
    """1 and on for each tooth, between the radii 85 and 105; 0 elsewhere."""
    radius, angle = _polar()
    turns = angle / (2.0 * np.pi) * TEETH
    owner = np.mod(np.rint(turns), TEETH).astype(np.int32) + 1
    return np.where((np.abs(turns - np.rint(turns)) < 0.26) & (radius > 85) & (radius < 105), owner, 0).astype(np.int32)


def _gear() -> Scene:
    radius, _ = _polar()
    shown = np.full((SIDE, SIDE, 3), 205.0, np.float32)
    shown[((radius < 86) & (radius > 20)) | (_teeth() > 0)] = (110.0, 112.0, 116.0)
    return _scene(shown)


def _balls() -> list[tuple[float, float]]:
    turns = (np.arange(BALLS) + 0.3) * 2.0 * np.pi / BALLS
    return [(MIDDLE[0] + 75.0 * np.cos(turn), MIDDLE[1] + 75.0 * np.sin(turn)) for turn in turns]


def _bearing() -> Scene:
    radius, _ = _polar()
    shown = np.full((SIDE, SIDE, 3), 40.0, np.float32)
    shown[(radius < 110) & (radius > 35)] = 150.0
    shown[(radius < 92) & (radius > 58)] = (120.0, 95.0, 40.0)
    y, x = np.mgrid[:SIDE, :SIDE]
    for at_x, at_y in _balls():
        away = np.hypot(x - at_x, y - at_y)
        shown[away < 14] = (170.0 - 7.0 * away[away < 14])[:, None]
        shown[np.hypot(x - at_x + 4, y - at_y + 4) < 3] = 245.0
    return _scene(shown)


def test_the_rings_are_found_where_they_lie() -> None:
    teeth, balls = ring_of_teeth(_gear()), ring_of_balls(_bearing())
    assert teeth is not None
    assert balls is not None
    assert (teeth.parts, balls.parts) == (TEETH, BALLS)
    owners = [int(_teeth()[round(y), round(x)]) for x, y in (teeth.at(index) for index in range(TEETH))]
    assert sorted(owners) == list(range(1, TEETH + 1))
    for index in range(BALLS):
        x, y = balls.at(index)
        assert min(np.hypot(x - at_x, y - at_y) for at_x, at_y in _balls()) < 9.0


def test_other_objects_have_no_rings() -> None:
    for scene in (
        Scene(photo_from_array(make_photo("surface", size=200))),
        Scene(photo_from_array(make_photo("part", size=200))),
    ):
        assert ring_of_teeth(scene) is None
    assert ring_of_teeth(_bearing()) is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("words", "mechanism"), [("missing tooth", "missing"), ("chipped tooth", "chip"), ("broken_tooth", "chip")]
)
def test_one_tooth_is_concerned_and_the_others_stay(words: str, mechanism: Mechanism, seed: int) -> None:
    scene = _gear()
    spec = DefectSpec(mechanism=mechanism, area_fraction=0.004, severity=15.0, seed=seed)
    renderer = named_renderer(scene, spec, PROMPT.format(words, "gear"))
    assert isinstance(renderer, LostTooth)
    drawn = render_defect(scene, spec, renderer)
    lost = np.bincount(_teeth()[drawn.mask], minlength=TEETH + 1)[1:] / np.bincount(_teeth().ravel())[1:]
    ordered = np.sort(lost)
    assert ordered[-1] > (0.75 if mechanism == "missing" else 0.2)
    assert ordered[-2] < 0.1
    gone = drawn.photo.rgb[drawn.mask & (_teeth() > 0)].mean(axis=1)
    assert np.median(gone) > 0.7  # the ground shows


def test_no_tip_of_a_tooth_is_left_hanging_where_it_stands_out_beyond_the_others() -> None:
    """As the near ones of a gear do that is seen askew."""
    radius, angle = _polar()
    turns = angle / (2.0 * np.pi) * TEETH
    longer = (np.abs(turns - np.rint(turns)) < 0.26) & (radius > 84) & (radius < 113) & (np.abs(np.rint(turns)) < 2)
    shown = np.where(longer[..., None], np.array((110.0, 112.0, 116.0)), 255.0 * _gear().photo.rgb)
    scene = Scene(photo_from_array(shown.astype(np.uint8)))
    for seed in range(3):
        spec = DefectSpec(mechanism="missing", area_fraction=0.004, severity=15.0, seed=seed, center=(1.0, 0.5))
        renderer = named_renderer(scene, spec, PROMPT.format("missing tooth", "gear"))
        assert isinstance(renderer, LostTooth)
        drawn = render_defect(scene, spec, renderer)
        lost = longer & (radius > 100) & (_teeth() == np.bincount(_teeth()[drawn.mask])[1:].argmax() + 1)
        tip = longer & (radius > 107) & (np.abs(turns - np.rint(np.median(turns[lost]))) < 0.2)
        assert drawn.photo.rgb[tip].mean(axis=1).min() > 0.6


@pytest.mark.parametrize("seed", range(4))
def test_one_ball_is_gone_and_its_seat_is_dark(seed: int) -> None:
    scene = _bearing()
    spec = DefectSpec(mechanism="missing", area_fraction=0.01, severity=15.0, seed=seed)
    renderer = named_renderer(scene, spec, PROMPT.format("missing ball", "ball bearing"))
    assert isinstance(renderer, LostBall)
    drawn = render_defect(scene, spec, renderer)
    ys, xs = np.nonzero(drawn.mask)
    away = [float(np.hypot(xs.mean() - x, ys.mean() - y)) for x, y in _balls()]
    assert min(away) < 3.0
    x, y = (round(value) for value in _balls()[int(np.argmin(away))])
    assert drawn.mask[y - 8 : y + 9, x - 8 : x + 9].mean() > 0.9
    assert drawn.photo.rgb[y - 6 : y + 7, x - 6 : x + 7].max() < 0.4
    assert np.hypot(xs - x, ys - y).max() < 22.0


def test_a_piece_that_is_missing_from_a_ball_bearing_is_no_ball() -> None:
    spec = DefectSpec(mechanism="missing", area_fraction=0.01)
    assert not isinstance(named_renderer(_bearing(), spec, PROMPT.format("missing piece", "ball bearing")), LostBall)
