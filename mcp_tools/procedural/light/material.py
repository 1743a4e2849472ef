"""What the photographed material looks like where it is laid bare, broken or missing."""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Lab, Mask
from anomalyagent.mcp_tools.imaging.color import ciede2000
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, log_ratio

__all__ = [
    "bare_tone",
    "body_lightness",
    "contrast_for",
    "dark_tone",
    "is_glass",
    "median_background",
    "polish_of",
    "recolor",
    "shading_of",
    "subdued",
]


def bare_tone(near: Surroundings, spec: DefectSpec, rng: np.random.Generator, *, chance_lighter: float) -> NDArray[np.float32]:
    """(3,) log reflectance of freshly laid bare material against the surface around it.

    Rough bare material scatters white light: lighter and less coloured than a dark or glossy surface; on very light surfaces
    there is nothing left to gain and it looks darker. `chance_lighter` holds for a mid grey.
    """
    if spec.color_shift is not None:
        return log_ratio(near.lab, spec.color_shift, near.grey)
    lightness = float(near.lab[0])
    lighter = rng.random() < np.clip(chance_lighter + (50.0 - lightness) / 60.0, 0.05, 0.97)
    wash = float(rng.uniform(0.2, 0.7))
    size = float(rng.uniform(18.0, 28.0))
    if lighter:
        return log_ratio(near.lab, (size, -wash * float(near.lab[1]), -wash * float(near.lab[2])), near.grey)
    return log_ratio(near.lab, (-size, -0.3 * wash * float(near.lab[1]), -0.3 * wash * float(near.lab[2])), near.grey)


def dark_tone(near: Surroundings, spec: DefectSpec, depth: float) -> NDArray[np.float32]:
    """(3,) log reflectance of an opening that swallows the share `depth` of the surface's lightness (0..1).

    Less light takes its share of the chroma too: an opening in orange plastic is dark brown, not a deeper red.
    """
    if spec.color_shift is not None:
        dl, da, db = spec.color_shift
        lightness = float(near.lab[0])
        lost = float(np.clip(-dl / (lightness + 16.0), 0.0, 1.0))  # chroma goes with the root of the light, as L + 16 does
        return log_ratio(near.lab, (dl, da - lost * float(near.lab[1]), db - lost * float(near.lab[2])), near.grey)
    return log_ratio(near.lab, (-depth * float(near.lab[0]), -0.4 * float(near.lab[1]), -0.4 * float(near.lab[2])), near.grey)


def median_background(scene: Scene) -> NDArray[np.float32] | None:
    """(3,) sRGB 0..1 of what lies behind the object; None when the photo shows nothing but surface."""
    if scene.fills_frame:
        return None
    step = max(1, int(np.sqrt(scene.foreground.size) / 96))
    colors = scene.photo.rgb[::step, ::step][~scene.foreground[::step, ::step]]
    return np.median(colors, axis=0).astype(np.float32) if len(colors) >= 8 else None


def polish_of(lightness: NDArray[np.float32]) -> float:
    """0 (matt) .. 1 (glass, polished metal), from L of a body's pixels: how far its lights stand above its median.

    Dark bodies with bright lights on them are polished; light ones have a matt body below their glaze.
    """
    median, bright = np.percentile(lightness, [50, 99.7])
    return float(np.clip((bright - median - 14.0) / 20.0, 0.0, 1.0)) * float(np.clip((62.0 - median) / 20.0, 0.0, 1.0))


def body_lightness(scene: Scene) -> NDArray[np.float32]:
    """(n,) L of pixels spread evenly over the object, a few ten thousand at the most."""
    step = max(1, int(np.sqrt(scene.object_area_px) / 96))
    return scene.lab[::step, ::step, 0][scene.foreground[::step, ::step]]


def is_glass(scene: Scene) -> bool:
    """True for an object with the dark body and the bright lights of glass."""
    if scene.fills_frame:  # lights on a surface are mostly its lines and grain
        return False
    lightness = body_lightness(scene)
    return lightness.size > 16 and polish_of(lightness) > 0.5


def contrast_for(spec: DefectSpec, near: Surroundings, rng: np.random.Generator) -> float:
    """CIELAB units that a broken surface may vary by."""
    return float(np.clip(spec.severity * near.jnd * rng.uniform(0.7, 1.1), 5.0, 26.0))


def shading_of(site: Site, size_px: float) -> tuple[Lab, Lab]:
    """CIELAB of the window, and the slow shading of the object there: what stays when the old surface's texture is gone."""
    blur = (2 * int(max(0.5 * size_px, 2.0)) + 1,) * 2
    patch = np.ascontiguousarray(site.scene.lab[site.window.slices])
    solid = site.scene.foreground[site.window.slices].astype(np.float32)
    share = cv2.blur(solid, blur, borderType=cv2.BORDER_REFLECT)[..., None]
    slow = cv2.blur(patch * solid[..., None], blur, borderType=cv2.BORDER_REFLECT)
    # what lies behind the object must not tint a fracture at its outline
    return patch, np.where(share > 0.01, slow / np.maximum(share, 0.01), patch).astype(np.float32)


def recolor(lab: Lab, spec: DefectSpec, near: Surroundings, fresh: float) -> float:
    """How much lighter the fresh surface is; the colour that the spec asks for is applied to `lab` in place."""
    if spec.color_shift is not None:
        lab[..., 1:] += np.array(spec.color_shift[1:], np.float32)
        fresh = float(spec.color_shift[0])
    return max(fresh, -0.4 * float(near.lab[0]))


def subdued(lab: Lab, slow: Lab, patch: Lab, inside: Mask, wanted: float) -> Lab:
    """The fracture with its contrast taken back towards the surface's slow shading where it would exceed the wanted change.

    A faint break is an opaque surface of nearly the same tone, not a transparent one: the old texture must not shine through.
    """

    def change(share: float) -> float:
        mixed = slow[inside] + np.float32(share) * (lab[inside] - slow[inside])
        return float(np.percentile(ciede2000(mixed.astype(np.float32), patch[inside]), 80))

    if not inside.any():
        return lab
    full, none = change(1.0), change(0.0)
    share = float(np.clip((1.1 * wanted - none) / max(full - none, 1e-3), 0.1, 1.0)) if full > none else 1.0
    return (slow + np.float32(share) * (lab - slow)).astype(np.float32)
