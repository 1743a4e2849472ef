"""Components of a board are found and lost, turned or exchanged whole; a surface carries none."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.photo import photo_from_array, read_photo
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.extra import Extra
from anomalyagent.mcp_tools.procedural.mechanisms import swap
from anomalyagent.mcp_tools.procedural.mounted import mounted_on
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer

NORMALS = Path(__file__).parents[4] / "examples" / "normals"
_MARGIN = 16
CHIPS = ((74, 60, 64, 40), (190, 70, 50, 50), (330, 74, 70, 34), (80, 200, 46, 46), (200, 190, 80, 60))
CANS = ((320, 170, 16), (370, 210, 16), (310, 240, 14), (400, 140, 16))


def _board(seed: int = 0) -> Scene:
    """A green board on a pale table: tracks, white print, black chips with leads, grey cans."""
    rng = np.random.default_rng(seed)
    photo = np.full((300, 440, 3), (30, 105, 55), np.uint8)
    for _ in range(40):
        x, y = int(rng.integers(0, 440)), int(rng.integers(0, 300))
        cv2.line(photo, (x, y), (x + int(rng.integers(20, 90)), y), (60, 150, 85), 2)
    cv2.putText(photo, "HC-SR V2 REV B", (150, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (225, 230, 220), 1, cv2.LINE_AA)
    for x, y, width, height in CHIPS:
        for at in range(x - width // 2 + 4, x + width // 2 - 4, 8):
            cv2.rectangle(photo, (at, y - height // 2 - 6), (at + 3, y + height // 2 + 6), (190, 192, 188), cv2.FILLED)
        cv2.rectangle(photo, (x - width // 2, y - height // 2), (x + width // 2, y + height // 2), (32, 32, 34), cv2.FILLED)
    for x, y, radius in CANS:
        cv2.circle(photo, (x, y), radius, (175, 176, 172), cv2.FILLED)
    photo[[*range(_MARGIN), *range(-_MARGIN, 0)]] = photo[:, [*range(_MARGIN), *range(-_MARGIN, 0)]] = (222, 221, 218)
    noise = rng.normal(0.0, 2.0, photo.shape)
    return Scene(photo_from_array(np.clip(cv2.GaussianBlur(photo, (0, 0), 0.8) + noise, 0, 255).astype(np.uint8)))


def _owners() -> np.ndarray:
    """(H, W) int, 1 and on for each component with room for its leads and shadow; 0 for the board."""
    owners = np.zeros((300, 440), np.uint8)
    for index, (x, y, width, height) in enumerate(CHIPS, 1):
        cv2.rectangle(owners, (x - width // 2, y - height // 2), (x + width // 2, y + height // 2), index, cv2.FILLED)
    for index, (x, y, radius) in enumerate(CANS, len(CHIPS) + 1):
        cv2.circle(owners, (x, y), radius, index, cv2.FILLED)
    return owners


def test_chips_and_cans_are_found_and_print_and_tracks_are_not() -> None:
    found = mounted_on(_board())
    owners = _owners()
    assert sorted(owners[round(part.center_xy[1]), round(part.center_xy[0])] for part in found) == list(range(1, 10))


def test_a_chip_has_its_leads() -> None:
    x, y, _, height = CHIPS[4]
    chip = min(mounted_on(_board()), key=lambda part: np.hypot(part.center_xy[0] - x, part.center_xy[1] - y))
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
    drawn = render_defect(_board(), spec, renderer)
    changed = np.bincount(_owners()[drawn.mask], minlength=10)[1:] / np.bincount(_owners().ravel())[1:]
    ordered = np.sort(changed)
    assert ordered[-1] > (0.9 if mechanism == "missing" else 0.12)
    assert ordered[-2] < 0.06


@pytest.mark.parametrize("seed", range(4))
def test_an_extra_component_lies_on_bare_board(seed: int) -> None:
    scene = _board()
    spec = DefectSpec(mechanism="contamination", area_fraction=0.01, severity=12.0, count=3, seed=seed)
    renderer = named_renderer(scene, spec, 'Add three foreign particles ("extra component") on the pcb.')
    assert isinstance(renderer, Extra)
    drawn = render_defect(scene, spec, renderer)
    assert _owners()[drawn.mask].max() == 0
    assert not drawn.mask[~scene.foreground].any()
    whole = [part.area_px for part in mounted_on(scene)]
    assert 0.8 * min(whole) < np.count_nonzero(drawn.mask) < 1.5 * max(whole)


@pytest.mark.parametrize("words", ["extra solder", "extra metal", "extra material", "dust"])
def test_matter_is_no_component(words: str) -> None:
    spec = DefectSpec(mechanism="contamination", area_fraction=0.01)
    assert not isinstance(named_renderer(_board(), spec, f'Add one foreign particle ("{words}") on the pcb.'), Extra)
