"""Fibres are thin, long, one piece of smooth line in the window, lighter or darker than the surface."""

import cv2
import numpy as np
import pytest
from helpers.sites import plain_sheet, site_on
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.procedural.mechanisms import fibre


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
