"""Pins that point at the lens are missing from their seats or lean out of the raster."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.looks.contacts import contacts_of, names_contacts

SEATS = [(x, y) for y in (105, 145) for x in range(70, 251, 36)]
SEAT, TIP = 16, 6  # sides in pixels: of the dark seat and of half of it, of the tip in it
GOLD = np.array([215.0, 175.0, 80.0])


def header(seats: bool = True) -> NDArray[np.uint8]:
    """Two rows of gold pins in a grey body on a pale bench, in dark seats or without."""
    photo = np.full((240, 320, 3), 200.0)
    cv2.rectangle(photo, (40, 75), (280, 175), (110, 110, 105), -1)
    for x, y in SEATS:
        if seats:
            cv2.rectangle(photo, (x - SEAT // 2, y - SEAT // 2), (x + SEAT // 2, y + SEAT // 2), (30, 28, 26), -1)
        cv2.rectangle(photo, (x - TIP // 2, y - TIP // 2), (x + TIP // 2, y + TIP // 2), tuple(GOLD), -1)
    noise = np.random.default_rng(0).normal(0.0, 2.0, photo.shape)
    return np.clip(cv2.GaussianBlur(photo, (0, 0), 0.7) + noise, 0, 255).astype(np.uint8)


def gold(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray(np.linalg.norm(rgb.astype(float) - GOLD, axis=2) < 40.0)


def test_words_of_contacts() -> None:
    assert names_contacts('one missing part ("missing_pin") of the connector')
    assert names_contacts("bent terminals")
    assert not names_contacts("a pinhole in the paint")


@pytest.mark.parametrize("seats", [True, False])
def test_contacts_are_found(seats: bool) -> None:
    found = contacts_of(Scene(photo_from_array(header(seats))))
    assert len(found) == len(SEATS)
    assert all(min(np.hypot(part.center_xy[0] - x, part.center_xy[1] - y) for part in found) < 2.0 for x, y in SEATS)


@pytest.mark.parametrize("seed", range(4))
def test_a_missing_pin_leaves_its_seat(seed: int) -> None:
    photo = photo_from_array(header())
    spec = DefectSpec(mechanism="missing", area_fraction=0.05, severity=15.0)
    edited = ProceduralImageGen().edit(photo, "a missing pin of the connector", spec, seed)
    rows, columns = np.nonzero(edited.changed)
    near = [(x, y) for x, y in SEATS if abs(columns.mean() - x) < 3 and abs(rows.mean() - y) < 3]
    assert len(near) == 1
    assert max(np.ptp(rows), np.ptp(columns)) < SEAT
    assert edited.photo.native[edited.changed].mean() < 45


@pytest.mark.parametrize("seed", range(4))
def test_a_bent_pin_leans_out_of_the_raster(seed: int) -> None:
    photo = photo_from_array(header())
    spec = DefectSpec(mechanism="bend", area_fraction=0.05, severity=15.0)
    edited = ProceduralImageGen().edit(photo, "a bent pin of the connector", spec, seed)
    before, after = gold(photo.native), gold(edited.photo.native)
    assert np.count_nonzero(before & ~after) > 10
    assert np.count_nonzero(after & ~before) > 10
    assert np.count_nonzero(edited.changed) < 0.02 * edited.changed.size


def test_a_pin_without_a_seat_leaves_a_hole() -> None:
    photo = photo_from_array(header(seats=False))
    spec = DefectSpec(mechanism="missing", area_fraction=0.05, severity=15.0)
    edited = ProceduralImageGen().edit(photo, "a missing pin of the connector", spec, 1)
    assert not gold(edited.photo.native)[edited.changed].any()
    assert edited.photo.native[edited.changed].min() < 70


def test_a_body_without_contacts_is_bent_as_before() -> None:
    plain = np.full((240, 320, 3), 200, np.uint8)
    cv2.rectangle(plain, (40, 75), (280, 175), (110, 110, 105), -1)
    assert contacts_of(Scene(photo_from_array(plain))) == ()
