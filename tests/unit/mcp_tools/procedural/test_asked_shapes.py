"""What is drawn is as long by its width as the spec asks, also where it is large, small, or cut off by an outline."""

import cv2
import numpy as np
import pytest
from helpers.sites import plain_sheet

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.judge.pair import Pair
from anomalyagent.mcp_tools.judge.specimens import make_specimen
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect


def nut(size: int = 256) -> Scene:
    """A brown ball on black."""
    rng = np.random.default_rng(0)
    native = np.full((size, size, 3), 12, np.uint8)
    cv2.circle(native, (size // 2, size // 2), round(0.36 * size), (170, 110, 60), -1, cv2.LINE_AA)
    return Scene(photo_from_array(np.clip(native + rng.normal(0.0, 2.0, native.shape), 0, 255).astype(np.uint8)))


def sheet(level: int = 225, size: int = 192) -> Scene:
    return Scene(photo_from_array(plain_sheet(size, level)))


def elongation(scene: Scene, made: Rendered) -> float:
    """Of the largest part, as the judge sees it: of print the region that it lies in."""
    pair = Pair.compare(scene.photo, made.photo)
    assert pair is not None
    part = pair.components[0]
    return part.extent if made.spec.mechanism == "print" else part.elongation


def drawn(scene: Scene, seeds: int, **fields: object) -> list[float]:
    specs = [DefectSpec.model_validate({"severity": 12.0, "seed": seed, **fields}) for seed in range(seeds)]
    return [elongation(scene, render_defect(scene, one)) for one in specs]


def test_a_large_crack_is_long_and_no_fat_lens() -> None:
    scene = nut()
    assert np.median(drawn(scene, 8, mechanism="crack", area_fraction=0.08, elongation=14.0)) > 7.0


def test_a_strong_crack_keeps_its_length_when_its_visible_area_is_fitted() -> None:
    """Dirt and lips widen it; the engine used to shorten it for that."""
    found = drawn(sheet(), 8, mechanism="crack", zone="edge", area_fraction=0.014, elongation=33.0, severity=18.0)
    assert np.median(found) > 12.0


@pytest.mark.parametrize("asked", [6.0, 12.0])
def test_the_lips_of_a_cut_do_not_make_it_round(asked: float) -> None:
    leather = Scene(make_specimen("leather", np.random.default_rng(0), 192))
    assert np.median(drawn(leather, 8, mechanism="cut", area_fraction=0.01, elongation=asked)) > 0.5 * asked


def test_specks_asked_as_round_are_round_and_in_one_piece() -> None:
    scene = sheet()
    found: list[float] = []
    for seed in range(20):
        spec = DefectSpec(mechanism="contamination", area_fraction=0.0022, elongation=1.2, severity=22.0, seed=seed)
        spec = spec.model_copy(update={"color_shift": (-40.0, 0.0, 0.0)})
        pair = Pair.compare(scene.photo, render_defect(scene, spec).photo)
        assert pair is not None
        found.append(pair.components[0].elongation)
        assert pair.components[0].area > 0.8 * sum(part.area for part in pair.components)
    assert np.mean([one < 1.6 for one in found]) >= 0.9


def test_a_chip_at_an_outline_has_the_asked_shape_after_the_outline_has_cut_it() -> None:
    found = drawn(sheet(), 10, mechanism="chip", zone="edge", area_fraction=0.01, elongation=3.0)
    assert 2.0 < np.median(found) < 4.5


def test_stray_ink_asked_as_compact_is_no_streak() -> None:
    found = drawn(sheet(), 16, mechanism="print", area_fraction=0.015, elongation=1.4)
    assert max(found) < 8.0
