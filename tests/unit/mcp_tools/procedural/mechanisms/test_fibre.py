"""Fibres are thin, long, one piece of smooth line in the window, lighter or darker than the surface."""

import cv2
import numpy as np
import pytest
from helpers.sites import plain_sheet, site_on
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.mechanisms import fibre
from anomalyagent.mcp_tools.procedural.mechanisms.fibre import OwnYarn
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer


def spec(**fields: object) -> DefectSpec:
    return DefectSpec.model_validate({"mechanism": "fibre", "severity": 8.0, "elongation": 40.0, **fields})


@pytest.mark.parametrize("seed", range(10))
def test_a_fibre_is_thin_and_long(seed: int) -> None:
    site = site_on(plain_sheet(192), (96, 96), 260, reach=4.0)
    edit = fibre.render(site, spec(), np.random.default_rng(seed))
    assert edit is not None
    assert edit.opacity is not None
    body = edit.opacity > 0.5
    width = 2.0 * float(cv2.distanceTransform(body.astype(np.uint8), cv2.DIST_L2, 5).max())
    ys, xs = np.nonzero(body)
    assert width <= 7.0
    assert np.hypot(np.ptp(ys), np.ptp(xs)) > 5.0 * width


def test_fibres_are_light_on_dark_and_dark_on_light() -> None:
    for level, sign in ((25, 1), (235, -1)):
        tones: list[float] = []
        for seed in range(10):
            site = site_on(plain_sheet(level=level), (64, 64), 150, reach=4.0)
            edit = fibre.render(site, spec(), np.random.default_rng(seed))
            assert edit is not None
            assert edit.paint is not None
            assert edit.opacity is not None
            before = site.scene.photo.rgb[edit.window.slices]
            tones.append(float((edit.paint - before)[edit.opacity > 0.5].mean()))
        assert np.median(np.sign(tones)) == sign


def test_no_two_fibres_have_the_same_shape() -> None:
    site = site_on(plain_sheet(), (64, 64), 150, reach=4.0)
    shapes = [fibre.render(site, spec(), np.random.default_rng(seed)) for seed in range(6)]
    covers: list[NDArray[np.bool_]] = []
    for edit in shapes:
        assert edit is not None
        assert edit.opacity is not None
        covers.append(np.zeros(site.scene.photo.shape, bool))
        covers[-1][edit.window.slices] = edit.opacity > 0.5
    for i, one in enumerate(covers):
        for other in covers[:i]:
            assert (one & other).sum() < 0.5 * (one | other).sum()


@pytest.mark.parametrize("seed", range(6))
def test_a_compact_fibre_is_a_tangle(seed: int) -> None:
    site = site_on(plain_sheet(192), (96, 96), 260, reach=4.0)
    edit = fibre.render(site, spec(elongation=2.0), np.random.default_rng(seed))
    assert edit is not None
    assert edit.opacity is not None
    y, x = np.nonzero(edit.opacity > 0.5)
    assert np.hypot(np.std(x), np.std(y)) < 16.0


def test_words_tell_the_yarn_of_a_cloth_from_a_foreign_thread() -> None:
    scene = Scene(photo_from_array(np.full((96, 96, 3), 120, np.uint8)))

    def named(words: str, item: str = "towel") -> object:
        return named_renderer(scene, spec(), f'Add a fibre ("{words}") anywhere on the {item}.')

    assert named("pulled loop") == OwnYarn(loops=True)
    assert named("loose thread") == OwnYarn(loops=False)
    assert named("hair") is None
    assert named("foreign thread") is None
    assert named("loose thread", "circuit board") is None


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("loops", [False, True])
def test_a_yarn_of_the_cloth_has_its_colour(loops: bool, seed: int) -> None:
    red = np.full((128, 128, 3), (170, 30, 35), np.float32) * (1.0 + 0.1 * np.random.default_rng(2).normal(size=(128, 128, 1)))
    site = site_on(np.clip(red, 0, 255).astype(np.uint8), (64, 64), 200, reach=4.0)
    edit = OwnYarn(loops).render(site, spec(), np.random.default_rng(seed))
    assert edit is not None
    assert edit.paint is not None
    assert edit.opacity is not None
    lab = lab_from_rgb(edit.paint)[edit.opacity > 0.7]
    cloth = np.median(site.scene.lab.reshape(-1, 3), axis=0)
    hues = [np.arctan2(color[2], color[1]) for color in (np.median(lab, axis=0), cloth)]
    assert abs(hues[0] - hues[1]) < 0.15
    assert 3.0 < np.median(lab[:, 0]) - cloth[0] < 25.0
    if loops:
        ys, xs = np.nonzero(edit.opacity > 0.5)
        assert np.ptp(ys) > 0.3 * np.ptp(xs)
        assert np.ptp(xs) > 0.3 * np.ptp(ys)
