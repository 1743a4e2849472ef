"""Print in several colours (labels, packs): flat inks on a light ground, found by their colours, printed again with a fault.

Physics: inks are filters on a light ground, so that the lightest of the large flat colours is the ground and white letters in
a coloured field are ground left free. Each ink is laid down on its own. Faults: `gap` (no ink was laid down: the ground
shows), `smear` (all inks dragged while wet), `bleed` (out of focus, spread), `ghost` (printed twice: ink over ink), `shift`
(one ink is out of register with the others).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.inpainting import continue_smoothly
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_distance, fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import grain_noise
from anomalyagent.mcp_tools.procedural.geometry.warp import shifted
from anomalyagent.mcp_tools.procedural.geometry.windows import around

__all__ = ["Inks", "find_inks", "print_again"]

_CELL = 8.0  # CIELAB units: side of the cells in which colours are counted
_ONE_COLOUR = 14.0  # reach of one flat colour
_LEAST = 0.015  # share of the object that a colour must have
_FLAT = 0.8  # share that the flat colours have together: what shades or grains has more
_GROUND = 0.08  # share that the ground has at least
_LIGHT = 60.0  # L that the ground has at least
_APART = 25.0  # CIELAB units between ground and inks, and between two inks; also the chroma that one of them must have
_MOST_COLOURS = 7
_SEARCH = 20_000  # pixels looked at
_INSTEAD = ("ghost", "gap")
_FAULTS = ("smear", "ghost", "gap", "shift", "bleed")


class Inks(NamedTuple):
    """CIELAB of the ground, (3,), and of the inks, (n, 3)."""

    ground: NDArray[np.float32]
    inks: NDArray[np.float32]

    def is_ground(self, color: NDArray[np.float32]) -> bool:
        """True for the (3,) CIELAB colour of marks that are ground left free."""
        return float(np.linalg.norm(color - self.ground)) < _APART

    def ink_at(self, lab: Lab) -> tuple[Field, NDArray[np.intp]]:
        """(h, w) 0..1 how much ink covers the ground, and which one it is, of (h, w, 3) CIELAB."""
        away = np.linalg.norm(lab[..., None, :] - self.inks, axis=3)
        which = away.argmin(axis=2)
        toward = (self.inks - self.ground)[which]
        along = ((lab - self.ground) * toward).sum(2) / (toward * toward).sum(2)
        return np.clip(along, 0.0, 1.0).astype(np.float32), which


def find_inks(lab: Lab, inside: Mask) -> Inks | None:
    """The colours of print in several colours; None where there is none.

    Args:
        lab: (h, w, 3) CIELAB. inside: (h, w) bool, the object.
    """
    values = lab[inside]
    values = values[:: max(1, len(values) // _SEARCH)]
    if len(values) < 200:
        return None
    colors: list[NDArray[np.float32]] = []
    shares: list[float] = []
    left = values
    while len(colors) < _MOST_COLOURS and len(left) > _LEAST * len(values):
        cells, counts = np.unique(np.round(left / _CELL), axis=0, return_counts=True)
        near = np.linalg.norm(left - cells[counts.argmax()] * _CELL, axis=1) < _ONE_COLOUR
        if np.count_nonzero(near) < _LEAST * len(values):
            break
        colors.append(np.median(left[near], axis=0))
        shares.append(np.count_nonzero(near) / len(values))
        left = left[~near]
    if len(colors) < 3 or sum(shares) < _FLAT:
        return None
    lightest = int(
        np.argmax([float(color[0]) if share > _GROUND else -1.0 for color, share in zip(colors, shares, strict=True)])
    )
    if float(colors[lightest][0]) < _LIGHT or shares[lightest] < _GROUND:
        return None
    ground, inks = colors[lightest], list[NDArray[np.float32]]()
    for color in (one for at, one in enumerate(colors) if at != lightest):
        if all(np.linalg.norm(color - other) > _APART for other in (ground, *inks)):
            inks.append(color)
    if len(inks) < 2 or max(float(np.hypot(ink[1], ink[2])) for ink in inks) < _APART:
        return None
    return Inks(np.asarray(ground, np.float32), np.asarray(inks, np.float32))


def print_again(site: Site, spec: DefectSpec, inks: Inks, faults: tuple[str, ...], rng: np.random.Generator) -> Edit | None:
    """The print around the site with one of `faults`, chosen by chance among those that show here; None if none does."""
    size = float(np.sqrt(site.area_px))
    window = around(site.window, size, site.scene.foreground.shape)
    rgb = np.ascontiguousarray(site.scene.photo.rgb[window.slices])
    cover, which = inks.ink_at(site.scene.lab[window.slices])
    cover = cover * site.scene.foreground[window.slices]
    ys, xs = np.nonzero(cover > 0.7)
    if not len(xs):
        return None
    local = site.center_xy[0] - window.x0, site.center_xy[1] - window.y0
    nearest = int(((xs - local[0]) ** 2 + (ys - local[1]) ** 2).argmin())
    middle = float(xs[nearest] + window.x0), float(ys[nearest] + window.y0)
    elongation = min(spec.elongation, 3.0)
    region = blob_distance(window, middle, site.area_px * 1.6, rng, elongation=elongation, lobes=0.15, roughness=0.08)
    inside = smooth_step(region / max(0.1 * size, 1.5)).astype(np.float32)
    bare = continue_smoothly(rgb, (cv2.dilate(cover, np.ones((5, 5), np.uint8)) < 0.15) & site.scene.foreground[window.slices])
    bare = bare + rng.normal(0.0, min(site.scene.noise_sigma, 0.02), bare.shape).astype(np.float32)
    asked = [str(one) for one in rng.permutation([one for one in faults if one in _FAULTS] or _FAULTS)]
    for kind in dict.fromkeys([*asked, *_INSTEAD]):  # a fault that does not show here is replaced by another kind
        own = which == which[ys[nearest], xs[nearest]]
        new = _faulty(kind, rgb, bare, cover, own, inside, size, spec, rng)
        changed = np.abs(new - rgb).max(axis=2) > 0.04
        if np.count_nonzero(changed) > 0.15 * site.area_px:
            return Edit(
                window=window,
                support=np.abs(new - rgb).max(axis=2) > 0.004,
                paint=np.clip(new, 0.0, 1.0).astype(np.float32),
                opacity=np.ones(window.shape, np.float32),
                strength_fixed=True,
                size_fixed=True,  # the print decides how much can change
                photographed=True,
            )
    return None


def _faulty(
    kind: str,
    rgb: RGB,
    bare: RGB,
    cover: Field,
    own: Mask,
    inside: Field,
    size: float,
    spec: DefectSpec,
    rng: np.random.Generator,
) -> RGB:
    """(h, w, 3) sRGB of the window printed with a fault.

    Args:
        bare: the ground without any ink. cover: 0..1, ink on it. own: (h, w) bool, where the ink at the site is, or none.
        inside: 0..1, where the fault is. size: its width, pixels.
    """
    strength = float(np.clip(spec.severity / 8.0, 0.35, 1.5))
    part = inside[..., None]
    if kind == "gap":
        pattern = str(rng.choice(["all", "worn", "lines"], p=[0.5, 0.3, 0.2]))
        lost = np.ones_like(cover)
        if pattern == "worn":  # the ink did not take everywhere
            noise = fractal_noise(cover.shape, max(0.3 * size, 4.0), rng, octaves=4, gain=0.7)
            lost = smooth_step((noise + 0.6) * np.float32(2.0))
        elif pattern == "lines":  # a clogged nozzle
            heading = float(rng.choice([0.0, 0.5])) * np.pi
            noise = grain_noise(cover.shape, 8.0 * size, max(0.12 * size, 1.5), heading, rng)
            lost = smooth_step((noise + 0.2) * np.float32(2.5))
        return (rgb + part * lost[..., None] * np.float32(min(strength + 0.3, 1.0)) * (bare - rgb)).astype(np.float32)
    heading = float(rng.choice([0.0, 0.5, 1.0, 1.5]) + rng.normal(0.0, 0.03)) * np.pi
    if kind == "smear":
        run = float(rng.uniform(0.3, 0.7)) * size * min(strength, 1.2)
        steps = int(np.clip(run, 4, 32))
        weights = np.exp(-2.0 * np.linspace(0.0, 1.0, steps))
        dragged = sum(
            float(weight) * shifted(rgb, run * at / steps * np.cos(heading), run * at / steps * np.sin(heading))
            for at, weight in enumerate(weights)
        ) / float(weights.sum())
        return (rgb + part * (np.asarray(dragged, np.float32) - rgb)).astype(np.float32)
    if kind == "bleed":
        sigma = max(float(rng.uniform(0.05, 0.1)) * size * strength, 1.2)
        return (rgb + part * (cv2.GaussianBlur(rgb, (0, 0), sigma) - rgb)).astype(np.float32)
    far = max(float(rng.uniform(0.08, 0.25)) * size * min(strength, 1.2), 2.0)
    dx, dy = far * np.cos(heading), far * np.sin(heading)
    if kind == "ghost":
        passes = np.clip(shifted(rgb, dx, dy) / np.maximum(shifted(bare, dx, dy), 0.05), 0.0, 1.0)
        return (rgb * (1.0 + part * np.float32(min(0.6 * strength, 0.9)) * (passes - 1.0))).astype(np.float32)
    plate = _elements(own & (cover > 0.5), inside > 0.5)
    if not plate.any():
        return rgb
    others = cv2.erode((~own & (cover > 0.8)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    ink = (cv2.dilate(plate.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0)[..., None] & ~others[..., None]
    passes = np.where(ink, np.clip(rgb / np.maximum(bare, 0.05), 0.0, 1.0), 1.0).astype(np.float32)
    return (np.where(ink, bare, rgb) * shifted(passes, dx, dy)).astype(np.float32)


def _elements(own: Mask, inside: Mask) -> Mask:
    """(h, w) bool: whole elements of an ink that reach into a region; what the frame of the window cuts is left alone."""
    labels = np.asarray(cv2.connectedComponents(own.astype(np.uint8))[1])
    cut = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return own & np.isin(labels, np.setdiff1d(labels[inside & own], cut))
