"""A broken end or pick is one straight gap along a yarn, to the end of the cloth; no scratch."""

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.missing_yarn import MissingYarn
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer


def weave(size: int = 200) -> Scene:
    """Plain weave, a yarn every five pixels."""
    y, x = np.mgrid[:size, :size]
    over = ((x // 5) + (y // 5)) % 2
    yarn = np.where(over == 1, np.abs((x % 5) - 2.0), np.abs((y % 5) - 2.0))
    photo = 130.0 - 9.0 * yarn + np.random.default_rng(1).normal(0.0, 3.0, (size, size))
    return Scene(photo_from_array(np.clip(photo, 0, 255).astype(np.uint8)))


def spec_of(seed: int, direction: float) -> DefectSpec:
    return DefectSpec(
        mechanism="scratch", area_fraction=0.008, elongation=60.0, severity=8.0, orientation_deg=direction, seed=seed
    )


def named(words: str, item: str = "fabric") -> object:
    return named_renderer(weave(80), spec_of(0, 90.0), f'Add a scratch ("{words}") anywhere on the {item}.')


def test_words_of_a_missing_yarn_in_cloth_draw_one() -> None:
    assert isinstance(named("broken end"), MissingYarn)
    assert isinstance(named("missing pick"), MissingYarn)
    assert isinstance(named("broken_yarn"), MissingYarn)
    crack = spec_of(0, 90.0).model_copy(update={"mechanism": "crack"})
    assert isinstance(named_renderer(weave(80), crack, 'Add a crack ("weft_crack") anywhere on the fabric.'), MissingYarn)
    assert named_renderer(weave(80), crack, 'Add a crack ("crack") anywhere on the fabric.') is None
    assert not isinstance(named("broken end", "rail"), MissingYarn)
    assert not isinstance(named("slub"), MissingYarn)


def test_the_gap_runs_with_the_yarns_to_the_end_of_the_cloth() -> None:
    scene = weave()
    for seed in range(8):
        for direction in (88.0, 3.0):
            made = render_defect(scene, spec_of(seed, direction), MissingYarn())
            rows, columns = np.nonzero(made.mask)
            along, across = (rows, columns) if direction > 45.0 else (columns, rows)
            assert np.ptp(across) <= 8
            assert np.ptp(along) > 45
            assert along.min() <= 4 or along.max() >= 195
