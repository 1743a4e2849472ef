"""The end of a fastener that was hit or cut: its tip leans aside, or is gone, and what is left ends in a blunt face."""

from dataclasses import dataclass

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.warp import bend_map, feather, sample, sample_cover
from anomalyagent.mcp_tools.procedural.parts.fastener import Fastener
from anomalyagent.mcp_tools.procedural.retouching.cutout import CutOut, edit_of_drawn, put_down
from anomalyagent.mcp_tools.procedural.retouching.whole_object import clear_stage

__all__ = ["BentEnd", "CutOff"]

_BENT = (0.05, 0.2)  # of the length, at least and at most, that leans aside
_MOST = 0.12  # of the length
_OBLIQUE = 0.25  # radians to either side, standard deviation
_RAGGED = 0.06  # of the width
_FACE = 0.08  # of the width: how far the rounded edge of the new face is shaded,
_SHADED = 0.3  # and how much light it loses there


@dataclass(frozen=True)
class BentEnd:
    """Bends the end, as much of it as is asked for, aside."""

    fastener: Fastener

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """The bent end; None where the photo shows no ground that could be seen where it was."""
        scene = site.scene
        stage = clear_stage(scene, rng)
        if stage is None:
            return None
        height, width = scene.foreground.shape
        along, _ = _coordinates(self.fastener, scene)
        length = self.fastener.length_px
        bent = float(np.clip(length - _start(along, site), _BENT[0] * length, _BENT[1] * length))
        root = length - bent
        x, y = self.fastener.origin_xy
        angle = self.fastener.angle_rad
        root_xy = x + root * float(np.cos(angle)), y + root * float(np.sin(angle))
        beyond = smooth_step((0.5 + 0.5 * (along - root)).astype(np.float32))
        own = cv2.dilate(scene.foreground.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        matte, seat = ((cover * beyond).astype(np.float32) for cover in (feather(own, 1.0), stage.seat))
        place = CutOut(Window(0, 0, height, width), scene.photo.rgb, stage.ground, seat, seat, matte, root_xy)
        lean = float(np.clip(0.12 + 0.04 * spec.severity, 0.25, 0.8) * rng.uniform(0.8, 1.25)) * float(rng.choice([-1.0, 1.0]))
        maps = bend_map((height, width), root_xy, angle, bent, lean, float(rng.choice([0.0, 0.3])))
        return put_down(place, sample(scene.photo.rgb, *maps), sample_cover(place.matte, *maps))


@dataclass(frozen=True)
class CutOff:
    """Takes away the end beyond a line across the fastener, as much as is asked for."""

    fastener: Fastener

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """What is left; None where the photo shows no ground that could be seen in place of the tip."""
        del spec
        scene = site.scene
        stage = clear_stage(scene, rng)
        if stage is None:
            return None
        height, width = scene.foreground.shape
        along, across = _coordinates(self.fastener, scene)
        cut = max(_start(along, site), (1.0 - _MOST) * self.fastener.length_px)
        half = max(float(np.abs(across[scene.foreground & (np.abs(along - cut) < 2.0)]).max(initial=1.0)), 1.0)
        ragged = _RAGGED * half * fractal_noise((height, width), max(half, 3.0), rng, octaves=3)
        beyond = along - cut + float(np.tan(np.clip(rng.normal(0.0, _OBLIQUE), -0.7, 0.7))) * across + ragged
        soft = 0.7 + scene.blur_sigma_px
        gone = smooth_step((0.5 + beyond / (2.0 * soft)).astype(np.float32))
        shade = _SHADED * np.exp(-np.square(beyond / max(_FACE * 2.0 * half, 1.0))) * (1.0 - gone) * scene.foreground
        rgb = scene.photo.rgb * (1.0 - shade)[..., None]
        left = rgb + (stage.ground - rgb) * (gone * stage.seat)[..., None]
        return edit_of_drawn(site, Window(0, 0, height, width), left.astype(np.float32))


def _coordinates(fastener: Fastener, scene: Scene) -> tuple[Field, Field]:
    """(H, W) each: where each pixel of the photo lies, as `Fastener.coordinates`."""
    x, y = pixel_grid(Window(0, 0, *scene.foreground.shape))
    return fastener.coordinates(x, y)


def _start(along: Field, site: Site) -> float:
    """How far along the axis lies what has the site's area from there to the end, pixels."""
    ahead = np.sort(along[site.scene.foreground])[::-1]
    return float(ahead[min(round(site.area_px), len(ahead) - 1)])
