"""Pieces that break off at the corners of an outline."""

import cv2
import numpy as np
import pytest
from helpers.sites import comb
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer
from anomalyagent.mcp_tools.procedural.parts.corners import corners_of, names_corner, names_lost_corner


def hexagon(turn: float = 0.2, size: int = 192) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A pale six-sided plate on a dark bench, and its (6, 2) corners."""
    angles = turn + np.arange(6) * np.pi / 3
    corners = size / 2 + 0.36 * size * np.stack([np.cos(angles), np.sin(angles)], 1)
    picture = np.full((size, size, 3), 40, np.uint8)
    cv2.fillPoly(picture, [np.rint(corners * 16).astype(np.int32)], (190, 190, 185), cv2.LINE_AA, 4)
    grain = np.random.default_rng(0).normal(0, 2, picture.shape[:2])[..., None]
    return np.clip(picture + grain, 0, 255).astype(np.uint8), corners


def draw(scene: Scene, prompt: str, mechanism: Mechanism = "chip", **fields: object) -> Rendered:
    given = {"mechanism": mechanism, "zone": "edge", "area_fraction": 0.015, "severity": 12.0, **fields}
    spec = DefectSpec.model_validate(given)
    return render_defect(scene, spec, named_renderer(scene, spec, prompt))


@pytest.mark.parametrize("turn", [0.0, 0.2, 0.5])
def test_the_corners_of_a_polygon_are_found_and_a_disc_has_none(turn: float) -> None:
    picture, corners = hexagon(turn)
    found = np.array([one.tip_xy for one in corners_of(Scene(photo_from_array(picture)))])
    assert len(found) == 6
    assert np.linalg.norm(corners[:, None] - found[None], axis=2).min(axis=0).max() < 6.0
    disc = np.full((192, 192, 3), 40, np.uint8)
    cv2.circle(disc, (96, 96), 66, (190, 190, 185), -1, cv2.LINE_AA)
    assert not corners_of(Scene(photo_from_array(disc)))


@pytest.mark.parametrize("mechanism", ["chip", "missing"])
def test_a_chipped_corner_takes_a_corner_of_the_outline_away(mechanism: Mechanism) -> None:
    picture, corners = hexagon()
    scene = Scene(photo_from_array(picture))
    for seed in range(6):
        made = draw(scene, "a broken corner of the metal plate", mechanism, seed=seed)
        ys, xs = np.nonzero(made.mask)
        nearest = np.hypot(corners[:, 0] - xs.mean(), corners[:, 1] - ys.mean())
        assert nearest.min() < 14.0
        tip = corners[nearest.argmin()]
        inside = tip + (96.0 - tip) * 0.06
        assert made.photo.rgb[round(inside[1]), round(inside[0])].mean() < 0.3  # the bench is seen there
        gone = made.mask & scene.foreground
        assert 0.004 * scene.object_area_px < np.count_nonzero(gone) < 0.04 * scene.object_area_px


def test_two_chipped_corners_are_two_corners() -> None:
    picture, corners = hexagon()
    scene = Scene(photo_from_array(picture))
    for seed in range(4):
        made = draw(scene, "chipped corners", count=2, area_fraction=0.03, seed=seed)
        count, _, _, middles = cv2.connectedComponentsWithStats(cv2.dilate(made.mask.astype(np.uint8), np.ones((3, 3))))
        assert count == 3
        away = np.linalg.norm(corners[None] - middles[1:, None], axis=2)
        assert away.min(axis=1).max() < 14.0
        assert len(set(away.argmin(axis=1))) == 2


def test_a_broken_corner_of_a_body_leaves_its_leads_whole() -> None:
    scene = Scene(photo_from_array(comb()))
    found = corners_of(scene)
    assert found
    assert all(one.tip_xy[1] < 90 for one in found)  # no end of a lead is a corner
    for seed in range(4):
        made = draw(scene, "a broken corner of the connector", seed=seed, severity=30.0)
        middle = np.argwhere(made.mask).mean(axis=0)[::-1]
        assert min(np.hypot(*(middle - one.tip_xy)) for one in found) < 14.0
        assert np.array_equal(made.photo.rgb[70:], scene.photo.rgb[70:])


def test_words_tell_a_corner_that_is_gone_from_what_sits_at_one() -> None:
    assert names_corner("a chip at the corner of the nut")
    assert not names_corner("a chip at the edge")
    assert names_lost_corner("missing corner of the housing")
    assert names_lost_corner("one corner is broken off")
    assert not names_lost_corner("missing corner screw")
    assert not names_lost_corner("a screw is missing in the corner")
