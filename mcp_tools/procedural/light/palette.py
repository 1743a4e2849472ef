"""Colours of defects: what the surface around a site looks like, and colours of foreign matter chosen against it.

Colour maths is CIELAB (D65); reflectance changes are logarithms of linear RGB, so that they multiply (Beer-Lambert).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.color import ciede2000
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.light.surface import linear_from_srgb

__all__ = [
    "MATTER",
    "OWN",
    "Matter",
    "Surroundings",
    "Triple",
    "choose_matter",
    "fit_shift",
    "log_ratio",
    "measure_surroundings",
    "paint_of",
    "reach_contrast",
    "rgb_of",
]

Triple = tuple[float, float, float]

OWN = "own"
"""In the place of a material's name: the part's own."""


class Surroundings(NamedTuple):
    """Colour of the surface near a site.

    Attributes:
        lab: (3,) median CIELAB.
        grey: True when the photo has no colour; a defect must then have none either.
        jnd: median local just-noticeable difference (CIEDE2000 units).
        contrast: standard deviation of L around its local mean, the strength of the texture.
    """

    lab: NDArray[np.float32]
    grey: bool
    jnd: float
    contrast: float


class Matter(NamedTuple):
    """A foreign material: its colour in daylight (CIELAB) and how it looks.

    Attributes:
        name: of the material.
        lab: typical colour.
        gloss: 0 (chalk) .. 1 (wet glue): strength of the highlight.
        grain: standard deviation of L inside the material.
    """

    name: str
    lab: Triple
    gloss: float
    grain: float


MATTER = (
    Matter("dust", (68.0, 1.0, 5.0), 0.0, 5.0),
    Matter("lint", (84.0, 0.0, 2.0), 0.0, 4.0),
    Matter("soot", (12.0, 0.0, 1.0), 0.05, 3.0),
    Matter("swarf", (62.0, 0.0, 1.0), 0.9, 12.0),
    Matter("rust", (36.0, 22.0, 30.0), 0.0, 6.0),
    Matter("cardboard", (58.0, 8.0, 22.0), 0.0, 5.0),
    Matter("resin", (74.0, 4.0, 26.0), 0.8, 2.0),
    Matter("rubber", (20.0, 0.0, 0.0), 0.15, 3.0),
    Matter("white plastic", (90.0, 0.0, 2.0), 0.35, 1.5),
    Matter("blue plastic", (42.0, -4.0, -38.0), 0.4, 2.0),
    Matter("insect", (24.0, 6.0, 10.0), 0.3, 6.0),
    Matter("grease", (30.0, 4.0, 14.0), 0.7, 2.0),
    Matter("glue", (84.0, 0.0, 9.0), 1.0, 0.8),
    Matter("wax", (86.0, 0.0, 8.0), 0.5, 1.5),
    Matter("graphite", (46.0, 0.0, -1.0), 0.2, 2.0),
    Matter("solder", (72.0, 0.0, 1.0), 1.0, 2.0),
)


def rgb_of(lab: Lab) -> RGB:
    """(..., 3) CIELAB (D65) -> sRGB, clipped to 0..1."""
    flat = np.ascontiguousarray(lab, dtype=np.float32).reshape(1, -1, 3)
    return np.clip(cv2.cvtColor(flat, cv2.COLOR_Lab2RGB).reshape(lab.shape), 0.0, 1.0).astype(np.float32, copy=False)


def log_ratio(lab: NDArray[np.float32], shift: Triple, grey: bool) -> NDArray[np.float32]:
    """(3,) log of the linear reflectance change that moves the colour `lab` by `shift` (CIELAB); equal channels when grey."""
    dl, da, db = (shift[0], 0.0, 0.0) if grey else shift
    moved = lab + np.array([dl, da, db], np.float32)
    moved[0] = np.clip(moved[0], 1.0, 99.0)
    before, after = (linear_from_srgb(rgb_of(color)) + 0.003 for color in (lab, moved))
    ratio = np.log(after / before)
    return np.full(3, ratio.mean(), np.float32) if grey else ratio.astype(np.float32)


class FittedShift(NamedTuple):
    """A CIELAB shift for a severity; `at_limit` when a surface of this colour cannot change more without looking painted."""

    shift: Triple
    at_limit: bool


def fit_shift(near: Surroundings, shift: Triple, severity: float, *, hue_limit: float = 18.0) -> FittedShift:
    """`shift` scaled until it is about `severity` JND long, so that hue stays plausible when the strength grows.

    a and b stop at `hue_limit` in all; lightness takes over and stops short of black and white, so that the texture survives.
    """
    length = max(float(np.linalg.norm(shift)), 1e-3)
    scale = float(np.clip(severity * near.jnd * 1.15 / length, 0.1, 8.0))
    hue = max(float(np.hypot(shift[1], shift[2])), 1e-3)
    tint = min(scale, max(hue_limit / hue, 0.8))
    lost = (scale - tint) * hue
    lightness = float(near.lab[0])
    wanted = shift[0] * scale + (-0.7 if shift[0] < 0 else 0.7) * lost
    dl = float(np.clip(wanted, -0.75 * lightness, 0.75 * (100.0 - lightness)))
    return FittedShift((dl, shift[1] * tint, shift[2] * tint), dl != wanted)


def measure_surroundings(site: Site, radius_px: float | None = None, inside: Mask | None = None) -> Surroundings:
    """Colour of the foreground around a site.

    Args:
        site: where.
        radius_px: half side of the box that is measured; unset: the extent of the instance.
        inside: (h, w) bool over the site's window, measured instead of the box.
    """
    scene = site.scene
    if inside is not None and inside.any():
        rows, columns = site.window.slices
        pick = inside
    else:
        reach = max(radius_px or np.sqrt(site.area_px) * 0.8, 4.0)
        x, y = site.center_xy
        height, width = scene.foreground.shape
        rows = slice(max(int(y - reach), 0), min(int(y + reach) + 1, height))
        columns = slice(max(int(x - reach), 0), min(int(x + reach) + 1, width))
        pick = scene.foreground[rows, columns]
        if not pick.any():
            pick = np.ones_like(pick)
    step = max(1, int(np.sqrt(pick.size) / 96))
    lab = scene.lab[rows, columns]
    thin, chosen = lab[::step, ::step], pick[::step, ::step]
    if not chosen.any():
        thin, chosen = lab, pick
    values = thin[chosen]
    lightness = np.ascontiguousarray(thin[..., 0])
    spread = float((lightness - cv2.blur(lightness, (9, 9)))[chosen].std())
    grey = scene.photo.is_grey
    return Surroundings(
        np.median(values, axis=0).astype(np.float32), grey, float(np.median(scene.jnd[rows, columns][pick])), spread
    )


def choose_matter(
    near: Surroundings, severity: float, rng: np.random.Generator, names: tuple[str, ...] = (), shift: Triple | None = None
) -> tuple[Matter, NDArray[np.float32]]:
    """A foreign material and the colour it has here; materials that can reach the severity are preferred.

    Returns:
        the material and its (3,) CIELAB colour (see `reach_contrast`).
    """
    listed = [matter for matter in MATTER if not names or matter.name in names]
    known = [_own(near)] if names == (OWN,) else listed
    wanted = severity * near.jnd
    distance = np.array([_distance(near, matter.lab) for matter in known])
    weight = np.clip(distance / max(wanted, 1.0), 0.05, 1.0) ** 2
    matter = known[int(rng.choice(len(known), p=weight / weight.sum()))]
    target = np.array(matter.lab, np.float32) + rng.normal(0.0, [5.0, 2.0, 3.0]).astype(np.float32)
    if shift is not None:
        target = near.lab + np.array(shift, np.float32)
    return matter, reach_contrast(near, target, severity * float(rng.uniform(0.85, 1.25)))


def _own(near: Surroundings) -> Matter:
    """What the part is made of where it stands out of its surface: it catches light, a very light one shows its shade."""
    lightness, a, b = (float(value) for value in near.lab)
    return Matter(OWN, (lightness + (16.0 if lightness < 75.0 else -16.0), a, b), 0.6, 6.0)


def reach_contrast(near: Surroundings, target: NDArray[np.float32], severity: float) -> NDArray[np.float32]:
    """A colour on the way from the surface's to `target`, or beyond it, that differs by `severity` JND (CIEDE2000).

    Faint foreign matter is matter of nearly the surface's own colour (that is what people overlook); gross matter that
    is not bright or dark enough by itself goes on towards white or black. Without a and b when the photo is grey.
    """
    target = target.copy()
    target[0] = np.clip(target[0], 3.0, 97.0)
    if near.grey:
        target[1:] = 0.0
    limit = target.copy()
    limit[0] = 97.0 if target[0] >= near.lab[0] else 3.0
    t = np.linspace(0.0, 1.0, 24, dtype=np.float32)[:, None]
    steps = np.concatenate([near.lab + (target - near.lab) * t, target + (limit - target) * t]).astype(np.float32)
    contrast = ciede2000(np.broadcast_to(near.lab, steps.shape), steps)
    enough = np.flatnonzero(contrast >= severity * near.jnd)
    return steps[int(enough[0]) if enough.size else int(contrast.argmax())].astype(np.float32)


def _distance(near: Surroundings, lab: Triple) -> float:
    other = np.array(lab, np.float32)
    return abs(float(other[0] - near.lab[0])) if near.grey else float(np.linalg.norm(other - near.lab))


def paint_of(lab_field: Field, color: NDArray[np.float32]) -> RGB:
    """(h, w) lightness offsets around one colour -> (h, w, 3) sRGB paint."""
    lab = np.empty((*lab_field.shape, 3), np.float32)
    lab[..., 0] = np.clip(color[0] + lab_field, 1.0, 99.5)
    lab[..., 1:] = color[1:]
    return rgb_of(lab)
