"""The hollow around a site: its outline is that of the dark field, and a pale face is none."""

import cv2
import numpy as np
from helpers.sites import JAR_LIP, JAR_MOUTH, JAR_PX, bore, jar, plain_sheet, site_on
from numpy.typing import NDArray

from anomalyagent.mcp_tools.procedural.structure.cavity import Cavity, find_cavity


def whole(cavity: Cavity | None, size: int) -> NDArray[np.bool_]:
    assert cavity is not None
    mask = np.zeros((size, size), np.bool_)
    mask[cavity.window.slices] = cavity.mask
    return mask


def away_from(size: int, radius: float) -> NDArray[np.float64]:
    """(size, size) pixels to a circle around the middle, negative inside."""
    y, x = np.mgrid[:size, :size]
    return np.hypot(x - size // 2, y - size // 2) - radius


def test_the_outline_of_a_large_cavity_is_smooth() -> None:
    """It was searched on a copy of 128 pixels and came back in steps of eight."""
    mask = whole(find_cavity(site_on(bore(1024, 300), (512, 512), 90_000)), 1024)
    (outline,), _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = outline[:, 0].astype(np.float64)
    assert np.abs(np.hypot(*(points - 512).T) - 300).max() < 10
    chord = points - np.roll(points, 15, axis=0)
    heading = np.arctan2(chord[:, 1], chord[:, 0])
    turn = (heading - np.roll(heading, 15) + np.pi) % (2 * np.pi) - np.pi
    assert np.abs(turn).max() < 0.35  # radians in 30 pixels, of which the circle takes 0.05 to 0.1


def test_what_leaks_through_a_gap_is_not_of_the_cavity() -> None:
    sheet = bore(256, 60)
    cv2.line(sheet, (128, 128), (215, 128), (34, 34, 34), 8)
    mask = whole(find_cavity(site_on(sheet, (120, 135), 4000)), 256)
    assert away_from(256, 60)[mask].max() < 6
    assert mask.sum() > 0.9 * np.pi * 60**2


def test_a_field_that_leaks_is_searched_again_more_closely() -> None:
    """A pool of shade beside the bore, of nearly its tone, is joined to it at the widest tolerance."""
    sheet = bore(256, 60)
    cv2.ellipse(sheet, (128, 200), (70, 40), 0, 0, 360, (42, 42, 42), -1, cv2.LINE_AA)
    cv2.circle(sheet, (128, 128), 60, (30, 30, 30), -1, cv2.LINE_AA)
    mask = whole(find_cavity(site_on(sheet, (120, 110), 4000)), 256)
    assert away_from(256, 60)[mask].max() < 6
    assert mask.sum() > 0.95 * np.pi * 60**2


def test_only_a_dark_field_is_a_hollow() -> None:
    """Dirt that ended at the border of a brick's face, or covered all of it, looked cut out."""
    assert find_cavity(site_on(bore(128, 32, 30), (64, 64), 900)) is not None
    assert find_cavity(site_on(bore(128, 32, 235), (64, 64), 900)) is None


def test_in_an_object_with_a_mouth_it_is_the_mouth_and_nothing_outside_of_it() -> None:
    middle = JAR_PX // 2
    mouth = find_cavity(site_on(jar(), (middle, middle + 6), 900))
    mask = whole(mouth, JAR_PX)
    away = away_from(JAR_PX, JAR_MOUTH * JAR_PX)
    assert away[mask].max() < 4
    assert away[~mask].min() > -4
    assert find_cavity(site_on(jar(), (middle, middle - JAR_LIP * JAR_PX), 300)) is None


def test_a_slot_that_is_too_narrow_for_its_length_is_none() -> None:
    none = 0
    for high in range(4, 10):
        sheet = plain_sheet(128, 170, grain=0.0)
        cv2.rectangle(sheet, (10, 60), (117, 60 + high), (30, 30, 30), -1)
        cavity = find_cavity(site_on(sheet, (64, 60 + high / 2), 1500))
        assert cavity is None or cavity.mask.any()
        none += cavity is None
    assert none >= 1
