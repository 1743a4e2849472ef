"""Features of how the change meets the photo: seam, halo, noise, sharpness, flatness, compression, drift of the frame.

A change that came through a lens fades in over the width of the lens' blur, carries the noise of the sensor, and
leaves the rest of the frame alone. Each feature is 0 for such a change and grows with the fault.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.judge.pair import Pair, dilate, erode, fine_grain

__all__ = ["Blending", "measure_blending"]

SECTORS = 12
MOVES = 16
QUANTISATION = 0.12
"""Grain that rounding to 8 bits leaves, CIELAB lightness."""


@dataclass(frozen=True)
class Blending:
    """How the change meets the photo.

    Attributes:
        seam: share of the outline of the edit where it starts with a visible step within one pixel, 0..1.
        seam_rise: doublings by which the gradient along that outline exceeds the same outline elsewhere on the normal photo.
        halo: share of directions in which a closed ring of the opposite sign surrounds the change, 0..1.
        smooth_ring: doublings by which fine grain is missing in a ring that was edited but hardly shows.
        noise_gain, noise_loss: doublings of fine grain inside the change, more or less than the photo has at such brightness.
        too_sharp: how much steeper its edges are than the lens allows, 0..about 0.5.
        too_soft: doublings by which its texture is weaker than the normal photo's, without being hidden by black or white.
        flat: 0..1, uniform interior behind a sharp outline.
        blocking: doublings by which differences on the 8 x 8 grid of JPEG exceed those between.
        drift: mean CIEDE2000 away from the change.
        drift_share: share of the pixels away from the change that differ at all, 0..1.
    """

    seam: float
    seam_rise: float
    halo: float
    smooth_ring: float
    noise_gain: float
    noise_loss: float
    too_sharp: float
    too_soft: float
    flat: float
    blocking: float
    drift: float
    drift_share: float


def measure_blending(pair: Pair) -> Blending:
    """Measure all of them; deterministic, draws nothing at random."""
    seam, border = _seam(pair)
    gain, loss = _noise(pair)
    soft, flat = _texture(pair)
    return Blending(
        seam=seam,
        seam_rise=_seam_rise(pair, border),
        halo=_halo(pair),
        smooth_ring=_smooth_ring(pair),
        noise_gain=gain,
        noise_loss=loss,
        too_sharp=_too_sharp(pair),
        too_soft=soft,
        flat=flat * seam,
        blocking=_blocking(pair),
        drift=float(pair.outside_difference.mean()) if pair.outside_difference.size else 0.0,
        drift_share=float((pair.outside_difference > 0).mean()) if pair.outside_difference.size else 0.0,
    )


def _seam(pair: Pair) -> tuple[float, Mask]:
    """Share of the outline with a visible one-pixel step, and the outline.

    A lens of sigma 0.5 px or more spreads a step over three pixels, so the outermost changed pixel carries at most a
    third of the change behind it. Where the outline follows the object's own edge nothing can be said.
    """
    support = pair.support & dilate(pair.mask, 3)
    border = support & ~erode(support, 1)
    border &= erode(pair.foreground, 2) | ~dilate(pair.foreground, 2)
    if not border.any():
        return 0.0, border
    behind = cv2.dilate(pair.difference, np.ones((5, 5), np.uint8))[border]
    step = pair.difference[border]
    visible = np.clip((pair.visibility[border] - 1.0) / 1.5, 0.0, 1.0)
    sudden = np.clip((step / np.maximum(behind, 1e-3) - 0.35) / 0.35, 0.0, 1.0)
    return float((visible * sudden).mean()), border


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
    """Share of directions around the core in which the change has the opposite sign and can be seen."""
    core = pair.core
    mean = pair.shift[core].mean(axis=0)
    size = float(np.linalg.norm(mean))
    if size < 1e-3:
        return 0.0
    along = (pair.shift @ (mean / size)) / pair.scene.jnd[pair.window]
    reach = max(3, min(10, round(0.2 * float(np.sqrt(np.count_nonzero(core))) + 2)))
    ring = dilate(core, reach) & ~dilate(core, 1)
    rows, columns = np.nonzero(ring)
    if rows.size == 0:
        return 0.0
    core_rows, core_columns = np.nonzero(core)
    sector = ((np.arctan2(rows - core_rows.mean(), columns - core_columns.mean()) / (2 * np.pi) + 0.5) * SECTORS).astype(
        int
    ) % SECTORS
    opposite = np.bincount(sector, weights=along[ring] < -0.8, minlength=SECTORS)
    present = np.bincount(sector, minlength=SECTORS)
    share = opposite[present > 0] / present[present > 0]
    return float(np.clip(share / 0.4, 0.0, 1.0).mean())


def _smooth_ring(pair: Pair) -> float:
    ring = pair.support & ~dilate(pair.mask, 1)
    if np.count_nonzero(ring) < 24:
        return 0.0
    before, after = (_spread(fine_grain(lab[..., 0])[ring]) for lab in (pair.before, pair.after))
    return max(0.0, float(np.log2((before + QUANTISATION) / (after + QUANTISATION))))


def _spread(values: NDArray[np.float32]) -> float:
    """Robust standard deviation."""
    return float(np.median(np.abs(values))) / 0.6745 if values.size else 0.0


def _inside(pair: Pair) -> Mask:
    """Changed pixels away from the outline where the change is large enough to leave some."""
    inner = erode(pair.mask, 2)
    return inner if np.count_nonzero(inner) >= 24 else pair.mask


def _noise(pair: Pair) -> tuple[float, float]:
    """Doublings of fine grain gained and lost, against the normal photo here and at the same brightness elsewhere."""
    lightness = pair.after[..., 0]
    inside = _inside(pair)
    usable = inside & (lightness > 6.0) & (lightness < 97.0)
    if np.count_nonzero(usable) < 12:
        return 0.0, 0.0
    here = _spread(fine_grain(lightness)[usable])
    before = _spread(fine_grain(pair.before[..., 0])[usable])
    alike = _grain_at_brightness(pair, float(np.median(lightness[usable])))
    gain = np.log2((here + QUANTISATION) / (max(before, alike) + QUANTISATION))
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
    """Compares differences over one and over two pixels at the steepest edges of the change with what the lens would give."""
    lightness = pair.after[..., 0]
    near = dilate(pair.mask, 1)
    sigma = max(0.3, pair.scene.blur_sigma_px)
    erf = _error_function
    lens = erf(0.5 / (sigma * np.sqrt(2))) / erf(1.0 / (sigma * np.sqrt(2)))
    excesses: list[float] = []
    for image, region in ((lightness, near), (np.ascontiguousarray(lightness.T), np.ascontiguousarray(near.T))):
        one = np.abs(image[:, 1:] - image[:, :-1])
        two = np.abs(image[:, 3:] - image[:, :-3])
        middle, ok = one[:, 1:-1], region[:, 1:-2] & region[:, 2:-1]
        steep = ok & (middle > 6.0)
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


def _texture(pair: Pair) -> tuple[float, float]:
    """(doublings of texture lost, flatness 0..1) of the inside, at scales of two to six pixels."""
    inside = erode(pair.mask, 2)
    lightness = pair.after[..., 0]
    usable = inside & (lightness > 6.0) & (lightness < 97.0)
    if np.count_nonzero(usable) < 24:
        return 0.0, 0.0
    noise = 100.0 * pair.scene.noise_sigma + QUANTISATION
    before, after = (_band(lab[..., 0])[usable] for lab in (pair.before, pair.after))
    was, remained = float(np.sqrt((before**2).mean())), float(np.sqrt((after**2).mean()))
    soft = max(0.0, float(np.log2((was + noise) / (remained + noise))))
    share_flat = float((np.abs(after) < 0.5 * noise).mean())
    return soft, share_flat


def _band(lightness: Field) -> Field:
    return np.asarray(cv2.GaussianBlur(lightness, (0, 0), 0.7) - cv2.GaussianBlur(lightness, (0, 0), 3.0), np.float32)


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
