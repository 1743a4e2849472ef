"""Round parts of equal size are found with what fills them; one of them is missing, hollow or of another colour."""

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.arrays import RGB, Mask
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.parts.discs import cores_of, discs_of

SIZE, RADIUS, CORE = 240, 38, 24
MIDDLES = (120, 72), (78, 144), (162, 144)
JACKETS = (60, 140, 70), (60, 90, 170), (150, 150, 148)
COPPER, FILLER = (190, 120, 75), (52, 50, 48)
DISC_AREA, CORE_AREA = np.pi * RADIUS**2, np.pi * CORE**2


def _cable() -> NDArray[np.uint8]:
    """The cut face of a cable: a pale jacket, in it three insulated wires in a dark filler, on a grey bench."""
    photo = np.full((SIZE, SIZE, 3), 118, np.uint8)
    cv2.circle(photo, (120, 120), 106, (205, 205, 200), -1, cv2.LINE_AA)
    cv2.circle(photo, (120, 120), 94, FILLER, -1, cv2.LINE_AA)
    for middle, jacket in zip(MIDDLES, JACKETS, strict=True):
        cv2.circle(photo, middle, RADIUS, jacket, -1, cv2.LINE_AA)
        cv2.circle(photo, middle, CORE, COPPER, -1, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0.0, 2.0, (SIZE, SIZE, 1))
    return np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)


def _within(middle: tuple[int, int], radius: float) -> Mask:
    y, x = np.ogrid[:SIZE, :SIZE]
    return (x - middle[0]) ** 2 + (y - middle[1]) ** 2 < radius**2


def _drawn(mechanism: str, area: float, seed: int) -> tuple[RGB, Mask]:
    photo = photo_from_array(_cable())
    share = area / Scene(photo).object_area_px
    spec = DefectSpec.model_validate({"mechanism": mechanism, "zone": "interior", "area_fraction": share, "severity": 15.0})
    edited = ProceduralImageGen().edit(photo, "a wire of the cable", spec, seed)
    return 255.0 * edited.photo.rgb, edited.changed


def _far(color: NDArray[np.floating], other: tuple[int, int, int]) -> float:
    return float(np.abs(color - np.array(other)).max())


def test_discs_and_their_cores_are_found() -> None:
    scene = Scene(photo_from_array(_cable()))
    for found, radius in ((discs_of(scene, DISC_AREA), RADIUS), (cores_of(scene, CORE_AREA), CORE)):
        assert len(found) == 3
        for x, y in MIDDLES:
            assert min(np.hypot(part.center_xy[0] - x, part.center_xy[1] - y) for part in found) < 2.0
        assert all(abs(0.5 * part.length_px - radius) < 6.0 for part in found)


def test_nothing_is_returned_for_another_size_and_no_discs_are_seen_where_there_are_none() -> None:
    scene = Scene(photo_from_array(_cable()))
    assert discs_of(scene, 0.05 * DISC_AREA) == ()
    assert cores_of(scene, 0.05 * CORE_AREA) == ()
    assert cores_of(scene, DISC_AREA) == ()
    for native in (make_photo("surface", size=200), make_photo("part", size=200), np.full((90, 90), 80, np.uint8)):
        other = Scene(photo_from_array(native))
        assert discs_of(other, 0.05 * other.object_area_px) == ()


@pytest.mark.parametrize("seed", range(5))
def test_a_missing_wire_leaves_the_filler_and_the_others_untouched(seed: int) -> None:
    after, mask = _drawn("missing", DISC_AREA, seed)
    gone = [middle for middle in MIDDLES if mask[_within(middle, RADIUS - 6)].mean() > 0.9]
    assert len(gone) == 1
    assert not mask[~_within(gone[0], RADIUS + 7)].any()
    assert _far(np.median(after[_within(gone[0], RADIUS - 8)], axis=0), FILLER) < 14


@pytest.mark.parametrize("seed", range(5))
def test_a_wire_without_copper_keeps_its_jacket(seed: int) -> None:
    after, mask = _drawn("missing", CORE_AREA, seed)
    hollow = [index for index, middle in enumerate(MIDDLES) if mask[_within(middle, CORE - 6)].mean() > 0.9]
    assert len(hollow) == 1
    middle = MIDDLES[hollow[0]]
    assert after[_within(middle, CORE - 6)].mean() < 60
    ring = _within(middle, RADIUS - 3) & ~_within(middle, CORE + 7)
    assert _far(np.median(after[ring], axis=0), JACKETS[hollow[0]]) < 8


@pytest.mark.parametrize("seed", range(6))
def test_a_swapped_wire_has_another_jacket_and_its_copper(seed: int) -> None:
    after, mask = _drawn("swap", DISC_AREA, seed)
    rings = [_within(middle, RADIUS - 5) & ~_within(middle, CORE + 5) for middle in MIDDLES]
    changed = [index for index, ring in enumerate(rings) if mask[ring].mean() > 0.7]
    assert len(changed) == 1
    assert _far(np.median(after[rings[changed[0]]], axis=0), JACKETS[changed[0]]) > 25
    assert _far(np.median(after[_within(MIDDLES[changed[0]], CORE - 5)], axis=0), COPPER) < 60


def test_where_a_loose_part_lay_the_bench_keeps_no_trace() -> None:
    photo = np.full((200, 200, 3), 225, np.uint8)
    for x in (50, 100, 150):
        for y in (50, 100, 150):
            cv2.circle(photo, (x, y), 17, (180, 60, 50), -1, cv2.LINE_AA)
    native = np.clip(photo + np.random.default_rng(0).normal(0.0, 1.5, (200, 200, 1)), 0, 255).astype(np.uint8)
    scene = Scene(photo_from_array(native))
    share = np.pi * 17**2 / scene.object_area_px
    spec = DefectSpec.model_validate({"mechanism": "missing", "area_fraction": share, "severity": 15.0})
    for seed in range(8):
        edited = ProceduralImageGen().edit(scene.photo, "a missing tablet", spec, seed)
        assert edited.changed.any()
        inside = cv2.erode(edited.changed.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
        assert abs(float(np.median(255.0 * edited.photo.rgb[inside])) - 225.0) < 8.0


def test_the_rims_of_holes_in_the_corners_of_a_board_are_no_parts() -> None:
    """A mounting hole was lost or dyed together with the corner of the board and the bench beside it."""
    photo = np.full((240, 320, 3), 205, np.uint8)
    photo[20:220, 20:300] = (18, 70, 40)
    for middle in ((38, 38), (282, 38), (38, 202), (282, 202)):
        cv2.circle(photo, middle, 16, (200, 170, 90), -1, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0.0, 2.0, (240, 320, 1))
    scene = Scene(photo_from_array(np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)))
    for part in discs_of(scene, np.pi * 16**2):
        assert scene.foreground[part.window.slices][part.mask].mean() > 0.98


BIG, BIG_MIDDLES, BIG_JACKETS = 420, ((210, 126), (137, 252), (284, 252)), ((60, 140, 70), (60, 90, 170), (165, 90, 60))


def _stranded() -> NDArray[np.uint8]:
    """Such a face as it really is: the wires are no circles, their copper is a ragged bundle of strands."""
    rng = np.random.default_rng(5)
    photo = np.full((BIG, BIG, 3), 90, np.uint8)
    cv2.circle(photo, (210, 210), 186, (165, 165, 162), -1, cv2.LINE_AA)
    for middle, jacket in zip(BIG_MIDDLES, BIG_JACKETS, strict=True):
        cv2.ellipse(photo, middle, (72, 68), 25.0 + middle[0], 0, 360, jacket, -1, cv2.LINE_AA)
        cv2.circle(photo, middle, 40, (45, 28, 20), -1, cv2.LINE_AA)
        for count, far in ((1, 0), (6, 13), (12, 25), (16, 36)):
            for turn in np.arange(count) / count * 2.0 * np.pi + rng.normal(0.0, 0.08, count):
                x, y = (round(at + far * way) for at, way in zip(middle, (np.cos(turn), np.sin(turn)), strict=True))
                bright = rng.uniform(0.5, 1.15)
                cv2.circle(photo, (x, y), 6, tuple(float(at * bright) for at in COPPER), -1, cv2.LINE_AA)
    noise = rng.normal(0.0, 2.0, (BIG, BIG, 1))
    return np.clip(cv2.GaussianBlur(photo, (0, 0), 1.0) + noise, 0, 255).astype(np.uint8)


def _far_from(middle: tuple[int, int]) -> NDArray[np.floating]:
    y, x = np.ogrid[:BIG, :BIG]
    return np.hypot(x - middle[0], y - middle[1])


def _drawn_on_strands(mechanism: str, area: float, seed: int) -> tuple[RGB, RGB, Mask]:
    photo = photo_from_array(_stranded())
    share = area / Scene(photo).object_area_px
    spec = DefectSpec.model_validate({"mechanism": mechanism, "zone": "interior", "area_fraction": share, "severity": 15.0})
    edited = ProceduralImageGen().edit(photo, "a wire of the cable", spec, seed)
    return 255.0 * photo.rgb, 255.0 * edited.photo.rgb, edited.changed


def test_a_bundle_of_strands_is_the_core_of_a_wire() -> None:
    found = cores_of(Scene(photo_from_array(_stranded())), np.pi * 40**2)
    assert len(found) == 3
    assert all(34 < 0.5 * part.length_px < 48 for part in found)


@pytest.mark.parametrize("seed", range(4))
def test_a_missing_wire_that_is_not_round_leaves_nothing_of_its_jacket_and_those_that_it_touched(seed: int) -> None:
    before, after, mask = _drawn_on_strands("missing", np.pi * 70**2, seed)
    gone = min(range(3), key=lambda one: -mask[_far_from(BIG_MIDDLES[one]) < 60].mean())
    jacket = np.abs(before - np.array(BIG_JACKETS[gone])).max(axis=2) < 25
    mine = (_far_from(BIG_MIDDLES[gone]) < 78) & np.all(
        [_far_from(other) > _far_from(BIG_MIDDLES[gone]) for other in BIG_MIDDLES if other != BIG_MIDDLES[gone]], axis=0
    )
    assert np.count_nonzero(jacket & mine) > 5000
    remains = np.abs(after - np.array(BIG_JACKETS[gone])).max(axis=2) < 25
    assert np.count_nonzero(remains & mine) < 30
    for other in (one for one in range(3) if one != gone):
        theirs = (np.abs(before - np.array(BIG_JACKETS[other])).max(axis=2) < 25) & (_far_from(BIG_MIDDLES[other]) < 76)
        assert np.count_nonzero(mask & theirs) < 30


def test_a_wire_of_another_colour_keeps_its_copper() -> None:
    recolored = 0
    for seed in range(12):
        before, after, mask = _drawn_on_strands("swap", np.pi * 70**2, seed)
        for middle in BIG_MIDDLES:
            far = _far_from(middle)
            same_strands = np.abs(after - before)[(far < 30) & (far > 8)].max() < 1.0
            if mask[(far > 52) & (far < 62)].mean() > 0.9:
                recolored += same_strands
                assert same_strands or np.corrcoef(after[far < 30].ravel(), before[far < 30].ravel())[0, 1] < 0.8
    assert recolored > 0
