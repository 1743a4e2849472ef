"""Real defects that look like the one that was made, shown beside the cards by knowledge_retrieval when the user has some.

    knowledge:
      references:
        folders: [real_defects/]     # MVTec layout, or x.png with x_mask.png

What is compared are vectors of the defects (`backends/looks.py`), kept in ChromaDB. Of each one found the photo is put into the
workspace, and what the renderers would need to draw its like is measured.
"""

import threading
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from anomalyagent.configs.schema import ReferenceSettings
from anomalyagent.errors import ConfigError
from anomalyagent.knowledge.images import ImageIndex
from anomalyagent.knowledge.names import plain_name
from anomalyagent.mcp_tools.backends.looks import BuiltInEmbedder, ImageEmbedder, ModelEmbedder
from anomalyagent.mcp_tools.contracts import ReferenceHit
from anomalyagent.mcp_tools.imaging.arrays import Mask
from anomalyagent.mcp_tools.imaging.change import mask_of_change
from anomalyagent.mcp_tools.imaging.photo import Photo, read_mask, read_own_photo
from anomalyagent.mcp_tools.procedural.references import Pair, find_pairs, measure_donor

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ReferenceSearch", "References"]


class References(NamedTuple):
    """What was found, best first, and why it is not more."""

    hits: list[ReferenceHit]
    photos: list[Photo]
    note: str = ""


class _Index(NamedTuple):
    pairs: list[Pair]
    vectors: ImageIndex


class ReferenceSearch:
    """Finds reference defects by their looks. Photos are read and compared on the first question.

    Args:
        settings: where they are.
    Raises:
        ConfigError: a folder is not there or holds no defect with a mask.
        BackendUnavailableError: the model is not on this machine.
    """

    def __init__(self, settings: ReferenceSettings) -> None:
        self._settings = settings
        self._pairs: list[Pair] = []
        for folder in settings.folders:
            found = find_pairs(folder) if folder.is_dir() else []
            if not found:
                raise ConfigError(
                    f"knowledge.references: {folder} holds no defect with a mask. Give a folder in MVTec layout "
                    "(test/<type>/x.png with ground_truth/<type>/x_mask.png), or with x.png and x_mask.png side by side."
                )
            self._pairs += found
        if settings.model is not None:
            ModelEmbedder.find(settings.model, local_files_only=settings.local_files_only)
        self._lock = threading.Lock()
        self._indexes: dict[str, _Index] = {}

    @cached_property
    def _embedder(self) -> ImageEmbedder:
        model = self._settings.model
        return BuiltInEmbedder() if model is None else ModelEmbedder(model, local_files_only=self._settings.local_files_only)

    def like(self, normal: Photo, anomaly: Photo, anomaly_type: str) -> References:
        """The references whose defect looks most like what visibly changed from `normal` to `anomaly`.

        Those of the anomaly type are compared, whatever its spelling; all of them when none is of that type.

        Raises:
            ImageError: a reference cannot be read or does not fit its mask.
            KnowledgeError: Chroma cannot be used.
            BackendUnavailableError: the model cannot be loaded.
        """
        where = mask_of_change(normal, anomaly)
        if not where.any():
            return References([], [], "No reference was looked for: nothing visible changed in the anomaly image.")
        known = plain_name(anomaly_type)
        of_type = [pair for pair in self._pairs if plain_name(pair.anomaly_type) == known]
        with self._lock:
            index = self._index(known if of_type else "", of_type or self._pairs)
            nearest = index.vectors.nearest(self._vector(anomaly, where), self._settings.results)
        hits: list[ReferenceHit] = []
        photos: list[Photo] = []
        for one in nearest:
            pair = index.pairs[one.number]
            photos.append(read_own_photo(pair.image))
            hits.append(_described(pair, one.similarity))
        note = "" if of_type else f"No reference is of type {anomaly_type!r}; those of all types were compared."
        return References(hits, photos, note)

    def _index(self, name: str, pairs: list[Pair]) -> _Index:
        if name not in self._indexes:
            vectors = np.stack([self._vector(read_own_photo(pair.image), read_mask(pair.mask), pair) for pair in pairs])
            self._indexes[name] = _Index(pairs, ImageIndex(vectors, self._embedder.name, self._settings.url))
        return self._indexes[name]

    def _vector(self, photo: Photo, where: Mask, pair: Pair | None = None) -> "NDArray[np.float32]":
        if photo.shape != where.shape and pair is not None:
            raise ConfigError(
                f"knowledge.references: {pair.mask} is {where.shape[1]} x {where.shape[0]}, its image {photo.shape[1]} x "
                f"{photo.shape[0]} pixels. They must be equal."
            )
        return self._embedder.embed(np.rint(photo.rgb * 255.0).astype(np.uint8), where)


def _described(pair: Pair, similarity: float) -> ReferenceHit:
    """What was measured on the defect; nothing where it is too small or covers nearly all."""
    donor = measure_donor(pair)
    told = ReferenceHit(name=pair.image.name, anomaly_type=pair.anomaly_type, similarity=round(similarity, 4), image="")
    if donor is None:
        return told
    return told.model_copy(
        update={
            "area_fraction": donor.area_fraction,
            "elongation": donor.elongation,
            "severity": donor.severity,
            "count": donor.count,
            "lightness": donor.shift[0],
        }
    )
