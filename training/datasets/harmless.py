"""Good photos with harmless differences of light, put beside the good photos of a data set.

    dataset/<item>/train/good/012.png                  a good photo
    dataset/<item>/train/good/012_harmless_000.png     the same with soft spots of light or shade

A detector that is trained on few photos takes what it has not seen there for a defect, soft reflections before all. Not for
parts on which uneven shade is a defect itself (mura, discoloration without outline).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from anomalyagent.errors import ImageError
from anomalyagent.graph.dataset import harmless_name, photo_behind
from anomalyagent.graph.tasks import choose_normal, derive_seed
from anomalyagent.mcp_tools.imaging.photo import read_own_photo, write_photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.light.harmless import vary_harmlessly
from anomalyagent.training.datasets.files import GOOD
from anomalyagent.training.datasets.layouts import find_categories, read_category

__all__ = ["add_harmless"]


def add_harmless(folder: Path, count: int | None, seed: int, say: Callable[[str], None] = lambda _text: None) -> int:
    """Add `count` of them to each category below `folder`; those that are there already are left as they are.

    The same photos, count and seed give the same bytes, and a larger count only adds to them.

    Args:
        folder: a run, or a data set in MVTec layout (`train/good`).
        count: in all; unset: as many as there are anomaly images.
        seed: of places, sizes and colours.
        say: told how far it is.
    Returns:
        How many files were written.
    Raises:
        ImageError: there are no good photos in `train/good`, or one cannot be read.
        WorkspaceError: the folder cannot be written; what was written stays.
    """
    written = 0
    for root in find_categories(folder):
        category = read_category(root)
        good = root / "train" / GOOD
        photos = [file.image for file in category.train_good if file.image.parent == good and photo_behind(file.image) is None]
        if not photos:
            raise ImageError(f"{root} holds no photos in train/{GOOD}. Give a run, or a data set in the layout of MVTec AD.")
        wanted = len(category.anomalies) if count is None else count
        for index in range(wanted):
            photo = photos[choose_normal(seed, category.name, "harmless", index, len(photos))]
            target = good / harmless_name(photo.stem, index // len(photos))
            if target.exists():
                continue
            rng = np.random.default_rng(derive_seed(seed, category.name, "harmless", index))
            write_photo(vary_harmlessly(Scene(read_own_photo(photo)), rng), target)
            written += 1
            if written % 50 == 0:
                say(f"{index + 1} of {wanted} in {good}")
    return written
