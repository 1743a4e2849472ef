"""One of a ring of equal parts is gone: a tooth of a gear, which may also be chipped, or a ball of a bearing.

Where a tooth was there is what the gaps beside it show; of a chipped one the foot is left, with a ragged edge. Where a ball
was one looks into its seat.
"""

import re
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.knowledge.words.quoted_type import quoted_type
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Target, Window
from anomalyagent.mcp_tools.procedural.engine import MechanismModule
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid
from anomalyagent.mcp_tools.procedural.geometry.warp import sample, sample_linear
from anomalyagent.mcp_tools.procedural.geometry.windows import around_point
from anomalyagent.mcp_tools.procedural.mechanisms.missing import hollow
from anomalyagent.mcp_tools.procedural.parts.component import Component
from anomalyagent.mcp_tools.procedural.parts.rings import Ring, ring_of_balls, ring_of_teeth
from anomalyagent.mcp_tools.procedural.retouching.cutout import edit_of_drawn

__all__ = ["LostBall", "LostTooth", "named_ring_part"]

_TOOTH = re.compile(r"\b(?:tooth|teeth|cogs?)\b")
_BALL = re.compile(r"\b(?:balls?|rollers?|rolling elements?)\b")
_PLAIN = 0.13  # of a pitch to both sides of its middle: there a gap looks like a gap
_ABOVE = 0.35  # of a tooth's height: so far beyond its tip, shadow and bloom, all is replaced
_ASKEW = 0.4  # of its height, that a tooth of a ring seen askew stands out beyond the circle
_FOOT = (0.2, 0.65)  # of a tooth's height, that a chipped one keeps
_SKEW, _RAGGED = 0.5, 0.08  # of its height: how much lower it is broken on one side, and how ragged the edge is
_MOST = 3  # teeth
_SIZES = (0.12, 0.48)  # of the way to the next ball: between which a ball's radius lies
_RIM = 0.8  # of the clearest step: a ball has a bright middle and a dark border
_SEAT = (0.2, 0.5)  # of the light beside a ball, that its seat gives back


@dataclass(frozen=True)
class LostTooth:
    """Takes teeth out of a ring that `ring_of_teeth` finds, or chips one."""

    ring: Ring
    chipped: bool

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """The teeth."""
        return _parts_of(self.ring, scene, spec)

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit:
        """The tooth nearest to the site, and its neighbours where much is asked for."""
        del spec
        ring = self.ring
        high = ring.outer_px - ring.inner_px
        tooth_px = 0.5 * high * ring.pitch_rad * 0.5 * (ring.inner_px + ring.outer_px)
        lost = 1 if self.chipped else int(np.clip(round(site.area_px / tooth_px), 1, min(_MOST, ring.parts // 4)))
        first = ring.nearest(site.center_xy)
        reach = (0.5 * lost + 0.5) * ring.pitch_rad * ring.outer_px + (1.0 + _ABOVE) * high
        window = around_point(np.array(ring.at(first + lost // 2)), reach, site.scene.photo.shape)
        foot = float(rng.uniform(*_FOOT)) * high if self.chipped else 0.0
        skew = float(rng.uniform(-_SKEW, _SKEW)) if self.chipped else 0.0
        ragged = _RAGGED * high * fractal_noise(window.shape, max(0.3 * high, 2.0), rng) if self.chipped else 0.0
        drawn = np.ascontiguousarray(site.scene.photo.rgb[window.slices])
        for index in range(first, first + lost):
            drawn = _without_tooth(site.scene, ring, index, window, drawn, foot, skew, ragged)
        return edit_of_drawn(site, window, drawn, size_fixed=not self.chipped)


@dataclass(frozen=True)
class LostBall:
    """Takes a ball out of a ring that `ring_of_balls` finds."""

    ring: Ring

    def targets(self, scene: Scene, spec: DefectSpec) -> list[Target]:
        """The balls."""
        return _parts_of(self.ring, scene, spec)

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit:
        """The ball nearest to the site."""
        del spec
        dx, dy, radius = _ball_in(site.scene, self.ring)
        x0, y0 = self.ring.at(self.ring.nearest(site.center_xy))
        at = x0 + dx, y0 + dy
        window = around_point(np.array(at), 1.6 * radius + 4.0, site.scene.photo.shape)
        x, y = pixel_grid(window)
        mask = np.hypot(x - at[0], y - at[1]) <= radius + 0.5
        area = float(np.pi * radius**2)
        return hollow(site, Component(window, mask, at, area, 0.0, 1.0, at, 2.0 * radius, 0.0), rng, _SEAT)


def named_ring_part(scene: Scene, spec: DefectSpec, prompt: str) -> MechanismModule | None:
    """What draws the lost or chipped part of a ring that the name of the type speaks of; None where the photo shows no such
    ring. For specs of a chip or of something missing."""
    quoted = quoted_type(prompt)
    words = "" if quoted is None else plain(quoted)
    if _TOOTH.search(words):
        ring = ring_of_teeth(scene)
        return None if ring is None else LostTooth(ring, chipped=spec.mechanism == "chip")
    if _BALL.search(words) and spec.mechanism == "missing":
        ring = ring_of_balls(scene)
        return None if ring is None else LostBall(ring)
    return None


def _parts_of(ring: Ring, scene: Scene, spec: DefectSpec) -> list[Target]:
    area = max(spec.instance_px(scene.object_area_px), 1.0)
    return [Target(ring.at(index), area) for index in range(ring.parts)]


def _without_tooth(
    scene: Scene, ring: Ring, index: int, window: Window, drawn: RGB, foot_px: float, skew: float, ragged: Field | float
) -> RGB:
    """`drawn`, (h, w, 3) over the window, without a tooth, or with the lowest `foot_px` of it."""
    x, y = pixel_grid(window)
    dx, dy = x - ring.center_xy[0], y - ring.center_xy[1]
    radius = np.hypot(dx, dy)
    middle = ring.phase_rad + index * ring.pitch_rad
    off = np.mod(np.arctan2(dy, dx) - middle + np.pi, 2.0 * np.pi) - np.pi  # from the tooth's middle
    share = off / ring.pitch_rad  # -0.5..0.5 from the gap before to the gap behind
    high = ring.outer_px - ring.inner_px
    seen: list[RGB] = []
    for side in (-0.5, 0.5):
        there = side + _folded(share - side)
        angle = middle + there * ring.pitch_rad
        maps = ring.center_xy[0] + radius * np.cos(angle), ring.center_xy[1] + radius * np.sin(angle)
        seen.append(sample(scene.photo.rgb, *(one.astype(np.float32) for one in maps)))
    behind = np.clip(share / 0.4 + 0.5, 0.0, 1.0)[..., None]
    gap = seen[0] * (1.0 - behind) + seen[1] * behind
    soft = 1.0 + scene.blur_sigma_px
    edge = ring.inner_px + foot_px * (1.0 + skew * 2.0 * share) + ragged
    cover = np.clip((radius - edge) / soft + 0.5, 0.0, 1.0)
    tooth = scene.foreground[window.slices] & (np.abs(share) < 0.4) & (radius < ring.outer_px + _ASKEW * high)
    tip = max(float(radius[tooth].max(initial=0.0)), ring.outer_px)
    cover *= np.clip((tip + _ABOVE * high - radius) / (0.3 * high), 0.0, 1.0)
    cover *= np.clip((0.5 - np.abs(share)) / 0.04, 0.0, 1.0)
    return (drawn + (gap - drawn) * cover[..., None]).astype(np.float32)


def _folded(away: NDArray[np.floating]) -> Field:
    """-`_PLAIN`..`_PLAIN`: a way that turns back wherever it reaches an end."""
    return (np.abs(np.mod(away - _PLAIN, 4.0 * _PLAIN) - 2.0 * _PLAIN) - _PLAIN).astype(np.float32)


def _ball_in(scene: Scene, ring: Ring) -> tuple[float, float, float]:
    """(dx, dy) from the middle of a ring's part to that of its ball, and the ball's radius, pixels.

    Light falls on all balls alike, so they look alike where they are, while what lies around them is turned with the ring. The
    rim is the outermost place where light changes clearly from the middle outwards, in most directions.
    """
    pitch = (ring.inner_px + ring.outer_px) * float(np.sin(0.5 * ring.pitch_rad))
    reach = round(_SIZES[1] * pitch)
    grid = np.arange(-reach, reach + 1, dtype=np.float32)
    luma = np.asarray(cv2.GaussianBlur(scene.luma, (0, 0), 1.0), np.float32)
    places = [ring.at(index) for index in range(ring.parts)]
    looks = np.stack([_luma_at(luma, x + grid[None], y + grid[:, None]) for x, y in places])
    spread, mean = cv2.GaussianBlur(looks.std(axis=0), (0, 0), 0.05 * pitch + 0.5), looks.mean(axis=0)
    weight = np.clip(1.0 - spread / max(float(np.median(spread)), 1e-4), 0.0, None)
    weight *= np.hypot(grid[None], grid[:, None]) < reach
    total = max(float(weight.sum()), 1e-6)
    dx, dy = float((weight * grid[None]).sum()) / total, float((weight * grid[:, None]).sum()) / total
    radii = np.arange(_SIZES[0] * pitch, reach - float(np.hypot(dx, dy)), 0.5)
    if len(radii) < 3:
        return 0.0, 0.0, 0.3 * pitch
    angles = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    around = _luma_at(mean, reach + dx + radii[:, None] * np.cos(angles), reach + dy + radii[:, None] * np.sin(angles))
    clear = np.percentile(np.abs(np.diff(around, axis=0)), 35.0, axis=1)  # a mirrored lamp is seen in few directions
    return dx, dy, float(radii[int(np.flatnonzero(clear > _RIM * clear.max())[-1])]) + 0.5


def _luma_at(luma: Field, x: NDArray[np.floating], y: NDArray[np.floating]) -> Field:
    map_x, map_y = np.broadcast_arrays(x.astype(np.float32), y.astype(np.float32))
    return sample_linear(luma, np.ascontiguousarray(map_x), np.ascontiguousarray(map_y))
