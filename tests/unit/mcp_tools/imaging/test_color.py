"""CIELAB and CIEDE2000 against references, and what the just-noticeable difference says."""

import tracemalloc

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from anomalyagent.mcp_tools.imaging.color import ciede2000, just_noticeable_difference, lab_from_rgb, luminance

# lab1, lab2, expected: the table of Sharma, Wu & Dalal (2005), every kind of case (hue wrap, neutral, blue rotation, large)
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 3.1571, -77.2803), (50.0, 0.0, -82.7485), 2.8615),
    ((50.0, 2.8361, -74.0200), (50.0, 0.0, -82.7485), 3.4412),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, -1.1848, -84.8006), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, -0.9009, -85.5211), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, -1.0, 2.0), (50.0, 0.0, 0.0), 2.3669),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0009), 7.1792),
    ((50.0, 2.4900, -0.0010), (50.0, -2.4900, 0.0011), 7.2195),
    ((50.0, -0.0010, 2.4900), (50.0, 0.0009, -2.4900), 4.8045),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (61.0, -5.0, 29.0), 22.8977),
    ((50.0, 2.5, 0.0), (56.0, -27.0, -3.0), 31.9030),
    ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
    ((50.0, 2.5, 0.0), (50.0, 3.1736, 0.5854), 1.0000),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((61.2901, 3.7196, -5.3901), (61.4292, 2.2480, -4.9620), 1.8731),
    ((35.0831, -44.1164, 3.7933), (35.0232, -40.0716, 1.5901), 1.8645),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((36.4612, 47.8580, 18.3852), (36.2715, 50.5065, 21.2231), 1.4146),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((90.9257, -0.5406, -0.9208), (88.6381, -0.8985, -0.7239), 1.5381),
    ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("lab1", "lab2", "expected"), SHARMA)
def test_ciede2000_gives_the_published_values(
    lab1: tuple[float, float, float], lab2: tuple[float, float, float], expected: float
) -> None:
    one, two = np.array([lab1], np.float32), np.array([lab2], np.float32)
    assert float(ciede2000(one, two)[0]) == pytest.approx(expected, abs=2e-3)
    assert float(ciede2000(two, one)[0]) == pytest.approx(expected, abs=2e-3)


def test_colors_and_differences_agree_with_scikit_image() -> None:
    rng = np.random.default_rng(0)
    one = rng.random((48, 48, 3)).astype(np.float32)
    two = np.clip(one + rng.normal(0, 0.1, one.shape), 0, 1).astype(np.float32)
    lab1, lab2 = lab_from_rgb(one), lab_from_rgb(two)
    assert np.abs(lab1 - rgb2lab(one)).max() < 0.1
    expected = deltaE_ciede2000(lab1.astype(np.float64), lab2.astype(np.float64))
    assert np.abs(ciede2000(lab1, lab2) - expected).max() < 1e-3


def test_differences_of_any_size_between_any_colors_agree_with_scikit_image() -> None:
    rng = np.random.default_rng(0)
    one = rng.uniform((0, -90, -90), (100, 90, 90), (20000, 3)).astype(np.float32)
    grey = one * np.array([1, 0.01, 0.01], np.float32)
    for first in (one, grey):
        for spread in (0.01, 0.3, 5.0):
            second = (first + rng.normal(0, spread, first.shape)).astype(np.float32)
            expected = deltaE_ciede2000(first.astype(np.float64), second.astype(np.float64))
            assert np.abs(ciede2000(first, second) - expected).max() < 1e-4


def test_equal_colors_differ_by_exactly_nothing() -> None:
    lab = lab_from_rgb(np.random.default_rng(0).random((8, 8, 3)).astype(np.float32))
    assert (ciede2000(lab, lab) == 0).all()


def test_texture_and_darkness_hide_changes_but_a_lone_edge_does_not() -> None:
    rng = np.random.default_rng(0)
    flat = np.full((64, 64), 50.0, np.float32)
    textured = (flat + rng.normal(0, 12, flat.shape)).astype(np.float32)
    edge = flat.copy()
    edge[:, 32:] = 90.0
    usual = float(just_noticeable_difference(flat).mean())
    assert 1.5 <= usual <= 2.3
    assert float(just_noticeable_difference(textured).mean()) > 1.5 * usual
    assert float(just_noticeable_difference(np.full((64, 64), 3.0, np.float32)).mean()) > 1.4 * usual
    assert float(just_noticeable_difference(edge)[:, 28].mean()) < 1.2 * usual


def test_luminance_of_grey_is_its_value() -> None:
    grey = np.full((4, 4, 3), 0.3, np.float32)
    assert np.allclose(luminance(grey), 0.3, atol=1e-6)


def test_the_noticeable_difference_of_a_large_photo_is_found_in_strips_that_do_not_show() -> None:
    """At once it took 48 bytes for each pixel, and most of the time went into allotting them."""
    lightness = np.random.default_rng(0).uniform(20.0, 90.0, (1500, 1500)).astype(np.float32)
    tracemalloc.start()
    whole = just_noticeable_difference(lightness)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * lightness.size
    parts = [just_noticeable_difference(lightness[top : top + 540])[20 : 520 if top else 500] for top in (0, 480, 960)]
    assert np.abs(np.concatenate([parts[0], parts[1]]) - whole[20:1000]).max() < 1e-4
    assert np.abs(parts[2] - whole[980:1480]).max() < 1e-4
