"""A Scene: what can be measured on one normal photo without any weights. Values are computed on first use and kept."""

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import Zone
from anomalyagent.mcp_tools.imaging import measures
from anomalyagent.mcp_tools.imaging.arrays import Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.color import just_noticeable_difference, lab_from_rgb, luminance
from anomalyagent.mcp_tools.imaging.foreground import find_foreground
from anomalyagent.mcp_tools.imaging.ground import Ground, ground_of, seen_from_afar
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.pieces import Pieces, find_pieces
from anomalyagent.mcp_tools.imaging.silhouette import is_silhouette

__all__ = ["AFAR", "Scene", "scene_of"]

AFAR = 3
"""From so many times as far `ground_afar` is seen."""

_GRAINED = 0.4  # coherence of a surface that runs one way
_COLOURED, _BROWN = 12.0, (30.0, 95.0)  # CIELAB chroma, hue in degrees
_SHARED = ("lab", "luma", "jnd", "ground", "light", "noise_sigma", "blur_sigma_px")  # by a part with its whole
_CACHE_BYTES = 192 * 2**20
_BYTES_PER_PIXEL = 64  # of a Scene with everything measured, photo included


@dataclass(frozen=True, eq=False)
class Scene:
    """Measurements of a normal photo.

    `legal`: (H, W) bool, where a defect may be; unset: all over the object. `body`: (H, W) bool, what counts as the object;
    unset: what is found in the photo.
    """

    photo: Photo
    legal: Mask | None = None
    body: Mask | None = None

    @cached_property
    def foreground(self) -> Mask:
        """(H, W) bool, the object; all true when the photo is a surface that fills the frame."""
        return find_foreground(self.photo.rgb) if self.body is None else self.body

    def narrowed(self, body: Mask) -> "Scene":
        """The same photo with one of its parts, (H, W) bool, as the object; light, noise and what hangs on pixels is shared."""
        narrowed = replace(self, body=body)
        vars(narrowed).update({name: getattr(self, name) for name in _SHARED})
        return narrowed

    @cached_property
    def allowed(self) -> Mask:
        """(H, W) bool, the part of the object where a defect may be; may be empty."""
        return self.foreground if self.legal is None else self.foreground & self.legal

    @cached_property
    def fills_frame(self) -> bool:
        """True when the photo shows a surface without any background."""
        return bool(self.foreground.all())

    @cached_property
    def object_area_px(self) -> int:
        """Number of foreground pixels."""
        return int(np.count_nonzero(self.foreground))

    @cached_property
    def box_xyxy(self) -> tuple[int, int, int, int]:
        """Bounding box of the foreground, pixels, end exclusive."""
        rows = np.flatnonzero(self.foreground.any(axis=1))
        columns = np.flatnonzero(self.foreground.any(axis=0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    @cached_property
    def lab(self) -> Lab:
        """CIELAB of the photo."""
        return lab_from_rgb(self.photo.rgb)

    @cached_property
    def luma(self) -> Field:
        """(H, W) float32 luma of the sRGB-encoded photo, 0..1."""
        return luminance(self.photo.rgb)

    @cached_property
    def jnd(self) -> Field:
        """Local just-noticeable difference in CIEDE2000 units (about 1..8; larger where texture hides changes)."""
        return just_noticeable_difference(np.ascontiguousarray(self.lab[..., 0]))

    @cached_property
    def ground(self) -> Ground:
        """What noise to expect in changes of it."""
        return ground_of(self.photo.rgb, self.lab, self.jnd)

    @cached_property
    def ground_afar(self) -> Ground:
        """The same from three times as far."""
        return seen_from_afar(self.ground, AFAR)

    def lab_in(self, window: tuple[slice, slice]) -> Lab:
        """`lab` of the given rows and columns only: on large photos much cheaper than measuring everything."""
        return lab_from_rgb(self.photo.rgb[window])

    @cached_property
    def light(self) -> tuple[float, float]:
        """(azimuth, elevation) of the dominant light in radians, image coordinates (x right, y down).

        The azimuth points from the object TO the light: -3/4 pi is from the top left. Elevation: 0 grazing, pi/2 frontal.
        """
        return measures.estimate_light(self.luma, self.foreground)

    @cached_property
    def noise_sigma(self) -> float:
        """Standard deviation of the sensor noise, in sRGB units 0..1."""
        return measures.estimate_noise(self.luma)

    @cached_property
    def blur_sigma_px(self) -> float:
        """Width of the photo's point spread (Gaussian sigma, pixels)."""
        return measures.estimate_blur(self.luma, self.noise_sigma)

    @cached_property
    def grain(self) -> tuple[float, float]:
        """(angle, coherence) of the whole surface; coherence 0 for an object before a background."""
        return measures.surface_grain(self.luma) if self.fills_frame else (0.0, 0.0)

    @cached_property
    def silhouette(self) -> bool:
        """True for a part against the light, of which only the outline can be seen."""
        return not self.fills_frame and is_silhouette(self.lab, self.foreground)

    @cached_property
    def fibrous(self) -> bool:
        """True for a brown surface whose texture runs one way: wood, which parts along its fibres."""
        if self.grain[1] < _GRAINED:
            return False
        step = max(1, int(np.sqrt(self.object_area_px) / 96))
        _, a, b = np.median(self.lab[::step, ::step].reshape(-1, 3), axis=0)
        return bool(np.hypot(a, b) > _COLOURED and _BROWN[0] < np.rad2deg(np.arctan2(b, a)) < _BROWN[1])

    def orientation_at(self, x: float, y: float) -> tuple[float, float]:
        """(angle in radians, coherence 0..1) of the structure: the direction along which texture runs at a place.

        Of a surface that of the whole photo, where it is the clearer one.
        """
        radius = max(8, round(0.06 * np.sqrt(self.object_area_px)))
        return max(measures.local_orientation(self.luma, x, y, radius), self.grain, key=lambda found: found[1])

    @cached_property
    def depth_px(self) -> Field:
        """(H, W) float32: distance of each foreground pixel to the outline (to the frame for a surface), pixels; 0 outside."""
        return measures.depth_below_outline(self.foreground)

    def other_pieces(self, x: float, y: float) -> Mask | None:
        """(H, W) bool: what of the object is not the piece that a place lies on, or nearest to; None where there are not
        several alike."""
        if self._pieces is None:
            return None
        labels = self._pieces.labels
        height, width = labels.shape
        own = int(labels[min(max(round(y), 0), height - 1), min(max(round(x), 0), width - 1)])
        if own == 0:
            ys, xs = np.nonzero(labels)
            nearest = int(((xs - x) ** 2 + (ys - y) ** 2).argmin())
            own = int(labels[ys[nearest], xs[nearest]])
        return np.asarray(self.foreground & (labels != own), np.bool_)

    @property
    def alike_pieces(self) -> tuple[NDArray[np.int32], list[int]] | None:
        """Labels of the pieces, (H, W), and which of them are whole ones, where there are several alike; else None."""
        return self._pieces

    def zone_mask(self, zone: Zone) -> Mask:
        """(H, W) bool: the part of the foreground that `zone` names, where it is legal; empty only when nothing is legal.

        `edge` is a band along the outline (along the frame for a surface), as wide as 12 % of the half width of the object;
        `interior` is the rest. `center` is the middle third of the bounding box in both directions, the sides are its thirds.
        Of several pieces of about one size (candles on a tray) each has its own.
        """
        part = self._zone(zone) & self.allowed
        return part if part.any() else self.allowed

    def _zone(self, zone: Zone) -> Mask:
        if zone == "any":
            return self.foreground
        if zone in ("edge", "interior"):
            band = max(2.0, 0.12 * min(float(self.depth_px.max()), 0.5 * np.sqrt(self.object_area_px)))
            return self.foreground & ((self.depth_px <= band) if zone == "edge" else (self.depth_px > band))
        if self._pieces is None:
            left, top, right, bottom = _third(zone, self.box_xyxy)
            part = np.zeros_like(self.foreground)
            part[top:bottom, left:right] = self.foreground[top:bottom, left:right]
            return part
        return self._thirds_of_pieces(self._pieces.labels, zone)

    def _thirds_of_pieces(self, labels: NDArray[np.int32], zone: Zone) -> Mask:
        """(H, W) bool: of each piece the part that a zone names."""
        part = np.zeros_like(self.foreground)
        for one in np.unique(labels[labels > 0]):
            x, y, w, h = cv2.boundingRect((labels == one).astype(np.uint8))
            left, top, right, bottom = _third(zone, (x, y, x + w, y + h))
            part[top:bottom, left:right] |= labels[top:bottom, left:right] == one
        return part

    @cached_property
    def _pieces(self) -> Pieces | None:
        """The pieces, where they are several alike."""
        return None if self.fills_frame else find_pieces(self.foreground, self.photo.rgb)


def _third(zone: Zone, box_xyxy: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The part of a box that a zone names: the middle or one of the outer thirds."""
    x0, y0, x1, y1 = box_xyxy
    third_x, third_y = (x1 - x0) / 3.0, (y1 - y0) / 3.0
    spans: dict[str, tuple[float, float, float, float]] = {
        "center": (x0 + third_x, y0 + third_y, x1 - third_x, y1 - third_y),
        "top": (x0, y0, x1, y0 + third_y),
        "bottom": (x0, y1 - third_y, x1, y1),
        "left": (x0, y0, x0 + third_x, y1),
        "right": (x1 - third_x, y0, x1, y1),
    }
    left, top, right, bottom = (round(value) for value in spans[zone])
    return left, top, right, bottom


_scenes: OrderedDict[str, Scene] = OrderedDict()
_scenes_lock = threading.Lock()


def scene_of(photo: Photo, legal: Mask | None = None) -> Scene:
    """The Scene of a photo; the last few are kept, bounded by memory, so that several tools measure a photo only once."""
    key = photo.sha256 if legal is None else f"{photo.sha256}-{hashlib.sha256(np.packbits(legal).data).hexdigest()}"
    with _scenes_lock:
        scene = _scenes.get(key)
        if scene is not None:
            _scenes.move_to_end(key)
            return scene
        scene = Scene(photo, legal)
        _scenes[key] = scene
        used = sum(kept.photo.rgb.shape[0] * kept.photo.rgb.shape[1] * _BYTES_PER_PIXEL for kept in _scenes.values())
        while used > _CACHE_BYTES and len(_scenes) > 1:
            _, dropped = _scenes.popitem(last=False)
            used -= dropped.photo.rgb.shape[0] * dropped.photo.rgb.shape[1] * _BYTES_PER_PIXEL
        return scene
