"""A Scene: what can be measured on one normal photo without any weights. Values are computed on first use and kept."""

from dataclasses import dataclass
from functools import cached_property

from anomalyagent.mcp_tools.imaging.arrays import Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.photo import Photo

__all__ = ["Scene"]


@dataclass(frozen=True, eq=False)
class Scene:
    """Measurements of a normal photo."""

    photo: Photo

    @cached_property
    def foreground(self) -> Mask:
        """(H, W) bool, the object; all true when the photo is a surface that fills the frame."""
        raise NotImplementedError

    @cached_property
    def box_xyxy(self) -> tuple[int, int, int, int]:
        """Bounding box of the foreground, pixels, end exclusive."""
        raise NotImplementedError

    @cached_property
    def lab(self) -> Lab:
        """CIELAB of the photo."""
        raise NotImplementedError

    @cached_property
    def jnd(self) -> Field:
        """Local just-noticeable difference in CIEDE2000 units (about 1..8; larger where texture hides changes)."""
        raise NotImplementedError

    @cached_property
    def light(self) -> tuple[float, float]:
        """(azimuth, elevation) of the dominant light in radians, image coordinates (x right, y down)."""
        raise NotImplementedError

    @cached_property
    def noise_sigma(self) -> float:
        """Standard deviation of the sensor noise, in sRGB units 0..1."""
        raise NotImplementedError

    @cached_property
    def blur_sigma_px(self) -> float:
        """Width of the photo's point spread (Gaussian sigma, pixels)."""
        raise NotImplementedError

    def orientation_at(self, x: float, y: float) -> tuple[float, float]:
        """(angle in radians, coherence 0..1) of the local structure: the direction along which texture runs."""
        raise NotImplementedError
