"""Small drawn objects and a Site on them, for tests of single renderers."""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.light.surface import Surface

__all__ = ["JAR_LIP", "JAR_MOUTH", "JAR_PX", "bore", "comb", "draw", "jar", "labelled_sheet", "plain_sheet", "site_on"]

JAR_PX, JAR_MOUTH, JAR_LIP = 192, 0.2, 0.33
"""Side of the photo of a jar in pixels; radii of its mouth and of the outer edge of its lip, as shares of it."""


def plain_sheet(size: int = 128, level: int = 150, grain: float = 3.0, seed: int = 0) -> NDArray[np.uint8]:
    """(size, size, 3) a grey sheet with vertical brushing."""
    rng = np.random.default_rng(seed)
    brushed = cv2.GaussianBlur(rng.normal(0, 1, (size, size)).astype(np.float32), (0, 0), 0.7, sigmaY=6.0)
    grey = level + grain * brushed / brushed.std() + rng.normal(0, 0.7, (size, size))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def labelled_sheet(size: int = 128) -> NDArray[np.uint8]:
    """A pale plate on a dark bench, with three dark blue bars printed in its middle rows."""
    sheet = plain_sheet(size, 205, 1.5)
    bench = plain_sheet(size, 25, 1.0)
    edge = size // 12
    bench[edge:-edge, edge:-edge] = sheet[edge:-edge, edge:-edge]
    sheet = bench
    for i in range(3):
        x = size // 4 + i * size // 5
        cv2.rectangle(sheet, (x, int(0.4 * size)), (x + size // 12, int(0.6 * size)), (40, 50, 130), -1)
    return sheet


def comb(size: int = 128) -> NDArray[np.uint8]:
    """A dark body in the upper half with five brown leads that hang down into a pale background."""
    photo = np.full((size, size, 3), 215, np.uint8)
    cv2.rectangle(photo, (size // 10, size // 8), (size - size // 10, size // 2), (30, 32, 36), -1)
    for i in range(5):
        x = size // 6 + i * size // 6
        cv2.rectangle(photo, (x, size // 2), (x + size // 25, int(0.85 * size)), (110, 85, 50), -1)
    noise = np.random.default_rng(1).normal(0, 1.2, photo.shape[:2])[..., None]
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


def bore(size: int = 128, radius: int | None = None, inside: int = 30) -> NDArray[np.uint8]:
    """(size, size, 3) a pale sheet with a disc of grey level `inside` in its middle; radius unset: a quarter of the side."""
    sheet = plain_sheet(size, 170)
    cv2.circle(sheet, (size // 2, size // 2), size // 4 if radius is None else radius, (inside,) * 3, -1, cv2.LINE_AA)
    return sheet


def jar() -> NDArray[np.uint8]:
    """Seen from above: a dark mouth, a lip of structured glass that ends at a bright line, then a shoulder."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:JAR_PX, :JAR_PX].astype(np.float32) / JAR_PX - 0.5
    radius = np.hypot(x, y)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (JAR_PX, JAR_PX)), (0, 0), 1.2)
    photo = np.full((JAR_PX, JAR_PX), 235.0)
    photo = np.where(radius < 0.46, 60 + 14 * np.sin(radius * 120) + 15 * grain, photo)
    photo = np.where(np.abs(radius - JAR_LIP) < 0.012, 165.0, photo)
    photo = np.where(radius < JAR_MOUTH, 28.0, photo) + rng.normal(0, 1.0, (JAR_PX, JAR_PX))
    return np.repeat(np.clip(photo, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def site_on(
    native: NDArray[np.uint8], center_xy: tuple[float, float], area_px: float, *, angle_rad: float = 0.0, reach: float = 2.0
) -> Site:
    """A site with a window of `reach` times the side of its area to each side."""
    half = reach * float(np.sqrt(area_px)) + 6.0
    height, width = native.shape[:2]
    x, y = center_xy
    window = Window(max(int(y - half), 0), max(int(x - half), 0), min(int(y + half), height), min(int(x + half), width))
    return Site(Scene(photo_from_array(native)), center_xy, area_px, angle_rad, window)


def draw(site: Site, edit: Edit) -> NDArray[np.float32]:
    """(H, W, 3) the whole photo, 0..1, with the edit drawn once at its own strength."""
    after = site.scene.photo.rgb.copy()
    box = edit.window.slices
    after[box] = Surface(site.scene, edit.window, after[box], seed=0).draw(edit, 1.0)
    return after
