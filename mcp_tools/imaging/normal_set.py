"""The whole set of photos of good parts: what they have in common, how much each pixel varies, and which photo is unlike
the others.

Photos are compared on small copies, so that a set of thousands is measured in seconds; a fixed sample of it, evenly picked,
stands for the rest.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import ImageError
from anomalyagent.knowledge.planning import Traits
from anomalyagent.mcp_tools.imaging.arrays import Field, Lab, Mask
from anomalyagent.mcp_tools.imaging.color import lab_from_rgb
from anomalyagent.mcp_tools.imaging.foreground import find_foreground
from anomalyagent.mcp_tools.imaging.photo import MAX_PIXELS, MIN_SIDE_PX, Photo, read_photo
from anomalyagent.mcp_tools.imaging.repetition import autocorrelation
from anomalyagent.mcp_tools.imaging.silhouette import is_silhouette
from anomalyagent.mcp_tools.imaging.sizes import reduced

__all__ = ["Look", "is_blank", "look_of", "measure_set", "unlike_others"]

_MOST_PHOTOS = 24
_SIDE_PX = 96
_UNUSUAL = 6.0  # robust deviations


_FLAT = 2
"""Range of the values of each channel, in the steps of the file, up to which nothing is on a photo."""
_LOOK_PX = 32
_FEWEST, _MOST_MODELLED = 5, 512
"""Photos from which on one can be told to be unlike the others, and of how many their middle is taken."""

Look = NDArray[np.int8]
"""(32, 32, 3) CIELAB of a photo, rounded; L less 50."""


def is_blank(photo: Photo) -> bool:
    """Whether the photo is one colour all over, as from a covered lens: a camera's noise alone is more than that."""
    native = photo.native.reshape(*photo.shape, -1)[..., :3]
    return _is_flat(native[::16, ::16]) and _is_flat(native)  # a few pixels say no, only all of them say yes


def _is_flat(pixels: NDArray[Any]) -> bool:
    return int(np.ptp(pixels.reshape(-1, pixels.shape[-1]), axis=0).max()) <= _FLAT


def look_of(photo: Photo) -> Look:
    """A very small copy for `unlike_others`."""
    lab = lab_from_rgb(np.ascontiguousarray(reduced(photo.rgb, 256, 8)))
    small = cv2.resize(lab, (_LOOK_PX, _LOOK_PX), interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(small - (50.0, 0.0, 0.0)), -128, 127).astype(np.int8)


def unlike_others(looks: Sequence[Look]) -> list[int]:
    """Numbers of the photos that are far from the middle of the set; none in a set of a few photos or of many kinds."""
    if len(looks) < _FEWEST:
        return []
    some = np.unique(np.linspace(0, len(looks) - 1, min(len(looks), _MOST_MODELLED)).round().astype(int))
    model = np.stack([looks[i] for i in some]).astype(np.float32)
    median, spread = _middle(model)
    far = _far(np.array([(np.abs(look - median) / spread).mean() for look in looks], np.float32))
    return far if 10 * len(far) <= len(looks) + 10 else []


class _SetModel(NamedTuple):
    """Statistics of a set on small copies of its photos.

    Attributes:
        median, spread: (96, 96, 3) CIELAB of each pixel over the set, and its robust standard deviation.
        foreground: (96, 96) share of the photos that show the object there.
        distance: of each photo to the median, in robust standard deviations, mean over its pixels.
        names: the photos, in the order of `distance`.
    """

    median: Lab
    spread: Lab
    foreground: Field
    distance: NDArray[np.float32]
    names: list[str]


def measure_set(paths: Sequence[Path], *, max_pixels: int = MAX_PIXELS, min_side_px: int = MIN_SIDE_PX) -> Traits | None:
    """Traits of the photos at `paths`; files that cannot be read are left out. None when none can be read."""
    looked = _looked_at(paths, max_pixels, min_side_px)
    return None if looked is None else _traits(_model(looked), looked)


class _Looked(NamedTuple):
    names: list[str]
    lab: NDArray[np.float32]  # (n, 96, 96, 3)
    inside: NDArray[np.bool_]  # (n, 96, 96)
    surface: list[bool]
    pieces: list[int]
    silhouettes: list[bool]
    detail: list["_Detail"]
    grey: bool


class _Detail(NamedTuple):
    directional: float
    regular: float
    texture: float
    gloss: float


def _looked_at(paths: Sequence[Path], max_pixels: int, min_side_px: int) -> _Looked | None:
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, min(len(paths), _MOST_PHOTOS)).round().astype(int))]
    names, labs, insides, surfaces, details, greys = list[str](), list[Lab](), list[Mask](), list[bool](), list[_Detail](), []
    pieces, silhouettes = list[int](), list[bool]()
    for path in chosen:
        try:
            photo = read_photo(path, max_pixels=max_pixels, min_side_px=min_side_px)
        except ImageError:
            continue  # the import of the run tells about it
        if is_blank(photo):
            continue
        rgb = np.ascontiguousarray(reduced(photo.rgb, 256, 8))
        foreground = find_foreground(rgb)
        lab = lab_from_rgb(rgb)
        names.append(path.name)
        labs.append(_small(lab))
        insides.append(_small(foreground.astype(np.float32)) > 0.5)
        surfaces.append(bool(foreground.all()))
        pieces.append(_pieces(foreground))
        silhouettes.append(is_silhouette(lab, foreground))
        details.append(_detail(np.ascontiguousarray(lab[..., 0]), foreground))
        greys.append(photo.is_grey)
    if not names:
        return None
    return _Looked(names, np.stack(labs), np.stack(insides), surfaces, pieces, silhouettes, details, all(greys))


def _pieces(foreground: Mask) -> int:
    """Parts that lie apart; crumbs are none."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(foreground.astype(np.uint8), connectivity=8)
    areas = stats[1:count, cv2.CC_STAT_AREA]
    return int((4 * areas >= np.median(areas)).sum()) if count > 1 else 0


def _small(field: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(field, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA), np.float32)


def _detail(lightness: Field, inside: Mask) -> _Detail:
    """Fine texture of one photo inside the object."""
    fine = lightness - cv2.GaussianBlur(lightness, (0, 0), 3.0, borderType=cv2.BORDER_REFLECT)
    deep = cv2.erode(inside.astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=1).astype(np.bool_)
    deep = deep if np.count_nonzero(deep) > 200 else inside
    dx = cv2.Sobel(fine, cv2.CV_32F, 1, 0)
    dy = cv2.Sobel(fine, cv2.CV_32F, 0, 1)
    xx, yy, xy = float((dx * dx)[deep].mean()), float((dy * dy)[deep].mean()), float((dx * dy)[deep].mean())
    directional = float(np.hypot(xx - yy, 2.0 * xy)) / max(xx + yy, 1e-6)
    median, bright = np.percentile(lightness[inside], [50, 99.7]) if inside.any() else (50.0, 50.0)
    return _Detail(directional, _regularity(fine, inside), float(fine[deep].std()), float(bright - median))


def _regularity(fine: Field, inside: Mask) -> float:
    """Height of the second peak of the autocorrelation: near 1 for a mesh, near 0 for grain."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if rows.size < 32 or columns.size < 32:
        return 0.0
    patch = fine[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = patch.shape
    y0, x0 = height // 6, width // 6
    patch = patch[y0 : height - y0, x0 : width - x0]
    correlation = autocorrelation(patch - patch.mean())
    correlation /= max(float(correlation.max()), 1e-9)
    middle_y, middle_x = (size // 2 for size in patch.shape)
    y, x = np.mgrid[: patch.shape[0], : patch.shape[1]]
    away = np.hypot(y - middle_y, x - middle_x)
    # up to the first valley everything belongs to the central peak
    ring = [float(correlation[(away >= r) & (away < r + 1)].max()) for r in range(int(min(patch.shape) / 3))]
    valley = next((r for r in range(1, len(ring) - 1) if ring[r] < ring[r - 1] and ring[r] <= ring[r + 1]), None)
    return 0.0 if valley is None else float(np.clip(max(ring[valley:]), 0.0, 1.0))


def _model(looked: _Looked) -> _SetModel:
    median, spread = _middle(looked.lab)
    distance = (np.abs(looked.lab - median) / spread).mean(axis=(1, 2, 3)).astype(np.float32)
    return _SetModel(median, spread, looked.inside.mean(axis=0).astype(np.float32), distance, looked.names)


def _middle(lab: NDArray[np.float32]) -> tuple[Lab, Lab]:
    """Median of (n, H, W, 3) and its robust standard deviation."""
    median = np.median(lab, axis=0).astype(np.float32)
    return median, (1.4826 * np.median(np.abs(lab - median), axis=0) + 0.5).astype(np.float32)


def _far(distance: NDArray[np.float32]) -> list[int]:
    """Numbers of the photos whose distance to the middle is out of all proportion."""
    centre = float(np.median(distance))
    scale = 1.4826 * float(np.median(np.abs(distance - centre))) + 0.1
    return [i for i, away in enumerate(distance.tolist()) if away > centre + _UNUSUAL * scale]


def _traits(model: _SetModel, looked: _Looked) -> Traits:
    surface = sum(looked.surface) * 2 > len(looked.surface)
    inside = model.foreground > 0.5 if not surface else np.ones_like(model.foreground, np.bool_)
    lab = model.median[inside] if inside.any() else model.median.reshape(-1, 3)
    a, b = float(np.median(lab[:, 1])), float(np.median(lab[:, 2]))
    within = float(np.square(looked.lab[..., 0] - model.median[..., 0]).mean())
    between = float(model.median[..., 0].var())
    detail = np.median(np.array(looked.detail), axis=0)
    unusual = [model.names[i] for i in _far(model.distance)]
    return Traits(
        photos=len(looked.names),
        surface=surface,
        grey=looked.grey,
        aligned=round(between / max(between + within, 1e-6), 3) if len(looked.names) > 1 else 0.0,
        directional=round(float(detail[0]), 3),
        regular=round(float(detail[1]), 3),
        texture=round(float(detail[2]), 3),
        symmetry=round(_symmetry(np.ascontiguousarray(model.median[..., 0])), 3),
        gloss=round(float(detail[3]), 2),
        chroma=round(float(np.hypot(a, b)), 2),
        hue_deg=round(float(np.degrees(np.arctan2(b, a))) % 360.0, 1),
        pieces=int(np.median(looked.pieces)),
        silhouette=sum(looked.silhouettes) * 2 > len(looked.silhouettes),
        unusual=unusual,
    )


def _symmetry(lightness: Field) -> float:
    """Correlation of the mean photo with itself turned by 90 and by 180 degrees: the smaller of the two."""
    flat = (lightness - lightness.mean()).ravel()
    norm = max(float(flat @ flat), 1e-6)
    turned = [float(flat @ np.rot90(lightness - lightness.mean(), turns).ravel()) / norm for turns in (1, 2)]
    return float(np.clip(min(turned), 0.0, 1.0))
