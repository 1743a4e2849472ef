"""Features of how the change meets the photo: seam, halo, noise, sharpness, flatness, compression, drift of the frame.

A change that came through a lens fades in over the width of the lens' blur, carries the noise of the sensor, and
leaves the rest of the frame alone. Each feature is 0 for such a change and grows with the fault.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.judge.bared import band, bared_ground
from anomalyagent.mcp_tools.judge.pair import CROSS, Pair, coarse_grain, dilate, erode, fine_grain

__all__ = ["FEWEST_GRAIN_PX", "GRAIN_DEPTH_PX", "Blending", "measure_blending"]

MOVES = 16
QUANTISATION = 0.12
"""Grain that rounding to 8 bits leaves, CIELAB lightness."""
GRAIN_DEPTH_PX = 2
"""From the outline inwards: nearer to it an edge is taken for grain."""
FEWEST_GRAIN_PX = 24
STEP_KEPT = 0.8
"""Share of a rise between two pixels that is still there a pixel further on both sides; with less it is a stroke, no step."""
NEW_EDGE = 1.5
"""Times as steep as it was there before."""


@dataclass(frozen=True)
class Blending:
    """How the change meets the photo.

    Attributes:
        seam: share of the outline of the edit where it starts with a visible step within one pixel, 0..1.
        straight: share of that outline that runs in long straight pieces, 0..1.
        straight_step: how much it starts at full strength along straight sides of a wide patch, 0..1.
        seam_rise: doublings by which the gradient along that outline exceeds the same outline elsewhere on the normal photo.
        halo: share of its rim that shows the opposite sign, 0..1 (1: a closed ring).
        smooth_ring: doublings by which fine grain is missing in a ring that was edited but hardly shows.
        noise_gain, noise_loss: doublings of fine grain inside the change, more or less than the photo has at such brightness.
        too_sharp: how much steeper its edges are than the lens allows, 0..about 0.5.
        too_soft: doublings by which its texture is weaker than the normal photo's, without being hidden by black or white.
        soft_surface: the same without what is bared ground: a piece has broken off the edge.
        flat: 0..1, uniform interior behind a sharp outline.
        blocking: doublings by which differences on the 8 x 8 grid of JPEG exceed those between.
        drift: CIEDE2000 by which most blocks of the object or of the background changed, wherever the defect is.
        drift_share: share of the pixels away from the change that differ at all, 0..1.
    """

    seam: float
    straight: float
    straight_step: float
    seam_rise: float
    halo: float
    smooth_ring: float
    noise_gain: float
    noise_loss: float
    too_sharp: float
    too_soft: float
    soft_surface: float
    flat: float
    blocking: float
    drift: float
    drift_share: float


def measure_blending(pair: Pair, *, whole_object: bool = False) -> Blending:
    """Measure all of them; deterministic, draws nothing at random.

    Args:
        whole_object: the object itself may change all over, so only its background tells about drift.
    """
    seam, border = _seam(pair)
    gain, loss = _noise(pair)
    soft, flat = _texture(pair)
    return Blending(
        seam=seam,
        straight=_straight(border),
        straight_step=_straight_step(pair),
        seam_rise=_seam_rise(pair, border),
        halo=_halo(pair),
        smooth_ring=_smooth_ring(pair),
        noise_gain=gain,
        noise_loss=loss,
        too_sharp=_too_sharp(pair),
        too_soft=soft,
        soft_surface=_soft_surface(pair, soft),
        flat=flat * seam,
        blocking=_blocking(pair),
        drift=_drift(pair, whole_object),
        drift_share=float((pair.outside_difference > 0).mean()) if pair.outside_difference.size else 0.0,
    )


def _drift(pair: Pair, whole_object: bool) -> float:
    """Change that 60 % of all blocks of the object, or of its background, reach: 0 for any local change."""
    height, width = pair.change.shape
    block = max(4, round(min(height, width) / 24))
    size = (max(1, width // block), max(1, height // block))
    level = cv2.resize(pair.change, size, interpolation=cv2.INTER_AREA) * float(np.median(pair.scene.jnd))
    share = cv2.resize(pair.scene.foreground.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    regions = (share < 0.1,) if whole_object else (share > 0.9, share < 0.1)
    parts = [level[where] for where in regions if np.count_nonzero(where) >= 16]
    return max((float(np.quantile(part, 0.4)) for part in parts), default=0.0)


def _seam(pair: Pair) -> tuple[float, Mask]:
    """Share of the outline with a visible one-pixel step, and the outline.

    A lens of sigma s spills a share f = Phi(-0.5 / s) of a step onto the next pixel. A step counts where that spill would be
    visible and is missing: the outermost changed pixel carries most of the change behind it. Where the outline follows
    the object's own edge nothing can be said.
    """
    support = pair.support & dilate(pair.mask, 3)
    border = support & ~erode(support, 1)
    border &= erode(pair.foreground, 2) | ~dilate(pair.foreground, 2)
    if not border.any():
        return 0.0, border
    sigma = max(0.5, pair.scene.blur_sigma_px)
    spill = 0.5 * (1.0 - _error_function(0.5 / (sigma * np.sqrt(2.0))))
    outermost = pair.visibility[border]
    behind = cv2.dilate(pair.visibility, np.ones((5, 5), np.uint8))[border]
    missed = np.clip((spill * outermost - 0.6) / 0.6, 0.0, 1.0)
    sudden = np.clip((outermost / np.maximum(behind, 1e-3) - 0.35) / 0.35, 0.0, 1.0)
    return float((missed * sudden).mean()), border


def _straight_step(pair: Pair) -> float:
    """How much the change looks like a pasted patch: it starts at full strength along straight sides, 0..1.

    Compares the outermost ring of the change with what lies three pixels deeper, as means, because a patch has a texture
    of its own; what came through a lens fades in over those pixels.
    """
    patch = cv2.morphologyEx(pair.mask.view(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)).view(bool)
    # Of the wide parts only; a patch too small to have a depth of three pixels is looked at one pixel deep.
    deep, reach = erode(patch, 2) & ~erode(patch, 5), 4
    if np.count_nonzero(deep) < 16:
        deep, reach = erode(patch, 1) & ~erode(patch, 3), 3
    ring = patch & ~erode(patch, 1) & dilate(deep, reach)
    ring &= erode(pair.foreground, 2) | ~dilate(pair.foreground, 2)
    if np.count_nonzero(ring) < 16 or np.count_nonzero(deep) < 12:
        return 0.0
    behind = float(pair.visibility[deep].mean())
    shown = np.clip((behind - 0.8) / 1.0, 0.0, 1.0)
    sudden = np.clip((float(pair.visibility[ring].mean()) / max(behind, 1e-3) - 0.45) / 0.3, 0.0, 1.0)
    return float(shown * sudden) * _straight(patch, 1.2)


def _straight(border: Mask, tolerance_px: float = 0.8) -> float:
    """Share of the outline that runs in straight pieces of at least 8 px and a twelfth of its length, 0..1."""
    outlines, _ = cv2.findContours(border.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    straight = whole = 0.0
    for outline in outlines:
        length = float(cv2.arcLength(outline, True))
        if length < 16.0:
            continue
        corners = cv2.approxPolyDP(outline, tolerance_px, True)[:, 0].astype(np.float64)
        pieces = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
        whole += length
        straight += float(pieces[pieces >= max(8.0, length / 12.0)].sum())
    return min(1.0, straight / whole) if whole else 0.0


def _seam_rise(pair: Pair, border: Mask) -> float:
    rows, columns = np.nonzero(border)
    if rows.size < 4:
        return 0.0
    after = _steepness(pair.after[..., 0])[rows, columns].mean()
    elsewhere = _steepness(pair.scene.lab[..., 0])
    height, width = elsewhere.shape
    top, left = int(rows.min()), int(columns.min())
    tall, wide = int(rows.max()) - top + 1, int(columns.max()) - left + 1
    # A low-discrepancy sequence spreads the moved outlines evenly and is the same on every run.
    index = np.arange(1, MOVES + 1)
    moved_y = (index * 0.7548776662 % 1.0 * (height - tall + 1)).astype(int)
    moved_x = (index * 0.5698402909 % 1.0 * (width - wide + 1)).astype(int)
    y = rows[None, :] - top + moved_y[:, None]
    x = columns[None, :] - left + moved_x[:, None]
    on_object = pair.scene.foreground[y, x]
    means = (elsewhere[y, x] * on_object).sum(axis=1) / np.maximum(1, on_object.sum(axis=1))
    typical = means[on_object.mean(axis=1) > 0.5]
    reference = float(np.quantile(typical, 0.75)) if typical.size else float(means.mean())
    return max(0.0, float(np.log2((after + 0.5) / (reference + 0.5))))


def _steepness(lightness: Field) -> Field:
    dx = cv2.filter2D(lightness, -1, np.array([[-0.5, 0.0, 0.5]], np.float32), borderType=cv2.BORDER_REFLECT)
    dy = cv2.filter2D(lightness, -1, np.array([[-0.5], [0.0], [0.5]], np.float32), borderType=cv2.BORDER_REFLECT)
    return np.asarray(cv2.magnitude(dx, dy), np.float32)


def _halo(pair: Pair) -> float:
    """How completely one sign of the change is ringed by the other: share of the rim of the inner one, 0..1.

    The sign is that along the direction of CIELAB in which the change varies most, so coloured rings count too.
    """
    inside = pair.shift[pair.mask]
    direction = np.linalg.eigh(inside.T @ inside)[1][:, -1]
    along = (pair.shift @ direction) / pair.scene.jnd[pair.window]
    halves = (along > 0.6, along < -0.6)
    shares: list[float] = []
    for inner, outer in (halves, halves[::-1]):
        # Specks inside a grainy change are no core.
        core = cv2.morphologyEx(inner.view(np.uint8), cv2.MORPH_OPEN, CROSS).view(bool)
        if np.count_nonzero(core) < 6:
            continue
        rim = dilate(core, 3) & ~dilate(core, 1)
        shares.append(float(outer[rim].mean()) if rim.any() else 0.0)
    return max(max(shares, default=0.0), _outer_ring(pair, halves))


def _outer_ring(pair: Pair, halves: tuple[Mask, Mask]) -> float:
    """The same for a change without a solid core (a bundle of strokes): its outer band shows one sign, its inside the other."""
    patch = cv2.morphologyEx(pair.mask.view(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)).view(bool)
    band, inside = patch & ~erode(patch, 3), erode(patch, 4)
    if np.count_nonzero(inside) < 16 or not band.any():
        return 0.0
    rates = [
        (float(outer[band].mean()), float(inner[inside].mean()), float(outer[inside].mean()))
        for inner, outer in (halves, halves[::-1])
    ]
    return max(on_band * float(np.clip(2.0 * (core - rest) + 0.2, 0.0, 1.0)) for on_band, core, rest in rates)


def _smooth_ring(pair: Pair) -> float:
    ring = pair.support & ~dilate(pair.mask, 1)
    if np.count_nonzero(ring) < 24:
        return 0.0
    before, after = (_spread(fine_grain(lab[..., 0])[ring]) for lab in (pair.before, pair.after))
    return max(0.0, float(np.log2((before + QUANTISATION) / (after + QUANTISATION))))


def _spread(values: NDArray[np.float32]) -> float:
    """Robust standard deviation."""
    return float(np.median(np.abs(values))) / 0.6745 if values.size else 0.0


def _noise(pair: Pair) -> tuple[float, float]:
    """Doublings of fine grain gained and lost, against the normal photo here and at the same brightness elsewhere.

    Strokes of less than five pixels are all edge and have no grain of their own: nothing is said about them.
    """
    lightness = pair.after[..., 0]
    usable = erode(pair.mask, GRAIN_DEPTH_PX) & (lightness > 6.0) & (lightness < 97.0)
    if np.count_nonzero(usable) < FEWEST_GRAIN_PX:
        return 0.0, 0.0
    here = _spread(fine_grain(lightness)[usable])
    before = _spread(fine_grain(pair.before[..., 0])[usable])
    alike = _grain_at_brightness(pair, float(np.median(lightness[usable])))
    # Texture and edges that came through the lens weigh more at the coarser scale; only what they cannot explain is noise.
    coarse = _spread(coarse_grain(lightness)[usable])
    white = float(np.sqrt(max(0.0, here**2 - 0.5 * coarse**2)))
    gain = np.log2((white + QUANTISATION) / (max(before, alike) + QUANTISATION))
    loss = np.log2((min(before, alike) + QUANTISATION) / (here + QUANTISATION))
    return max(0.0, float(gain)), max(0.0, float(loss))


def _grain_at_brightness(pair: Pair, lightness: float) -> float:
    """Fine grain of the normal photo where it is about as bright; of the whole photo when nothing is."""
    whole = pair.scene.lab[..., 0]
    step = max(1, int(np.sqrt(whole.size / 65536)))
    grain = fine_grain(whole)[::step, ::step]
    level = whole[::step, ::step]
    alike = grain[np.abs(level - lightness) < 8.0]
    return _spread(alike if alike.size >= 64 else grain.ravel())


def _too_sharp(pair: Pair) -> float:
    """Compares differences over one and over three pixels at the steepest edges of the change with what the lens would give.

    Only edges that the change brought count, and of these only steps: across a thin stroke the lightness comes back, however
    soft the lens is.
    """
    before, after = pair.before[..., 0], pair.after[..., 0]
    near = dilate(pair.mask, 1)
    sigma = max(0.3, pair.scene.blur_sigma_px)
    erf = _error_function
    lens = erf(0.5 / (sigma * np.sqrt(2))) / erf(1.0 / (sigma * np.sqrt(2)))
    excesses: list[float] = []
    for old, image, region in ((before, after, near), (before.T, after.T, near.T)):
        one, known = (np.abs(part[:, 1:] - part[:, :-1]) for part in (image, old))
        two = np.abs(image[:, 3:] - image[:, :-3])
        middle, ok = one[:, 1:-1], region[:, 1:-2] & region[:, 2:-1]
        steep = ok & (middle > 6.0) & (middle > NEW_EDGE * known[:, 1:-1]) & (two > STEP_KEPT * middle)
        if np.count_nonzero(steep) < 8:
            continue
        strongest = steep & (middle >= np.quantile(middle[steep], 0.75))
        excesses.append(float((middle[strongest] / np.maximum(two[strongest], middle[strongest])).mean()) - lens)
    return max(0.0, *excesses) if excesses else 0.0


def _error_function(x: float) -> float:
    """erf after Abramowitz & Stegun 7.1.26, error below 1.5e-7."""
    t = 1.0 / (1.0 + 0.3275911 * x)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return float(1.0 - series * np.exp(-x * x))


def _soft_surface(pair: Pair, soft: float) -> float:
    """`soft` without the bared ground, by the share that the surface has in the change."""
    ground = bared_ground(pair)
    if ground is None:
        return soft
    inside = erode(pair.mask, 2)
    share = np.count_nonzero(inside & ~ground) / np.count_nonzero(inside)
    return min(soft, _texture(pair, ground)[0] * share)


def _texture(pair: Pair, ground: Mask | None = None) -> tuple[float, float]:
    """(doublings of texture lost, flatness 0..1) of the inside, at scales of two to six pixels, but for the bared ground."""
    inside = erode(pair.mask, 2)
    if ground is not None:
        inside = inside & ~dilate(ground, 1)
    lightness = pair.after[..., 0]
    usable = inside & (lightness > 6.0) & (lightness < 97.0)
    if np.count_nonzero(usable) < 24:
        return 0.0, 0.0
    noise = 100.0 * pair.scene.noise_sigma + QUANTISATION
    before, after = (band(lab[..., 0])[usable] for lab in (pair.before, pair.after))
    was, remained = float(np.sqrt((before**2).mean())), float(np.sqrt((after**2).mean()))
    soft = max(0.0, float(np.log2((was + noise) / (remained + noise))))
    share_flat = float((np.abs(after) < 0.5 * noise).mean())
    return soft, share_flat


def _blocking(pair: Pair) -> float:
    """Ratio of differences across the borders of the 8 x 8 grid to those inside blocks, for the change itself."""
    change = pair.shift[..., 0]
    rows, columns = pair.window
    ratios: list[float] = []
    for image, region, start in ((change, pair.support, columns.start), (change.T, pair.support.T, rows.start)):
        steps = np.abs(image[:, 1:] - image[:, :-1])
        ok = region[:, 1:] & region[:, :-1]
        on_grid = np.broadcast_to(((np.arange(1, image.shape[1]) + start) % 8 == 0)[None, :], ok.shape)
        if np.count_nonzero(ok & on_grid) < 40:
            continue
        ratios.append(float(np.log2((steps[ok & on_grid].mean() + 0.1) / (steps[ok & ~on_grid].mean() + 0.1))))
    return max(0.0, float(np.mean(ratios))) if ratios else 0.0
