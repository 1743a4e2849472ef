"""Features of what the change looks like: how visible, how lit, how coloured, and of which mechanism it reminds.

`describe` turns a change into a short vector; the calibration holds the mean and spread of that vector for every
mechanism, so a change can be said to look more like another mechanism than like the asked one.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.judge.expectation import Expectation
from anomalyagent.mcp_tools.judge.pair import Pair, dilate

__all__ = ["DESCRIPTOR", "Appearance", "describe", "measure_appearance"]

DESCRIPTOR: tuple[str, ...] = ("elongation", "solidity", "width", "tone", "chroma", "relief", "steepness", "grain")
"""Names of the numbers in the vector of `describe`."""
Floats = NDArray[np.float64]
PALETTE_STEP = 3.0
"""Width of a cell of the palette, CIELAB a and b."""


@dataclass(frozen=True)
class Appearance:
    """What the change looks like.

    Attributes:
        visibility: typical visibility of its stronger parts (80th percentile), just-noticeable differences.
        visible_px: number of visible pixels.
        wrong_light: 0..1, how clearly the bright side of a dent is where the light of the scene would leave it dark.
        foreign_color: mean distance of its colours from the palette of the normal photo, CIELAB.
        descriptor: see `DESCRIPTOR`.
    """

    visibility: float
    visible_px: int
    wrong_light: float
    foreign_color: float
    descriptor: tuple[float, ...]

    def excess_strength(self, expected_most: float) -> float:
        """Doublings by which the visibility exceeds the strongest that is expected, 0 when it does not."""
        return max(0.0, float(np.log2(self.visibility / expected_most)))


def measure_appearance(pair: Pair, expected: Expectation) -> Appearance:
    """Measure visibility, light, colour and the descriptor."""
    return Appearance(
        visibility=float(np.quantile(pair.visibility[pair.mask], 0.8)),
        visible_px=int(np.count_nonzero(pair.visible)),
        wrong_light=_wrong_light(pair) if "dent" in expected.mechanisms else 0.0,
        foreign_color=_foreign_color(pair),
        descriptor=describe(pair),
    )


def _light_moment(pair: Pair) -> Floats:
    """Vector from the darkened to the brightened side, weighted mean over components; length 0..1 (1: two opposite halves)."""
    count, raw_labels = cv2.connectedComponents(dilate(pair.mask, 1).view(np.uint8), connectivity=8)
    labels = np.asarray(raw_labels, np.int32)
    lightness = pair.shift[..., 0]
    places = np.nonzero(labels)
    if count < 2:
        return np.zeros(2)
    part = labels[places]
    rows, columns = (axis.astype(np.float64) for axis in places)
    change = lightness[places].astype(np.float64)
    strength = np.abs(change)

    def per_part(weights: Floats) -> Floats:
        return np.bincount(part, weights, count).astype(np.float64)

    total = per_part(strength) + 1e-9
    # The mean change is paint, not shading: only what is left after taking it away can be relief.
    area = per_part(np.ones(part.size)) + 1e-9
    change = change - (per_part(change) / area)[part]
    cx, cy = per_part(columns) / area, per_part(rows) / area
    dx, dy = columns - cx[part], rows - cy[part]
    # Distances across the narrow direction count fully, along a stroke hardly: its shading lies across.
    scale = _whitening(part, dx, dy, area, count)
    ux = scale[part, 0, 0] * dx + scale[part, 0, 1] * dy
    uy = scale[part, 1, 0] * dx + scale[part, 1, 1] * dy
    mx, my = per_part(change * ux) / total, per_part(change * uy) / total
    weights = total / total.sum()
    return np.array([float((weights * mx).sum()), float((weights * my).sum())])


def _whitening(part: NDArray[np.int32], dx: Floats, dy: Floats, area: Floats, count: int) -> Floats:
    cov = np.empty((count, 2, 2))
    cov[:, 0, 0] = np.bincount(part, weights=dx * dx, minlength=count) / area + 0.5
    cov[:, 1, 1] = np.bincount(part, weights=dy * dy, minlength=count) / area + 0.5
    cov[:, 0, 1] = cov[:, 1, 0] = np.bincount(part, weights=dx * dy, minlength=count) / area
    values, vectors = np.linalg.eigh(cov)
    return (vectors * (1.0 / np.sqrt(values))[:, None, :]) @ np.swapaxes(vectors, 1, 2)


def _wrong_light(pair: Pair) -> float:
    """A dent is bright on the side away from the light: lightness must fall along the way towards it.

    Only dents tell: a chip or a crack is dark or bright for other reasons than its slopes. Correlation of the change with
    the place along the light's azimuth, mean over the parts weighted by their change, so a mean darkening does not count.
    Light from nearly in front has no wrong side, so its azimuth counts less and less above 60 degrees.
    """
    azimuth, elevation = pair.scene.light
    count, raw_labels = cv2.connectedComponents(dilate(pair.mask, 1).view(np.uint8), connectivity=8)
    places = np.nonzero(np.asarray(raw_labels))
    if count < 2:
        return 0.0
    part = np.asarray(raw_labels, np.int32)[places]
    change = pair.shift[..., 0][places].astype(np.float64)
    along = places[1] * np.cos(azimuth) + places[0] * np.sin(azimuth)

    def per_part(weights: Floats) -> Floats:
        return np.bincount(part, weights, count).astype(np.float64)

    area, total = per_part(np.ones(part.size)) + 1e-9, per_part(np.abs(change))
    change = change - (per_part(change) / area)[part]
    along = along - (per_part(along) / area)[part]
    correlation = per_part(change * along) / np.sqrt(per_part(change**2) * per_part(along**2) + 1e-9)
    towards = float((total * correlation).sum() / max(1e-9, float(total.sum())))
    return max(0.0, towards) * float(np.clip((np.cos(elevation) - 0.3) / 0.2, 0.0, 1.0))


def _foreign_color(pair: Pair) -> float:
    """Mean distance of the changed pixels' (a, b) from the cells that the normal photo's colours occupy.

    What became darker may also have a colour of the photo in half or in full shadow.
    """
    own = pair.scene.lab[..., 1:].reshape(-1, 2)
    own = own[:: max(1, own.shape[0] // 32768)]
    cells = np.zeros((96, 96), np.int32)
    place = np.clip(np.rint(own / PALETTE_STEP).astype(int) + 48, 0, 95)
    np.add.at(cells, (place[:, 0], place[:, 1]), 1)
    # A cell counts when more than a stray pixel lies in it; its neighbours lie within noise.
    used = dilate(cells > max(1, own.shape[0] // 8192), 1)
    distance = cv2.distanceTransform((~used).view(np.uint8), cv2.DIST_L2, 3)
    before, after = pair.before[pair.mask], pair.after[pair.mask]
    shade = _shade(before, after)
    nearest = np.full(len(after), np.inf)
    for lit in (np.ones_like(shade), np.sqrt(shade), shade):
        place = np.clip(np.rint(after[:, 1:] / lit / PALETTE_STEP).astype(int) + 48, 0, 95)
        nearest = np.minimum(nearest, distance[place[:, 0], place[:, 1]] * lit[:, 0])
    return float(nearest.mean()) * PALETTE_STEP


def _shade(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 1) 0..1: by how much CIELAB a and b shrink where a surface only lies in shadow: its chromaticity stays, so they go
    with L + 16. 1 where nothing became darker.
    """
    return np.clip((after[:, :1] + 16.0) / (before[:, :1] + 16.0), 0.05, 1.0).astype(np.float32)


def _change_of_color(pair: Pair) -> float:
    """Sum over the changed pixels of what changed in a and b beyond what a shadow changes."""
    before, after = pair.before[pair.mask], pair.after[pair.mask]
    plain = np.linalg.norm(after[:, 1:] - before[:, 1:], axis=1)
    unshaded = np.linalg.norm(after[:, 1:] - _shade(before, after) * before[:, 1:], axis=1)
    return float(np.minimum(plain, unshaded).sum())


def describe(pair: Pair) -> tuple[float, ...]:
    """The change as a short vector, see `DESCRIPTOR`.

    Returns:
        (8,) floats: log2 length / width; area / convex hull; log2 width / object size; darker -1 .. lighter 1; share of
        colour in the change, shadow apart, 0..1; strength of opposite halves 0..1; gradient of the change / its size; log2
        of texture inside, after / before.
    """
    components = pair.components
    areas = np.array([part.area for part in components])
    weights = areas / areas.sum()
    mask = pair.mask
    shift = pair.shift
    colored = _change_of_color(pair)
    strength = np.abs(shift[..., 0])[mask].sum() + colored + 1e-6
    dx = cv2.Sobel(shift[..., 0], cv2.CV_32F, 1, 0, scale=0.125)
    dy = cv2.Sobel(shift[..., 0], cv2.CV_32F, 0, 1, scale=0.125)
    slope = cv2.magnitude(dx, dy)[mask].mean()
    size = np.abs(shift[..., 0])[mask].mean()
    before, after = (float(cv2.Laplacian(lab[..., 0], cv2.CV_32F)[mask].std()) for lab in (pair.before, pair.after))
    return (
        float((weights * np.log2([part.elongation for part in components])).sum()),
        float((weights * [part.solidity for part in components]).sum()),
        float((weights * np.log2([part.width / np.sqrt(pair.scene.object_area_px) for part in components])).sum()),
        float(shift[..., 0][mask].sum() / strength),
        float(colored / strength),
        float(np.linalg.norm(_light_moment(pair))),
        float(slope / (size + 1.0)),
        float(np.log2((after + 1.0) / (before + 1.0))),
    )
