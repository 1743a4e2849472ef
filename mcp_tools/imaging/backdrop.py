"""The colour of a backdrop: a smooth surface fitted robustly to the border of a small copy, and colours measured against it."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Lab

__all__ = ["CAST_SHADE", "UMBRA", "border_of", "color_length", "fit_backdrop", "is_shaded", "median_color", "some_of"]

CAST_SHADE = 0.27
"""Light that the backdrop gets in the object's shadow beside it, against full light."""
UMBRA = 0.06
"""The same close under a tall part, where what looks like it is told from the part by its soft border."""
_FULL_LIGHT = 0.97


def is_shaded(light: NDArray[np.float32], least: float) -> NDArray[np.bool_]:
    """Where the backdrop would get less than its full light and at least `least` of it."""
    return (light >= least) & (light <= _FULL_LIGHT)


def fit_backdrop(lab: Lab, pull: float) -> tuple[Lab, float]:
    """Backdrop colour at every pixel, a quadratic surface fitted to the border, and the spread of the border about it.

    Args:
        lab: (h, w, 3) CIELAB of a small copy.
        pull: CIELAB units by which a border pixel may lie off the backdrop's colour and still shape it.
    """
    everywhere, border = _surface_terms(*lab.shape[:2])
    terms, target = everywhere[border], lab.reshape(-1, 3)[border]
    # start from the most frequent border colour, so that an object reaching the border does not pull the fit
    coefficients = np.zeros((terms.shape[1], 3), np.float32)
    coefficients[0] = _most_frequent(target)
    weight = np.ones(len(target), np.float32)
    stiffness = 1e-2 * np.diag(np.array([0, 0.3, 0.3, 1, 1, 1], np.float32))
    off = color_length(target - coefficients[0])
    for _ in range(6):
        scale = min(max(1.0, 1.4826 * float(np.median(off))), pull)
        weight = 1.0 / (1.0 + (off / (2.0 * scale)) ** 2) ** 2
        normal = (terms * weight[:, None]).T @ terms + stiffness * weight.sum()
        coefficients = np.linalg.solve(normal, terms.T @ (target * weight[:, None])).astype(np.float32)
        off = color_length(target - terms @ coefficients)
    expected = np.asarray(everywhere @ coefficients, np.float32).reshape(lab.shape)
    return expected, 1.4826 * float(np.median(off[weight >= np.median(weight)]))


def color_length(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean length of (..., 3) colour differences."""
    return np.sqrt(np.einsum("...k,...k->...", difference, difference))


def some_of(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most about two thousand of many values, evenly: enough for a median."""
    return values[:: max(1, len(values) // 2048)]


def median_color(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3,) median of (n, 3) colours, of some of them where there are many."""
    return np.median(some_of(colors), axis=0).astype(np.float32)


def border_of(height: int, width: int) -> NDArray[np.int64]:
    """Flat indices of about a thousand pixels along the border of a small copy, which is taken for the backdrop."""
    return _surface_terms(height, width)[1]


@lru_cache(maxsize=16)
def _surface_terms(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Terms of a quadratic surface at every pixel, (H * W, 6), and the flat indices of about a thousand border pixels."""
    y, x = np.meshgrid(np.linspace(-1.0, 1.0, height), np.linspace(-1.0, 1.0, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1).reshape(-1, 6).astype(np.float32)
    ring = max(2, round(0.025 * min(height, width)))
    inside = np.zeros((height, width), np.bool_)
    inside[ring:-ring, ring:-ring] = True
    border = np.flatnonzero(~inside)
    return terms, border[:: max(1, len(border) // 1000)]


def _most_frequent(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the fullest cell of a coarse colour histogram (half-overlapping through a second, shifted one)."""
    best, most = colors[0], 0
    for shift in (0.0, 6.0):
        cells = np.floor((colors + shift) / 12.0).astype(np.int64)
        keys = (cells[:, 0] * 64 + cells[:, 1]) * 64 + cells[:, 2]
        values, counts = np.unique(keys, return_counts=True)
        if int(counts.max()) > most:
            most = int(counts.max())
            best = colors[keys == values[int(counts.argmax())]].mean(axis=0)
    return best
