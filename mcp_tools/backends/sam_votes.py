"""Masks by the vote of a promptable segmenter (SAM, SAM 2, SAM 3), held to what visibly changed.

Every part of the change map is shown to the model as a box, as points, and as both; its answers vote, weighted by their
overlap with that part. Nothing farther than a small margin from the visible change enters the mask.

    mode sam      the vote
    mode hybrid   the vote where the model and the change map agree, else the change map; what changed strongly is always in
"""

import threading
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Option

from anomalyagent.errors import BackendError
from anomalyagent.mcp_tools.backends.base import Segmented
from anomalyagent.mcp_tools.backends.options import BackendOptions, Device
from anomalyagent.mcp_tools.imaging.arrays import RGB, Field, Mask
from anomalyagent.mcp_tools.imaging.change import mask_of_visibility, visible_change
from anomalyagent.mcp_tools.imaging.photo import Photo

__all__ = ["Predictor", "VoteOptions", "VotedMask"]

_MOST_PARTS = 32
_STRONG_JND = 2.0
_NEARLY_BEST = 0.75  # answers with at least this share of the best overlap may vote


class VoteOptions(BackendOptions):
    """Options of every backend that asks such a model."""

    device: Device = "auto"
    mode: Literal["hybrid", "sam"] = Option(default="hybrid", description="hybrid: only where SAM agrees with the change map.")
    margin_px: int = Option(default=2, ge=0, le=64, description="The mask reaches at most so far beyond the visible change.")
    agreement: float = Option(default=0.5, ge=0.0, le=1.0, description="hybrid: least overlap (IoU) for SAM to be believed.")
    context: float = Option(
        default=2.0, ge=1.0, le=20.0, description="Side of what SAM is shown over the extent of the change."
    )


class Predictor(Protocol):
    """A promptable segmenter, as segment-anything's `SamPredictor` offers it."""

    def set_image(self, image: NDArray[np.uint8]) -> None:
        """Show it an (h, w, 3) uint8 RGB picture."""
        ...

    def predict(
        self,
        point_coords: NDArray[np.float32] | None = None,
        point_labels: NDArray[np.int32] | None = None,
        box: NDArray[np.float32] | None = None,
        *,
        multimask_output: bool = True,
    ) -> tuple[Sequence[Any], Any, Any]:
        """Three (h, w) bool masks, and two things that are not used here, for points (x, y) and a box (x0, y0, x1, y1)."""
        ...


class _Vote(NamedTuple):
    mask: Mask
    agreement: float


class VotedMask:
    """Masks by a promptable segmenter and the visible change. A backend says how the model is loaded, on the first call."""

    name: str

    def __init__(self, options: VoteOptions) -> None:
        self._vote_options = options
        self._lock = threading.Lock()  # a predictor keeps the picture that it was shown last
        self._predictor: Predictor | None = None

    def load(self) -> Predictor:
        """The model, ready to be asked.

        Raises:
            BackendUnavailableError: it, or a GPU, cannot be used.
        """
        raise NotImplementedError

    def segment(self, normal: Photo, anomaly: Photo) -> Segmented:
        """Find the pixels whose change can be seen, with borders after SAM.

        The confidence is the mean overlap (IoU) of SAM's answers with the change map, by area; 1 when nothing changed at all.

        Raises:
            ToolInputError: the photos have different sizes.
            BackendError: the model failed.
            BackendUnavailableError: on the first call, the checkpoint or a GPU cannot be used.
        """
        field = visible_change(normal, anomaly)
        change = mask_of_visibility(field)
        if not change.any():
            return Segmented(change, float(1.0 - min(1.0, float(field.max(initial=0.0)))))
        window = _around(change, self._vote_options.context)
        shown = anomaly.shown_with(normal.scale)[window]
        mask, inside = np.zeros_like(change), change[window]
        parts = _parts(inside)
        with self._lock:
            votes = self._ask(shown, parts[:_MOST_PARTS], field[window])
        believed = inside.copy()
        for vote, part in zip(votes, parts, strict=False):
            if self._vote_options.mode == "sam" or vote.agreement >= self._vote_options.agreement:
                believed[part] = False
                believed |= vote.mask & _widened(part, self._vote_options.margin_px)
        if self._vote_options.mode == "hybrid":
            believed |= inside & (field[window] >= _STRONG_JND)
        mask[window] = believed
        areas = [float(part.sum()) for part in parts[:_MOST_PARTS]]
        return Segmented(mask, float(np.clip(np.average([vote.agreement for vote in votes], weights=areas), 0.0, 1.0)))

    def _ask(self, shown: RGB, parts: list[Mask], field: Field) -> list[_Vote]:
        """What SAM makes of each part; (h, w) masks of the size of `shown`."""
        import torch

        if self._predictor is None:
            self._predictor = self.load()
        try:
            self._predictor.set_image(np.rint(np.clip(shown, 0.0, 1.0) * 255.0).astype(np.uint8))
            return [_vote(self._predictor, part, field) for part in parts]
        except torch.OutOfMemoryError as error:
            raise BackendError(
                f"mask_gen backend '{self.name}' ran out of GPU memory. Set option device to cpu, or use a smaller checkpoint."
            ) from error


def _vote(predictor: Predictor, part: Mask, field: Field) -> _Vote:
    """SAM's answers to a box, to points and to both, three each, weighted by their overlap with the part."""
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    box = np.array([columns[0] - 1, rows[0] - 1, columns[-1] + 2, rows[-1] + 2], np.float32)
    points = _points(part, field)
    labels = np.ones(len(points), np.int32)
    answers: list[Mask] = []
    prompts: list[dict[str, Any]] = [
        {"box": box},
        {"box": box, "point_coords": points, "point_labels": labels},
        {"point_coords": points, "point_labels": labels},
    ]
    for asked in prompts:
        masks, _, _ = predictor.predict(**asked, multimask_output=True)
        answers += list(masks)
    overlaps = np.array([_overlap(answer, part) for answer in answers])
    best = float(overlaps.max())
    if best == 0.0:
        return _Vote(np.zeros_like(part), 0.0)
    weights = np.where(overlaps >= _NEARLY_BEST * best, overlaps, 0.0)
    mask = np.tensordot(weights, np.stack(answers).astype(np.float64), axes=1) >= 0.5 * weights.sum()
    return _Vote(mask, _overlap(mask, part))


def _points(part: Mask, field: Field) -> NDArray[np.float32]:
    """(2, 2) float32 (x, y): where the part changed most, and its pixel farthest from its border."""
    strongest = int(np.where(part, field, -1.0).argmax())
    padded = np.pad(part.astype(np.uint8), 1)
    deepest = int(np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 3))[1:-1, 1:-1].argmax())
    places = [divmod(index, part.shape[1]) for index in (strongest, deepest)]
    return np.array([(x, y) for y, x in places], np.float32)


def _parts(change: Mask) -> list[Mask]:
    """The change map cut into parts, largest first; what lies close together is one part, such as the drops of a splash."""
    near = max(1, round(0.01 * max(change.shape)))
    grouped = _widened(change, near).astype(np.uint8)
    count, labels = cv2.connectedComponents(grouped, connectivity=8)
    parts = [change & (labels == label) for label in range(1, count)]
    return sorted(parts, key=lambda part: -int(part.sum()))


def _widened(mask: Mask, by_px: int) -> Mask:
    if by_px == 0:
        return mask
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by_px + 1, 2 * by_px + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc), np.bool_)


def _overlap(first: Mask, second: Mask) -> float:
    """Intersection over union, 0..1."""
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 0.0


def _around(change: Mask, context: float) -> tuple[slice, slice]:
    """Rows and columns of what SAM is shown: a square around the change, so that small defects are large in it."""
    rows, columns = np.flatnonzero(change.any(axis=1)), np.flatnonzero(change.any(axis=0))
    extent = max(int(rows[-1] - rows[0]), int(columns[-1] - columns[0])) + 1
    half = max(64.0, 0.5 * context * extent)
    y, x = 0.5 * float(rows[0] + rows[-1]), 0.5 * float(columns[0] + columns[-1])
    height, width = change.shape
    return (
        slice(max(0, int(y - half)), min(height, int(y + half) + 1)),
        slice(max(0, int(x - half)), min(width, int(x + half) + 1)),
    )
