"""Real-like defects with masks, in MVTec layout."""

from pathlib import Path

import cv2
import numpy as np
from helpers.photos import make_photo

KINDS = ("line", "patch", "spot")


def write_references(root: Path) -> Path:
    """Four dark spots, four bright lines, four coloured patches, each in another place on another photo of 96 px; the root."""
    rng = np.random.default_rng(0)
    for place, kind in enumerate(KINDS):
        for number in range(4):
            image = make_photo("surface", 10 * place + number, 96)
            mask = np.zeros((96, 96), np.uint8)
            x, y = (int(value) for value in rng.integers(30, 66, 2))
            if kind == "line":
                cv2.line(mask, (x - 18, y - 3), (x + 18, y + 3), 255, 2)
                image[mask > 0] = 235
            elif kind == "patch":
                cv2.rectangle(mask, (x - 12, y - 9), (x + 12, y + 9), 255, -1)
                image[mask > 0, 0] = 220
            else:
                cv2.circle(mask, (x, y), 6, 255, -1)
                image[mask > 0] //= 4
            for folder, name, data in (
                ("test", f"{number:03d}.png", image[..., ::-1]),
                ("ground_truth", f"{number:03d}_mask.png", mask),
            ):
                path = root / folder / kind / name
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), data)
    return root
