"""Faults of etched copper sit on the tracks of a board, at their border or between them, and show copper or laminate."""

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.procedural import ProceduralImageGen
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.looks.copper import named_etching
from anomalyagent.mcp_tools.procedural.structure.tracks import find_tracks

COPPER, LAMINATE = np.array([52, 136, 76]), np.array([16, 76, 44])
SPEC = DefectSpec(mechanism="missing", area_fraction=0.001, elongation=1.5, severity=10.0)


def _drawn() -> NDArray[np.bool_]:
    """Six level tracks, 8 pixels wide and 32 apart, each with a pad with a hole at its ends."""
    tracks = np.zeros((240, 240), np.uint8)
    for y in range(40, 220, 32):
        tracks[y - 4 : y + 4, 30:210] = 1
        for x in (30, 210):
            cv2.circle(tracks, (x, y), 10, 1, -1)
            cv2.circle(tracks, (x, y), 4, 0, -1)
    return tracks > 0


def _board(seed: int = 0) -> NDArray[np.uint8]:
    cover = cv2.GaussianBlur(_drawn().astype(np.float32), (0, 0), 0.8)[..., None]
    shown = LAMINATE + cover * (COPPER - LAMINATE) + np.random.default_rng(seed).normal(0.0, 1.5, (240, 240, 3))
    return np.clip(shown, 0, 255).astype(np.uint8)


def _edit(fault: str, mechanism: str, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Copper before, copper after, and the mask."""
    photo = photo_from_array(_board())
    spec = SPEC.model_copy(update={"mechanism": mechanism})
    edited = ProceduralImageGen().edit(photo, f'Put one clear fault ("{fault}") on the bare PCB.', spec, seed)
    tracks = find_tracks(Scene(edited.photo))
    assert tracks is not None
    return _drawn(), tracks.copper, (edited.photo.rgb != photo.rgb).any(axis=2)


def _pieces(copper: NDArray[np.bool_]) -> int:
    return cv2.connectedComponents(copper.astype(np.uint8))[0] - 1


def test_copper_and_the_middle_lines_of_tracks_are_found() -> None:
    tracks = find_tracks(Scene(photo_from_array(_board())))
    assert tracks is not None
    assert (tracks.copper == _drawn()).mean() > 0.98
    assert len(tracks.hole_xy) == 12
    assert abs(float(np.median(tracks.half_px)) - 4.0) < 1.0
    assert (np.abs((tracks.middle_xy[:, 1] - 39.5 + 16) % 32 - 16) < 2.0).all()  # none on pads
    assert all(abs(float(tracks.run_at(index)[0])) > 0.95 for index in range(0, len(tracks.half_px), 40))


def test_other_photos_have_no_tracks() -> None:
    for native in (make_photo("surface", size=200), np.full((120, 120), 90, np.uint8)):
        assert find_tracks(Scene(photo_from_array(native))) is None


def _shown(copper: NDArray[np.uint8], *, lit_from_behind: bool) -> Scene:
    cover = cv2.GaussianBlur(copper.astype(np.float32), (0, 0), 0.8)[..., None]
    tones = (LAMINATE, COPPER)[:: -1 if lit_from_behind else 1]
    shown = tones[0] + cover * (tones[1] - tones[0]) + np.random.default_rng(0).normal(0.0, 1.5, (*copper.shape, 3))
    return Scene(photo_from_array(np.clip(shown, 0, 255).astype(np.uint8)))


@pytest.mark.parametrize("lit_from_behind", [False, True])
@pytest.mark.parametrize("drilled", [False, True])
def test_shape_tells_copper_whichever_tone_is_brighter(drilled: bool, lit_from_behind: bool) -> None:
    copper = _drawn().astype(np.uint8)
    if not drilled:  # tracks that run through the photo
        copper[:] = 0
        for y in range(20, 240, 32):
            copper[y : y + 8] = 1
    tracks = find_tracks(_shown(copper, lit_from_behind=lit_from_behind))
    assert tracks is not None
    assert (tracks.copper == (copper > 0)).mean() > 0.98
    assert len(tracks.hole_xy) == (12 if drilled else 0)


def test_thin_gaps_around_tracks_in_a_plane_and_pads_without_holes_are_no_copper() -> None:
    plane = np.ones((240, 240), np.uint8)
    for y in range(40, 220, 36):
        cv2.line(plane, (30, y), (210, y), 0, 14)
        cv2.line(plane, (30, y), (210, y), 1, 6)
    pads = np.zeros((240, 240), np.uint8)
    for y in range(30, 220, 24):
        pads[y : y + 5, 20:90] = 1
        for x in range(110, 220, 24):
            pads[y - 2 : y + 8, x : x + 10] = 1
    for copper in (plane, pads):
        tracks = find_tracks(_shown(copper, lit_from_behind=False))
        assert tracks is not None
        assert (tracks.copper == (copper > 0)).mean() > 0.95


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mechanism", ["missing", "cut"])
def test_an_open_circuit_parts_a_track(mechanism: str, seed: int) -> None:
    before, after, mask = _edit("open_circuit", mechanism, seed)
    assert _pieces(after) == _pieces(before) + 1
    assert not (after & ~before & mask).any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mechanism", ["contamination", "swap"])
def test_a_short_joins_two_tracks(mechanism: str, seed: int) -> None:
    photo = photo_from_array(_board())
    spec = SPEC.model_copy(update={"mechanism": mechanism, "area_fraction": 0.003})
    edited = ProceduralImageGen().edit(photo, 'Put one clear fault ("short") on the bare PCB.', spec, seed)
    tracks = find_tracks(Scene(edited.photo))
    assert tracks is not None
    assert _pieces(tracks.copper) == _pieces(_drawn()) - 1


def test_what_is_asked_larger_than_etching_makes_it_is_no_larger_than_the_tracks_allow() -> None:
    photo = photo_from_array(_board())
    spec = SPEC.model_copy(update={"mechanism": "swap", "area_fraction": 0.05})
    edited = ProceduralImageGen().edit(photo, 'Put one clear fault ("spurious_copper") on the bare PCB.', spec, 0)
    assert (edited.photo.rgb != photo.rgb).any(axis=2).sum() < 0.03 * 240**2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fault", ["mouse_bite", "pin hole"])
def test_a_bite_and_a_pinhole_leave_the_track_whole(fault: str, seed: int) -> None:
    before, after, mask = _edit(fault, "missing", seed)
    assert _pieces(after) == _pieces(before)
    assert np.count_nonzero(before & ~after & mask) > 8


@pytest.mark.parametrize("seed", range(4))
def test_a_spur_hangs_on_its_track_and_spurious_copper_on_none(seed: int) -> None:
    before, after, mask = _edit("spur", "contamination", seed)
    assert _pieces(after) == _pieces(before)
    assert np.count_nonzero(after & ~before & mask) > 8
    before, after, mask = _edit("spurious_copper", "swap", seed)
    assert _pieces(after) == _pieces(before) + 1
    assert np.count_nonzero(after & ~before & mask) > 8


def test_a_missing_hole_is_filled_with_copper() -> None:
    before, after, mask = _edit("missing_hole", "missing", 0)
    assert np.count_nonzero(after & ~before & mask) > 30
    assert cv2.connectedComponents((~after).astype(np.uint8))[0] == cv2.connectedComponents((~before).astype(np.uint8))[0] - 1


def test_words_that_name_a_fault_of_etched_copper() -> None:
    assert named_etching('Put one clear chip ("mouse_bite") on the bare board.') == "bite"
    assert named_etching("a short between two tracks") == "short"
    assert named_etching("an open circuit on the PCB") == "open"
    assert named_etching('one stain ("oxidation") on the pcb') is None
    assert named_etching('one part is missing ("short_shot") on the plastic cap') is None
    assert named_etching('one deposit ("solder_bridge") on the assembled pcb') is None
    assert named_etching('one cut ("broken pin") on the assembled pcb') is None
    assert named_etching("a short scratch on the cardboard") is None
    assert named_etching("a short cut across the copper pipe") is None
    assert named_etching('two elements ("short") on the pcb') == named_etching("a short on the pcb") == "short"
    assert named_etching('one gap ("open") on the pcb') == "open"
