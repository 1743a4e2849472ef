"""How large smaller copies are."""

import numpy as np
import pytest

from anomalyagent.mcp_tools.imaging.sizes import reduced, scale_within, size_within


@pytest.mark.parametrize(
    ("shape", "most", "least", "size"),
    [
        ((100, 200), 50, 1, (50, 25)),
        ((200, 100, 3), 50, 1, (25, 50)),
        ((40, 30), 64, 8, (30, 40)),  # never enlarged
        ((32, 4096), 64, 1, (64, 1)),  # half a pixel is one
        ((32, 4096), 64, 8, (64, 8)),
    ],
)
def test_the_longer_side_is_brought_to_so_many_pixels(
    shape: tuple[int, ...], most: int, least: int, size: tuple[int, int]
) -> None:
    assert size_within(shape, most, least) == size
    assert reduced(np.zeros(shape, np.float32), most, least).shape == (*size[::-1], *shape[2:])
    assert scale_within(shape, most) == min(1.0, most / max(shape[:2]))


def test_a_copy_is_the_mean_and_keeps_its_type() -> None:
    values = np.arange(0, 128, 2, dtype=np.uint8).reshape(8, 8)
    half = reduced(values, 4)
    assert half.dtype == np.uint8
    assert half[0, 0] == (0 + 2 + 16 + 18) / 4
    assert reduced(values, 8) is values
