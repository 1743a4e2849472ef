"""Components of a board are found and lost, turned or exchanged whole; a surface carries none."""

from pathlib import Path

import numpy as np
import pytest
from helpers.boards import CHIPS, EYES, board, owners, sensor_board

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.photo import read_photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.extra import Extra
from anomalyagent.mcp_tools.procedural.mechanisms import swap
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer
from anomalyagent.mcp_tools.procedural.parts.mounted import mounted_on

NORMALS = Path(__file__).parents[5] / "examples" / "normals"


def test_chips_and_cans_are_found_and_print_and_tracks_are_not() -> None:
    found = mounted_on(board())
    at = owners()
    assert sorted(at[round(part.center_xy[1]), round(part.center_xy[0])] for part in found) == list(range(1, 10))


def test_a_chip_has_its_leads() -> None:
    x, y, _, height = CHIPS[4]
    chip = min(mounted_on(board()), key=lambda part: np.hypot(part.center_xy[0] - x, part.center_xy[1] - y))
    rows = np.flatnonzero(chip.mask.any(axis=1)) + chip.window.y0
    assert rows[0] <= y - height // 2 - 5
    assert rows[-1] >= y + height // 2 + 5


@pytest.mark.parametrize("item", ["connector", "leather", "metal_nut", "steel_plate", "tablet"])
def test_other_things_carry_nothing(item: str) -> None:
    assert mounted_on(Scene(read_photo(sorted((NORMALS / item).glob("*"))[0]))) == ()


@pytest.mark.parametrize("mechanism", ["missing", "swap", "bend"])
@pytest.mark.parametrize("seed", range(3))
def test_one_component_is_concerned_as_a_whole(mechanism: Mechanism, seed: int) -> None:
    spec = DefectSpec(mechanism=mechanism, area_fraction=0.02, severity=14.0, seed=seed)
    renderer = swap.OutOfPlace(frozenset({"turn"})) if mechanism == "swap" else None
    drawn = render_defect(board(), spec, renderer)
    changed = np.bincount(owners()[drawn.mask], minlength=10)[1:] / np.bincount(owners().ravel())[1:]
    ordered = np.sort(changed)
    assert ordered[-1] > (0.9 if mechanism == "missing" else 0.12)
    assert ordered[-2] < 0.06


@pytest.mark.parametrize("seed", range(4))
def test_an_extra_component_lies_on_bareboard(seed: int) -> None:
    scene = board()
    spec = DefectSpec(mechanism="contamination", area_fraction=0.01, severity=12.0, count=3, seed=seed)
    renderer = named_renderer(scene, spec, 'Add three foreign particles ("extra component") on the pcb.')
    assert isinstance(renderer, Extra)
    drawn = render_defect(scene, spec, renderer)
    assert owners()[drawn.mask].max() == 0
    assert not drawn.mask[~scene.foreground].any()
    whole = [part.area_px for part in mounted_on(scene)]
    assert 0.8 * min(whole) < np.count_nonzero(drawn.mask) < 1.5 * max(whole)


@pytest.mark.parametrize("words", ["extra solder", "extra metal", "extra material", "dust"])
def test_matter_is_no_component(words: str) -> None:
    spec = DefectSpec(mechanism="contamination", area_fraction=0.01)
    assert not isinstance(named_renderer(board(), spec, f'Add one foreign particle ("{words}") on the pcb.'), Extra)


def test_cans_that_cover_much_of_their_board_are_mounted_on_it() -> None:
    found = mounted_on(sensor_board())
    for x, y, radius in EYES:
        nearest = min(found, key=lambda part: np.hypot(part.center_xy[0] - x, part.center_xy[1] - y))
        assert np.hypot(nearest.center_xy[0] - x, nearest.center_xy[1] - y) < 4
        assert 0.8 < nearest.area_px / (np.pi * radius**2) < 1.25
    assert len(found) == 3  # and the quartz: pads around holes are no components


@pytest.mark.parametrize("seed", range(4))
def test_a_round_can_is_knocked_aside_since_it_would_look_the_same_turned(seed: int) -> None:
    scene = sensor_board()
    x, y, radius = EYES[0]
    spec = DefectSpec(mechanism="bend", center=(x / 440, y / 260), area_fraction=0.1, severity=12.0, seed=seed)
    drawn = render_defect(scene, spec)
    shown = np.abs(drawn.photo.rgb - scene.photo.rgb).max(axis=2) > 0.2
    ys, xs = np.nonzero(drawn.mask)
    assert np.hypot(xs - x, ys - y).max() < 1.6 * radius
    assert shown.sum() > 0.1 * np.pi * radius**2
    assert not drawn.mask[:16].any()
