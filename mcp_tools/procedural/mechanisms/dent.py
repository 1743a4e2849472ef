"""A dent: a blow pushed the surface in without breaking it.

Physics: a smooth shallow hollow with no edge and no ring around it, deepest off its middle. Nothing changes but the slope, and
a shallow slope changes the light in proportion to how far it leans to the lamp: the flank that turns to the light brightens,
the other darkens, and what leans neither way stays as it is, so that there is no closed line around a dent. What a glossy
surface mirrors is displaced by the slope: highlights bend, and the bright flank catches one. Displaced material may bulge a
little on one side. A blow from behind would look like a hollow lit from the wrong side, which is what the judge takes for a
fault, so there is none.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import lightness_of
from anomalyagent.mcp_tools.procedural.geometry.warp import sample_linear
from anomalyagent.mcp_tools.procedural.light.dielectric import mirrored_part
from anomalyagent.mcp_tools.procedural.light.material import body_lightness

__all__ = ["render"]

_STEEPEST = 0.3  # logarithm of the light that the steepest flank gains or loses, before the strength is fitted
_BENT = 0.12  # the same of what a mirrored light adds: less, so that the lamp is seen to come from where it comes
_SHINING = 30.0  # L that the lights of a fully glossy body stand above its median
_GLOSSY = 0.35  # share of the light of a lit flank that even a body without lights in the photo mirrors
_NEUTRAL = 14.0  # CIELAB chroma: metal has hardly more
_MATT_MOST, _POLISHED_MOST = 0.55, 1.6  # logarithm of the light: a matt flank looks at the lamp, a polished one mirrors it
_SMALL_PX = 1.8  # radius: smaller, it would have no slope


def render(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
    """One hollow. None when the window is too small to hold any."""
    if min(site.window.shape) < 4:
        return None
    radius = max(float(np.sqrt(site.area_px / np.pi)), _SMALL_PX)
    stretch = float(np.sqrt(min(spec.elongation, 8.0)))
    height, reach = _hollow(site, radius, stretch, rng)
    slope_x, slope_y = (cv2.Sobel(height, cv2.CV_32F, *order, scale=0.125) for order in ((1, 0), (0, 1)))
    steepest = max(float(np.hypot(slope_x, slope_y).max()), 1e-6)
    slope_x, slope_y = (np.asarray(slope / steepest, np.float32) for slope in (slope_x, slope_y))
    azimuth = site.scene.light[0]
    facing = -(slope_x * np.cos(azimuth) + slope_y * np.sin(azimuth))
    aside = -slope_x * np.sin(azimuth) + slope_y * np.cos(azimuth)
    shine = _shine(site)
    glint = np.exp(-((facing - 0.8) ** 2 + aside**2) / 0.09) * float(rng.uniform(0.3, 1.0)) * shine
    deep = float(rng.uniform(0.0, 0.12)) * height / max(-float(height.min()), 1e-6)  # it sees a little less of the sky
    light = _STEEPEST * (facing + 0.8 * glint + deep) + (0.3 + 0.7 * shine) * _mirrored(site, slope_x, slope_y, radius, rng)
    light = (light * smooth_step((2.2 - reach) / 0.6)).astype(np.float32)
    support = np.abs(light) > 0.0015
    mirrored = mirrored_part(site.scene, light, _GLOSSY + (1.0 - _GLOSSY) * shine)
    if mirrored is not None:
        light = light - mirrored
    return Edit(
        window=site.window,
        support=support,
        log_reflectance=np.repeat(light[..., None], 3, axis=2),
        mirrored=mirrored,
        most_light=_MATT_MOST + (_POLISHED_MOST - _MATT_MOST) * shine,
    )


def _hollow(site: Site, radius: float, stretch: float, rng: np.random.Generator) -> tuple[Field, Field]:
    """(h, w) depth, pixels, and distance from the middle in units of the way to the outline."""
    x, y = pixel_grid(site.window)
    dx, dy = x - site.center_xy[0], y - site.center_xy[1]
    cosine, sine = np.cos(site.angle_rad), np.sin(site.angle_rad)
    u, v = (dx * cosine + dy * sine) / (stretch * radius), (-dx * sine + dy * cosine) * stretch / radius
    shape = site.window.shape
    bend_u, bend_v = (0.1 * fractal_noise(shape, max(1.4 * radius, 4.0), rng, octaves=1) for _ in range(2))
    reach = np.hypot(u + bend_u, v + bend_v)
    # Whatever moves the deepest point off the middle has to fade out smoothly: a cusp would shine.
    skew = rng.normal(0.0, 0.2, 2)
    pull = np.exp(-(reach**2))
    rho = np.hypot(u + bend_u - skew[0] * pull, v + bend_v - skew[1] * pull)
    bowl = np.exp(-((rho / 0.72) ** float(rng.uniform(1.8, 3.2))))
    turn = float(rng.uniform(0.0, 2.0 * np.pi))
    bulge = np.exp(-(((u - 0.9 * np.cos(turn)) / 0.4) ** 2) - ((v - 0.9 * np.sin(turn)) / 0.4) ** 2)
    sheet = 1.0 + 0.1 * fractal_noise(shape, max(0.9 * radius, 4.0), rng, octaves=1)  # it buckles a little
    depth = -bowl * sheet + float(rng.choice([0.0, 0.0, 0.05, 0.1])) * bulge
    return (0.3 * radius / stretch * depth).astype(np.float32), reach.astype(np.float32)


def _shine(site: Site) -> float:
    """0 (matt) .. 1: how far the lights of the object stand above its median."""
    lightness = body_lightness(site.scene)
    if lightness.size < 16:
        return 0.0
    dark, median, bright = np.percentile(lightness, [0.5, 50, 99.5])
    # light and dark alike are the texture of a coloured surface that fills the photo (no metal): lights are what goes beyond
    _, a, b = np.median(site.scene.lab[site.window.slices].reshape(-1, 3), axis=0)
    texture = median - dark if site.scene.fills_frame and np.hypot(a, b) > _NEUTRAL else 0.0
    return float(np.clip((bright - median - texture) / _SHINING, 0.0, 1.0))


def _mirrored(site: Site, slope_x: Field, slope_y: Field, radius: float, rng: np.random.Generator) -> Field:
    """(h, w) logarithm of the light that comes from where the slope now looks, over what came before: bent highlights."""
    sigma = max(0.3 * radius, 1.5)
    size = 2 * int(2.0 * sigma) + 1
    solid = site.scene.foreground[site.window.slices].astype(np.float32)
    light = lightness_of(site)
    # what lies behind the object is not mirrored in it
    light = light * solid + float(np.median(light[solid > 0]) if solid.any() else 0.0) * (1.0 - solid)
    broad = np.asarray(cv2.GaussianBlur(light, (size, size), sigma, borderType=cv2.BORDER_REFLECT), np.float32)
    share = cv2.GaussianBlur(solid, (size, size), sigma, borderType=cv2.BORDER_REFLECT)
    far = float(rng.uniform(0.5, 1.1)) * radius
    rows, columns = broad.shape
    x, y = np.arange(columns, dtype=np.float32)[None, :], np.arange(rows, dtype=np.float32)[:, None]
    seen = sample_linear(broad, (x + far * slope_x).astype(np.float32), (y + far * slope_y).astype(np.float32))
    bent = np.clip(1.2 * np.log((seen + 3.0) / (broad + 3.0)), -_BENT, _BENT)
    return (bent * smooth_step(np.asarray(2.0 * share - 1.0, np.float32))).astype(np.float32)
