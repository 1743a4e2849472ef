"""A label or a package that has the backdrop's colour is told from a hole by its print."""

import cv2
import numpy as np
import pytest

from anomalyagent.mcp_tools.imaging.arrays import RGB
from anomalyagent.mcp_tools.imaging.foreground import find_foreground

SIDE = 320
Y, X = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
BODY = (np.abs(Y - 160) < 120) & (np.abs(X - 160) < 80)
LABEL = (np.abs(Y - 170) < 70) & (np.abs(X - 160) < 55)


def _bottle(label: float, ink: float | None, *, shade: float = 0.0) -> RGB:
    image = np.full((SIDE, SIDE, 3), label)
    image[BODY] = (0.15, 0.50, 0.28)
    image[LABEL] = label
    image[LABEL & (X + Y < 300)] *= 1.0 - shade
    if ink is not None:
        text = np.zeros((SIDE, SIDE), np.uint8)
        for row, words in ((140, "Aloe"), (175, "250 ml"), (210, "soap")):
            cv2.putText(text, words, (112, row), cv2.FONT_HERSHEY_DUPLEX, 0.8, 255, 2, cv2.LINE_AA)
        image += (ink - image) * (text / 255.0)[..., None]
    soft = cv2.GaussianBlur(image, (0, 0), 0.8) + np.random.default_rng(0).normal(0.0, 0.008, image.shape)
    return np.clip(soft, 0.0, 1.0).astype(np.float32)


@pytest.mark.parametrize(("label", "ink"), [(0.82, 0.15), (0.12, 0.6)])
def test_a_label_of_the_backdrops_colour_with_print_is_part_of_the_bottle(label: float, ink: float) -> None:
    found = find_foreground(_bottle(label, ink))
    assert found[BODY].mean() > 0.97
    assert found[~BODY].mean() < 0.02


@pytest.mark.parametrize("shade", [0.0, 0.4])
def test_a_plain_hole_stays_a_hole_also_where_a_shadow_crosses_it(shade: float) -> None:
    inside = (np.abs(Y - 170) < 62) & (np.abs(X - 160) < 47) & (X + Y > 310)
    assert find_foreground(_bottle(0.82, None, shade=shade))[inside].mean() < 0.05
