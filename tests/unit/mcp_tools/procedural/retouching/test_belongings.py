"""A part that is lifted takes its shadow, its thin ends and its missed rim along, and leaves its neighbours alone."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site, Window
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.parts.component import Component
from anomalyagent.mcp_tools.procedural.retouching.belongings import belongings_of, cast_shade_of
from anomalyagent.mcp_tools.procedural.retouching.cutout import cut_out, fill_behind

TRAY = (0.66, 0.67, 0.66)


def _pins(count: int = 3, cell: int = 150) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Yellow pins with steel points and soft shadows in the cells of a grey tray, and a map of which pin is where."""
    side = count * cell
    photo, owners = np.ones((side, side, 3)) * TRAY, np.zeros((side, side), np.uint8)
    for index, (row, column) in enumerate(np.ndindex(count, count)):
        x, y = int((column + 0.45) * cell), int((row + 0.5) * cell)
        body, point = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
        cv2.rectangle(body, (x - 26, y - 22), (x + 16, y + 22), 1, -1)
        cv2.rectangle(point, (x + 16, y - 2), (x + 50, y + 2), 1, -1)
        both = body | point
        shadow = cv2.GaussianBlur(np.roll(both, (7, 6), (0, 1)).astype(np.float32), (0, 0), 4.0)
        photo *= 1.0 - 0.4 * shadow[..., None]
        photo[point > 0], photo[body > 0] = (0.42, 0.42, 0.44), (0.9, 0.7, 0.1)
        owners[(cv2.dilate(both, np.ones((5, 5), np.uint8)) > 0) | (shadow > 0.05)] = index + 1
    noise = np.random.default_rng(0).normal(0.0, 0.006, photo.shape)
    blurred = cv2.GaussianBlur(photo.astype(np.float32), (0, 0), 0.7)
    return np.rint(255.0 * np.clip(blurred + noise, 0.0, 1.0)).astype(np.uint8), owners


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_a_missing_part_of_a_tray_takes_its_shadow_and_its_point_along(seed: int) -> None:
    """The outline of the shadow and the steel point of a pin stayed in the empty cell."""
    photo, owners = _pins()
    scene = Scene(photo_from_array(photo))
    made = render_defect(scene, DefectSpec(mechanism="missing", area_fraction=0.1, severity=18.0, seed=seed))
    changed = np.bincount(owners[made.mask], minlength=10)
    gone = int(changed[1:].argmax()) + 1
    after = Scene(made.photo).lab
    tray = np.median(after[owners == 0], axis=0)
    off = np.linalg.norm(cv2.GaussianBlur(after, (0, 0), 1.5) - tray, axis=2)[owners == gone]
    assert float((off > 4.0).mean()) < 0.02
    assert changed[1:].sum() == changed[gone]


def test_a_neighbour_of_the_same_colour_and_what_runs_on_beyond_a_part_stay() -> None:
    rgb = np.ones((200, 200, 3), np.float32) * np.float32(0.3)
    part = np.zeros((200, 200), np.uint8)
    cv2.circle(part, (100, 100), 20, 1, -1)
    rgb[part > 0] = (0.8, 0.8, 0.78)
    beside = part.copy() * 0
    cv2.circle(beside, (100, 144), 20, 1, -1)
    rgb[beside > 0] = (0.8, 0.8, 0.78)
    rgb[98:102, :80] = (0.35, 0.5, 0.35)  # a trace
    found = belongings_of(rgb, np.asarray(cv2.erode(part, np.ones((3, 3), np.uint8)) > 0))
    if found is not None:
        taken = found.matter | found.shade
        assert not (taken & (beside > 0)).any()
        assert taken[98:102, :70].mean() < 0.05


def test_the_missed_rim_of_a_part_is_its_own() -> None:
    rgb = np.ones((200, 200, 3), np.float32) * np.float32(0.7)
    part, known = np.zeros((200, 200), np.uint8), np.zeros((200, 200), np.uint8)
    cv2.circle(part, (100, 100), 34, 1, -1)
    cv2.circle(known, (102, 103), 29, 1, -1)
    rgb[part > 0] = (0.7, 0.2, 0.15)
    found = belongings_of(rgb, known > 0)
    assert found is not None
    assert (found.matter | (known > 0))[part > 0].mean() > 0.97


def test_uneven_ground_tells_nothing_of_what_belongs_to_a_part() -> None:
    rgb = np.random.default_rng(0).uniform(0.0, 1.0, (120, 120, 3)).astype(np.float32)
    rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 3.0), np.float32) * 2.0
    part = np.zeros((120, 120), np.bool_)
    part[45:75, 45:75] = True
    assert belongings_of(rgb, part) is None


GROUND, TRACK = np.array([20.0, 90.0, 45.0]), np.array([40.0, 150.0, 80.0])


def _component(azimuth: float, dark: float) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8]]:
    """A board with tracks, 0..1, and a component on it, in rows 75 to 124 and columns 70 to 129, that throws a shadow 14 pixels
    wide and so dark; 1 for the component, 1 for its shadow."""
    rng = np.random.default_rng(0)
    board = np.full((200, 200, 3), GROUND, np.float32)
    for _ in range(9):
        cv2.line(board, (int(rng.integers(200)), 0), (int(rng.integers(200)), 199), TRACK.tolist(), 4)
    part = np.zeros((200, 200), np.uint8)
    part[75:125, 70:130] = 1
    shift = np.array([[1, 0, 14 * np.cos(azimuth)], [0, 1, 14 * np.sin(azimuth)]])
    shade = np.asarray(cv2.warpAffine(part, shift, (200, 200)), np.uint8) & (1 - part)
    photo = board * (1.0 - dark * cv2.GaussianBlur(shade.astype(np.float32), (0, 0), 2.0))[..., None]
    photo[part > 0] = 30
    return (np.clip(photo + rng.normal(0.0, 1.5, photo.shape), 0, 255) / 255).astype(np.float32), part, shade


@pytest.mark.parametrize("azimuth", [0.0, 0.8, 2.6, 4.2])
def test_the_shadow_of_a_component_is_found_over_the_tracks_of_a_board(azimuth: float) -> None:
    photo, part, shade = _component(azimuth, 0.4)
    found = cast_shade_of(photo, part > 0)
    assert found is not None
    assert found[shade > 0].mean() > 0.9
    assert np.count_nonzero(found & ~(cv2.dilate(shade | part, np.ones((25, 25), np.uint8)) > 0)) < 60
    lit, part, _ = _component(azimuth, 0.0)
    assert cast_shade_of(lit, part > 0) is None


@pytest.mark.parametrize("azimuth", [0.0, 0.8, 2.6, 4.2])
def test_a_component_that_is_lifted_off_a_board_leaves_no_shadow_on_it(azimuth: float) -> None:
    """The tracks made the ground too uneven to tell by it what belongs to a component."""
    photo, part, shade = _component(azimuth, 0.4)
    scene = Scene(photo_from_array(np.rint(255 * photo).astype(np.uint8)))
    window = Window(40, 40, 160, 160)
    mask = cv2.dilate(part, np.ones((5, 5), np.uint8))[window.slices] > 0
    component = Component(window, mask, (100.0, 100.0), 3000.0, 0.0, 1.2, (100.0, 100.0), 60.0, 60.0)
    site = Site(scene, component.center_xy, component.area_px, 0.0, Window(0, 0, 200, 200))
    lifted = cut_out(site, component, 4.0, np.random.default_rng(0))
    after = scene.photo.rgb.copy()
    after[lifted.window.slices] += lifted.seat[..., None] * (lifted.ground - after[lifted.window.slices])
    core = cv2.erode(shade, np.ones((3, 3), np.uint8)) > 0
    assert (255 * after[core].mean(axis=1) < 0.85 * GROUND.mean()).mean() < 0.05


def test_a_track_that_a_component_touched_does_not_swell_into_its_place() -> None:
    """A net of tracks passed for the body that the component sat in."""
    board = np.full((200, 200, 3), GROUND / 255, np.float32)
    board[:, 59:65] = board[100:106] = board[20:26] = board[180:186] = TRACK / 255
    seat = np.zeros((200, 200), np.bool_)
    seat[70:130, 65:135] = True
    board[seat] = 0.1
    board += np.random.default_rng(0).normal(0.0, 0.006, board.shape).astype(np.float32)
    filled = 255 * fill_behind(board, seat, np.random.default_rng(1))[seat]
    assert (np.linalg.norm(filled - TRACK, axis=1) < np.linalg.norm(filled - GROUND, axis=1)).mean() < 0.1
