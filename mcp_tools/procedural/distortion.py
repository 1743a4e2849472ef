"""Structure out of order: teeth squeezed together, rows that part, a weave pushed aside.

The photo's own pixels are moved; where rows part one sees what lies beside them. The structure's axis is the direction in
which it repeats. Only for places where there is something to be moved: on a plain surface nothing would be seen.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.mcp_tools.imaging.arrays import Field
from anomalyagent.mcp_tools.imaging.repetition import autocorrelation, find_shifts
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.procedural.components import around
from anomalyagent.mcp_tools.procedural.cutout import edit_of_drawn
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.mechanisms import bend
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene
from anomalyagent.mcp_tools.procedural.shapes import pixel_grid
from anomalyagent.mcp_tools.procedural.warp import push_map, sample

__all__ = ["Distorted", "named_distortion"]

Kind = Literal["squeezed", "parted", "pushed"]

_NAMES: dict[Kind, re.Pattern[str]] = {
    "parted": re.compile(r"\b(?:split|gaping|apart|unzipped|separated|not meshed|opened (?:chain|seam|row)s?)\b"),
    "squeezed": re.compile(r"\b(?:squeezed|squashed|pinched|compressed|crushed|pressed together)\b"),
    "pushed": re.compile(r"\b(?:distort\w*|misalign\w*|waviness|wavy|skewed|out of line|displaced)\b"),
}
_REPEATED = re.compile(
    r"\b(?:teeth|tooth|chain|zip\w*|weav\w*|woven|yarns?|rovings?|stitch\w*|seams?|rows?|braid\w*|knit\w*|elements)\b"
)
_SEARCH_PX = 256
_CORRELATED = 0.2  # least height of a peak of the autocorrelation, of the highest one's
_BUSY_PX = 3.0  # on that copy: over how far structure is averaged
_LEAST = 0.35  # of the busiest place: less structure is none
_PLAIN, _ABOVE_NOISE = 0.03, 5.0  # luma 0..1, and in multiples of the noise: what deviates less is no structure
_BEYOND = 1.2  # of half the structure's width: so far out rows that part push what is beside them
_SLIM = 0.3  # of half its length: how wide a gap opens to each side at the most
_TIGHT = (0.3, 0.55)  # how much closer things come where they are squeezed; above 1.3 the map would fold
_SEEN = 0.45  # share of a moved area in which the change can be seen


def named_distortion(prompt: str) -> Kind | None:
    """What the words say of a structure of many alike elements; None when they speak of something else."""
    words = plain(prompt)
    if not _REPEATED.search(words):
        return None
    return next((kind for kind, names in _NAMES.items() if names.search(words)), None)


@dataclass(frozen=True)
class Distorted:
    """A mechanism that puts a structure out of order."""

    kind: Kind

    def suitability(self, scene: Scene, spec: DefectSpec) -> Callable[[float, float], float]:
        """Where there is structure."""
        del spec
        busy = _busy(scene)
        scale_y, scale_x = (part / whole for part, whole in zip(busy.shape, scene.photo.shape, strict=True))

        def prefers(x: float, y: float) -> float:
            row, column = min(int(y * scale_y), busy.shape[0] - 1), min(int(x * scale_x), busy.shape[1] - 1)
            return float(busy[row, column])

        return prefers

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One place; on a plain one a crease."""
        scene = site.scene
        if self.suitability(scene, spec)(*site.center_xy) < _LEAST:
            return bend.render(site, spec, rng)
        long = float(rng.uniform(1.2, 2.0)) if self.kind != "squeezed" else float(rng.uniform(0.8, 1.4))
        across_px = max(float(np.sqrt(site.area_px / (_SEEN * np.pi * long))), 6.0)
        along_px = long * across_px
        x, y = (int(value) for value in site.center_xy)
        window = around(Window(y, x, y + 1, x + 1), 3.0 * max(along_px, across_px) + 3.0, scene.photo.shape)
        axis = _axis(scene, site.center_xy, 2.0 * along_px)
        if self.kind == "pushed":
            return _push(site, window, axis, along_px, across_px, rng)
        site, half_px = _on_middle(site, axis)
        if self.kind == "squeezed":
            return _squeeze(site, window, axis, along_px, across_px, spec, rng)
        return _part(site, window, axis, along_px, max(across_px, _BEYOND * half_px), rng)


@once_per_scene
def _busy(scene: Scene) -> Field:
    """Structure on a small copy, about 0..1 of the busiest place of the object; near 0 where all of it is plain."""
    luma = reduced(np.ascontiguousarray(scene.luma), _SEARCH_PX)
    inside = reduced(scene.foreground.astype(np.uint8) * 255, _SEARCH_PX) > 127
    deep = cv2.erode(inside.astype(np.uint8), np.ones((9, 9), np.uint8), borderValue=1).astype(np.float32)  # no outline
    fine = luma - cv2.GaussianBlur(luma, (0, 0), 4.0 * _BUSY_PX)
    power = cv2.GaussianBlur((fine**2 * deep).astype(np.float32), (0, 0), 2.0 * _BUSY_PX)
    busy = np.sqrt(np.maximum(power, 0.0))
    typical = float(np.percentile(busy[inside], 99)) if inside.any() else 0.0
    return (busy / max(typical, _PLAIN, _ABOVE_NOISE * scene.noise_sigma)).astype(np.float32)


def _axis(scene: Scene, center_xy: tuple[float, float], reach_px: float) -> NDArray[np.float32]:
    """(2,) unit vector (x, y) in which the structure around a place repeats soonest."""
    x, y = (int(value) for value in center_xy)
    window = around(Window(y, x, y + 1, x + 1), max(reach_px, 24.0), scene.photo.shape)
    luma = reduced(np.ascontiguousarray(scene.luma[window.slices]), 128)
    correlation = autocorrelation(np.asarray(luma - cv2.GaussianBlur(luma, (0, 0), 8.0), np.float32)).astype(np.float32)
    shifts = find_shifts(correlation, _CORRELATED * correlation.max()).xy
    lengths = np.linalg.norm(shifts, axis=1)
    repeats = lengths > 2.0
    if not repeats.any():
        angle = scene.orientation_at(*center_xy)[0] + 0.5 * np.pi
        return np.array([np.cos(angle), np.sin(angle)], np.float32)
    nearest = shifts[repeats][lengths[repeats].argmin()]
    return (nearest / np.linalg.norm(nearest)).astype(np.float32)


def _on_middle(site: Site, axis: NDArray[np.float32]) -> tuple[Site, float]:
    """The site moved square to the axis to the middle of the structure (rows part where they meet), and half its width.

    The site itself and 0 where the structure goes on as far as one looks.
    """
    busy = _busy(site.scene)
    height, width = site.scene.photo.shape
    x0, y0, x1, y1 = site.scene.box_xyxy
    reach = 0.5 * min(x1 - x0, y1 - y0)
    aside = np.array([-axis[1], axis[0]])
    steps = np.arange(-reach, reach + 1.0)
    at = np.array(site.center_xy) + steps[:, None] * aside
    columns = (at[:, 0] * busy.shape[1] / width).astype(int).clip(0, busy.shape[1] - 1)
    rows = (at[:, 1] * busy.shape[0] / height).astype(int).clip(0, busy.shape[0] - 1)
    plain_at = np.flatnonzero(busy[rows, columns] < _LEAST)
    before, after = plain_at[steps[plain_at] < 0.0], plain_at[steps[plain_at] > 0.0]
    if not before.size or not after.size:
        return site, 0.0
    low, high = float(steps[before[-1]]), float(steps[after[0]])
    x, y = np.array(site.center_xy) + 0.5 * (low + high) * aside
    return replace(site, center_xy=(float(np.clip(x, 0, width - 1)), float(np.clip(y, 0, height - 1)))), 0.5 * (high - low)


def _offsets(site: Site, window: Window, axis: NDArray[np.float32]) -> tuple[Field, Field]:
    """How far each pixel lies along the axis and square to it, from the site's middle."""
    x, y = pixel_grid(window)
    dx, dy = x - site.center_xy[0], y - site.center_xy[1]
    return (dx * axis[0] + dy * axis[1]).astype(np.float32), (dy * axis[0] - dx * axis[1]).astype(np.float32)


def _moved(site: Site, axis: NDArray[np.float32], along: Field, across: Field) -> tuple[Field, Field]:
    """Maps (x, y) that show what lies at (along, across) of the site's middle."""
    x = site.center_xy[0] + along * axis[0] - across * axis[1]
    y = site.center_xy[1] + along * axis[1] + across * axis[0]
    return x.astype(np.float32), y.astype(np.float32)


def _fade(along: Field, across: Field, along_px: float, across_px: float) -> Field:
    """1 in the middle, 0 from the reach on, smooth."""
    near = np.clip(1.0 - (along / along_px) ** 2 - (across / across_px) ** 2, 0.0, 1.0)
    return (near**2).astype(np.float32)


def _push(
    site: Site, window: Window, axis: NDArray[np.float32], along_px: float, across_px: float, rng: np.random.Generator
) -> Edit:
    far = float(rng.uniform(0.25, 0.4)) * across_px * float(rng.choice([-1.0, 1.0]))
    shift = np.array([-axis[1], axis[0]]) * far
    at = np.array(site.center_xy) + shift - np.array([window.x0, window.y0])
    center, push = (float(at[0]), float(at[1])), (float(shift[0]), float(shift[1]))
    x, y = push_map(window.shape, center, push, across_px, along_px / across_px)
    return edit_of_drawn(site, window, sample(np.ascontiguousarray(site.scene.photo.rgb[window.slices]), x, y))


def _squeeze(
    site: Site,
    window: Window,
    axis: NDArray[np.float32],
    along_px: float,
    across_px: float,
    spec: DefectSpec,
    rng: np.random.Generator,
) -> Edit:
    along, across = _offsets(site, window, axis)
    weight = _fade(along, across, along_px, across_px)
    tight = float(np.clip(0.2 + 0.025 * spec.severity, *_TIGHT))
    tilt = float(rng.uniform(0.05, 0.22)) * float(rng.choice([-1.0, 1.0]))  # what is pressed gives way to one side
    moved = _moved(site, axis, (along * (1.0 + tight * weight) + tilt * across * weight).astype(np.float32), across)
    return edit_of_drawn(site, window, sample(site.scene.photo.rgb, *moved))


def _part(
    site: Site, window: Window, axis: NDArray[np.float32], along_px: float, across_px: float, rng: np.random.Generator
) -> Edit:
    """Two sides of the axis bulge apart over a stretch; in the gap one sees what lies beside the structure."""
    along, across = _offsets(site, window, axis)
    bow = np.clip(1.0 - (along / along_px) ** 2, 0.0, 1.0) ** 2
    gap = min(float(rng.uniform(0.25, 0.42)) * across_px, _SLIM * along_px) * bow
    side = np.abs(across)
    # beyond the gap what was at the axis, at the reach what was there before
    source = np.where(side < across_px, (side - gap) * across_px / np.maximum(across_px - gap, 1.0), side)
    rgb = site.scene.photo.rgb
    moved = sample(rgb, *_moved(site, axis, along, (np.sign(across) * np.maximum(source, 0.0)).astype(np.float32)))
    beside = float(rng.choice([-1.0, 1.0])) * 1.1 * across_px
    behind = sample(rgb, *_moved(site, axis, along, across + np.float32(beside)))
    soft = 1.0 + site.scene.blur_sigma_px
    inside = np.clip((gap - side) / soft + 0.5, 0.0, 1.0) * (gap > 0.5)
    shade = 1.0 - 0.25 * np.clip((side / np.maximum(gap, 1.0)), 0.0, 1.0)  # darkest below the edges
    drawn = moved * (1.0 - inside[..., None]) + behind * (inside * shade)[..., None]
    return edit_of_drawn(site, window, drawn.astype(np.float32))
