"""Harmless differences of a good photo: what an inspection must not take for a defect.

Light that changes: a reflection that has moved, shade of something nearby, a glow that falls in from elsewhere. Such spots
fade on all sides and leave the texture as it is; they may be tinted. A detector that has never seen them takes every soft
spot for a stain or for matter that is out of focus.
"""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Field, Lab
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.light.palette import rgb_of

__all__ = ["vary_harmlessly"]

_MOST_SPOTS = 3
_SIZE = (0.03, 0.13)  # standard deviation of a spot, of the object's longer side
_STRENGTH_L = (1.0, 9.0)  # CIELAB lightness at the middle of a spot
_SHADE = 0.25  # chance that it is darker, and then
_SHADE_SHARE = 0.5  # of that strength: shade is fainter than a reflection
_TINT = (3.0, 5.0)  # standard deviation of a and b
_FADES = 3.5  # standard deviations from its middle a spot has ended
_EDGE = 0.004  # of the object's longer side: light on a part ends softly at its outline, what is behind it lies elsewhere


def vary_harmlessly(scene: Scene, rng: np.random.Generator) -> Photo:
    """The photo with one to three soft spots of light or shade on the object; all other pixels stay identical.

    Raises:
        ToolInputError: the scene has no object.
    """
    x0, y0, x1, y1 = scene.box_xyxy
    size = float(max(x1 - x0, y1 - y0))
    lab, changed = scene.lab.copy(), np.zeros(scene.photo.shape, np.float32)
    rows, columns = np.nonzero(scene.foreground)
    for _ in range(int(rng.integers(1, _MOST_SPOTS + 1))):
        at = int(rng.integers(len(rows)))
        _add_spot(lab, changed, (float(columns[at]), float(rows[at])), size, scene.photo.is_grey, rng)
    if not scene.fills_frame:
        inside = cv2.GaussianBlur(scene.foreground.astype(np.float32), (0, 0), max(_EDGE * size, 0.7))
        inside = np.clip(2.0 * inside - 1.0, 0.0, 1.0).astype(np.float32)
        lab = np.asarray(scene.lab + inside[..., None] * (lab - scene.lab), np.float32)
        changed *= inside
    # between two grey levels a soft spot would end in rings
    dither = (rng.uniform(-0.5, 0.5, scene.photo.shape)[..., None] / 255.0).astype(np.float32)
    return scene.photo.edited((rgb_of(lab) + dither).astype(np.float32), changed > 0.0)


def _add_spot(
    lab: Lab, changed: Field, middle_xy: tuple[float, float], size: float, grey: bool, rng: np.random.Generator
) -> None:
    """Add one spot to `lab`, and how much of it lies on each pixel to `changed`."""
    long = size * float(np.exp(rng.uniform(*np.log(_SIZE))))
    wide, turn = long * float(rng.uniform(0.5, 1.5)), float(rng.uniform(0.0, np.pi))
    reach = _FADES * max(long, wide)
    (x, y), (height, width) = middle_xy, changed.shape
    rows = slice(max(int(y - reach), 0), min(int(y + reach) + 1, height))
    columns = slice(max(int(x - reach), 0), min(int(x + reach) + 1, width))
    right = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - np.float32(x)
    down = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(y)
    along, across = right * np.cos(turn) + down * np.sin(turn), down * np.cos(turn) - right * np.sin(turn)
    spot = np.exp(-0.5 * ((along / long) ** 2 + (across / wide) ** 2)).astype(np.float32)
    spot = np.clip(spot - np.exp(-0.5 * _FADES**2), 0.0, None).astype(np.float32)  # it ends within the window
    strength = float(rng.uniform(*_STRENGTH_L))
    if rng.random() < _SHADE:
        strength *= -_SHADE_SHARE
    tint = rng.normal(0.0, 1.0, 2) * _TINT * (0.0 if grey else 1.0)
    lab[rows, columns] += spot[..., None] * np.array([strength, *tint], np.float32)
    changed[rows, columns] += spot
