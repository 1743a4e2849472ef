"""Pictures of defects as vectors, with a model or without: what looks alike lies close together.

    built in   colour and contrast of the defect against its surroundings, edges and their directions in a 4 x 4 grid, size and
               form of the mask; no model, some milliseconds a picture
    a model    any vision model of transformers (DINOv2, CLIP's vision part, ViT, ...), by folder or Hugging Face id

A defect is looked at in a square around its mask, half as large again; a picture without a mask is looked at whole.
"""

from importlib import import_module
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.errors import BackendUnavailableError
from anomalyagent.mcp_tools.backends.pretrained import find_pretrained, reason_of
from anomalyagent.mcp_tools.modules import missing_modules

__all__ = ["BuiltInEmbedder", "ImageEmbedder", "ModelEmbedder"]

WHO = "reference search"
_CONTEXT = 1.5
_SIDE_PX = 64
_CELLS, _DIRECTIONS = 4, 8

Vector = NDArray[np.float32]
RGB = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class ImageEmbedder(Protocol):
    """Pictures to vectors of length 1; `name` says what made them."""

    name: str

    def embed(self, image: RGB, mask: Mask | None) -> Vector: ...


class BuiltInEmbedder:
    """Looks only, no learning: see the module docstring."""

    name = "anomalyagent_defect_looks_v1"

    def embed(self, image: RGB, mask: Mask | None) -> Vector:
        """(144,) float32 of length 1."""
        crop, where = _crop(image, mask)
        lab = cv2.cvtColor(cv2.resize(crop, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
        lab = lab.astype(np.float32) - np.float32(128)
        inside = cv2.resize(where.astype(np.uint8), (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_NEAREST) > 0
        around = lab[~inside] if (~inside).any() else lab.reshape(-1, 3)
        within = lab[inside] if inside.any() else lab.reshape(-1, 3)
        colour = np.concatenate([within.mean(0) - around.mean(0), within.std(0) - around.std(0), 0.3 * around.mean(0)]) / 40
        contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        (_, sides, angle) = cv2.minAreaRect(np.concatenate(contours)) if contours else ((0, 0), (1, 1), 0.0)
        longer, shorter = max(*sides, 1.0), max(min(sides), 1.0)
        share = float(where.mean()) if mask is None else float(mask.mean())
        form = [np.log10(share + 1e-5) / 2, np.log2(longer / shorter) / 2, float(inside.mean()), len(contours) / 8]
        turn = np.deg2rad(2 * (angle + (90 if sides[0] < sides[1] else 0)))
        form += [0.5 * np.cos(turn), 0.5 * np.sin(turn), 0.0]
        parts = [colour, _edges(lab[..., 0]), np.array(form)]
        vector = np.concatenate(parts).astype(np.float32)
        return vector / np.float32(max(float(np.linalg.norm(vector)), 1e-6))


class ModelEmbedder:
    """A vision model of transformers; its pooled output, or the mean of its tokens."""

    def __init__(self, model: str, *, local_files_only: bool = True) -> None:
        """Load it.

        Raises:
            BackendUnavailableError: it is not on this machine, or is no vision model.
        """
        source = self.find(model, local_files_only=local_files_only)
        self.name = f"vision:{model}"
        library: Any = import_module("transformers")
        try:
            self._prepare = library.AutoImageProcessor.from_pretrained(source, local_files_only=local_files_only)
            loaded = library.AutoModel.from_pretrained(source, local_files_only=local_files_only).eval()
        except (OSError, ValueError, ImportError, RuntimeError, KeyError) as error:
            raise BackendUnavailableError(f"{WHO}: model '{model}' cannot be loaded: {reason_of(error)}") from error
        self._model = getattr(loaded, "vision_model", loaded)  # CLIP and its like have words, too

    @staticmethod
    def find(model: str, *, local_files_only: bool = True) -> str:
        """What is to be loaded, once it is certain that it can be.

        Raises:
            BackendUnavailableError: see the constructor.
        """
        if line := missing_modules(("torch", "transformers"), "semantic"):
            raise BackendUnavailableError(f"{WHO}: a vision model cannot be used: {line}")
        return find_pretrained(WHO, model, "config.json", "model of transformers", local_files_only=local_files_only)

    def embed(self, image: RGB, mask: Mask | None) -> Vector:
        """(dimensions,) float32 of length 1."""
        import torch

        crop, _ = _crop(image, mask)
        with torch.inference_mode():
            answer = self._model(**self._prepare(images=crop, return_tensors="pt"))
        pooled = getattr(answer, "pooler_output", None)
        found = (answer.last_hidden_state.mean(1) if pooled is None else pooled)[0].float().numpy()
        return np.asarray(found / max(float(np.linalg.norm(found)), 1e-6), np.float32)


def _crop(image: RGB, mask: Mask | None) -> tuple[RGB, Mask]:
    """A square around the defect, and the mask in it; the whole picture without one."""
    if mask is None or not mask.any():
        return image, np.ones(image.shape[:2], np.bool_)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    half = max(8, round(_CONTEXT * max(rows[-1] - rows[0], columns[-1] - columns[0]) / 2) + 1)
    y, x = int(rows[0] + rows[-1]) // 2, int(columns[0] + columns[-1]) // 2
    top, left = max(0, y - half), max(0, x - half)
    return image[top : y + half + 1, left : x + half + 1], mask[top : y + half + 1, left : x + half + 1]


def _edges(lightness: NDArray[np.float32]) -> NDArray[np.float32]:
    """Directions of edges in a grid of cells, weighted by their strength: (cells * cells * directions,), length 1."""
    dx, dy = cv2.Sobel(lightness, cv2.CV_32F, 1, 0), cv2.Sobel(lightness, cv2.CV_32F, 0, 1)
    strength, angle = np.hypot(dx, dy), np.arctan2(dy, dx) % np.pi
    direction = np.minimum((angle / np.pi * _DIRECTIONS).astype(int), _DIRECTIONS - 1)
    cells = np.arange(_SIDE_PX) * _CELLS // _SIDE_PX
    place = (cells[:, None] * _CELLS + cells[None, :]) * _DIRECTIONS + direction
    histogram = np.bincount(place.ravel(), strength.ravel(), _CELLS * _CELLS * _DIRECTIONS)
    return np.asarray(histogram / max(float(np.linalg.norm(histogram)), 1e-6), np.float32)
