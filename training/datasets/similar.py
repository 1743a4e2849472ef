"""Reference defects of published data sets that look like a given one; vectors by `mcp_tools/backends/looks.py`."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anomalyagent.knowledge.images import ImageIndex
from anomalyagent.mcp_tools.backends.looks import ImageEmbedder
from anomalyagent.training.datasets.files import Labelled, decode_pair

__all__ = ["Similar", "find_similar"]


class Similar(NamedTuple):
    """A reference and its likeness, -1..1; 1 is the same."""

    reference: Labelled
    similarity: float


def find_similar(
    image: Path, mask: Path | None, references: Sequence[Labelled], embedder: ImageEmbedder, count: int, url: str | None = None
) -> list[Similar]:
    """References whose defect looks most like that of `image`, best first.

    Args:
        mask: where the defect is; None: the whole picture is meant.
        url: of a Chroma server that keeps the vectors; None: they are made anew each time.
    Raises:
        ImageError: a picture cannot be decoded, or has another size than its mask.
        KnowledgeError: Chroma cannot be used.
    """
    asked = embedder.embed(*decode_pair(Labelled(image, mask, "")))
    vectors = np.stack([embedder.embed(*decode_pair(one)) for one in references])
    index = ImageIndex(vectors, embedder.name, url)
    try:
        found = index.nearest(asked, count)
    finally:
        index.close()
    return [Similar(references[one.number], one.similarity) for one in found]
