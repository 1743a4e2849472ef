"""The matt face that a break in stone, ferrite or plastic leaves: from granular to the smooth shell of a fine dense body."""

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.procedural.breaking.named_body import Body
from anomalyagent.mcp_tools.procedural.breaking.spall import SHADED_HOLLOW, glow_in_shade
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.geometry.facets import facet_planes
from anomalyagent.mcp_tools.procedural.geometry.paths import path_profile
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import shade
from anomalyagent.mcp_tools.procedural.light.material import contrast_for, recolor, shading_of, subdued
from anomalyagent.mcp_tools.procedural.light.palette import Surroundings, rgb_of
from anomalyagent.mcp_tools.procedural.structure.rims import Seat

__all__ = ["paint_fracture", "walls"]


def paint_fracture(
    site: Site, spec: DefectSpec, seat: Seat, near: Surroundings, distance: Field, rng: np.random.Generator, body: Body
) -> RGB:
    """(h, w, 3) sRGB of a matt fracture surface."""
    shape = site.window.shape
    radius = float(np.sqrt(site.area_px / np.pi))
    contrast = contrast_for(spec, near, rng)
    # at an outline: from a granular break (0) to the smooth shell that a fine dense body leaves (1)
    shell = float(rng.random() ** 0.4) if seat.on_outline and not body.coarse else 0.0
    tilt = float(rng.uniform(0.08, 0.28)) * (1.0 - 0.5 * shell)
    facets = facet_planes(site.window, seat.center_xy, radius, rng, count=int(rng.integers(1, 6)), slope=tilt, warp=0.2)
    x, y = pixel_grid(site.window)
    far = np.hypot(x - seat.impact_xy[0], y - seat.impact_xy[1]).astype(np.float32)
    wave = max(3.0, radius * float(rng.uniform(0.18, 0.4)))
    bend = 0.6 * fractal_noise(shape, max(radius, 4.0), rng, octaves=2)
    ripples = (
        float(rng.choice([0.007, 0.014, 0.02] if seat.on_outline else [0.0, 0.005, 0.014]))
        * wave
        * np.sin(2.0 * np.pi * far / wave + 5.0 * bend)
        * smooth_step(0.8 + bend)
    )
    grain = fractal_noise(shape, max(1.5, 0.12 * radius), rng, octaves=2, gain=0.7)
    azimuth = site.scene.light[0]
    facing = -(facets.slope[:, 0] * np.cos(azimuth) + facets.slope[:, 1] * np.sin(azimuth))
    light = shade((ripples + 0.05 * (1.0 - shell) * grain).astype(np.float32), site.scene.light)
    light = light + 0.7 * facing[facets.label] * (1.0 - 0.4 * facets.border)
    patch, slow = shading_of(site, radius)
    lab = (0.35 * slow + 0.65 * near.lab).astype(np.float32)
    fresh = float(rng.normal(-0.65 + 0.35 * shell, 0.45 - 0.15 * shell)) * min(contrast, 22.0)
    if body.pale:
        fresh = abs(0.5 * fresh)
    tone = recolor(lab, spec, near, fresh)
    if body.pale:  # asked for darker, it is the hollow that lies in shade, not a body of rock
        tone = max(tone, -SHADED_HOLLOW)
    lab[..., 0] += tone + contrast * (1.2 * (light - 1.0) + 0.05 * (1.0 - shell) * grain)
    if shell:
        lab[..., 0] += contrast * shell * _ribs((far / radius + 0.12 * bend).astype(np.float32), distance, bend, rng)
    # broken grains, each lit its own way
    crumbs = float(rng.uniform(0.3, 1.2)) * (1.0 - 0.85 * shell)
    crumbs = crumbs * fractal_noise(shape, float(np.clip(0.1 * radius, 2.0, 6.0)), rng, octaves=3, gain=0.9)
    lab[..., 0] += 0.11 * contrast * crumbs + 0.3 * contrast * (
        shade((0.5 * crumbs).astype(np.float32), site.scene.light) - 1.0
    )
    lab[..., 0] += contrast * walls(distance, max(1.0, 0.05 * radius), azimuth, hidden=shell)
    # rough, so a little paler; most bodies are coloured throughout
    lab[..., 1:] *= max(float(rng.uniform(0.55, 1.0)), 0.85 if body.pale else 0.0)
    lab[..., 0] = np.clip(lab[..., 0], 0.35 * float(near.lab[0]), 98.0)  # light scattered in the break fills every shadow
    if body.pale:
        glow_in_shade(lab, near)
    if near.grey:
        lab[..., 1:] = 0.0
    return rgb_of(subdued(lab, slow, patch, distance > 0, spec.severity * near.jnd))


def _ribs(far: Field, distance: Field, bend: Field, rng: np.random.Generator) -> Field:
    """Light and dark over a shell, about -1..1: ribs at uneven distances around the blow, and a hollow that deepens inwards.

    Args:
        far: distance from the blow relative to the size of the break.
        bend: slow noise; the ribs fade where it is low.
    """
    at = np.linspace(0.0, 4.0, 256)
    wide = path_profile(256, rng, knots=int(rng.integers(8, 20)))
    fine = path_profile(256, rng, knots=int(rng.integers(30, 60)))
    profile = 0.3 * wide + float(rng.uniform(0.05, 0.16)) * fine
    ribs = np.interp(far, at, profile).astype(np.float32) * smooth_step(0.75 + bend)
    ribs *= smooth_step(2.5 * far - 0.5)  # what was struck is crushed, there are no rings in it
    depth = np.clip(distance / max(float(distance.max()), 1.0), 0.0, 1.0)
    return (ribs + float(rng.normal(0.25, 0.25)) * (depth - 0.5)).astype(np.float32)


def walls(distance: Field, width_px: float, azimuth: float, hidden: float = 0.0) -> Field:
    """-1..1 along the border: the wall on the light's side lies in shadow, the one opposite is lit.

    Args:
        hidden: 0..1, how far the wall stands too steeply above the face for any light: dark all around.
    """
    inward_y, inward_x = np.gradient(distance)
    lit = np.clip(inward_x * np.cos(azimuth) + inward_y * np.sin(azimuth), -0.7, 0.8)
    lit = lit + hidden * (-0.6 - 0.6 * np.maximum(lit, 0.0))
    return (np.exp(-((distance / width_px) ** 2)) * lit).astype(np.float32)
