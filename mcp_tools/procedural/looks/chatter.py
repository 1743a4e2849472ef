"""Chatter marks: parallel bands at even distances, that a vibrating wheel, cutter or roll left on what passed below it.

Physics: the tool swings at one frequency while the work moves evenly, so that all bands of a spell have one direction, one
length and one pitch, whatever else differs; the swing grows and dies away over the spell. They lie across the lines that the
tool leaves, seldom along them. Between two bands where the tool bit less it bit more: a weaker tone of the other sign.
"""

import re
from dataclasses import dataclass, replace

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.procedural.edit import Edit, Site
from anomalyagent.mcp_tools.procedural.geometry.shapes import fractal_noise, pixel_grid, smooth_step
from anomalyagent.mcp_tools.procedural.geometry.surface_fields import foreground_cover
from anomalyagent.mcp_tools.procedural.light.palette import fit_shift, log_ratio, measure_surroundings
from anomalyagent.mcp_tools.procedural.placement import Extent, turned_box

__all__ = ["Chatter", "names_chatter"]

_NAMES = re.compile(r"\b(?:chatter\w*|vibration (?:mark|line|band)s?)\b")
_BANDS = (4, 8)  # of one spell, where the spec asks for one mark
_DUTY = (0.38, 0.52)  # share of the pitch that a band takes
_PITCH_PX = 4.0  # finer ones are no bands
_ACROSS = 0.8  # chance that they lie across the lines of the surface
_CLEAR = 0.3  # coherence of lines that have a direction
_BETWEEN = 0.3  # tone between the bands, as a share of theirs


def names_chatter(prompt: str) -> bool:
    """True when the words speak of such marks."""
    return bool(_NAMES.search(plain(prompt)))


@dataclass(frozen=True)
class Chatter:
    """A mechanism that draws one spell of `count` bands, or of some where that is one."""

    count: int
    at_once: bool = True

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One spell. None where there is no room for two bands."""
        count = self.count if self.count > 1 else int(rng.integers(*_BANDS))
        duty = float(rng.uniform(*_DUTY))
        pitch = max(float(np.sqrt(site.area_px / (count * max(spec.elongation, 3.0)))) / duty, _PITCH_PX)
        length = site.area_px / (count * duty * pitch)
        angle = _direction(site, spec, rng)
        window = turned_box(site.scene, site.center_xy, Extent(1.5 * length, (count + 1) * pitch), angle)
        if min(window.shape) < 2 * _PITCH_PX:
            return None
        x, y = pixel_grid(window)
        dx, dy = x - site.center_xy[0], y - site.center_xy[1]
        along = (dx * np.cos(angle) + dy * np.sin(angle)) / (0.5 * length)
        at = (-dx * np.sin(angle) + dy * np.cos(angle)) / pitch
        at = at + 0.05 * fractal_noise(window.shape, max(0.7 * length, 8.0), rng, octaves=1)
        wave = np.cos(2.0 * np.pi * (at + 0.5 * (count % 2 == 0)))
        height = np.where(wave > 0.0, wave, _BETWEEN * wave)
        swing = rng.uniform(0.7, 1.1, count)[np.clip(np.floor(at + 0.5 * count), 0, count - 1).astype(int)]
        spell = smooth_step(np.asarray(0.5 * count + 0.1 - np.abs(at), np.float32) / 0.35)
        ends = float(rng.uniform(0.3, 0.9))
        reach = smooth_step((1.0 + 0.5 * ends - np.abs(along)).astype(np.float32) / ends)
        weight = height * swing * spell * reach * (1.0 + 0.12 * fractal_noise(window.shape, max(pitch, 4.0), rng))
        weight = (weight * foreground_cover(replace(site, window=window))).astype(np.float32)
        near = measure_surroundings(site)
        shift = spec.color_shift or (float(rng.uniform(6.0, 12.0)) * (1.0 if rng.random() < 0.5 else -1.0), 0.0, 0.0)
        change = log_ratio(near.lab, fit_shift(near, shift, spec.severity).shift, near.grey)
        return Edit(window=window, support=np.abs(weight) > 0.02, log_reflectance=weight[..., None] * change)


def _direction(site: Site, spec: DefectSpec, rng: np.random.Generator) -> float:
    """Direction of the bands, radians: the one asked for, or across the lines of the surface."""
    lines, coherence = site.scene.orientation_at(*site.center_xy)
    if spec.orientation_deg is not None or coherence < _CLEAR:
        return site.angle_rad
    return lines + (0.5 * np.pi if rng.random() < _ACROSS else 0.0) + float(rng.normal(0.0, 0.02))
