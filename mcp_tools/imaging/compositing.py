"""Putting an edit into a photo so that the mask is exact: what lies outside it is the original, to the bit.

An edit changes many pixels by less than anyone can see (feathered borders, resampling, the drift of a whole-frame editor).
Those pixels get their original values back; being below one JND, the cut does not show.
"""

from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.change import differs, mask_of_change
from anomalyagent.mcp_tools.imaging.photo import Photo

__all__ = ["composite_visible"]


def composite_visible(normal: Photo, rgb_after: RGB) -> tuple[Photo, Mask]:
    """Write an edit into `normal` where it can be seen, and nowhere else.

    Args:
        rgb_after: (H, W, 3) float32 0..1, the whole edited picture.
    Returns:
        The edited photo and its mask, (H, W) bool. Every native pixel outside the mask is identical to `normal`, and the
        mask equals `mask_of_change(normal, edited)`. Both are `normal` and empty when nothing can be seen.
    Raises:
        ToolInputError: the size is not that of `normal`.
    """
    if rgb_after.shape != normal.rgb.shape:
        raise ToolInputError(
            f"an edit of {rgb_after.shape} does not fit a photo of {normal.rgb.shape}. Resize it to the photo."
        )
    different = differs(rgb_after, normal.rgb)
    after = normal.edited(rgb_after, different)
    while True:
        mask = mask_of_change(normal, after)
        outside = different & ~mask
        if not outside.any():
            return after, mask
        # the pixels that keep their edit become fewer each time, so this ends (as a rule after two rounds)
        different &= mask
        after = normal.edited(rgb_after, different)
