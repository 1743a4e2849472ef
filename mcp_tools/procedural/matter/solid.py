"""Bodies of foreign matter in one piece: splinters, lumps, cloth and paper, tape, shavings.

Each body returns (cover, tone): (h, w) 0..1 how far it covers the surface, and (h, w) lightness offsets around its colour.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.geometry.facets import facet_planes
from anomalyagent.mcp_tools.procedural.geometry.paths import spline_path, trace_stroke
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, fractal_noise, pixel_grid
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import grain_noise
from anomalyagent.mcp_tools.procedural.light.palette import Matter
from anomalyagent.mcp_tools.procedural.matter.bodies import cut_outline, dome, edge_cover, relief_tone
from anomalyagent.mcp_tools.procedural.matter.loose import torn_outline

__all__ = ["band", "chip", "cloth", "curl", "debris", "glob", "rag", "scrap", "strip"]

_LEAST_INSECT_PX = 14.0  # size: below, arms would be as thick as the body


def chip(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Convex splinter: half-planes around the centre, flat facets, bright ridges."""
    distance = cut_outline(site, min(spec.elongation, 30.0), rng, corners=int(rng.integers(4, 9)), spread=0.45)
    size = np.sqrt(site.area_px)
    facets = facet_planes(site.window, site.center_xy, 0.6 * size, rng, count=int(rng.integers(2, 6)), slope=0.35, warp=0.05)
    bevel = np.clip(distance / max(0.1 * size, 1.0), 0.0, 1.0)
    slope = facets.slope[facets.label]
    towards = np.cos(site.scene.light[0]), np.sin(site.scene.light[0])
    plane = -30.0 * (slope[..., 0] * towards[0] + slope[..., 1] * towards[1])
    tone = plane * (0.5 + matter.gloss) + 7.0 * cv2.blur(facets.border, (3, 3)) * (0.3 + matter.gloss)
    chipped = 0.012 * size * fractal_noise(site.window.shape, max(0.3 * size, 3.0), rng, octaves=2)
    return edge_cover((distance + chipped).astype(np.float32)), (
        tone + relief_tone(0.8 * bevel * min(0.1 * size, 3.0), matter, site, rng)
    ).astype(np.float32)


def glob(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Rounded drop; the middle is thicker and more opaque than the rim."""
    distance = blob_at(
        site,
        rng,
        elongation=min(spec.elongation, 6.0),
        lobes=float(rng.uniform(0.1, 0.3)),
        roughness=float(rng.uniform(0.0, 0.05)),
    )
    top = dome(distance, float(rng.uniform(0.35, 0.8)))
    wave = (
        0.035 * np.sqrt(site.area_px) * fractal_noise(site.window.shape, max(0.4 * np.sqrt(site.area_px), 3.0), rng, octaves=2)
    )
    clear = float(rng.uniform(0.0, 0.5))
    thickness = np.clip(distance / max(0.5 * float(distance.max()), 1.0), 0.0, 1.0)
    cover = edge_cover(distance) * (1.0 - clear * (1.0 - thickness))
    return cover.astype(np.float32), relief_tone(top + wave * (distance > 0), matter, site, rng)


def debris(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A rough lump, often with a few thin bent arms."""
    size = float(np.sqrt(site.area_px))
    distance = blob_at(
        site,
        rng,
        share=0.9,
        elongation=min(spec.elongation, 12.0),
        lobes=float(rng.uniform(0.15, 0.4)),
        roughness=float(rng.uniform(0.15, 0.4)),
    )
    if size > _LEAST_INSECT_PX and rng.random() < 0.5:
        for _ in range(int(rng.integers(2, 7))):
            heading, long = float(rng.uniform(0.0, 2.0 * np.pi)), size * float(rng.uniform(0.5, 1.2))
            center = (
                site.center_xy[0] + (0.25 * size + 0.4 * long) * np.cos(heading),
                site.center_xy[1] + (0.25 * size + 0.4 * long) * np.sin(heading),
            )
            arm = trace_stroke(site.window, spline_path(center, long, heading, rng, bend=0.5, points=12), 0.08 * size + 3.0)
            distance = np.maximum(distance, max(0.025 * size, 0.5) * (1.2 - 0.7 * arm.along) - arm.distance)
    lumps = fractal_noise(site.window.shape, max(0.35 * size, 2.0), rng, octaves=4, gain=0.6)
    height = dome(distance, float(rng.uniform(0.08, 0.6))) * (1.0 + 0.35 * lumps)
    return edge_cover(distance), relief_tone(height.astype(np.float32), matter, site, rng)


def rag(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Piece of fabric or paper: straight cut edges, partly frayed, with a weave and soft folds."""
    distance = cut_outline(site, min(spec.elongation, 6.0), rng, corners=int(rng.integers(3, 7)), spread=0.4, convex=False)
    size = np.sqrt(site.area_px)
    fray = float(rng.uniform(0.0, 0.03)) * size
    distance = distance + fray * fractal_noise(site.window.shape, max(0.06 * size, 2.0), rng, octaves=3)
    return edge_cover(distance), cloth(site, matter, rng, size)


def scrap(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Piece of fabric or paper, torn on all sides."""
    return edge_cover(torn_outline(site, min(spec.elongation, 6.0), rng)), cloth(
        site, matter, rng, float(np.sqrt(site.area_px))
    )


def strip(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A long flat piece with parallel sides and cut ends, slightly bent; may reach in from beyond the object."""
    slender = float(np.clip(spec.elongation, 3.0, 40.0))
    length = float(np.sqrt(site.area_px * slender))
    half = 0.5 * site.area_px / length
    center = np.array(site.center_xy)
    angle = site.angle_rad
    x0, y0, x1, y1 = site.scene.box_xyxy
    if rng.random() < 0.5:
        outwards = center - np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        if np.linalg.norm(outwards) > 0.25 * min(x1 - x0, y1 - y0):
            angle = float(np.arctan2(outwards[1], outwards[0]) + rng.normal(0.0, 0.3))
    path = spline_path((float(center[0]), float(center[1])), length, angle, rng, bend=float(rng.uniform(0.0, 0.25)), wobble=0.0)
    stroke = trace_stroke(site.window, path, half + 4.0)
    ends = np.minimum(stroke.along, 1.0 - stroke.along) * length + 1e-3
    distance = np.where((stroke.along <= 0.0) | (stroke.along >= 1.0), -1.0, np.minimum(half - stroke.distance, ends))
    round_side = np.sqrt(np.clip(1.0 - (stroke.distance / max(half, 1.0)) ** 2, 0.0, 1.0)) * half * float(rng.uniform(0.1, 0.6))
    lines = grain_noise(site.window.shape, 30.0, 1.6, angle, rng) * (1.0 + 0.25 * matter.grain)
    tone = relief_tone(round_side.astype(np.float32), matter, site, rng) + lines
    return edge_cover(distance.astype(np.float32)), tone.astype(np.float32)


def band(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Tape or a strip of glue: parallel sides, torn or cut ends, glossy creases and a few bubbles below."""
    slender = float(np.clip(spec.elongation, 3.0, 40.0))
    length = float(np.sqrt(site.area_px * slender))
    half = 0.5 * site.area_px / length
    path = spline_path(site.center_xy, length, site.angle_rad, rng, bend=float(rng.uniform(0.0, 0.06)), wobble=0.0)
    stroke = trace_stroke(site.window, path, half + 4.0)
    waver = 0.05 * half * fractal_noise(site.window.shape, max(0.8 * half, 3.0), rng, octaves=2)
    torn = 0.25 * half * fractal_noise(site.window.shape, max(0.3 * half, 2.0), rng, octaves=2)
    ends = np.minimum(stroke.along, 1.0 - stroke.along) * length + torn
    beyond = (stroke.along <= 0.0) | (stroke.along >= 1.0)
    distance = np.where(beyond, -1.0, np.minimum(half + waver - stroke.distance, ends)).astype(np.float32)
    folds = 0.06 * half * fractal_noise(site.window.shape, max(0.6 * half, 3.0), rng, octaves=3)
    lip = np.exp(-np.clip(distance, 0.0, None) / max(0.08 * half, 1.0))
    cover = edge_cover(distance) * np.clip(0.8 + 0.2 * lip, 0.0, 1.0)
    return cover.astype(np.float32), (relief_tone(folds.astype(np.float32), matter, site, rng) + 5.0 * lip).astype(np.float32)


def curl(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A shaving: a narrow curled ribbon, bright where it turns towards the light and dark where it turns away."""
    slender = float(np.clip(2.0 * spec.elongation, 7.0, 25.0))
    length = float(np.sqrt(site.area_px * slender))
    half = max(0.5 * site.area_px / length, 0.7)
    path = spline_path(site.center_xy, length, site.angle_rad, rng, bend=float(rng.uniform(0.3, 1.4)), wobble=0.05)
    stroke = trace_stroke(site.window, path, half + 4.0)
    width = half * (0.75 + 0.25 * np.cos(2.0 * np.pi * (stroke.along * float(rng.uniform(0.5, 2.5)) + float(rng.random()))))
    ends = np.minimum(stroke.along, 1.0 - stroke.along) * length
    distance = np.where(ends <= 0.0, -1.0, np.minimum(width - stroke.distance, ends + 0.3)).astype(np.float32)
    across = np.clip(stroke.side * stroke.distance / half, -1.0, 1.0)
    turns = float(rng.uniform(1.0, 3.0))
    tone = (4.0 + 2.0 * matter.grain) * np.sin(2.0 * np.pi * turns * stroke.along + 1.5 * across + float(rng.uniform(0.0, 6.0)))
    round_side = np.sqrt(np.clip(1.0 - across**2, 0.0, 1.0)) * half * 0.4
    return edge_cover(distance), (tone + relief_tone(round_side.astype(np.float32), matter, site, rng)).astype(np.float32)


def cloth(site: Site, matter: Matter, rng: np.random.Generator, size: float) -> Field:
    """Lightness of a weave with folds, or of plain paper when the pitch would be below three pixels."""
    x, y = pixel_grid(site.window)
    folds = fractal_noise(site.window.shape, 0.6 * size, rng, octaves=3) * 0.05 * size
    tone = relief_tone(folds, matter, site, rng)
    pitch = max(float(rng.uniform(0.03, 0.07)) * size, 3.0)
    if 0.07 * size >= 3.0 and rng.random() < 0.6:
        turn = float(rng.uniform(0.0, np.pi))
        u = (x * np.cos(turn) + y * np.sin(turn) + 2.0 * folds) * 2.0 * np.pi / pitch
        v = (-x * np.sin(turn) + y * np.cos(turn) + 2.0 * folds) * 2.0 * np.pi / pitch
        tone = tone + float(rng.uniform(2.0, 6.0)) * (np.sin(u) * np.cos(0.5 * v) + 0.6 * np.sin(v))
    return tone.astype(np.float32)
