"""Repairing photos of defects with real texture."""

import numpy as np
import pytest
from helpers.defects import make_defect
from helpers.photos import make_photo, rgb_of

from anomalyagent.errors import ToolInputError
from anomalyagent.mcp_tools.imaging.restoring import Gallery, Source, align, hole_around, restore


def normals(count: int = 4) -> list[Source]:
    return [Source(rgb_of(make_photo("part", number))) for number in range(count)]


@pytest.mark.parametrize("block_px", [None, 32])
def test_a_repaired_photo_is_near_the_flawless_one_and_identical_elsewhere(block_px: int | None) -> None:
    truth = rgb_of(make_photo("part", 50))
    pixels, mask = make_defect(50)
    defect = rgb_of(pixels)
    hole = hole_around(mask > 0, 3)
    filled = restore(defect, hole, normals(), fade_px=3, block_px=block_px)
    assert filled is not None
    assert (filled[~hole] == defect[~hole]).all()
    left = np.abs(filled - truth)[mask > 0].mean()
    assert left < 0.25 * np.abs(defect - truth)[mask > 0].mean()


def test_without_other_photos_the_material_comes_from_the_photo_itself() -> None:
    surface = rgb_of(make_photo("surface", 3))
    defect, hole = surface.copy(), np.zeros(surface.shape[:2], np.bool_)
    hole[40:52, 30:44] = True
    defect[hole] = 0.1
    filled = restore(defect, hole, [], fade_px=3)
    assert filled is not None
    assert np.abs(filled - surface)[hole].mean() < 0.06
    grain = np.abs(np.diff(filled, axis=1))[hole[:, 1:]].mean() / np.abs(np.diff(surface, axis=1))[hole[:, 1:]].mean()
    assert 0.6 < grain < 1.6, "the filling is as grainy as its surroundings: no smear"


def test_nothing_is_taken_from_where_it_is_forbidden() -> None:
    surface = rgb_of(make_photo("surface", 3))
    hole = np.zeros(surface.shape[:2], np.bool_)
    hole[40:52, 30:44] = True
    dirty = surface.copy()
    dirty[:, 48:] = (1.0, 0.0, 0.0)
    forbidden = np.zeros(hole.shape, np.bool_)
    forbidden[:, 48:] = True
    filled = restore(surface, hole, [Source(dirty, forbidden)], fade_px=3)
    assert filled is not None
    assert (filled[hole][:, 0] - filled[hole][:, 1]).max() < 0.2


def test_material_that_does_not_fit_is_said_so() -> None:
    surface = rgb_of(make_photo("surface", 3))
    hole = np.zeros(surface.shape[:2], np.bool_)
    hole[8:88, 8:88] = True
    assert restore(surface, hole, [Source(surface[:40, :40])], fade_px=3) is None
    with pytest.raises(ToolInputError, match="some pixels"):
        restore(surface, np.zeros_like(hole), [], fade_px=3)


def test_a_moved_photo_of_the_same_object_is_moved_back() -> None:
    photo = rgb_of(make_photo("part", 5))
    moved = np.roll(photo, (2, 3), axis=(0, 1))
    hole = np.zeros(photo.shape[:2], np.bool_)
    hole[30:40, 30:40] = True
    back = align(moved, photo, hole)
    assert back is not None
    inner = (slice(8, -8), slice(8, -8))
    assert np.abs(back - photo)[inner].mean() < 0.3 * np.abs(moved - photo)[inner].mean()
    assert align(rgb_of(make_photo("surface", 1)), photo, hole) is None


def test_the_photos_that_look_alike_are_chosen_first() -> None:
    sources = [*normals(3), *[Source(rgb_of(make_photo("surface", number))) for number in range(3)]]
    hole = np.zeros((96, 96), np.bool_)
    hole[40:50, 40:50] = True
    chosen = Gallery(sources).choose(rgb_of(make_photo("surface", 9)), hole, 3, skip=4)
    assert set(chosen) >= {3, 5}
    assert 4 not in chosen
