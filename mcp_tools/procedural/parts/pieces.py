"""The like pieces of a tray: each is a part of what the photo shows."""

import cv2
import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.geometry.windows import around
from anomalyagent.mcp_tools.procedural.parts.component import Component, long_axis
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["beside_others", "lies_on_piece", "nearest_pieces", "pieces_of"]

_ON_PIECE = 0.7  # of a part


def beside_others(scene: Scene, at_xy: tuple[float, float], window: Window) -> Field:
    """(h, w) 0..1 over a window: the pieces that a place does not lie on nor nearest to, with their blurred borders; 0 where
    there are not several alike. What breaks or bends one candle of a tray leaves the others as they are."""
    others = scene.other_pieces(*at_xy)
    if others is None:
        return np.zeros(window.shape, np.float32)
    grow = 2 * round(3.0 + 3.0 * scene.blur_sigma_px) + 1
    wide = cv2.dilate(others[window.slices].astype(np.uint8), np.ones((grow, grow), np.uint8)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), 1.0), np.float32)


@once_per_scene
def pieces_of(scene: Scene) -> list[Component]:
    """The like pieces of a tray, each as a part; empty where there are not several. What the frame cuts is left out."""
    found = scene.alike_pieces
    if found is None:
        return []
    labels, whole = found
    height, width = labels.shape
    grow = round(2.0 + 2.0 * scene.blur_sigma_px)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1))
    parts: list[Component] = []
    for one in whole:
        ys, xs = np.nonzero(labels == one)
        tight = Window(int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1)
        if tight.y0 == 0 or tight.x0 == 0 or tight.y1 == height or tight.x1 == width:
            continue
        window = around(tight, 0.3 * float(np.sqrt(len(xs))) + grow + 4.0, (height, width))
        own = labels[window.slices] == one
        mask = (cv2.dilate(own.astype(np.uint8), disc) > 0) & (own | (labels[window.slices] == 0))
        long = long_axis(xs, ys)
        at = float(xs.mean()), float(ys.mean())
        parts.append(Component(window, mask, at, float(len(xs)), long.angle_rad, long.elongation, at, long.length_px, 0.0))
    return parts


def lies_on_piece(scene: Scene, part: Component) -> bool:
    """False for what is seen in the gaps between pieces that touch; true where there are not several."""
    found = scene.alike_pieces
    return found is None or bool((found[0][part.window.slices][part.mask] > 0).mean() > _ON_PIECE)


def nearest_pieces(site: Site) -> list[Component]:
    """The like pieces on a tray, the one that a site lies on or nearest to first; empty where there are not several."""
    x, y = site.center_xy
    return sorted(pieces_of(site.scene), key=lambda one: np.hypot(one.center_xy[0] - x, one.center_xy[1] - y))
