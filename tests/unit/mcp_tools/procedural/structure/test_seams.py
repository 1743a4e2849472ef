"""A crack or a knot ends at the edge of its board or tile, a scratch leaves out the gap between two boards."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.knot import Knot
from anomalyagent.mcp_tools.procedural.structure.seams import find_seams

SEEDS = range(5)


def _of(shown: NDArray[np.floating]) -> Scene:
    return Scene(photo_from_array(np.clip(np.rint(shown), 0, 255).astype(np.uint8)))


def boards() -> tuple[Scene, NDArray[np.intp]]:
    """Boards that lie side by side, and which of them a pixel belongs to; 0 in the dark gaps."""
    rng = np.random.default_rng(3)
    y = np.mgrid[:300, :300][0]
    grain = np.repeat(rng.normal(0.0, 7.0, (300, 1)), 300, axis=1) + rng.normal(0.0, 2.5, (300, 300))
    gap = (y + 30) % 60 < 5
    wood = np.array((178.0, 128.0, 82.0)) + grain[..., None]
    return _of(np.where(gap[..., None], 25.0 + rng.normal(0.0, 2.0, (300, 300, 1)), wood)), np.where(gap, 0, (y + 30) // 60 + 1)


def tiles() -> tuple[Scene, NDArray[np.intp]]:
    """Dark tiles with light grout, and which of them a pixel belongs to; 0 in the grout."""
    y, x = np.mgrid[:300, :300]
    grout = ((y + 50) % 100 < 6) | ((x + 40) % 100 < 6)
    noise = np.random.default_rng(4).normal(0.0, 2.0, (300, 300))
    return _of(np.where(grout, 190.0, 100.0) + noise), np.where(grout, 0, 4 * ((y + 50) // 100) + (x + 40) // 100 + 1)


def spec_of(mechanism: str, seed: int, **fields: object) -> DefectSpec:
    asked: dict[str, object] = {"area_fraction": 0.004, "elongation": 30.0, "severity": 14.0} | fields
    return DefectSpec.model_validate({"mechanism": mechanism, "seed": seed} | asked)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("surface", [boards, tiles])
def test_a_crack_stays_in_its_board_or_tile(surface: Callable[[], tuple[Scene, NDArray[np.intp]]], seed: int) -> None:
    scene, cells = surface()
    asked = spec_of("crack", seed, orientation_deg=80.0)
    mask = render_defect(scene, asked).mask
    held = np.bincount(cells[mask], minlength=2)[1:]
    assert held.max() > 0.95 * held.sum()
    assert held.sum() > 0.6 * mask.sum()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_scratch_across_boards_leaves_out_the_gaps(seed: int) -> None:
    scene, cells = boards()
    mask = render_defect(scene, spec_of("scratch", seed, orientation_deg=88.0, area_fraction=0.006)).mask
    assert len(np.unique(cells[mask])) > 2
    assert np.mean(cells[mask] == 0) < 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_a_knot_is_cut_at_the_edge_of_its_board(seed: int) -> None:
    scene, cells = boards()
    drawn = render_defect(scene, spec_of("discoloration", seed, area_fraction=0.03, elongation=1.2), Knot())
    held = np.bincount(cells[drawn.mask], minlength=2)
    assert held[1:].max() > 0.95 * held.sum()


def test_surfaces_without_boards_have_no_seams() -> None:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:240, :240]
    assert find_seams(_of(140.0 + rng.normal(0.0, 8.0, (240, 240)))) is None
    ribs = np.where((x + 2.0 * np.sin(y / 9.0)) % 8 < 3, 90.0, 150.0) + rng.normal(0.0, 12.0, (240, 240))
    assert find_seams(_of(ribs)) is None
