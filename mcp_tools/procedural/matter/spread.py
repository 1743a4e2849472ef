"""Bodies of foreign matter that is spread over the surface: powder, films, drops, clouds, what fills a hollow.

Each returns (cover, tone): (h, w) 0..1 how far it covers the surface, and (h, w) lightness offsets around its colour.
"""

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_at, fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.warp import feather
from anomalyagent.mcp_tools.procedural.light.palette import Matter
from anomalyagent.mcp_tools.procedural.matter.bodies import cut_outline, dome, relief_tone
from anomalyagent.mcp_tools.procedural.matter.solid import cloth
from anomalyagent.mcp_tools.procedural.structure.cavity import Cavity

__all__ = ["bubble", "drop", "dust", "filling", "film", "haze", "powder", "puddle"]


def powder(
    site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator, coarsest: float = 0.22
) -> tuple[Field, Field]:
    """Grains of heavy-tailed size, denser towards the middle, drawn at fourfold resolution where the window is small."""
    height, width = site.window.shape
    fine = 4 if max(height, width) <= 384 else 2
    cover = np.zeros((height * fine, width * fine), np.uint8)
    tone = np.zeros((height, width), np.float32)
    reach = np.sqrt(site.area_px) * float(rng.uniform(0.6, 1.1))
    left = site.area_px * float(rng.uniform(0.25, 0.5))
    typical = max(0.03 * np.sqrt(site.area_px), 0.55)
    angle, stretch = site.angle_rad, np.sqrt(min(spec.elongation, 9.0))
    cos, sin = np.cos(angle), np.sin(angle)
    for _ in range(600):
        if left <= 0.0:
            break
        radius = min(typical * (0.5 + float(rng.pareto(2.2))), coarsest * np.sqrt(site.area_px) + 0.5)
        u, v = rng.normal(0.0, 0.5, 2) * reach
        u, v = u * stretch, v / stretch
        x = site.center_xy[0] + u * cos - v * sin - site.window.x0
        y = site.center_xy[1] + u * sin + v * cos - site.window.y0
        if not (2 <= x < width - 2 and 2 <= y < height - 2):
            left -= 0.2
            continue
        turns = np.sort(rng.uniform(0.0, 2.0 * np.pi, int(rng.integers(5, 9))))
        sizes = radius * rng.uniform(0.65, 1.3, len(turns))
        points = np.stack([x + 0.5 + sizes * np.cos(turns), y + 0.5 + sizes * np.sin(turns)], 1) * fine
        cv2.fillPoly(cover, [np.round(points).astype(np.int32)], 255)
        r = int(radius) + 1
        tone[max(int(y) - r, 0) : int(y) + r + 2, max(int(x) - r, 0) : int(x) + r + 2] = float(rng.normal(0.0, 7.0))
        left -= np.pi * radius**2
    soft = cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    haze = 0.25 * float(rng.random()) * np.clip(cv2.GaussianBlur(soft, (0, 0), max(0.1 * reach, 1.0)) * 1.5, 0.0, 1.0)
    relief = cv2.GaussianBlur(soft, (0, 0), max(typical * 0.5, 0.6)) * min(typical, 2.0)
    return np.maximum(soft, haze), tone + relief_tone(relief, matter, site, rng)


def dust(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Powder without any large pieces."""
    return powder(site, spec, matter, rng, coarsest=0.07)


def film(
    site: Site,
    spec: DefectSpec,
    matter: Matter,
    rng: np.random.Generator,
    cut: float = 0.4,
    grains: tuple[float, ...] = (0.03, 0.12, 0.3),
) -> tuple[Field, Field]:
    """Thin layer through which the surface shows: its border is sharp where it ends and soft where it thins out."""
    size = float(np.sqrt(site.area_px))
    if rng.random() < cut:
        distance = cut_outline(site, min(spec.elongation, 8.0), rng, corners=int(rng.integers(3, 8)), spread=0.35, convex=False)
    else:
        distance = blob_at(
            site,
            rng,
            elongation=min(spec.elongation, 12.0),
            lobes=float(rng.uniform(0.1, 0.4)),
            roughness=float(rng.uniform(0.0, 0.2)),
        )
    depth = max(float(distance.max()), 1.0)
    turn = float(rng.uniform(0.0, 2.0 * np.pi))
    x, y = pixel_grid(site.window)
    ramp = ((x - site.center_xy[0]) * np.cos(turn) + (y - site.center_xy[1]) * np.sin(turn)) / max(size, 1.0)
    softness = np.clip(float(rng.uniform(0.0, 0.25)) + float(rng.uniform(0.0, 0.6)) * ramp, 0.02, 0.5) * depth
    speckle = fractal_noise(site.window.shape, max(float(rng.uniform(1.2, 0.12 * size + 1.5)), 1.2), rng, octaves=2, gain=0.8)
    cloud = fractal_noise(site.window.shape, max(0.5 * size, 3.0), rng, octaves=2)
    dense = float(rng.uniform(0.25, 0.8))
    body = smooth_step(((distance + 0.5) / np.maximum(softness, 1.0)).astype(np.float32))
    grainy = float(rng.choice(grains))
    cover = body * np.clip(dense + grainy * speckle + 0.12 * cloud, 0.05, 0.97)
    folds = 0.03 * size * cloud if rng.random() < 0.4 else 0.0 * cloud
    tone = relief_tone(folds.astype(np.float32), matter, site, rng) + 14.0 * grainy * speckle
    return cover.astype(np.float32), tone.astype(np.float32)


def puddle(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A film of something that has flowed: it has no corners."""
    return film(site, spec, matter, rng, cut=0.0, grains=(0.02, 0.05, 0.08))


def drop(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Bead of liquid, bubble or disc: nearly round, a clear rim, light gathered in rings or in a spot."""
    distance = blob_at(site, rng, elongation=min(spec.elongation, 1.4), lobes=float(rng.uniform(0.0, 0.08)))
    radius = max(float(distance.max()), 1.0)
    inner = np.clip(distance / radius, 0.0, 1.0)  # 0 at the rim, 1 in the middle
    rim = np.exp(-((inner / float(rng.uniform(0.06, 0.25))) ** 2)) * float(rng.uniform(-12.0, 16.0))
    waves = np.cos(2.0 * np.pi * float(rng.uniform(0.5, 3.0)) * inner + float(rng.uniform(0.0, 6.0))) * float(
        rng.uniform(0.0, 9.0)
    )
    clear = float(rng.uniform(0.3, 0.95))
    cover = np.clip(distance / max(float(rng.choice([1.0, 0.15 * radius])), 1.0) + 0.5, 0.0, 1.0) * clear
    bead = dome(distance, float(rng.uniform(0.1, 0.6)))
    return cover.astype(np.float32), (rim + waves + relief_tone(bead, matter, site, rng)).astype(np.float32)


def bubble(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Gas in something clear: a smooth outline that is dark where light is turned away, and the lamp mirrored small on the one
    side and gathered on the other.
    """
    del matter
    distance = blob_at(site, rng, elongation=min(spec.elongation, 1.25), lobes=0.0, roughness=0.0)
    radius = max(float(distance.max()), 1.0)
    inner = np.clip(distance / radius, 0.0, 1.0)  # 0 at the outline, 1 in the middle
    x, y = pixel_grid(site.window)
    azimuth = site.scene.light[0]
    u = ((x - site.center_xy[0]) * np.cos(azimuth) + (y - site.center_xy[1]) * np.sin(azimuth)) / radius  # towards the lamp
    v = ((y - site.center_xy[1]) * np.cos(azimuth) - (x - site.center_xy[0]) * np.sin(azimuth)) / radius
    wide = float(rng.uniform(0.1, 0.2))
    rim = np.exp(-(((inner - 0.5 * wide) / wide) ** 2))
    glint = np.exp(-(((u - 0.5) / 0.2) ** 2) - (v / 0.26) ** 2)
    gathered = np.exp(-(((inner - 0.3) / 0.18) ** 2)) * np.clip(-u, 0.0, 1.0)
    tone = -float(rng.uniform(20.0, 32.0)) * rim + 45.0 * glint + float(rng.uniform(10.0, 20.0)) * gathered
    cover = np.clip(distance + 0.5, 0.0, 1.0) * np.clip(0.3 + 0.5 * rim + 0.6 * glint + 0.3 * gathered, 0.0, 0.95)
    return cover.astype(np.float32), tone.astype(np.float32)


def haze(site: Site, spec: DefectSpec, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """A cloud that fades out on all sides: fine dust, fogging, something far out of focus."""
    size = float(np.sqrt(site.area_px))
    distance = blob_at(site, rng, share=1.3, elongation=min(spec.elongation, 6.0), lobes=float(rng.uniform(0.1, 0.35)))
    depth = max(float(distance.max()), 1.0)
    cloud = fractal_noise(site.window.shape, max(0.45 * size, 3.0), rng, octaves=3)
    body = smooth_step((distance / depth / float(rng.uniform(0.5, 1.0))).astype(np.float32))
    cover = body * np.clip(float(rng.uniform(0.3, 0.75)) + float(rng.uniform(0.05, 0.2)) * cloud, 0.0, 0.95)
    return cover.astype(np.float32), (0.4 * matter.grain * cloud).astype(np.float32)


def filling(site: Site, cavity: Cavity, matter: Matter, rng: np.random.Generator) -> tuple[Field, Field]:
    """Matter on the bottom of a hollow up to its rim, or up to a ragged level: dregs with swirls and wisps, paper, cloth.

    It is out of focus, the rim in front of it is not.
    """
    size = float(np.sqrt(cavity.mask.sum()))
    shape = site.window.shape
    x, y = np.mgrid[: shape[0], : shape[1]].astype(np.float32)[::-1]
    bend_x = x + 0.15 * size * fractal_noise(shape, 0.4 * size, rng, octaves=2)
    bend_y = y + 0.15 * size * fractal_noise(shape, 0.4 * size, rng, octaves=2)
    swirl = cv2.remap(
        fractal_noise(shape, 0.35 * size, rng, octaves=4), bend_x, bend_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    wisps = np.exp(-np.abs(swirl) * 3.0) * float(rng.uniform(0.0, 9.0))
    body = np.clip(float(rng.uniform(0.6, 1.0)) + float(rng.uniform(0.03, 0.2)) * swirl, 0.2, 1.0)
    tone = float(rng.uniform(1.0, 4.5)) * swirl + wisps
    if rng.random() < 0.4:
        tone = 0.3 * tone + cloth(site, matter, rng, size)
    body, tone = (cv2.GaussianBlur(part, (0, 0), max(float(rng.uniform(0.005, 0.06)) * size, 0.5)) for part in (body, tone))
    cover = feather(cavity.mask, 2.0) * body
    if rng.random() < 0.3:  # a rest of it: on one side of a wavy line
        turn = float(rng.uniform(0.0, 2.0 * np.pi))
        level = (bend_x - 0.5 * shape[1]) * np.cos(turn) + (bend_y - 0.5 * shape[0]) * np.sin(turn)
        ragged = 0.05 * size * fractal_noise(shape, max(0.15 * size, 3.0), rng, octaves=3)
        edge = max(float(rng.choice([0.01, 0.02])) * size, 1.0)
        cover = cover * np.clip((level + ragged + float(rng.uniform(-0.3, 0.3)) * size) / edge + 0.5, 0.0, 1.0)
    return cover.astype(np.float32), np.asarray(tone, np.float32)
