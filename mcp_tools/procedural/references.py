"""Real defects that a user has, with their masks: read and measured, and the ranges in which the renderers then draw.

    <dir>/test/<type>/<stem>.png  +  <dir>/ground_truth/<type>/<stem>_mask.png      MVTec layout, or
    <dir>/[<type>/]<stem>.png     +  <dir>/[<type>/]<stem>_mask.png                 an image and its mask side by side

A donor is the defect and the surface around it; `real_defect.py` transplants it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.errors import ImageError
from anomalyagent.knowledge.cards import Priors
from anomalyagent.knowledge.names import plain_name
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import ciede2000, just_noticeable_difference, lab_from_rgb
from anomalyagent.mcp_tools.imaging.foreground import find_foreground
from anomalyagent.mcp_tools.imaging.inpainting import continue_smoothly
from anomalyagent.mcp_tools.imaging.measures import depth_below_outline
from anomalyagent.mcp_tools.imaging.photo import Photo, read_mask, read_own_photo
from anomalyagent.mcp_tools.imaging.suffixes import is_image_name

__all__ = [
    "Donor",
    "Pair",
    "ToOutline",
    "check_references",
    "choose_donor",
    "find_pairs",
    "load_references",
    "measure_donor",
    "of_type",
    "priors_of",
    "to_outline",
]

_MARGIN = 0.35
_MOST = 400
_MIDDLE = 0.9  # so deep that no outline is nearest
_MIN_SLOPE = 0.3  # of the depth, 1 where one outline is near
_NO_DEFECT = "{} holds no defect with a mask: expected <stem>.png with <stem>_mask.png beside it, or MVTec layout."


class ToOutline(NamedTuple):
    """How something lies to the outline of its object.

    Attributes:
        depth: below the outline, 0..1 of the deepest point.
        outward_rad: direction to the outline, image coordinates; None in the middle, where all directions are alike.
    """

    depth: float
    outward_rad: float | None


@dataclass(frozen=True, eq=False)
class Donor:
    """One real defect, cut out.

    Attributes:
        anomaly_type: folder that it lay in; empty when there was none.
        rgb: (h, w, 3) sRGB 0..1 of the box around it.
        ground: (h, w, 3) the surface as it would be without it, continued from around it.
        mask: (h, w) bool.
        area_fraction, elongation, severity, count, shift: as in a DefectSpec, measured.
        angle_rad: direction of its long axis, image coordinates.
        to_outline: how it lay to the outline of its object; None where that filled the frame.
    """

    anomaly_type: str
    rgb: RGB
    ground: RGB
    mask: Mask
    area_fraction: float
    elongation: float
    severity: float
    count: int
    shift: tuple[float, float, float]
    angle_rad: float
    to_outline: ToOutline | None = None


class Pair(NamedTuple):
    """A defect as files; its anomaly type is the folder that they lie in, or empty."""

    image: Path
    mask: Path
    anomaly_type: str


def load_references(folder: Path) -> list[Donor]:
    """All usable defects of a folder (see module docstring), in the order of their names.

    Raises:
        ImageError: there is none, or a file cannot be read or does not fit its mask.
    """
    donors: list[Donor] = []
    for pair in find_pairs(folder):
        donor = measure_donor(pair)
        if donor is not None:
            donors.append(donor)
    if not donors:
        raise ImageError(_NO_DEFECT.format(folder))
    return donors


def check_references(folder: Path) -> list[str]:
    """Read all defects of a folder without measuring them; what is left out, in words.

    Raises:
        ImageError: as `load_references`.
    """
    masks = [_marks_a_defect(_read_pair(pair)[1]) for pair in find_pairs(folder)]  # all are read: a later one may be damaged
    if not any(masks):
        raise ImageError(_NO_DEFECT.format(folder))
    alone = [pair for pair in _candidates(folder) if not pair.mask.is_file() and pair.anomaly_type != "good"]
    if not alone:
        return []
    first = alone[0]
    return [
        f"{len(alone)} of the images in {folder} have no mask and are left out: {first.image.name} lacks {first.mask.name}."
    ]


def of_type(donors: Sequence[Donor], anomaly_type: str) -> list[Donor]:
    """The donors of an anomaly type, whatever the spelling; those of no type at all when no type has that name."""
    named = [donor for donor in donors if donor.anomaly_type and plain_name(donor.anomaly_type) == plain_name(anomaly_type)]
    return named or [donor for donor in donors if not donor.anomaly_type]


def priors_of(donors: Sequence[Donor], base: Priors) -> Priors:
    """`base` with the ranges that the donors span, a third wider on both sides; zones and directions stay.

    Args:
        donors: at least one.
    """

    def span(values: list[float], least: float, most: float) -> tuple[float, float]:
        return max(least, 0.75 * min(values)), min(most, 1.33 * max(values))

    counts = [donor.count for donor in donors]
    lightness = [donor.shift[0] for donor in donors]
    darker = sum(value < 0 for value in lightness) / len(lightness)
    tint = np.median([donor.shift[1:] for donor in donors], axis=0)
    return base.model_copy(
        update={
            "area_fraction": span([donor.area_fraction for donor in donors], 1e-5, 0.7),
            "elongation": span([donor.elongation for donor in donors], 1.0, 200.0),
            "severity": span([donor.severity for donor in donors], 0.5, 60.0),
            "count": (min(counts), min(max(counts), 16)),
            "contrast": "darker" if darker > 0.8 else "lighter" if darker < 0.2 else "either",
            "tint_ab": (float(tint[0]), float(tint[1])) if float(np.hypot(*tint)) > 6.0 else base.tint_ab,
        }
    )


def choose_donor(donors: Sequence[Donor], spec: DefectSpec, rng: np.random.Generator) -> Donor:
    """One donor, those of about the wished size and shape preferred."""
    away = np.array(
        [
            abs(np.log(donor.area_fraction / spec.area_fraction)) + 0.5 * abs(np.log(donor.elongation / spec.elongation))
            for donor in donors
        ]
    )
    odds = np.exp(-1.5 * (away - away.min()))
    return donors[int(rng.choice(len(odds), p=odds / odds.sum()))]


def find_pairs(folder: Path) -> list[Pair]:
    """Images with their masks (see module docstring), by name; at most 400.

    Raises:
        ImageError: `folder` is none.
    """
    if not folder.is_dir():
        raise ImageError(f"{folder} is no folder. Name one with images of real defects and their masks.")
    return [pair for pair in _candidates(folder) if pair.mask.is_file()][:_MOST]


def _candidates(folder: Path) -> list[Pair]:
    """Images, by name, with the masks that they should have."""
    if (folder / "test").is_dir():
        images = [image for image in sorted((folder / "test").glob("*/*")) if is_image_name(image.name)]
        truth = folder / "ground_truth"
        return [Pair(one, truth / one.parent.name / f"{one.stem}_mask.png", one.parent.name) for one in images]
    found: list[Pair] = []
    for image in sorted([*folder.glob("*"), *folder.glob("*/*")]):
        if is_image_name(image.name) and not image.stem.endswith("_mask"):
            mask = image.with_name(f"{image.stem}_mask.png")
            found.append(Pair(image, mask, "" if image.parent == folder else image.parent.name))
    return found


def measure_donor(pair: Pair) -> Donor | None:
    """The defect, cut out and measured; None when it is too small or covers most of its image.

    Raises:
        ImageError: a file cannot be read, or the sizes differ.
    """
    photo, mask = _read_pair(pair)
    if not _marks_a_defect(mask):
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    margin = int(_MARGIN * max(np.ptp(rows), np.ptp(columns))) + 8
    window = (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )
    rgb, inside = np.ascontiguousarray(photo.rgb[window]), np.ascontiguousarray(mask[window])
    around = ~cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(np.bool_)
    if not around.any():
        return None
    ground = continue_smoothly(rgb, around)
    lab, lab_ground = lab_from_rgb(rgb), lab_from_rgb(ground)
    jnd = just_noticeable_difference(np.ascontiguousarray(lab_ground[..., 0]))
    change = ciede2000(lab_ground[inside], lab[inside]) / jnd[inside]
    y, x = np.nonzero(inside)
    spread, axes = np.linalg.eigh(np.cov(np.stack([x, y]).astype(np.float64)) + 0.1 * np.eye(2))
    repaired = photo.rgb.copy()  # else the defect itself could be taken for the object
    repaired[window] = np.where(inside[..., None], ground, rgb)
    foreground = find_foreground(repaired)
    lies = None
    if not foreground.all():
        depth = depth_below_outline(foreground)
        lies = to_outline(depth, window[1].start + float(x.mean()), window[0].start + float(y.mean()))
    pieces = cv2.connectedComponents(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)))[0] - 1
    shift = np.median(lab[inside] - lab_ground[inside], axis=0)
    return Donor(
        anomaly_type=pair.anomaly_type,
        rgb=rgb,
        ground=ground,
        mask=inside,
        area_fraction=float(np.clip(np.count_nonzero(mask) / max(np.count_nonzero(foreground), 1), 1e-5, 0.7)),
        elongation=float(np.clip(np.sqrt(spread[1] / spread[0]), 1.0, 200.0)),
        severity=float(np.clip(np.percentile(change, 80), 1.0, 60.0)),
        count=max(int(pieces), 1),
        shift=(float(shift[0]), float(shift[1]), float(shift[2])),
        angle_rad=float(np.arctan2(axes[1, 1], axes[0, 1])),
        to_outline=lies,
    )


def _read_pair(pair: Pair) -> tuple[Photo, Mask]:
    photo, mask = read_own_photo(pair.image), read_mask(pair.mask)
    if mask.shape != photo.shape:
        raise ImageError(f"{pair.mask} is {mask.shape[1]} x {mask.shape[0]}, its image {photo.shape[1]} x {photo.shape[0]}.")
    return photo, mask


def _marks_a_defect(mask: Mask) -> bool:
    """Not too small, and not most of the image."""
    return bool(np.count_nonzero(mask) >= 6 and mask.mean() <= 0.6)


def to_outline(depth_px: Field, x: float, y: float) -> ToOutline:
    """How a point of an object lies to its outline.

    Args:
        depth_px: (H, W) distance of each of its pixels to the outline, 0 outside.
        x, y: the point, in pixels.
    """
    deepest = max(float(depth_px.max()), 1.0)
    reach = max(2, round(0.1 * deepest))
    row, column = min(round(y), len(depth_px) - 1), min(round(x), depth_px.shape[1] - 1)
    near = depth_px[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
    depth = float(depth_px[row, column]) / deepest
    if min(near.shape) < 3 or depth > _MIDDLE:
        return ToOutline(depth, None)
    slope_y, slope_x = (float(slope.mean()) for slope in np.gradient(near))
    return ToOutline(depth, float(np.arctan2(-slope_y, -slope_x)) if np.hypot(slope_x, slope_y) > _MIN_SLOPE else None)
