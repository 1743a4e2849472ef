"""What a mechanism hands to the engine: changes of one surface patch, not pixels.

All arrays cover the same window of the photo. Every part is optional; the engine (`engine.py`) applies them in the
order open -> height -> reflectance -> mirrored -> roughness -> paint -> shadow, with the light, blur and noise of the photo.

A mechanism is one module `mechanisms/<name>.py` with

    def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None      None: it cannot be drawn here

and, where it matters, some of

    def suitability(scene: Scene, spec: DefectSpec) -> Callable[[float, float], float] | None   (x, y) -> 0..1, places preferred
    def targets(scene: Scene, spec: DefectSpec) -> list[Target]                                 things that it can act on
    at_once = True                                                      one drawing holds all instances
"""

from dataclasses import dataclass
from typing import NamedTuple

from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene

__all__ = ["Edit", "Site", "Target", "Window"]


class Window(NamedTuple):
    """Half-open pixel box of the photo: rows y0..y1, columns x0..x1."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index of the window in an (H, W, ...) array."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.y1 - self.y0, self.x1 - self.x0


@dataclass(frozen=True)
class Site:
    """Where one instance is to be drawn.

    Attributes:
        scene: the analysed normal photo.
        center_xy: pixel position (x, y) in the photo, on the foreground.
        area_px: area this instance should cover, in pixels.
        angle_rad: direction of its long axis, image coordinates (x right, y down), already resolved.
        window: box of the photo that the edit may touch.
        slimness: how many times as elongated as asked a stroke is drawn, so that it keeps its length while the engine fits its
            visible area: blur, lips and dirt widen a stroke, they do not lengthen it.
    """

    scene: Scene
    center_xy: tuple[float, float]
    area_px: float
    angle_rad: float
    window: Window
    slimness: float = 1.0


class Target(NamedTuple):
    """A place where a mechanism finds something to act on: (x, y) in pixels of the photo, and how large that is."""

    xy: tuple[float, float]
    area_px: float


@dataclass
class Edit:
    """Changes of the surface inside `window`; arrays are (h, w) or (h, w, 3) float32 unless said otherwise.

    Attributes:
        window: where the arrays lie in the photo.
        support: (h, w) bool, pixels that may change at all.
        opened: 0..1, share of the surface that is gone: its print, weave and scratches with it. What lies below has the even
            tone of the surroundings until the other parts change it.
        height: pixels, positive towards the camera; shaded with the light of the scene.
        log_reflectance: (h, w, 3) added to the logarithm of linear reflectance.
        mirrored: light of the lamp that the surface mirrors, in its own colour (see `light/dielectric.py`), as a share of what
            the brightest channel of the surface gives back.
        roughness: > 0 matter (highlights dulled, fine grain added), < 0 smoother.
        paint: (h, w, 3) sRGB 0..1, the material that shows where `opacity` > 0.
        opacity: 0..1.
        shadow: 0..1, share of light taken away (contact shadow, occlusion).
        strength_fixed: True when severity must not rescale it (a missing part is missing).
        size_fixed: True when the photo decides how large it is (a part is gone or not): drawing it at another size is useless.
        photographed: True when `paint` is made of pixels of this photo (moved, filled): the lens has blurred them already
            and their noise is theirs, so neither is added again.
        off_object: True when it may change what lies beside the object though its mechanism (see `engine.py`) may not.
        most_light: logarithm of the light that `log_reflectance` adds at the most: no matt flank is lighter than one that looks
            at the lamp.
        absorbs: True when the colour of `log_reflectance` grows by taking light away: more dye is deeper, it does not glow.
        fades: True when a surface that loses its own colour by `log_reflectance` ends at grey, not at the opposite hue.
    """

    window: Window
    support: Mask
    opened: Field | None = None
    height: Field | None = None
    log_reflectance: RGB | None = None
    mirrored: Field | None = None
    roughness: Field | None = None
    paint: RGB | None = None
    opacity: Field | None = None
    shadow: Field | None = None
    strength_fixed: bool = False
    size_fixed: bool = False
    photographed: bool = False
    off_object: bool = False
    absorbs: bool = False
    fades: bool = False
    most_light: float | None = None
