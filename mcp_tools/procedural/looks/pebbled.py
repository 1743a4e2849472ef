"""Orange peel: a region whose surface is pebbled instead of even, in paint that flowed badly or in coarse grain under strain.

Physics: rounded bumps of about one size with narrower pits between them, fading out where the region ends. Each is shaded by
the light of the photo; on a glossy surface the bumps catch it, and the mirror image breaks up.
"""

import re
from dataclasses import dataclass

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, fractal_noise, smooth_step
from anomalyagent.mcp_tools.procedural.light.dielectric import mirrored_part

__all__ = ["Pebbled", "names_pebbles"]

_NAMES = re.compile(r"\b(?:orange peel|pebbl\w*|bumpy finish|rough grain|coarse grain|dimpled surface)\b")
_SHARE = 0.016  # of the object's width that a bump takes
_WIDTH_PX = (3.5, 14.0)
_MIRRORED = 0.7  # share of the light of a lit flank that paint mirrors
_SHADED = 0.25  # logarithm of the light that the flanks gain or lose, before the strength is fitted


def names_pebbles(prompt: str) -> bool:
    """True when the words speak of such a surface."""
    return bool(_NAMES.search(plain(prompt)))


@dataclass(frozen=True)
class Pebbled:
    """A mechanism that draws a pebbled region."""

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One region. None when the window is too small to hold any."""
        if min(site.window.shape) < 8:
            return None
        distance = blob_at(
            site, rng, share=1.25, elongation=min(spec.elongation, 8.0), lobes=float(rng.uniform(0.15, 0.35)), roughness=0.1
        )
        fade = float(rng.uniform(0.25, 0.6)) * max(float(distance.max()), 1.0)
        width = float(np.clip(_SHARE * np.sqrt(site.scene.object_area_px), *_WIDTH_PX)) * float(rng.uniform(0.8, 1.5))
        waves = fractal_noise(site.window.shape, width, rng, octaves=2, gain=0.4)
        bumps = -np.log1p(np.exp(-2.0 * waves)).astype(np.float32)  # rounded on top, narrower below
        x, y = (cv2.Sobel(bumps, cv2.CV_32F, *order, scale=0.125) for order in ((1, 0), (0, 1)))
        steep = max(float(np.percentile(np.hypot(x, y), 95)), 1e-6)
        azimuth = site.scene.light[0]
        facing = -(x * np.cos(azimuth) + y * np.sin(azimuth)) / steep
        strength = smooth_step((distance / fade).astype(np.float32)) * (
            1.0 + 0.25 * fractal_noise(bumps.shape, 6.0 * width, rng)
        )
        light = (_SHADED * facing * np.maximum(strength, 0.0)).astype(np.float32)
        mirrored = mirrored_part(site.scene, light, _MIRRORED)
        if mirrored is not None:
            light = light - mirrored
        return Edit(
            window=site.window,
            support=distance > 0.0,
            log_reflectance=np.repeat(light[..., None], 3, axis=2),
            mirrored=mirrored,
        )
