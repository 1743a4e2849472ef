"""One real defect transplanted: a mechanism made of a donor (`references.py`).

What the defect changed against its own surface is laid on the new one: resized, mirrored, bent a little, in another strength
and tone, with soft borders. On an object it lies about as deep below the outline as it lay, and as it lay to it; on a plain
surface it is turned along the new place.
Source: few-shot pasting as in CropPaste and DFMGAN's baselines; here relative to the surface instead of as it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import foreground_cover
from anomalyagent.mcp_tools.procedural.geometry.warp import sample, sample_cover
from anomalyagent.mcp_tools.procedural.light.palette import rgb_of
from anomalyagent.mcp_tools.procedural.placement import extent_of, window_around
from anomalyagent.mcp_tools.procedural.references import Donor, to_outline

__all__ = ["RealDefect"]

_DEPTH_TOLERANCE = 0.1  # of the deepest point's distance to the outline


@dataclass(frozen=True)
class RealDefect:
    """A mechanism that draws one donor; see `edit.py` for what a mechanism is."""

    donor: Donor

    def suitability(self, scene: Scene, spec: DefectSpec) -> Callable[[float, float], float] | None:
        """Places about as deep below the outline as the donor's."""
        del spec
        lay = self.donor.to_outline
        if lay is None or scene.fills_frame:
            return None
        depth, deepest = scene.depth_px, max(float(scene.depth_px.max()), 1.0)

        def fits(x: float, y: float) -> float:
            here = depth[min(round(y), len(depth) - 1), min(round(x), depth.shape[1] - 1)] / deepest
            return float(np.exp(-0.5 * ((here - lay.depth) / _DEPTH_TOLERANCE) ** 2))

        return fits

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """The donor at the site, in the site's size. None when there are too few pixels."""
        donor = self.donor
        if min(site.window.shape) < 4:
            return None
        zoom = float(np.sqrt(site.area_px / max(int(np.count_nonzero(donor.mask)), 1)))
        turn = site.angle_rad - donor.angle_rad + (np.pi if rng.random() < 0.5 else 0.0)
        flip = -1.0 if rng.random() < 0.5 else 1.0
        site, turn = self._as_it_lay(site, spec, turn, flip)
        squeeze = float(np.exp(rng.normal(0.0, 0.12)))
        x, y = pixel_grid(site.window)
        size = float(np.sqrt(site.area_px))
        bend = 0.04 * size
        dx = np.asarray(x - site.center_xy[0] + bend * fractal_noise(site.window.shape, 0.7 * size + 3.0, rng, octaves=2))
        dy = np.asarray(y - site.center_xy[1] + bend * fractal_noise(site.window.shape, 0.7 * size + 3.0, rng, octaves=2))
        cos, sin = np.cos(turn), np.sin(turn)
        rows, columns = np.nonzero(donor.mask)
        map_x = (columns.mean() + (dx * cos + dy * sin) / (zoom * squeeze)).astype(np.float32)
        map_y = (rows.mean() + flip * (-dx * sin + dy * cos) * squeeze / zoom).astype(np.float32)
        shrunk = _prefilter(donor, zoom)
        cover = sample_cover(shrunk[2], map_x, map_y) * foreground_cover(site)
        if not (cover > 0.3).any():
            return None
        guest, guest_ground = sample(shrunk[0], map_x, map_y), sample(shrunk[1], map_x, map_y)
        host = np.ascontiguousarray(site.scene.photo.rgb[site.window.slices])
        blur = 2 * int(max(0.25 * size, 2.0)) + 1
        smooth = cv2.blur(host, (blur, blur), borderType=cv2.BORDER_REFLECT)
        host_ground = np.asarray(smooth if rng.random() < 0.7 else host, np.float32)
        change = lab_from_rgb(guest) - lab_from_rgb(guest_ground)
        lab = lab_from_rgb(host_ground) + np.float32(rng.uniform(0.8, 1.25)) * change
        lab[..., 0] += np.float32(rng.normal(0.0, 2.0))
        # partly in its own colours: foreign matter keeps them whatever it lies on
        own = float(rng.choice([0.0, 0.0, 0.5, 1.0]))
        lab = lab + np.float32(own) * (lab_from_rgb(guest) - lab)
        if site.scene.photo.is_grey:
            lab[..., 1:] = 0.0
        lab[..., 0] = np.clip(lab[..., 0], 1.0, 99.0)
        return Edit(
            window=site.window,
            support=cover > 0.02,
            paint=rgb_of(lab.astype(np.float32)),
            opacity=cover.astype(np.float32),
            strength_fixed=True,
            photographed=True,
        )

    def _as_it_lay(self, site: Site, spec: DefectSpec, turn: float, flip: float) -> tuple[Site, float]:
        """The site, and the turn with which the donor lies to the outline as it lay; both unchanged where there is none."""
        donor, lay = self.donor, self.donor.to_outline
        if lay is None or lay.outward_rad is None or spec.orientation_deg is not None or site.scene.fills_frame:
            return site, turn
        lies = to_outline(site.scene.depth_px, *site.center_xy)
        if lies.outward_rad is None:
            return site, turn
        turn = lies.outward_rad - flip * lay.outward_rad
        extent = extent_of(site.scene, site.area_px, donor.elongation)
        return replace(site, window=window_around(site.scene, site.center_xy, extent, flip * donor.angle_rad + turn)), turn


def _prefilter(donor: Donor, zoom: float) -> tuple[RGB, RGB, Field]:
    """(pixels, ground, soft cover) of a donor, blurred so that shrinking it does not alias."""
    cover = cv2.GaussianBlur(cv2.dilate(donor.mask.astype(np.float32), np.ones((3, 3), np.uint8)), (0, 0), 1.0)
    if zoom > 0.8:
        return donor.rgb, donor.ground, np.asarray(cover, np.float32)
    sigma = 0.4 / zoom
    blurred = [cv2.GaussianBlur(part, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE) for part in (donor.rgb, donor.ground)]
    return np.asarray(blurred[0], np.float32), np.asarray(blurred[1], np.float32), np.asarray(cover, np.float32)
