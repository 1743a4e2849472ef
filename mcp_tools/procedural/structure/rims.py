"""Where on an object a piece can break out: its outline, or the rim of a hollow (mouth of a bottle, blind bore, recess).

A hollow is a large smooth compact region inside the object, of another brightness than the structured material around it.
It is found on a small copy of the photo, so the cost does not grow with the photo.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import Field, Mask
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.imaging.sizes import size_within
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.geometry.warp import sample_linear
from anomalyagent.mcp_tools.procedural.per_scene import once_per_scene

__all__ = ["Hollow", "Seat", "find_hollow", "find_seat"]

_COARSE_PX = 128
_SMOOTHER = 3.0  # structure outside, relative to inside a hollow
_MIN_STEP_L = 4.0
_AREA = (0.03, 0.6)  # of the object
_LEAST_OUTLINE_PX = 24
_ROUND = 0.9  # of what it and an ellipse cover together
_MOST_STEP_L = 12.0  # so that one gleam on the rim does not decide where it is


class Hollow(NamedTuple):
    """A hollow of the object, on a small copy of the photo.

    Attributes:
        inside: (h, w) bool.
        away: (h, w) pixels of the small copy to its rim, on either side.
        scale: small pixels per photo pixel.
        wall_px: photo pixels from the rim to the outer edge of the wall around the hollow.
        lightness: (h, w) float32 CIELAB L of the small copy.
    """

    inside: Mask
    away: Field
    scale: float
    wall_px: float
    lightness: Field

    @property
    def middle_xy(self) -> tuple[float, float]:
        """Centre of the hollow in the photo."""
        rows, columns = np.nonzero(self.inside)
        return (float(columns.mean()) + 0.5) / self.scale, (float(rows.mean()) + 0.5) / self.scale

    @property
    def radius_px(self) -> float:
        """Radius of the disc with the area of the hollow, photo pixels."""
        return float(np.sqrt(np.count_nonzero(self.inside) / np.pi)) / self.scale

    def nearness(self, x: float, y: float) -> float:
        """0..1: how near a point of the photo lies to the rim, on its solid side."""
        row, column = min(int(y * self.scale), self.away.shape[0] - 1), min(int(x * self.scale), self.away.shape[1] - 1)
        if self.inside[row, column]:
            return 0.0
        return float(np.exp(-((self.away[row, column] / (0.06 * _COARSE_PX)) ** 2)))

    def cover(self, window: Window) -> Field:
        """(h, w) 0..1 over a window of the photo: 1 inside the hollow, soft over about a pixel."""
        return np.clip(0.5 * self.depth(window) + 0.5, 0.0, 1.0).astype(np.float32)

    def depth(self, window: Window) -> Field:
        """(h, w) pixels of the photo to the rim, positive inside the hollow."""
        signed = (self.away * np.where(self.inside, 1.0, -1.0)).astype(np.float32)
        x0, y0 = window.x0 * self.scale - 0.5, window.y0 * self.scale - 0.5
        matrix = np.array([[self.scale, 0.0, x0], [0.0, self.scale, y0]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        fine = cv2.warpAffine(signed, matrix, window.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return (fine / self.scale).astype(np.float32)


class Seat(NamedTuple):
    """Where a piece sat.

    Attributes:
        center_xy: middle of the break; on the edge if there is one.
        angle_rad: direction of the edge there.
        impact_xy: point that was hit.
        on_outline: True at the outline of the object.
        hollow: what lies beyond the rim and stays as it is; None elsewhere.
    """

    center_xy: tuple[float, float]
    angle_rad: float
    impact_xy: tuple[float, float]
    on_outline: bool
    hollow: Hollow | None


@once_per_scene
def find_hollow(scene: Scene) -> Hollow | None:
    """The largest hollow of the object; None for plain objects and surfaces."""
    if scene.fills_frame:
        return None
    width = scene.photo.shape[1]
    size = size_within(scene.photo.shape, _COARSE_PX, 16)
    lightness = cv2.resize(np.ascontiguousarray(scene.lab[..., 0]), size, interpolation=cv2.INTER_AREA)
    solid = cv2.resize(scene.foreground.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    solid = cv2.erode(solid, np.ones((7, 7), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1).astype(np.bool_)
    if np.count_nonzero(solid) < 400:
        return None
    detail = lightness - cv2.blur(lightness, (5, 5))
    spread = cv2.sqrt(cv2.blur(detail * detail, (5, 5))) + 0.15
    levels = np.log(spread)
    low, high = np.percentile(levels[solid], [5, 95])
    if high - low < np.log(_SMOOTHER):
        return None
    coded = np.clip(255.0 * (levels - low) / (high - low), 0, 255).astype(np.uint8)
    level, _ = cv2.threshold(coded[solid].reshape(-1, 1), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    smooth = (solid & (coded <= level)).astype(np.uint8)
    smooth = cv2.morphologyEx(smooth, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(smooth, connectivity=4)
    if count < 2:
        return None
    main = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    inside = (labels == main).astype(np.uint8)
    share = float(stats[main, cv2.CC_STAT_AREA]) / np.count_nonzero(solid)
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.convexHull(contours[0])
    cv2.fillConvexPoly(inside, hull, 1)
    compact = float(stats[main, cv2.CC_STAT_AREA]) / max(float(inside.sum()), 1.0)
    # The filter saw structure up to two pixels inside the rim.
    inside = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))).astype(np.bool_)
    around = cv2.dilate(inside.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(np.bool_) & ~inside
    step = abs(float(np.median(lightness[inside]) - lightness[around].mean()))
    if not (_AREA[0] < share < _AREA[1] and compact > 0.8 and step > _MIN_STEP_L) or not solid[around].mean() > 0.8:
        return None
    tone = np.asarray(lightness, np.float32)
    signed = _rounded(tone, inside)
    inside, away = signed > 0, np.abs(signed)
    return Hollow(inside, away, size[0] / width, _wall(tone, solid & ~inside, away) * width / size[0], tone)


def _rounded(lightness: Field, inside: Mask) -> Field:
    """(h, w) pixels to the rim, positive inside: to the ellipse that it nearly is, else to the found border without steps."""
    outline = max(cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=cv2.contourArea)
    y, x = np.mgrid[: inside.shape[0], : inside.shape[1]].astype(np.float32)
    if len(outline) > _LEAST_OUTLINE_PX:
        found = _at_the_step(lightness, _Ellipse.of(outline), float(lightness[inside].mean()))
        ellipse = found.depth(x, y)
        if np.count_nonzero((ellipse > 0) & inside) > _ROUND * np.count_nonzero((ellipse > 0) | inside):
            return ellipse
    outer = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
    inner = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray(cv2.GaussianBlur(inner - outer, (0, 0), 1.5), np.float32)


class _Ellipse(NamedTuple):
    x: float
    y: float
    half_long: float
    half_wide: float
    turn_rad: float

    @classmethod
    def of(cls, outline: cv2.typing.MatLike) -> "_Ellipse":
        """Fitted to the outline of a mask; a pixel's border lies half a pixel beyond its middle."""
        (x, y), (first, second), degrees = cv2.fitEllipse(outline)
        return cls(x, y, 0.5 * first + 0.5, 0.5 * second + 0.5, float(np.radians(degrees)))

    def depth(self, x: Field, y: Field) -> Field:
        """About the pixels to the outline, positive inside."""
        cos, sin = np.float32(np.cos(self.turn_rad)), np.float32(np.sin(self.turn_rad))
        u, v = (x - self.x) * cos + (y - self.y) * sin, (y - self.y) * cos - (x - self.x) * sin
        out = np.sqrt((u / self.half_long) ** 2 + (v / self.half_wide) ** 2) + 1e-6
        steep = np.sqrt((u / self.half_long**2) ** 2 + (v / self.half_wide**2) ** 2) / out + 1e-6
        return np.asarray((1.0 - out) / np.maximum(steep, 0.5 / max(self.half_long, self.half_wide)), np.float32)


def _at_the_step(lightness: Field, ellipse: _Ellipse, own: float) -> _Ellipse:
    """The ellipse moved and grown by up to two pixels to where the tone steps most all around it."""
    around = np.linspace(0.0, 2.0 * np.pi, 96, endpoint=False)
    cos, sin = np.cos(ellipse.turn_rad), np.sin(ellipse.turn_rad)
    normal = np.stack([np.cos(around) * cos - np.sin(around) * sin, np.cos(around) * sin + np.sin(around) * cos])
    u, v = ellipse.half_long * np.cos(around), ellipse.half_wide * np.sin(around)
    rim = np.stack([ellipse.x + u * cos - v * sin, ellipse.y + u * sin + v * cos])

    def tone(points: NDArray[np.float64]) -> NDArray[np.float32]:
        x, y = points.astype(np.float32)
        return sample_linear(lightness, x, y)

    more = np.array([0.0, -1.0, 1.0, -2.0, 2.0])  # the first of equal ones stays
    moved = np.stack(np.meshgrid(more, more), axis=0).reshape(2, -1, 1)
    sign = 1.0 if float(tone((rim + 3.0 * normal)[:, None]).mean()) > own else -1.0

    def best_of(points: NDArray[np.float64]) -> int:
        """Of (2, candidates, 96) points, those across which the tone steps most."""
        step = sign * (tone(points + normal[:, None]) - tone(points - normal[:, None]))
        return int(np.minimum(step, _MOST_STEP_L).mean(axis=1).argmax())

    grown = float(more[best_of(rim[:, None] + more[None, :, None] * normal[:, None])])
    dx, dy = moved[:, best_of((rim + grown * normal)[:, None] + moved), 0]
    return _Ellipse(
        ellipse.x + float(dx), ellipse.y + float(dy), ellipse.half_long + grown, ellipse.half_wide + grown, ellipse.turn_rad
    )


def _wall(lightness: Field, around: Mask, away: Field) -> float:
    """Small pixels from the rim to the outer edge of the wall: the most marked line that runs around the hollow.

    Edges are averaged over all pixels equally far from the rim, so that only what follows the rim counts. The last quarter
    before the outline is left out, since the outline is no edge of the wall.
    """
    slope_x, slope_y = cv2.Sobel(lightness, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(lightness, cv2.CV_32F, 0, 1, ksize=3)
    bins = np.rint(away[around]).astype(int)
    counts = np.bincount(bins)
    marked = np.bincount(bins, np.hypot(slope_x, slope_y)[around]) / np.maximum(counts, 1)
    full = int(np.flatnonzero(counts > 0.25 * counts.max())[-1])
    smooth = np.convolve(np.pad(marked[: full + 1], 1, mode="edge"), [0.25, 0.5, 0.25], "valid")
    first = int(smooth[: max(full // 3, 2)].argmin())  # the rim's own edge ends there
    return float(first + int(smooth[first : max(int(0.75 * full), first + 1)].argmax()) + 1)


def find_seat(site: Site, spec: DefectSpec, rng: np.random.Generator) -> Seat:
    """Seat at the outline when the spec or the place asks for it, else at the rim of a hollow nearby, else inside."""
    x, y = site.center_xy
    radius = float(np.sqrt(site.area_px / np.pi))
    depth = float(site.scene.depth_px[round(y), round(x)])
    fixed = spec.orientation_deg is not None
    hollow = None if spec.zone == "edge" else find_hollow(site.scene)
    if hollow is not None:
        found = _rim_point(hollow, x, y)
        gap = float(np.hypot(found[0] - x, found[1] - y))
        if gap < 1.8 * radius + 6.0 and gap < 2.5 * depth:
            angle = _along(hollow.away * np.where(hollow.inside, -1.0, 1.0), found[0] * hollow.scale, found[1] * hollow.scale)
            slide = float(rng.normal(0.0, 0.3 * radius))
            impact = (found[0] + slide * float(np.cos(angle)), found[1] + slide * float(np.sin(angle)))
            return Seat(found, site.angle_rad if fixed else angle, impact, False, hollow)
    if spec.zone == "edge" or depth < radius:
        point = _descend(site.scene.depth_px, round(x), round(y))
        return Seat(point, site.angle_rad if fixed else _along(site.scene.depth_px, *point), point, True, None)
    impact = (x + float(rng.normal(0.0, 0.3 * radius)), y + float(rng.normal(0.0, 0.3 * radius)))
    return Seat((x, y), site.angle_rad, impact, False, None)


def _rim_point(hollow: Hollow, x: float, y: float) -> tuple[float, float]:
    """Point (x, y) of the photo on the rim, nearest to a given one."""
    rows, columns = np.nonzero(hollow.inside & (hollow.away <= 1.5))
    nearest = int(((columns - x * hollow.scale) ** 2 + (rows - y * hollow.scale) ** 2).argmin())
    return (float(columns[nearest]) + 0.5) / hollow.scale, (float(rows[nearest]) + 0.5) / hollow.scale


def _descend(depth: Field, column: int, row: int) -> tuple[float, float]:
    """Point (x, y) of the outline reached by walking down the distance field."""
    for _ in range(sum(depth.shape)):
        here = depth[row, column]
        if here <= 1.0:
            break
        rows, columns = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
        around = depth[rows, columns]
        down, right = np.unravel_index(int(around.argmin()), around.shape)
        if around[down, right] >= here:
            break
        row, column = rows.start + int(down), columns.start + int(right)
    return float(column), float(row)


def _along(distance: Field, x: float, y: float) -> float:
    """Direction of the level lines of a distance field at a point."""
    row, column = int(y), int(x)
    patch = distance[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5]
    dy, dx = (float(part.mean()) for part in np.gradient(patch))
    return float(np.arctan2(dx, -dy))
