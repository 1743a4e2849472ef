"""Faults of etched copper: a track that is interrupted, bitten or has a spur, copper between tracks, a pad without its hole.

Etching decides only where copper is: a fault shows the tone of the laminate beside it where copper is lacking, and that of
the copper beside it where there is too much. It sits on a track, at its border or between two of them, as its kind has it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.knowledge.words.lexer import plain
from anomalyagent.knowledge.words.quoted_type import quoted_type
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Edit, Site, Window
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_distance, fractal_noise, pixel_grid
from anomalyagent.mcp_tools.procedural.geometry.windows import around_point
from anomalyagent.mcp_tools.procedural.structure.tracks import Tracks, find_tracks

__all__ = ["Etched", "etched_board", "named_etching"]

_BOARD = re.compile(
    r"\b(?:pcbs?|(?:circuit|printed|wiring|bare|copper|conductor) boards?|copper|conductors?|tracks?|traces?|mouse ?bites?)\b"
)
_MOST_GAP = 3.0  # times the size that is asked for: two tracks farther apart are not joined
_NEXT = 12.0  # median half widths to the next track: what lies farther away is no neighbour
_PLACES = 60  # nearest points of middle lines that are tried
_WIDEST_BITE = 1.5  # half widths of its track: the radius of the largest notch
_LEFT = 0.25  # least share of its width that a bitten track keeps
_LONGEST = 5.0  # half widths of its track that a fault is long at the most: what is larger is no fault of etching
_FREE = 0.75  # of the way to the next copper: where a spur ends at the latest


class _Point(NamedTuple):
    """A point on the middle line of a track: (x, y), unit vectors along it and square to it, half its width."""

    xy: NDArray[np.float32]
    run: NDArray[np.float32]
    rise: NDArray[np.float32]
    half_px: float


class _Change(NamedTuple):
    """What a fault covers over a window, signed distance to its outline (positive inside), and whether copper is there now."""

    window: Window
    inside_px: Field
    adds: bool


@dataclass(frozen=True)
class Etched:
    """A mechanism that draws one kind of fault into the copper of `tracks`."""

    tracks: Tracks
    kind: str

    def render(self, site: Site, spec: DefectSpec, rng: np.random.Generator) -> Edit | None:
        """One fault at the fitting place that is nearest to the site. None when there is none."""
        del spec  # how strong it is follows from the two tones
        change = _KINDS[self.kind](self.tracks, site, rng)
        if change is None:
            return None
        soft = 1.0 + site.scene.blur_sigma_px
        sure = (self.tracks.inside_px if change.adds else self.tracks.outside_px)[change.window.slices] > soft
        paint = _tone(site, change.window, sure, self.tracks, adds=change.adds)
        cover = np.clip(0.5 + change.inside_px, 0.0, 1.0).astype(np.float32)
        return Edit(
            window=change.window,
            support=cover > 0.01,
            paint=paint,
            opacity=cover,
            strength_fixed=True,
            size_fixed=self.kind == "filled",
            off_object=True,
        )


def etched_board(scene: Scene, prompt: str) -> Etched | None:
    """What draws the fault in etched copper that the prompt names; None: it names none, or the photo shows no place for it."""
    kind = named_etching(prompt)
    tracks = None if kind is None else find_tracks(scene)
    if kind is None or tracks is None or (kind == "filled" and not len(tracks.hole_xy)):
        return None
    return Etched(tracks, kind)


def named_etching(prompt: str) -> str | None:
    """The kind of fault in etched copper that the prompt names; None: no board, or nothing known here.

    The anomaly type, which stands in quotes, is read first.
    """
    quoted = quoted_type(prompt)
    said = plain(prompt)
    if not _BOARD.search(said):
        return None
    words = said if quoted is None else plain(quoted)
    if "solder" in words:  # it lies on the copper
        return None
    return next((kind for pattern, kind in _WORDS if re.search(rf"\b(?:{pattern})\b", words)), None)


def _open(tracks: Tracks, site: Site, rng: np.random.Generator) -> _Change | None:
    """A stretch of a track is gone, with rounded or slanted ends."""
    for point in _points(tracks, site):
        gap = float(np.clip(0.5 * site.area_px / point.half_px, point.half_px, _LONGEST * point.half_px))
        window = around_point(point.xy, 0.5 * gap + 4.0 * point.half_px + 6.0, site.scene.photo.shape)
        ahead, aside = _along(window, point)
        slanted = np.abs(ahead + np.float32(rng.uniform(-0.4, 0.4)) * aside)
        round_px = np.float32(rng.uniform(-0.35, 0.35) / point.half_px) * np.square(aside)
        ends = 0.5 * gap - slanted + np.clip(round_px, -point.half_px, point.half_px)
        ends = ends + np.float32(0.1 * point.half_px) * fractal_noise(window.shape, max(point.half_px, 2.0), rng)
        across = point.half_px + 1.5 + 2.0 * site.scene.blur_sigma_px - np.abs(aside)
        return _Change(window, np.minimum(ends, across).astype(np.float32), adds=False)
    return None


def _bite(tracks: Tracks, site: Site, rng: np.random.Generator) -> _Change | None:
    """A rounded notch in the border of a track, which leaves some of its width."""
    for point in _points(tracks, site):
        radius = min(float(np.sqrt(2.0 * site.area_px / np.pi)), _WIDEST_BITE * point.half_px)
        deep = min(radius, 2.0 * (1.0 - _LEFT) * point.half_px * float(rng.uniform(0.6, 1.0)))
        side = float(rng.choice([-1.0, 1.0]))
        center = point.xy + np.float32(side * (point.half_px + 0.1 * deep)) * point.rise
        window = around_point(center, 1.6 * radius**2 / max(deep, 1.0) + 4.0, site.scene.photo.shape)
        outline = blob_distance(
            window,
            (float(center[0]), float(center[1])),
            np.pi * radius**2,
            rng,
            elongation=float(np.clip((radius / deep) ** 2, 1.0, 2.0)),
            angle_rad=float(np.arctan2(point.run[1], point.run[0])),
            lobes=0.15,
            roughness=0.08,
        )
        rest = side * _along(window, point)[1] + (2.0 * (1.0 - _LEFT) - 1.0) * point.half_px
        return _Change(window, np.minimum(outline, rest).astype(np.float32), adds=False)
    return None


def _spur(tracks: Tracks, site: Site, rng: np.random.Generator) -> _Change | None:
    """A thorn of copper at the border of a track, which does not reach the next one."""
    for point in _points(tracks, site):
        side = float(rng.choice([-1.0, 1.0]))
        free = _way_to_copper(tracks, point, side, 6.0 * float(np.sqrt(site.area_px)) + 4.0)
        if free is None:
            continue
        length = min(float(np.sqrt(site.area_px * rng.uniform(0.8, 2.2))), _FREE * free, _LONGEST * point.half_px)
        if length < 2.0:
            continue
        taper = float(rng.uniform(0.4, 1.2))
        base = min(0.5 * site.area_px * (taper + 1.0) / length, length, 0.4 * _LONGEST * point.half_px)
        window = around_point(point.xy, 1.5 * (length + base) + point.half_px + 4.0, site.scene.photo.shape)
        ahead, aside = _along(window, point)
        out = np.float32(side) * aside - point.half_px
        left = np.clip(1.0 - out / length, 0.0, 1.3)
        lean = np.float32(rng.uniform(-0.5, 0.5))
        wobble = np.float32(0.07 * base) * fractal_noise(window.shape, max(base, 2.0), rng)
        flank = base * left**taper - np.abs(ahead - lean * np.maximum(out, 0.0)) + wobble
        within = np.minimum(length - out, out + 0.8 * point.half_px)
        return _Change(window, np.minimum(flank, within).astype(np.float32), adds=True)
    return None


def _short(tracks: Tracks, site: Site, rng: np.random.Generator) -> _Change | None:
    """A bridge of copper from one track to the next."""
    farthest = min(_MOST_GAP * float(np.sqrt(site.area_px)), _NEXT * tracks.typical_px) + 4.0
    for point in _points(tracks, site):
        side = float(rng.choice([-1.0, 1.0]))
        gap = _way_to_copper(tracks, point, side, farthest)
        if gap is None or gap >= farthest:
            continue
        half = float(np.clip(0.5 * site.area_px / gap, max(0.4 * point.half_px, 0.8), 0.5 * _LONGEST * point.half_px))
        window = around_point(point.xy, gap + 2.0 * half + 2.0 * point.half_px + 4.0, site.scene.photo.shape)
        ahead, aside = _along(window, point)
        out = np.float32(side) * aside - point.half_px
        flare = 0.85 + np.float32(rng.uniform(0.1, 0.6)) * np.square(np.clip(2.0 * out / gap - 1.0, -1.2, 1.2))
        lean = np.float32(rng.uniform(-0.3, 0.3))
        wobble = np.float32(0.07 * half) * fractal_noise(window.shape, max(half, 2.0), rng)
        flank = half * flare - np.abs(ahead - lean * out) + wobble
        within = np.minimum(gap + 0.8 * point.half_px + 1.0 - out, out + 0.8 * point.half_px)
        return _Change(window, np.minimum(flank, within).astype(np.float32), adds=True)
    return None


def _island(tracks: Tracks, site: Site, rng: np.random.Generator) -> _Change | None:
    """A patch of copper on free laminate."""
    return _patch(tracks, tracks.outside_px, site, rng, adds=True)


def _pinhole(tracks: Tracks, site: Site, rng: np.random.Generator) -> _Change | None:
    """A small opening within the copper."""
    return _patch(tracks, tracks.inside_px, site, rng, adds=False)


def _filled(tracks: Tracks, site: Site, _rng: np.random.Generator) -> _Change | None:
    """A drilled hole that is not there."""
    if not len(tracks.hole_xy):
        return None
    away = np.square(tracks.hole_xy - np.array(site.center_xy, np.float32)).sum(axis=1)
    index = int(away.argmin())
    xy = tracks.hole_xy[index]
    window = around_point(xy, 3.0 * float(np.sqrt((tracks.holes == index + 1).sum())) + 6.0, site.scene.photo.shape)
    hole = (tracks.holes[window.slices] == index + 1).astype(np.uint8)
    beyond = cv2.distanceTransform(1 - hole, cv2.DIST_L2, 5)
    return _Change(window, (2.0 + 2.0 * site.scene.blur_sigma_px - beyond).astype(np.float32), adds=True)


def _patch(tracks: Tracks, room_px: Field, site: Site, rng: np.random.Generator, *, adds: bool) -> _Change | None:
    """A blob where there is room for it, nearest to the site; smaller where room is scarce."""
    allowed = site.scene.legal
    room = room_px if allowed is None else room_px * allowed
    radius = min(float(np.sqrt(site.area_px / np.pi)), _LONGEST * tracks.typical_px, 0.6 * float(room.max()) - 0.5)
    if radius < 1.0:
        return None
    y, x = np.nonzero(room >= 1.35 * radius + 1.0)
    if not len(x):
        return None
    nearest = int(((x - site.center_xy[0]) ** 2 + (y - site.center_xy[1]) ** 2).argmin())
    center = np.array([x[nearest], y[nearest]], np.float32)
    window = around_point(center, 3.0 * radius + 4.0, site.scene.photo.shape)
    outline = blob_distance(
        window,
        (float(center[0]), float(center[1])),
        np.pi * radius**2,
        rng,
        elongation=float(rng.uniform(1.0, 1.8)),
        angle_rad=site.angle_rad,
        lobes=float(rng.uniform(0.1, 0.3)),
        roughness=0.1,
    )
    return _Change(window, np.minimum(outline, room_px[window.slices] - 1.0).astype(np.float32), adds=adds)


def _points(tracks: Tracks, site: Site) -> Iterator[_Point]:
    """Points on middle lines of tracks, legal ones, the nearest to the site first."""
    away = np.square(tracks.middle_xy - np.array(site.center_xy, np.float32)).sum(axis=1)
    for index in np.argsort(away, kind="stable")[:_PLACES]:
        xy = tracks.middle_xy[index]
        if site.scene.legal is not None and not site.scene.legal[int(xy[1]), int(xy[0])]:
            continue
        run = tracks.run_at(int(index))
        yield _Point(xy, run, np.array([-run[1], run[0]], np.float32), float(tracks.half_px[index]))


def _way_to_copper(tracks: Tracks, point: _Point, side: float, most_px: float) -> float | None:
    """Pixels of free laminate square to a track, `most_px` at the most; None where the track has no laminate beside it."""
    at = np.arange(0.0, most_px + point.half_px + 3.0)
    x, y = (point.xy[axis] + side * at * point.rise[axis] for axis in (0, 1))
    height, width = tracks.copper.shape
    seen = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    copper = tracks.copper[np.rint(y[seen]).astype(int), np.rint(x[seen]).astype(int)]
    bare = np.flatnonzero(~copper)
    if not bare.size or bare[0] > point.half_px + 2.5:
        return None
    beyond = np.flatnonzero(copper[bare[0] :])
    return float(beyond[0]) if beyond.size else most_px


def _along(window: Window, point: _Point) -> tuple[Field, Field]:
    """Distances along the track and square to it, pixels."""
    x, y = pixel_grid(window)
    dx, dy = x - point.xy[0], y - point.xy[1]
    ahead, aside = (dx * one[0] + dy * one[1] for one in (point.run, point.rise))
    return ahead.astype(np.float32), aside.astype(np.float32)


def _tone(site: Site, window: Window, sure: Mask, tracks: Tracks, *, adds: bool) -> NDArray[np.float32]:
    """(h, w, 3): the tone of copper or of laminate, as what lies near shows it."""
    rgb = site.scene.photo.rgb[window.slices]
    if not sure.any():
        deep = tracks.inside_px if adds else tracks.outside_px
        whole = deep >= min(2.0, float(deep.max()))
        return np.broadcast_to(np.median(site.scene.photo.rgb[whole], axis=0), rgb.shape).astype(np.float32)
    sigma = max(3.0 * tracks.typical_px, 4.0)
    weight = cv2.GaussianBlur(sure.astype(np.float32), (0, 0), sigma)[..., None]
    mean = rgb[sure].mean(axis=0)
    known = cv2.GaussianBlur(((rgb - mean) * sure[..., None]).astype(np.float32), (0, 0), sigma)
    return np.clip(mean + known / np.maximum(weight, 0.02), 0.0, 1.0).astype(np.float32)


_KINDS: Final[dict[str, Callable[[Tracks, Site, np.random.Generator], _Change | None]]] = {
    "open": _open,
    "bite": _bite,
    "spur": _spur,
    "short": _short,
    "island": _island,
    "pinhole": _pinhole,
    "filled": _filled,
}
_NOUN = r"(?=$|[^\w ]| (?:between|to|from|on|of|at|in|across)\b)"  # "a short cut" is none
_WORDS: Final = (
    (r"missing (?:holes?|vias?|drills?)|holes? missing|no hole|without (?:a |its )?hole|undrilled", "filled"),
    (r"mouse ?bites?|bitten|nibbled|notch(?:es)?|nicks?|bites?|narrowed", "bite"),
    (
        rf"opens?{_NOUN}|open (?:circuits?|traces?|tracks?)"
        r"|(?:broken|interrupted|cut|severed|disconnected) (?:copper|tracks?|traces?|conductors?)"
        r"|(?:trace|track|conductor) (?:gap|break)|break in the (?:line|track|trace|conductor)",
        "open",
    ),
    (r"pin ?holes?", "pinhole"),
    (r"spurious|islands?|(?:excess|extra|residual|unetched|leftover|stray|isolated) copper|copper residue", "island"),
    (r"spurs?|protrusions?|spikes?|thorns?|outgrowths?|whiskers?", "spur"),
    (rf"shorts?{_NOUN}|short circuits?|shorted|bridg\w+|unwanted connection|touching", "short"),
)
