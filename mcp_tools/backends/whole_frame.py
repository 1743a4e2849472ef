"""Editors that return a whole picture: what they are shown, and how their answer comes back into the photo.

All of them (diffusion editors, OpenAI, Gemini) go through `take_edit`: the frame is found, aligned and freed of a drift of
colour, and only what visibly differs is taken. Size, mode and every other pixel stay the photo's own.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

from anomalyagent.errors import BackendError
from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.base import Edited
from anomalyagent.mcp_tools.imaging.alignment import align_and_composite
from anomalyagent.mcp_tools.imaging.arrays import RGB
from anomalyagent.mcp_tools.imaging.framing import agreement, same_frame
from anomalyagent.mcp_tools.imaging.photo import Photo
from anomalyagent.mcp_tools.imaging.scene import scene_of

__all__ = ["EDIT_INSTRUCTION", "MOST_CHANGED", "Canvas", "measure_for_edit", "nearest_shape", "spread", "take_edit"]

MOST_CHANGED = 0.8
"""Of the pixels: an editor that changed more than this did not edit the photo but made another one."""
MUCH_CHANGED, LEAST_AGREEMENT = 0.2, 0.3
"""Of the pixels, and of structure (see `framing.agreement`): so much new, so little left of the old is another picture too."""
MOST_STRETCH = 0.03
EDIT_INSTRUCTION = (
    "Edit this photo of an industrial part. {prompt} Change nothing else: keep the camera, framing, part, background, light "
    "and colours exactly as they are, and return the whole photo."
)
"""What a hosted editor is told by default."""


class Canvas(NamedTuple):
    """What an editor is shown: the photo, scaled, and mirrored outwards where its shape is not one that the editor knows.

    Attributes:
        rgb: (h, w, 3) float32 0..1.
        inside: where the photo lies in it.
    """

    rgb: RGB
    inside: tuple[slice, slice]


def nearest_shape(photo: Photo, shapes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The (width, height) whose aspect is nearest to the photo's."""
    height, width = photo.shape
    return min(shapes, key=lambda shape: abs(math.log((shape[0] / shape[1]) / (width / height))))


def spread(photo: Photo, width: int, height: int) -> Canvas:
    """The photo on a canvas of that size."""
    own_height, own_width = photo.shape
    scale = min(width / own_width, height / own_height)
    inner = (height, width)
    if max(width / own_width, height / own_height) > (1.0 + MOST_STRETCH) * scale:
        inner = max(1, round(own_height * scale)), max(1, round(own_width * scale))
    smaller = inner[0] * inner[1] < own_height * own_width
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    shown = np.clip(cv2.resize(photo.rgb, inner[::-1], interpolation=method), 0.0, 1.0)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    borders = top, height - inner[0] - top, left, width - inner[1] - left
    # More than the photo's own side can be missing, so it is mirrored again and again.
    rgb = np.pad(shown, ((borders[0], borders[1]), (borders[2], borders[3]), (0, 0)), mode="symmetric")
    return Canvas(np.asarray(rgb, np.float32), (slice(top, top + inner[0]), slice(left, left + inner[1])))


def measure_for_edit(photo: Photo) -> None:
    """Measure of the photo what `take_edit` asks, once: it can be done while the editor still works."""
    scene = scene_of(photo)
    _ = scene.ground, scene.ground_afar


def take_edit(
    photo: Photo, canvas: Canvas | None, made: RGB, spec: DefectSpec | None, who: str, most_changed: float = MOST_CHANGED
) -> Edited:
    """Put what an editor changed visibly into the photo.

    Args:
        canvas: what the editor was shown; None: the photo's own frame.
        made: (h, w, 3) float32 0..1, what it returned.
        spec: as wanted, or None.
        most_changed: share of the pixels; with 1.0 any picture is taken.
    Raises:
        BackendError: nothing visible changed, or nearly everything did.
    """
    if canvas is not None:
        made = _inside(canvas, same_frame(canvas.rgb, made))
    made = same_frame(photo.rgb, made)
    after, changed = align_and_composite(photo, made, framed=True)
    share = float(changed.mean())
    if share == 0.0:
        raise BackendError(
            f"{who} changed nothing that can be seen. Try another seed, a clearer prompt, or a larger or stronger defect."
        )
    unlike = most_changed < 1.0 and share > MUCH_CHANGED and agreement(photo.rgb, made) < LEAST_AGREEMENT
    if share > most_changed or unlike:
        raise BackendError(
            f"{who} returned another picture: {100 * share:.0f} % of the photo differ, and no turn, shift or tint explains it. "
            "Ask for one defect on a part of the object, in fewer words, or try another seed."
        )
    return Edited(after, changed, spec)


def _inside(canvas: Canvas, made: RGB) -> RGB:
    """The photo's part of a picture of the canvas."""
    height, width = canvas.rgb.shape[:2]
    rows, columns = canvas.inside
    down, across = made.shape[0] / height, made.shape[1] / width
    return made[
        round(rows.start * down) : max(round(rows.start * down) + 1, round(rows.stop * down)),
        round(columns.start * across) : max(round(columns.start * across) + 1, round(columns.stop * across)),
    ]
