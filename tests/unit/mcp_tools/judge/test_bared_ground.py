"""Where a piece has broken off the edge of a grainy part, the smooth ground shows: that is no lost texture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.judge.blending import Blending, measure_blending
from anomalyagent.mcp_tools.judge.pair import Pair

SIZE = 240


def _shown(part: NDArray[np.floating], ground: float) -> NDArray[np.uint8]:
    """Grainy metal where `part` is 1, before a smooth ground."""
    rng = np.random.default_rng(1)
    grain = cv2.GaussianBlur(rng.normal(0.0, 60.0, (SIZE, SIZE)), (0, 0), 1.4)
    soft = cv2.GaussianBlur(part.astype(np.float64), (0, 0), 0.8)
    photo = ground + (150.0 + grain - ground) * soft + rng.normal(0.0, 1.0, (SIZE, SIZE))
    return np.clip(photo, 0.0, 255.0).astype(np.uint8)


def _plate() -> NDArray[np.float64]:
    part = np.zeros((SIZE, SIZE))
    part[50:190, 50:190] = 1.0
    return part


def _judged(after: NDArray[np.uint8], ground: float) -> Blending:
    pair = Pair.compare(photo_from_array(_shown(_plate(), ground)), photo_from_array(after))
    assert pair is not None
    return measure_blending(pair)


def test_a_corner_that_shows_the_ground_has_lost_no_texture() -> None:
    for ground in (60.0, 225.0):
        part = _plate()
        part[50:110, 130:190] = 0.0
        judged = _judged(_shown(part, ground), ground)
        assert judged.too_soft > 0.45
        assert judged.soft_surface < 0.4 * judged.too_soft


def test_a_smooth_patch_on_the_part_has_lost_it() -> None:
    for top, right in ((110, 130), (50, 190)):
        after = _shown(_plate(), 60.0)
        rows, columns = slice(top, top + 28), slice(right - 30, right)
        after[rows, columns] = cv2.GaussianBlur(after, (0, 0), 6.0)[rows, columns] * 0.85
        judged = _judged(after, 60.0)
        assert judged.soft_surface > 0.8
