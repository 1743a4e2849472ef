"""A strip of shade close beside a part is background though the small copy of the photo does not resolve it."""

import cv2
import numpy as np
import pytest

from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.foreground import find_foreground

SIDE = 600
Y, X = np.mgrid[0:SIDE, 0:SIDE]
BRACKET = ((np.abs(X - 300) < 200) & (np.abs(Y - 260) < 45)) | ((np.abs(X - 450) < 45) & (Y > 240) & (Y < 420))


def _photo(tone: float, bench: float, far_px: int) -> tuple[RGB, Mask]:
    """A painted bracket that throws a shadow down to the right, and where the shadow is."""
    shadow = np.roll(BRACKET, (far_px, far_px // 2), (0, 1)) & ~BRACKET
    image = np.full((SIDE, SIDE), bench)
    rng = np.random.default_rng(0)
    image *= 1.0 + 0.03 * cv2.resize(rng.normal(0.0, 1.0, (40, 40)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    image *= 1.0 - 0.45 * cv2.GaussianBlur(shadow.astype(np.float64), (0, 0), 3.0)
    image[BRACKET] = tone
    soft = cv2.GaussianBlur(np.repeat(image[..., None], 3, axis=2), (0, 0), 0.8) + rng.normal(0.0, 0.006, (SIDE, SIDE, 3))
    return np.clip(soft, 0.0, 1.0).astype(np.float32), np.asarray(shadow)


@pytest.mark.parametrize(("tone", "bench"), [(0.13, 0.6), (0.8, 0.42)])
@pytest.mark.parametrize("far_px", [16, 26])
def test_a_narrow_shadow_beside_a_black_or_white_part_is_background(tone: float, bench: float, far_px: int) -> None:
    rgb, shadow = _photo(tone, bench, far_px)
    found = find_foreground(rgb)
    around = cv2.dilate(BRACKET.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    assert found[cv2.erode(BRACKET.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0].all()
    assert found[shadow & ~around].mean() < 0.03
    assert not found[~around & ~shadow].any()


def test_a_grey_strip_of_another_hue_than_the_bench_is_part_of_what_it_lies_on() -> None:
    rgb, shadow = _photo(0.13, 0.6, 26)
    rgb[shadow] = (0.32, 0.27, 0.32)
    found = find_foreground(rgb)
    assert found[cv2.erode(shadow.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0].mean() > 0.97
