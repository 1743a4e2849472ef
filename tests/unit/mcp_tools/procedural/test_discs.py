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
from anomalyagent.mcp_tools.procedural.discs import cores_of, discs_of

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
