"""A part that leaves its place takes all of its shade along; the ground that comes to light has the spots of the rest."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.mechanisms.swap import OutOfPlace
from anomalyagent.mcp_tools.procedural.retouching.whole_object import clear_stage

SIDE = 600
Y, X = np.mgrid[0:SIDE, 0:SIDE]
PLATE = (np.abs(X - 250) < 130) & (np.abs(Y - 250) < 60)
# a post at one end throws its shadow far
SHADOW = (np.roll(PLATE, (18, 9), (0, 1)) & ~PLATE) | (
    (np.abs(X - 150 - 0.5 * (Y - 310)) < 22) & (Y > 250) & (Y < 430) & ~PLATE
)
SPOTS = cv2.resize(np.random.default_rng(3).normal(0.0, 1.0, (60, 60)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def photo(tone: float) -> tuple[Scene, NDArray[np.float64]]:
    """A plate on a spotted bench, and the bench without it."""
    rng = np.random.default_rng(0)
    bench = 0.6 * (1.0 + 0.02 * SPOTS)
    image = bench * (1.0 - 0.4 * cv2.GaussianBlur(SHADOW.astype(np.float64), (0, 0), 3.0))
    image[PLATE] = tone
    soft = cv2.GaussianBlur(image, (0, 0), 0.8) + rng.normal(0.0, 0.005, (SIDE, SIDE))
    native = (np.clip(soft, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
    return Scene(photo_from_array(np.repeat(native[..., None], 3, axis=2))), bench


@pytest.mark.parametrize("tone", [0.1, 0.9])
def test_no_ghost_of_a_shadow_stays_where_the_object_was_and_the_ground_is_as_spotted_as_beside(tone: float) -> None:
    scene, bench = photo(tone)
    stage = clear_stage(scene, np.random.default_rng(0))
    assert stage is not None
    ground = stage.ground.mean(axis=2)
    smooth = cv2.GaussianBlur(ground - bench, (0, 0), 12.0)
    assert float(smooth[SHADOW | PLATE].min()) > -0.03
    detail = cv2.GaussianBlur(ground, (0, 0), 2.0) - cv2.GaussianBlur(ground, (0, 0), 12.0)
    inside = cv2.erode(PLATE.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert detail[inside].std() > 0.6 * detail[Y > 460].std()


@pytest.mark.parametrize("seed", range(3))
def test_the_shade_goes_along_with_an_object_that_is_moved(seed: int) -> None:
    scene, bench = photo(0.1)
    site = Site(scene, (250.0, 250.0), float(scene.object_area_px), 0.0, Window(0, 0, SIDE, SIDE))
    spec = DefectSpec(mechanism="swap", area_fraction=0.6, severity=20.0, seed=seed)
    edit = OutOfPlace(frozenset({"move"})).render(site, spec, np.random.default_rng(seed))
    assert edit is not None
    assert edit.paint is not None
    assert edit.opacity is not None
    rgb = scene.photo.rgb
    seen = (rgb + (edit.paint - rgb) * edit.opacity[..., None]).mean(axis=2)
    dark = (seen > 0.25) & (cv2.GaussianBlur(seen, (0, 0), 2.0) < 0.8 * bench)
    dark &= cv2.dilate((seen < 0.25).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    before = rgb.mean(axis=2)
    was = (before > 0.25) & (cv2.GaussianBlur(before, (0, 0), 2.0) < 0.8 * bench)
    was &= cv2.dilate((before < 0.25).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    assert 0.85 < dark.sum() / was.sum() < 1.15
