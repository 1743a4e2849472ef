"""Which photos of a real data set show one part: for `anomalyagent evaluate localize --parts`.

For sets that photograph each part several times under other light, as the magnetic tiles do (up to six exposures), and whose
names do not say so. Two photos of one anomaly type show one part when their masks and what is seen around them are alike; so
are the photos that a chain of such pairs connects. Look at the sheet before you use the list: a row shows one part.

    python tests/bench/same_parts.py --real DIR --out parts.csv --sheet parts.png
"""

import argparse
import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from anomalyagent.training.evaluation.datasets import Stack, load_stack, read_labelled

_SIDE = 96
_SHIFT, _AROUND = 6, 12  # pixels that two photos may be apart; that are compared around the masks
_MASKS_ALIKE, _IMAGES_ALIKE = 0.5, 0.7  # cosine of soft masks; correlation of what is seen at and around them
_PER_ROW = 12


def main() -> None:
    """Write the list and a sheet of its parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="real data set, one category")
    parser.add_argument("--out", type=Path, required=True, help="CSV file: image,part")
    parser.add_argument("--sheet", type=Path, help="PNG file: the photos, parts in rows")
    given = parser.parse_args()
    files = read_labelled(given.real)
    rows: list[tuple[str, str]] = []
    pictures: list[NDArray[np.uint8]] = []
    for kind in sorted({file.anomaly_type for file in files}):
        of_type = [file for file in files if file.anomaly_type == kind]
        stack = load_stack(of_type, _SIDE)
        count, labels = connected_components(_alike(stack))
        print(f"{kind}: {len(of_type)} photos of {count} parts, at most {np.bincount(labels).max()} of one")
        for part in range(count):
            members = np.flatnonzero(labels == part)
            rows += [(of_type[i].image.relative_to(given.real).as_posix(), f"{kind}-{part}") for i in members]
            pictures += [_row(stack, members[start : start + _PER_ROW]) for start in range(0, len(members), _PER_ROW)]
    with given.out.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("image", "part"), *rows])
    if given.sheet is not None:
        cv2.imwrite(str(given.sheet), np.vstack(pictures)[:, :, ::-1])


def _alike(stack: Stack) -> NDArray[np.bool_]:
    """(N, N) bool: which pairs show one part."""
    soft = np.stack([cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _SHIFT / 2) for mask in stack.masks])
    flat = soft.reshape(len(soft), -1)
    flat = flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9)
    candidates = np.triu(flat @ flat.T > _MASKS_ALIKE, 1)
    seen = np.stack([_details(image) for image in stack.images])
    pairs = np.zeros_like(candidates)
    for one, other in np.argwhere(candidates):
        down, right = np.nonzero(stack.masks[one] | stack.masks[other])
        top, left = max(0, down.min() - _AROUND), max(0, right.min() - _AROUND)
        bottom, end = down.max() + _AROUND + 1, right.max() + _AROUND + 1
        searched = seen[one][top:bottom, left:end]
        wanted = seen[other][top:bottom, left:end][_SHIFT:-_SHIFT, _SHIFT:-_SHIFT]
        pairs[one, other] = cv2.matchTemplate(searched, wanted, cv2.TM_CCOEFF_NORMED).max() > _IMAGES_ALIKE
    return pairs


def _details(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(S, S) float32 log grey without slow shading, which changes with the exposure."""
    log = np.log(image.astype(np.float32).mean(axis=2) + 8)
    return np.asarray(cv2.GaussianBlur(log, (0, 0), 1) - cv2.GaussianBlur(log, (0, 0), 8), np.float32)


def _row(stack: Stack, members: NDArray[np.intp]) -> NDArray[np.uint8]:
    row = np.zeros((_SIDE, _SIDE * _PER_ROW, 3), np.uint8)
    for place, index in enumerate(members):
        picture = stack.images[index].copy()
        outlines = cv2.findContours(stack.masks[index].astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
        cv2.drawContours(picture, outlines, -1, (255, 0, 0))
        row[:, place * _SIDE : (place + 1) * _SIDE] = picture
    return row


if __name__ == "__main__":
    main()
