"""The defect-free twin of a real defect photo, tried in several ways; the least foreign one counts, if it is clean.

material   normal photos; without any, the other defect photos outside their defects
tried      one piece for each hole, then block by block; with the mask grown a little, then further (soft borders, shadows)
with an inpainting model (image_gen backend `diffusers`): what it paints into the hole, too
judged     `mcp_tools.judge.leftovers`: a left-over, a smear or a seam is foreign among flawless pictures
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.restoring import Gallery, Source, align, hole_around, restore
from anomalyagent.mcp_tools.judge.leftovers import CleanBank, Leftovers

__all__ = ["Inpainter", "Twin", "TwinMaker", "unmarked"]

Inpainter = Callable[[RGB, Mask, int], RGB]
"""(picture, hole, seed) -> the picture with something painted into the hole; of its size."""

_FADE = 0.012  # of the shorter side
_GROWN = (1.0, 2.5)  # the mask's border, in widths of the fade
_MATERIAL = 16  # pictures that are compared and searched
_ALIGNED = 6  # of them, those that are moved onto the photo where it shows the same object
_BLOCK = 0.25  # of the shorter side
_GOOD_ENOUGH = 0.85  # of what is usual: no other way is tried
_LARGEST_HOLE = 0.85  # of the photo: more leaves nothing to go by


class Twin(NamedTuple):
    """A twin that was made.

    Attributes:
        photo: identical to the defect photo outside `hole`.
        hole: (H, W) bool, what was repaired: the mask and its border.
        judged: how foreign the repaired area is.
        way: how it was made, in words.
    """

    photo: Photo
    hole: Mask
    judged: Leftovers
    way: str


class TwinMaker:
    """Makes twins of photos of one item.

    Args:
        sources: flawless material; of defect photos with their grown masks forbidden.
        inpainter: an inpainting model, when one is configured.
    """

    def __init__(self, sources: Sequence[Source], inpainter: Inpainter | None = None) -> None:
        self._gallery = Gallery(sources)
        self._inpainter = inpainter

    def make(self, defect: Photo, mask: Mask, seed: int, skip: int | None = None) -> Twin | None:
        """The best twin of a photo, clean or not; None when no material fits.

        Args:
            mask: (H, W) bool, the defect; not empty.
            seed: draws the pixels that are compared.
            skip: number of the source that is this photo itself.
        """
        side = min(mask.shape)
        fade = max(3, round(_FADE * side))
        best: Twin | None = None
        for number, grown in enumerate(_GROWN):
            hole = hole_around(mask, round(grown * fade) + 2)
            if hole.mean() > _LARGEST_HOLE:
                break
            rng = np.random.default_rng([seed, number])
            chosen = [self._gallery.sources[i] for i in self._gallery.choose(defect.rgb, hole, _MATERIAL, skip)]
            if len(chosen) < 2:
                break
            bank = CleanBank(chosen, rng)
            for way, filled in self._ways(defect.rgb, hole, chosen, fade, seed):
                judged = bank.judge(defect.rgb, filled, hole)
                if best is None or judged.ratio < best.judged.ratio:
                    best = Twin(defect.edited(filled, hole), hole, judged, way)
                if judged.ratio <= _GOOD_ENOUGH:
                    return best
        return best

    def _ways(self, rgb: RGB, hole: Mask, chosen: Sequence[Source], fade: int, seed: int) -> Iterator[tuple[str, RGB]]:
        if self._inpainter is not None:
            yield "inpainting model", np.where(hole[..., None], self._inpainter(rgb, hole, seed), rgb)
        moved = [align(one.rgb, rgb, hole) for one in chosen[:_ALIGNED] if one.forbidden is None]
        placed = [Source(one, in_place=True) for one in moved if one is not None]
        material = placed if len(placed) > 1 else chosen
        block = max(32, round(_BLOCK * min(hole.shape)))
        for way, size in (("one piece", None), (f"blocks of {block} px", block)):
            filled = restore(rgb, hole, material, fade_px=fade, block_px=size)
            if filled is not None:
                yield f"{way} from {'aligned ' if material is placed else ''}photos", filled


def unmarked(defect: RGB, mask: Mask) -> Source:
    """A defect photo as material: anywhere but the defect and a generous border of it."""
    return Source(defect, hole_around(mask, max(6, round(4 * _FADE * min(mask.shape)))))
