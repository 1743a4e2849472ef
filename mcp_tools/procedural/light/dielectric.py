"""Whose colour the highlights of a body have.

Physics: metal colours what it mirrors. Paint, plastic, glaze and whatever else does not conduct mirrors at its outermost
surface, before the light meets any pigment: its highlights have the colour of the lamp, however deep its own colour is.
"""

import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["mirrored_part", "whiteness_of_lights"]

_NEUTRAL, _COLOURED = 16.0, 26.0  # CIELAB chroma of the body: up to the first there is nothing to tell, from the second on all
_LIT = 12.0  # L by which lights stand above the body
_WHITER = (0.08, 0.25)  # share of the body's saturation that lights lack: of metal less than the first, of paint the second
_GAMMA = 2.2  # sRGB to linear light, near enough for a ratio
_OF_METALS = (35.0, 105.0)  # hue of copper, brass, bronze and gold, degrees: a body of another one is no bare metal


@once_per_scene
def whiteness_of_lights(scene: Scene) -> float:
    """0 (highlights have the body's colour: metals, and all that is neutral) .. 1 (the lamp's)."""
    if scene.photo.is_grey:
        return 0.0
    step = max(1, int(np.sqrt(scene.object_area_px) / 96))
    inside = scene.foreground[::step, ::step]
    lab, rgb = scene.lab[::step, ::step][inside], scene.photo.rgb[::step, ::step][inside]
    body = np.median(lab, axis=0)
    coloured = float(np.clip((np.hypot(body[1], body[2]) - _NEUTRAL) / (_COLOURED - _NEUTRAL), 0.0, 1.0))
    if coloured == 0.0:
        return 0.0
    lights = lab[:, 0] >= np.percentile(lab[:, 0], 99.0)
    if float(lab[lights, 0].mean() - body[0]) < _LIT:
        hue = float(np.rad2deg(np.arctan2(body[2], body[1])))
        return 0.0 if _OF_METALS[0] < hue < _OF_METALS[1] else coloured
    own = np.median(rgb, axis=0) ** _GAMMA
    added = np.maximum((rgb[lights] ** _GAMMA).mean(axis=0) - own, 0.0)
    whiter = 1.0 - _saturation(added) / max(_saturation(own), 1e-3)
    return coloured * float(np.clip((whiter - _WHITER[0]) / (_WHITER[1] - _WHITER[0]), 0.0, 1.0))


def mirrored_part(scene: Scene, light: Field, glossy: float) -> Field | None:
    """What of `light`, (h, w) logarithm of what a slope gains, is the lamp's own light; None where all has the body's colour.

    Args:
        glossy: share of the gain that is mirrored, 0..1; the rest is light that the pigment scatters.
    """
    white = whiteness_of_lights(scene)
    return None if white == 0.0 else (np.maximum(light, 0.0) * np.float32(white * glossy)).astype(np.float32)


def _saturation(linear: NDArray[np.floating]) -> float:
    """0 (grey) .. 1 (one channel is dark), of one colour in linear light."""
    return 1.0 - float(linear.min()) / max(float(linear.max()), 1e-6)
