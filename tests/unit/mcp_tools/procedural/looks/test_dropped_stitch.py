"""A dropped stitch runs down as a ladder: one wale wide, with a rung for each course."""

import numpy as np
import pytest

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.dropped_stitch import DroppedStitch, find_knit
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer

WALE, COURSE = 12, 9


def knit(size: int = 240, *, lying: bool = False) -> Scene:
    """Loops as rows of V, `WALE` pixels apart across and `COURSE` along."""
    y, x = np.mgrid[:size, :size].astype(np.float64)
    if lying:
        x, y = y, x
    legs = np.abs(x % WALE - 0.5 * WALE) / (0.5 * WALE)
    loops = np.cos(2.0 * np.pi * (y / COURSE + 0.5 * legs)) + 0.6 * np.cos(4.0 * np.pi * x / WALE)
    photo = 140.0 + 13.0 * loops + np.random.default_rng(1).normal(0.0, 3.0, (size, size))
    return Scene(photo_from_array(np.clip(photo, 0, 255).astype(np.uint8)))


def spec_of(seed: int, mechanism: str = "missing") -> DefectSpec:
    fields = {"mechanism": mechanism, "area_fraction": 0.02, "elongation": 12.0, "severity": 12.0, "seed": seed}
    return DefectSpec.model_validate(fields)


@pytest.mark.parametrize("lying", [False, True])
def test_loops_are_measured(lying: bool) -> None:
    found = find_knit(knit(lying=lying))
    assert found is not None
    assert found.lying == lying
    assert abs(found.wale_px - WALE) <= 1.0
    assert abs(found.course_px - COURSE) <= 1.0


def test_what_does_not_repeat_is_no_knit() -> None:
    noise = np.random.default_rng(2).normal(140.0, 9.0, (200, 200))
    assert find_knit(Scene(photo_from_array(np.clip(noise, 0, 255).astype(np.uint8)))) is None


@pytest.mark.parametrize("mechanism", ["missing", "cut", "discoloration"])
@pytest.mark.parametrize("words", ["dropped stitch", "ladder", "run in fabric"])
def test_words_of_a_dropped_stitch_draw_a_ladder(words: str, mechanism: str) -> None:
    spec = spec_of(0, mechanism)
    assert isinstance(named_renderer(knit(), spec, f'Add a defect ("{words}") anywhere on the knit.'), DroppedStitch)


def test_a_ladder_that_is_no_cloth_is_none() -> None:
    assert not isinstance(named_renderer(knit(), spec_of(0), 'Add a defect ("ladder") anywhere on the rail.'), DroppedStitch)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lying", [False, True])
def test_a_ladder_is_a_wale_wide_and_has_a_rung_for_each_course(lying: bool, seed: int) -> None:
    scene = knit(lying=lying)
    made = render_defect(scene, spec_of(seed), named_renderer(scene, spec_of(seed), 'Add a gap ("ladder") on the knit.'))
    rows, columns = np.nonzero(made.mask)
    along, across = (columns, rows) if lying else (rows, columns)
    assert 0.6 * WALE < np.ptp(across) < 1.7 * WALE
    assert np.ptp(along) > 5 * COURSE
    luma = made.photo.rgb.mean(axis=2).T if lying else made.photo.rgb.mean(axis=2)
    middle = int(np.median(across))
    profile = luma[along.min() + 2 * COURSE : along.max() - COURSE, middle - 2 : middle + 3].mean(axis=1)
    detail = profile - profile.mean()
    power = np.abs(np.fft.rfft(detail * np.hanning(len(detail)), 512)) ** 2
    assert abs(512 / (np.argmax(power[10:]) + 10) - COURSE) < 1.5
    assert profile.min() < 0.7 * np.median(scene.luma)
