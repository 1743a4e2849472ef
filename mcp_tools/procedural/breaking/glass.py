"""Look of a fracture in glass, glaze and clear plastic, seen in the light that is reflected.

Glass breaks along large smooth faces, which look dull: each mirrors or refracts a dark and blurred part of the
surroundings, so that its tone is near that of the wall, slowly varying, while all lines that ran over the old surface are gone.
Where the blow fell, and at some of the ends, the glass is crushed: a small heap of splinters, of which many flash as bright
as the lamp, beside dark ones, with frost (fine sparkling grains) around it. Faces that lie deeper than the old surface are out
of focus.

Source: fractography of glass (Quinn, NIST SP 960-16): mirror, mist and hackle, conchoidal faces, percussion cones.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Lab, Mask
from anomalyagent.mcp_tools.procedural.breaking.faces import walls
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.geometry.facets import mosaic
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.light.material import contrast_for, recolor, shading_of, subdued
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, rgb_of
from anomalyagent.mcp_tools.procedural.structure.rims import Seat

__all__ = ["crush_glass", "paint_glass"]

_HEAPS = (0.08, 0.5, 0.27, 0.15)  # chances of 0, 1, 2 and 3 heaps of splinters


def paint_glass(
    site: Site,
    spec: DefectSpec,
    seat: Seat,
    near: Surroundings,
    distance: Field,
    cover: Field,
    size_px: float,
    tint: tuple[float, float],
    rng: np.random.Generator,
) -> RGB:
    """(h, w, 3) sRGB of a fracture in glass. `tint`: colour of the object's highlights."""
    inside = cover > 0.3
    contrast = contrast_for(spec, near, rng)
    patch, slow = shading_of(site, size_px)
    lab = (0.25 * slow + 0.75 * near.lab).astype(np.float32)
    lab[..., 0] += recolor(lab, spec, near, float(rng.normal(0.06, 0.25)) * contrast)
    lab = _paint_faces(lab, inside, size_px, contrast, rng)
    lab[..., 0] += float(rng.uniform(0.3, 1.0)) * contrast * walls(distance, max(1.0, 0.04 * size_px), site.scene.light[0])
    lab[..., 1:] *= float(rng.uniform(0.5, 1.1))
    lab = _soften(lab, size_px, rng)
    lab[..., 0] = np.clip(lab[..., 0], 0.35 * float(near.lab[0]), 98.0)
    lab = subdued(lab, slow, patch, distance > 0, spec.severity * near.jnd)
    if seat.hollow is not None:
        away = np.maximum(-seat.hollow.depth(site.window), 0.0)
    elif seat.on_outline:
        away = site.scene.depth_px[site.window.slices]
    else:
        away = np.zeros(site.window.shape, np.float32)
    rim = np.exp(-((away / (0.4 * size_px + 1.0)) ** 2)).astype(np.float32)
    bright, dark = crush_glass(site.window, inside, rim, size_px, seat.impact_xy, rng)
    # a mirror shows the lamp, however faint the break is otherwise
    strength = float(np.clip(spec.severity * near.jnd / 12.0, 0.45, 1.0))
    warmth = float(rng.uniform(-0.2, 1.0)) + 0.4 * fractal_noise(site.window.shape, max(0.3 * size_px, 2.0), rng, octaves=2)
    lamp = np.empty_like(lab)
    lamp[..., 0] = float(rng.uniform(84.0, 99.0))
    lamp[..., 1], lamp[..., 2] = warmth * tint[0], warmth * tint[1]
    lab[..., 0] *= 1.0 - 0.6 * strength * dark
    lab += strength * bright[..., None] * (lamp - lab)
    if near.grey:
        lab[..., 1:] = 0.0
    return rgb_of(lab)


def _paint_faces(lab: Lab, inside: Mask, size_px: float, contrast: float, rng: np.random.Generator) -> Lab:
    """The smooth faces of a break.

    Args:
        lab: (h, w, 3) tone of the wall without its lines.
        inside: (h, w) where the break is.
        size_px: width of the break.
        contrast: CIELAB units that the faces may differ by.
    """
    shape = inside.shape
    area = float(max(np.count_nonzero(inside), 1))
    count = int(np.clip(rng.poisson(0.7 + 0.9 * area / size_px**2) + 1, 2, 14))
    faces = mosaic(inside, count, 0.25 * size_px, rng)
    offset = (0.2 * contrast * rng.standard_normal(count)).astype(np.float32)
    lean = rng.normal(0.0, 0.35 * contrast, (count, 2)).astype(np.float32) / np.float32(max(size_px, 2.0))
    x, y = np.arange(shape[1], dtype=np.float32)[None, :], np.arange(shape[0], dtype=np.float32)[:, None]
    ramp = lean[faces.label, 0] * (x - 0.5 * shape[1]) + lean[faces.label, 1] * (y - 0.5 * shape[0])
    cloud = fractal_noise(shape, max(0.7 * size_px, 3.0), rng, octaves=2)
    sheen = smooth_step(fractal_noise(shape, max(0.45 * size_px, 2.0), rng, octaves=2) - 1.0)
    ridge = faces.border * smooth_step(cloud) * float(rng.choice([0.0, 0.4, 1.0]))
    tone = offset[faces.label] + np.clip(ramp, -0.5 * contrast, 0.5 * contrast)
    tone = tone + contrast * (0.12 * cloud + float(rng.uniform(0.0, 0.9)) * sheen + 0.5 * ridge)
    mist = float(rng.choice([0.01, 0.04, 0.1], p=[0.5, 0.3, 0.2])) * contrast
    tone = tone + mist * fractal_noise(shape, max(1.5, 0.04 * size_px), rng, octaves=2, gain=0.8)
    painted = lab.copy()
    painted[..., 0] += tone
    return painted


def _soften(lab: Lab, size_px: float, rng: np.random.Generator) -> Lab:
    """Often the faces lie below the surface that is in focus."""
    if rng.random() > 0.5:
        return lab
    sigma = max(float(rng.uniform(0.01, 0.08)) * size_px, 0.6)
    return np.asarray(cv2.GaussianBlur(lab, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def crush_glass(
    window: Window,
    inside: Mask,
    rim: Field,
    size_px: float,
    impact_xy: tuple[float, float],
    rng: np.random.Generator,
) -> tuple[Field, Field]:
    """Heaps of splinters and the frost around them.

    Args:
        inside: (h, w) where the break is.
        rim: (h, w) 0..1, 1 at the edge that was hit.
        impact_xy: point that was hit, photo pixels.
    Returns:
        (h, w) 0..1 how much of a pixel flashes, and (h, w) 0..1 how much of it lies in the dark between splinters.
    """
    shape = inside.shape
    bright, dark = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return bright, dark
    x, y = np.arange(shape[1], dtype=np.float32)[None, :], np.arange(shape[0], dtype=np.float32)[:, None]
    for heap in range(int(rng.choice(len(_HEAPS), p=_HEAPS))):
        weight = rim[rows, columns] + 0.05
        if heap == 0:  # the blow fell on the edge, most often in the middle of what broke off
            away = np.hypot(columns + window.x0 - impact_xy[0], rows + window.y0 - impact_xy[1])
            weight = weight * np.exp(-((away / (1.2 * size_px)) ** 2)) + 1e-6
        at = int(rng.choice(len(rows), p=weight / weight.sum()))
        reach = size_px * float(np.exp(rng.uniform(np.log(0.18), np.log(0.75)))) * (1.0 if heap == 0 else 0.6)
        reach = max(reach, 1.2)
        span = int(3.0 * reach) + 4
        box = (
            slice(max(int(rows[at]) - span, 0), int(rows[at]) + span + 1),
            slice(max(int(columns[at]) - span, 0), int(columns[at]) + span + 1),
        )
        flash, gap = _heap(inside[box], np.hypot(x[:, box[1]] - columns[at], y[box[0]] - rows[at]), reach, rng)
        bright[box], dark[box] = np.maximum(bright[box], flash), np.maximum(dark[box], gap)
    return np.clip(bright, 0.0, 1.0).astype(np.float32), np.clip(dark, 0.0, 1.0).astype(np.float32)


def _heap(inside: Mask, away: Field, reach: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """One heap of splinters: (h, w) 0..1 of what flashes and of what lies in the dark. `away`: pixels to its middle."""
    shape = inside.shape
    uneven = fractal_noise(shape, max(0.7 * reach, 1.5), rng, octaves=3, gain=0.7)
    pile = np.clip(2.5 * (1.0 - away / reach + 0.45 * uneven), 0.0, 1.0)
    count = int(np.clip(reach * float(rng.uniform(0.4, 2.4)), 4, 50))  # a few plates, or crumbs
    splinters = mosaic(inside & (away < 1.6 * reach), count, 0.15 * reach, rng)
    facing = (rng.random(len(splinters.slope)) ** float(rng.choice([0.3, 0.7, 1.6]))).astype(np.float32)
    crumbs = smooth_step(fractal_noise(shape, max(0.15 * reach, 1.3), rng, octaves=3, gain=0.9) + 0.6)
    lit = 1.4 * facing[splinters.label] * (0.35 + 0.65 * crumbs)
    shine = smooth_step(np.asarray(lit * (1.0 - 0.4 * splinters.border), np.float32))
    frost = fractal_noise(shape, 1.4, rng, octaves=2, gain=0.9) - float(rng.uniform(0.7, 1.8))
    spread = np.exp(-((away / (reach * float(rng.uniform(1.2, 3.0)))) ** 2))
    spread *= np.clip(3.0 - away / reach, 0.0, 1.0)
    sparkle = float(rng.uniform(0.1, 0.6)) * spread * np.clip(frost, 0.0, 1.0)
    flash = np.maximum(float(rng.uniform(0.8, 1.6)) * pile * shine, sparkle)
    return flash.astype(np.float32), (0.6 * pile * (1.0 - smooth_step(np.float32(2.5) * shine))).astype(np.float32)
