"""Labelled cases for the calibration: good and spoilt examples on normal photos, and real defects beside their clean twins.

Folders are in MVTec layout (`train/good`, `test/<type>`, `ground_truth/<type>/<stem>_mask.png`), or hold plain photos.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomalyagent.errors import ToolInputError
from anomalyagent.knowledge.cards import Card
from anomalyagent.knowledge.fitting import choose_cards
from anomalyagent.knowledge.spec import Mechanism
from anomalyagent.knowledge.words import mechanism_of
from anomalyagent.mcp_tools.imaging.compositing import composite_visible
from anomalyagent.mcp_tools.imaging.photo import Photo, photo_from_array, read_mask, read_photo
from anomalyagent.mcp_tools.imaging.sizes import reduced
from anomalyagent.mcp_tools.imaging.suffixes import is_image_name
from anomalyagent.mcp_tools.judge.expectation import Expectation, expect
from anomalyagent.mcp_tools.judge.ladder import SPOILERS, draw_dent, draw_good, spoil
from anomalyagent.mcp_tools.judge.specimens import SPECIMENS, make_specimen
from anomalyagent.mcp_tools.judge.twins import make_clean_twin

__all__ = ["GOOD", "REAL", "Case", "generated_cases", "ladder_cases", "read_normals", "real_cases"]

GOOD = "good"
REAL = "real"
_SIDE_PX = 256  # of a generated photo


@dataclass(frozen=True, eq=False)
class Case:
    """One pair to be judged.

    Attributes:
        group: the set that it comes from; whole groups are held out.
        label: `good`, `real`, or the name of the fault.
        strength: of the fault, 0..1.
        normal, anomaly: the photos.
        expected: what was asked for.
        drawn: mechanism that drew a good example; None when nobody knows.
    """

    group: str
    label: str
    strength: float
    normal: Photo
    anomaly: Photo
    expected: Expectation
    drawn: Mechanism | None = None


def _read(path: Path, side_px: int) -> Photo:
    return photo_from_array(reduced(read_photo(path).native, side_px))


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if is_image_name(path.name))


def read_normals(folder: Path, count: int, side_px: int) -> list[Photo]:
    """At most `count` photos of a folder (of its `train/good` in MVTec layout), evenly spread, longer side at most `side_px`.

    Raises:
        ToolInputError: there is no photo.
    """
    good = folder / "train" / "good"
    paths = _images(good if good.is_dir() else folder) if folder.is_dir() else []
    if not paths:
        raise ToolInputError(f"no photos in {folder}. Give a folder with photos, or one in MVTec layout.")
    picks = np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int))
    return [_read(paths[i], side_px) for i in picks]


def ladder_cases(group: str, item: str, normals: Sequence[Photo], cards: Sequence[Card], seed: int) -> Iterator[Case]:
    """For each normal photo a good example, and every fault that can be made of it at a random strength."""
    for index, normal in enumerate(normals):
        rng = np.random.default_rng([seed, index])
        good = next((found for _ in range(4) if (found := draw_good(normal, item, cards, rng)) is not None), None)
        if good is None:
            continue
        # As the type is asked for: another item's card must not explain it away.
        expected = expect([good.card], good.spec.mechanism)
        yield Case(group, GOOD, 0.0, normal, good.photo, expected, good.spec.mechanism)
        for name in SPOILERS:
            strength = float(rng.uniform(0.25, 1.0))
            spoilt = spoil(name, good, strength, rng)
            if spoilt is not None and name != "wrong_light":
                yield Case(group, name, strength, normal, spoilt, expected)
        dent = draw_dent(normal, cards, rng)
        strength = float(rng.uniform(0.25, 1.0))
        turned = spoil("wrong_light", dent, strength, rng) if dent is not None else None
        if dent is not None and turned is not None:
            asked = expect([dent.card], "dent")
            yield Case(group, GOOD, 0.0, normal, dent.photo, asked, "dent")
            yield Case(group, "wrong_light", strength, normal, turned, asked)


def generated_cases(cards: Sequence[Card], count: int, seed: int) -> Iterator[Case]:
    """The ladder on `count` generated photos of each specimen."""
    for number, item in enumerate(SPECIMENS):
        normals = [make_specimen(item, np.random.default_rng([seed, number, i]), _SIDE_PX) for i in range(count)]
        yield from ladder_cases("generated", item, normals, cards, seed + number)


def real_cases(
    group: str, item: str, folder: Path, normals: Sequence[Photo], cards: Sequence[Card], count: int, side_px: int, seed: int
) -> Iterator[Case]:
    """At most `count` real defects of each type beside their clean twins.

    Raises:
        ToolInputError: the folder has no `ground_truth`.
    """
    truth = folder / "ground_truth"
    if not truth.is_dir():
        raise ToolInputError(f"{folder} has no folder ground_truth. Give a data set in MVTec layout.")
    for kind in sorted(path.name for path in truth.iterdir() if path.is_dir()):
        paths = _images(folder / "test" / kind)
        rng = np.random.default_rng([seed, len(paths)])
        guess = mechanism_of(kind, item)
        expected = expect(choose_cards(cards, item, kind).cards, guess.mechanism if guess.confidence > 0 else None)
        for i in np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)):
            defect = _read(paths[i], side_px)
            mask = reduced(read_mask(truth / kind / f"{paths[i].stem}_mask.png").astype(np.uint8) * 255, side_px) > 127
            twin = make_clean_twin(defect, mask, list(normals), rng) if mask.any() else None
            if twin is not None:
                # As a generator would hand it over: what cannot be seen is the normal photo.
                yield Case(group, REAL, 0.0, twin, composite_visible(twin, defect.rgb)[0], expected)
