"""A photo of a defect as it would look without it: real texture put over the defect, from normal photos or the same one.

For every hole the whole of every source is searched for the window whose surroundings fit best (sum of squared differences
over the known pixels, brightness free; by Fourier transform on a small copy, then exactly). Its colours are bent towards
the rim and it is faded in. A hole too large for one window is filled block by block from its rim inwards, each block
matched to what lies around it by then (image quilting; Efros & Freeman, "Image quilting", 2001).
Everything outside the hole stays as it is, to the bit.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.color import luminance
from anomalyagent.mcp_tools.imaging.inpainting import continue_smoothly
from anomalyagent.mcp_tools.imaging.sizes import scale_within, size_within

__all__ = ["Gallery", "Source", "align", "hole_around", "restore"]

_SEARCH_SIDE_PX = 48  # the coarse search works on windows of at most this side
_REFINED = 6  # places that are compared exactly
_OFFSET_WEIGHT = 0.25  # of the mean brightness in the cost: light may differ, not too much
_MOST_OFFSET = 0.25  # sRGB units
_GRAIN_WEIGHT = 2.0  # of the difference in contrast: squared differences alone would choose whatever is smooth
_MOST_BEND = 0.1  # sRGB units by which colours are bent beyond the mean difference: more would smear
_PLACED_SIDE_PX = 96
_IN_PLACE_PX = 2  # so far from its place an aligned picture is searched
_ALIGNED_SIDE_PX = 256
_MOST_HOLE = 0.5  # share of a picture that may be hole when pictures are aligned
_LEAST_FIT = 0.9  # correlation from which two pictures show the same object in the same place
_MOST_MOTION = 0.05  # of the longer side
_LEAST_KNOWN = 0.12  # of a block: less gives the match nothing to hold on to


class Source(NamedTuple):
    """A picture that material is taken from.

    Attributes:
        rgb: (H, W, 3) float32 0..1.
        forbidden: (H, W) bool, where nothing may be taken; None: anywhere.
        in_place: it shows the same object in the same place: only that place fits.
    """

    rgb: RGB
    forbidden: Mask | None = None
    in_place: bool = False


class Gallery:
    """Pictures of one item, ready to be searched for those that look most like a given one.

    Args:
        sources: flawless outside what they forbid.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)
        self._looks = np.array([_look(one.rgb, one.forbidden) for one in sources]).reshape(len(sources), -1)
        self._small = [_small(one.rgb) for one in sources]

    def choose(self, rgb: RGB, hole: Mask, most: int, skip: int | None = None) -> list[int]:
        """Numbers of the sources that are most like the picture outside its hole, best first.

        Those that show the same object in the same place come first, the closer their pixels around the hole; then those of
        like brightness, contrast, grain and direction.

        Args:
            skip: a source to leave out, such as the picture itself.
        """
        if not self.sources:
            return []
        wanted = _look(rgb, hole)
        spread = np.maximum(self._looks.std(axis=0), 1e-4) if len(self.sources) > 1 else np.ones_like(wanted)
        by_look = np.argsort(np.abs((self._looks - wanted) / spread).sum(axis=1), kind="stable").tolist()
        reach = 2 * max(3, round(0.03 * min(hole.shape))) + 1
        ring = cv2.dilate(hole.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool) & ~hole
        small, small_ring = _small(rgb), _shrunk(ring.astype(np.float32), (_PLACED_SIDE_PX, _PLACED_SIDE_PX)) > 0.3
        in_place = [
            (float(((other[small_ring] - small[small_ring]) ** 2).mean()), index)
            for index, (other, one) in enumerate(zip(self._small, self.sources, strict=True))
            if one.rgb.shape == rgb.shape and one.forbidden is None and small_ring.any()
        ]
        first = [index for _, index in sorted(in_place)[: most // 2]]
        return [index for index in dict.fromkeys([*first, *by_look]) if index != skip][:most]


def align(source: RGB, target: RGB, hole: Mask) -> RGB | None:
    """A picture of the same object moved, turned and scaled onto another one, judged outside the hole; None: it does not fit.

    Source: G. Evangelidis, E. Psarakis, "Parametric image alignment using enhanced correlation coefficient", 2008.
    """
    if source.shape != target.shape or hole.mean() > _MOST_HOLE:
        return None
    height, width = hole.shape
    scale, size = scale_within(hole.shape, _ALIGNED_SIDE_PX), size_within(hole.shape, _ALIGNED_SIDE_PX)
    fixed, moving = _shrunk(luminance(target), size), _shrunk(luminance(source), size)
    where = (_shrunk(hole.astype(np.float32), size) < 0.01).astype(np.uint8)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)
    try:
        fit, found = cv2.findTransformECC(fixed, moving, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, criteria, where, 5)
    except cv2.error:  # a flat picture: it does not converge
        return None
    if fit < _LEAST_FIT:
        return None
    warp = np.asarray(found, np.float32)
    warp[:, 2] /= scale
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float32)
    if np.abs(corners @ warp.T - corners[:, :2]).max() > _MOST_MOTION * max(height, width):
        return None
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(source, warp, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(moved, 0.0, 1.0), np.float32)


def hole_around(mask: Mask, grow_px: int) -> Mask:
    """The mask of a defect, grown by the width of its soft border; gaps too narrow to hold material are closed."""
    size = 2 * grow_px + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    grown = cv2.dilate(mask.astype(np.uint8), kernel)
    return cv2.morphologyEx(np.pad(grown, size), cv2.MORPH_CLOSE, kernel)[size:-size, size:-size].astype(bool)


def _small(rgb: RGB) -> RGB:
    size = (_PLACED_SIDE_PX, _PLACED_SIDE_PX)
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.float32)


def _look(rgb: RGB, forbidden: Mask | None) -> NDArray[np.float32]:
    """Brightness, contrast, grain and direction outside what is forbidden."""
    light = luminance(rgb)
    across, along = np.abs(np.diff(light, axis=1))[:-1], np.abs(np.diff(light, axis=0))[:, :-1]
    clean = np.ones(light.shape, np.bool_) if forbidden is None or forbidden.all() else ~forbidden
    inner = clean[:-1, :-1]
    grain = _grain(rgb)[clean].std()
    edges = (float(across[inner].mean()), float(along[inner].mean())) if inner.any() else (0.0, 0.0)
    return np.array([*rgb[clean].mean(axis=0), float(light[clean].std()), float(grain), *edges], np.float32)


def restore(rgb: RGB, hole: Mask, sources: Sequence[Source], *, fade_px: int, block_px: int | None = None) -> RGB | None:
    """The picture with its hole filled.

    Args:
        rgb: (H, W, 3) float32 0..1.
        hole: (H, W) bool, all of the defect and its soft border.
        sources: other pictures; the picture itself, outside its hole, is always a source.
        fade_px: width of the border inside the hole in which the filling is faded in.
        block_px: fill block by block, of this side; None: one window for each connected hole.
    Returns:
        (H, W, 3) float32 0..1, identical outside the hole; None when some hole finds no material that fits into it.
    Raises:
        ToolInputError: the sizes differ, or the hole is empty.
    """
    if hole.shape != rgb.shape[:2] or not hole.any():
        raise ToolInputError(f"a hole must have the picture's size {rgb.shape[:2]} and some pixels, received {hole.shape}.")
    work, unknown = rgb.copy(), hole.copy()
    own = Source(rgb, hole)
    count, raw_labels, stats, _ = cv2.connectedComponentsWithStats(hole.astype(np.uint8), connectivity=8)
    labels = np.asarray(raw_labels)
    reach = max(4, 2 * fade_px)
    for index in sorted(range(1, count), key=lambda i: int(stats[i, cv2.CC_STAT_AREA])):
        part = labels == index
        if block_px is None:
            done = _fill_window(work, unknown, part, [own, *sources], reach, fade_px)
        else:
            done = _fill_blocks(work, unknown, part, [own, *sources], fade_px, block_px)
        if not done:
            return None
    work[~hole] = rgb[~hole]
    return np.clip(work, 0.0, 1.0)


def _fill_window(work: RGB, unknown: Mask, part: Mask, sources: Sequence[Source], reach: int, fade_px: int) -> bool:
    x, y, w, h = cv2.boundingRect(part.astype(np.uint8))
    height, width = part.shape
    window = (slice(max(0, y - reach), min(height, y + h + reach)), slice(max(0, x - reach), min(width, x + w + reach)))
    near = cv2.dilate(part[window].astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)).astype(bool)
    known = near & ~unknown[window]
    if not known.any():
        return False
    piece = _best_piece(work[window], known, part[window], sources, (window[0].start, window[1].start))
    if piece is None:
        return False
    _lay(work, unknown, window, part[window], piece, fade_px)
    return True


def _fill_blocks(work: RGB, unknown: Mask, part: Mask, sources: Sequence[Source], fade_px: int, block_px: int) -> bool:
    height, width = part.shape
    side_y, side_x = min(block_px, height), min(block_px, width)
    chosen = list(sources)
    ranked = False
    while True:
        left = part & unknown
        if not left.any():
            return True
        known_share = cv2.boxFilter((~unknown).astype(np.float32), -1, (side_x, side_y), borderType=cv2.BORDER_CONSTANT)
        # the block whose middle lies on the border of what is left, with most to hold on to
        rim = left & cv2.dilate((~unknown).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        places = np.argwhere(rim if rim.any() else left)
        row, column = places[int(np.argmax(known_share[places[:, 0], places[:, 1]]))]
        top = int(np.clip(row - side_y // 2, 0, height - side_y))
        from_x = int(np.clip(column - side_x // 2, 0, width - side_x))
        window = (slice(top, top + side_y), slice(from_x, from_x + side_x))
        known = ~unknown[window]
        if known.mean() < _LEAST_KNOWN:
            return False
        costs: list[float] = []
        piece = _best_piece(work[window], known, ~known, chosen, (top, from_x), costs)
        if piece is None:
            return False
        if not ranked:  # later blocks look at the sources that fitted the first one best
            order = np.argsort(costs[1:], kind="stable")[:5] + 1
            chosen, ranked = [chosen[0], *(chosen[i] for i in sorted(order.tolist()) if np.isfinite(costs[i]))], True
        _lay(work, unknown, window, left[window], piece, fade_px)


def _lay(work: RGB, unknown: Mask, window: tuple[slice, slice], target: Mask, piece: RGB, fade_px: int) -> None:
    """Put a piece over the target pixels of the window: colours bent to the known ones, faded in at the border."""
    part, known = work[window], ~unknown[window]
    error = np.where(known[..., None], part - piece, 0.0).astype(np.float32)
    offset = error[known].mean(axis=0)
    smooth = offset + np.clip(_smoothed(error, known, 2.0) - offset, -_MOST_BEND, _MOST_BEND)
    bent = piece + continue_smoothly(np.where(known[..., None], smooth, 0.0).astype(np.float32), known)
    inside = np.asarray(cv2.distanceTransform(np.pad(target, 1, mode="edge").astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1])
    # the original of the border is not trusted where it belongs to the defect: it fades only over the pixels next to it
    cover = np.where(target, np.clip(inside / max(1.0, 0.5 * fade_px), 0.0, 1.0), 0.0)[..., None].astype(np.float32)
    start = np.where(known[..., None], part, bent) if not target.all() else bent
    base = np.where(target[..., None] & ~known[..., None], start, part)
    work[window] = np.where(target[..., None], base * (1.0 - cover) + bent * cover, part)
    unknown[window] &= ~target


def _smoothed(values: RGB, where: Mask, sigma: float) -> RGB:
    weight = where.astype(np.float32)
    total = cv2.GaussianBlur(values * weight[..., None], (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    count = cv2.GaussianBlur(weight, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return np.asarray(total / np.maximum(count, 1e-3)[..., None], np.float32)


def _best_piece(
    template: RGB,
    known: Mask,
    needed: Mask,
    sources: Sequence[Source],
    corner_yx: tuple[int, int],
    costs: list[float] | None = None,
) -> RGB | None:
    """The window of a source that fits the known pixels of the template best; `needed`: pixels that will be taken from it."""
    tall, wide = known.shape
    scale = min(1.0, _SEARCH_SIDE_PX / max(tall, wide))
    best: RGB | None = None
    lowest = np.inf
    for source in sources:
        cost_of_source = np.inf
        for top, left in _places(source, template, known, needed, scale, corner_yx):
            piece = source.rgb[top : top + tall, left : left + wide]
            cost = _cost(template, piece, known, needed)
            cost_of_source = min(cost_of_source, cost)
            if cost < lowest:
                best, lowest = piece, cost
        if costs is not None:
            costs.append(float(cost_of_source))
    return best


def _cost(template: RGB, piece: RGB, known: Mask, needed: Mask) -> float:
    error = template[known] - piece[known]
    offset = error.mean(axis=0)
    if np.abs(offset).max() > _MOST_OFFSET:
        return np.inf
    wanted, found = _grain(template)[known], _grain(piece)[needed if needed.any() else known]
    contrast = float(np.sqrt((wanted**2).mean()) - np.sqrt((found**2).mean())) ** 2
    return float(((error - offset) ** 2).mean() + _OFFSET_WEIGHT * (offset**2).mean() + _GRAIN_WEIGHT * contrast)


def _grain(rgb: RGB) -> Field:
    """Fine detail of a picture, (H, W)."""
    light = luminance(rgb)
    return np.asarray(light - cv2.GaussianBlur(light, (0, 0), 2.0, borderType=cv2.BORDER_REFLECT), np.float32)


def _places(
    source: Source, template: RGB, known: Mask, needed: Mask, scale: float, corner_yx: tuple[int, int]
) -> list[tuple[int, int]]:
    """Corners (top, left) in the source of the most promising windows."""
    height, width = source.rgb.shape[:2]
    tall, wide = known.shape
    if height < tall or width < wide:
        return []
    if source.in_place:
        return _around(source, template, known, *corner_yx, _IN_PLACE_PX)
    size = round(width * scale), round(height * scale)
    small_size = max(2, round(wide * scale)), max(2, round(tall * scale))
    picture = _shrunk(luminance(source.rgb), size)
    part = _shrunk(luminance(template), small_size)
    weight = _shrunk(known.astype(np.float32), small_size)
    weight[weight < 0.5] = 0.0
    if weight.sum() < 4 or picture.shape[0] < part.shape[0] or picture.shape[1] < part.shape[1]:
        return []
    field = _cost_field(picture, part, weight)
    if source.forbidden is not None:
        blocked = _shrunk(source.forbidden.astype(np.float32), size)
        taken = _shrunk((needed | known).astype(np.float32), small_size)
        field[_correlate(blocked, taken)[: field.shape[0], : field.shape[1]] > 0.02] = np.inf
    found: list[tuple[int, int]] = []
    if corner_yx[0] + tall <= height and corner_yx[1] + wide <= width:
        found.append(corner_yx)
    spread = max(2, round(0.15 * max(part.shape)))
    for _ in range(_REFINED):
        at = int(np.argmin(field))
        row, column = divmod(at, field.shape[1])
        if not np.isfinite(field[row, column]):
            break
        found.append(
            (
                round(row * (height - tall) / max(1, field.shape[0] - 1)),
                round(column * (width - wide) / max(1, field.shape[1] - 1)),
            )
        )
        field[max(0, row - spread) : row + spread + 1, max(0, column - spread) : column + spread + 1] = np.inf
    refined: list[tuple[int, int]] = []
    step = 0 if scale == 1.0 else max(1, round(0.6 / scale))
    for top, left in found:
        top, left = int(np.clip(top, 0, height - tall)), int(np.clip(left, 0, width - wide))
        near = [(top, left)] if step == 0 else _around(source, template, known, top, left, step)
        refined += [
            (y, x)
            for y, x in near
            if source.forbidden is None or not (source.forbidden[y : y + tall, x : x + wide] & (needed | known)).any()
        ]
    return refined


def _around(source: Source, template: RGB, known: Mask, top: int, left: int, step: int) -> list[tuple[int, int]]:
    """The best corner within `step` pixels."""
    tall, wide = known.shape
    height, width = source.rgb.shape[:2]
    y0, x0 = max(0, top - step), max(0, left - step)
    y1, x1 = min(height, top + tall + step), min(width, left + wide + step)
    field = _cost_field(luminance(source.rgb[y0:y1, x0:x1]), luminance(template), known.astype(np.float32))
    row, column = divmod(int(np.argmin(field)), field.shape[1])
    return [(y0 + row, x0 + column)]


def _cost_field(picture: Field, part: Field, weight: Field) -> NDArray[np.float32]:
    """Cost of every position of `part` in `picture`, (H - h + 1, W - w + 1)."""
    total = float(weight.sum())
    mean = float((part * weight).sum()) / total
    centred = (part - mean).astype(np.float32)
    shifted = (picture - mean).astype(np.float32)
    first = _correlate(shifted, weight) / total
    second = _correlate(shifted * shifted, weight) / total
    cross = _correlate(shifted, centred * weight) / total
    own = float((centred**2 * weight).sum()) / total
    offset = first  # the mean of `centred` is zero
    contrast = np.sqrt(np.maximum(second - first**2, 0.0)) - np.sqrt(own)
    cost = second - 2.0 * cross + own - (1.0 - _OFFSET_WEIGHT) * offset**2 + _GRAIN_WEIGHT * contrast**2
    cost[np.abs(offset) > _MOST_OFFSET] = np.inf
    return np.asarray(cost, np.float32)


def _correlate(picture: NDArray[Any], kernel: NDArray[Any]) -> NDArray[np.float32]:
    """Correlation at every position where the kernel lies inside the picture."""
    return np.asarray(cv2.matchTemplate(picture.astype(np.float32), kernel.astype(np.float32), cv2.TM_CCORR), np.float32)


def _shrunk(values: Field, size: tuple[int, int]) -> Field:
    if (values.shape[1], values.shape[0]) == size:
        return values.astype(np.float32)
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), np.float32)
