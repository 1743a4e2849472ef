"""A component of another colour: another insulation, another plating, another tone in a grey photo; its shading is kept."""

import math

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Field, Lab
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.light.palette import rgb_of
from anomalyagent.mcp_tools.procedural.parts.component import Component, mask_in
from anomalyagent.mcp_tools.procedural.parts.discs import core_within
from anomalyagent.mcp_tools.procedural.parts.protrusions import protrusions_of
from anomalyagent.mcp_tools.procedural.parts.regions import dye_of
from anomalyagent.mcp_tools.procedural.retouching.cutout import cut_out, edit_of

__all__ = ["recolored"]

_PLATINGS = np.array([(74.0, 0.0, 1.0), (66.0, 5.0, 33.0), (58.0, 17.0, 24.0), (36.0, 2.0, 4.0)], np.float32)
"""CIELAB of tin, gold, copper and of metal that has gone dark."""
_NO_METAL = 13.0  # CIELAB a and b from all of them
_SAME_DYE = 9.0  # CIELAB units, see `dye_of`
_GOES_ON = 0.15  # share of what lies around a part that looks like it: the part is but a piece of something larger
_COLOURED = 15.0  # CIELAB chroma from which a part has a hue


def recolored(site: Site, part: Component, rng: np.random.Generator) -> Edit | None:
    """A component of another colour (another tone in a grey photo), its shading kept; None for a piece of something larger."""
    lifted = cut_out(site, part, 2.0, rng)
    jacket = _beside_core(site.scene, part, lifted.window)
    solid = (lifted.matte > 0.5) & (jacket > 0.5)
    if not solid.any():
        return None
    lab = lab_from_rgb(lifted.rgb)
    typical = np.median(lab[solid], axis=0)
    darker = typical[0] > 65.0 or (typical[0] > 45.0 and rng.random() < 0.5)
    shift = np.array([float(rng.uniform(18.0, 40.0)) * (-1.0 if darker else 1.0), 0.0, 0.0], np.float32)
    plating = _plating(site.scene, part, typical, rng)
    if plating is not None:
        shift = plating - typical
    elif not site.scene.photo.is_grey:
        hue = float(np.arctan2(typical[2], typical[1]) + rng.uniform(0.35, 1.65) * np.pi)
        chroma = float(np.clip(np.hypot(typical[1], typical[2]), rng.uniform(20.0, 40.0), 50.0))
        shift[1:] = chroma * np.cos(hue) - typical[1], chroma * np.sin(hue) - typical[2]
        shift[0] *= 1.0 if rng.random() < 0.4 else 0.2
    before = lab.copy()
    dyed = lifted.matte * _of_one_dye(lab, typical) * jacket
    if float(np.hypot(typical[1], typical[2])) > _COLOURED:  # light and shade of one dye differ in chroma too
        lab[..., 1:] += dyed[..., None] * (_turned(lab[..., 1:], typical[1:], typical[1:] + shift[1:]) - lab[..., 1:])
        shift[1:] = 0.0
    beyond = np.asarray((lifted.seat < 0.01) & (cv2.dilate(lifted.seat, np.ones((7, 7), np.uint8)) >= 0.01))
    if beyond.any() and float((np.linalg.norm(dye_of(before[beyond]) - dye_of(typical), axis=1) < _SAME_DYE).mean()) > _GOES_ON:
        return None  # only a piece of what has this colour
    lab = lab + shift * dyed[..., None]
    lab[..., 0] = np.clip(lab[..., 0], 1.0, 99.0)
    return edit_of(lifted.window, rgb_of(lab.astype(np.float32)), lifted.seat)


def _plating(scene: Scene, part: Component, typical: Lab, rng: np.random.Generator) -> Lab | None:
    """(3,) another metal than that of a pin or lead; None for what does not stand out of the object, or is of no metal."""
    leads = [one for one in protrusions_of(scene) if math.dist(one.center_xy, part.center_xy) < 0.5 * one.length_px]
    away = np.linalg.norm(_PLATINGS[:, 1:] - typical[1:], axis=1)
    if not leads or scene.photo.is_grey or float(away.min()) > _NO_METAL:
        return None
    others = _PLATINGS[(away > _NO_METAL) | (np.abs(_PLATINGS[:, 0] - typical[0]) > 2.0 * _NO_METAL)]
    return others[int(rng.integers(len(others)))]


def _beside_core(scene: Scene, part: Component, window: Window) -> Field:
    """(h, w) 0 on what fills a round part, as the copper of an insulated wire does: that is the same in every colour."""
    core = core_within(scene, part)
    if core is None:
        return np.ones(window.shape, np.float32)
    border = 2 * round(2.0 + 2.0 * scene.blur_sigma_px) + 1  # of the core, which its mask holds
    inside = cv2.erode(mask_in(window, core).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (border, border)))
    beside = 1.0 - inside.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(beside, (0, 0), 0.7 + scene.blur_sigma_px), np.float32)


def _of_one_dye(lab: Lab, typical: Lab) -> Field:
    """(h, w) 0..1: what has the colour of the part: what the matte holds of its neighbours keeps its own.

    On a coloured part light and shade have the same hue, whatever their lightness.
    """
    chroma, far = float(np.hypot(typical[1], typical[2])), 18.0
    if chroma > _COLOURED:
        far = max(far, 0.45 * chroma)  # a lamp's reflection on it has lost a channel
        along = np.clip(lab[..., 1:] @ typical[1:] / chroma**2, 0.25, 2.0)
        away = np.linalg.norm(lab[..., 1:] - along[..., None] * typical[1:], axis=2)
    else:
        away = np.hypot(np.linalg.norm(lab[..., 1:] - typical[1:], axis=2), 0.6 * (lab[..., 0] - typical[0]))
    return np.clip(1.8 - away / far, 0.0, 1.0).astype(np.float32)


def _turned(ab: Lab, before: Lab, after: Lab) -> Lab:
    """(h, w, 2) CIELAB a and b, turned and stretched so that `before` becomes `after`."""
    turn = complex(*after) / complex(*before)
    turned = turn.real * ab[..., 0] - turn.imag * ab[..., 1], turn.imag * ab[..., 0] + turn.real * ab[..., 1]
    return np.stack(turned, axis=-1).astype(np.float32)
