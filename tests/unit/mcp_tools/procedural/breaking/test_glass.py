"""Breaks in the wall around a hollow, and how glass looks where it broke."""

from functools import cache

import numpy as np
from helpers.sites import JAR_LIP, JAR_MOUTH, JAR_PX, jar

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.breaking.glass import crush_glass
from anomalyagent.mcp_tools.procedural.edit import Window
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect
from anomalyagent.mcp_tools.procedural.structure.rims import find_hollow


@cache
def glass() -> Scene:
    return Scene(photo_from_array(jar()))


def draw(area: float, seed: int, zone: str = "interior", elongation: float = 3.0) -> Rendered:
    spec = {"mechanism": "chip", "area_fraction": area, "elongation": elongation, "severity": 16.0, "zone": zone, "seed": seed}
    return render_defect(glass(), DefectSpec.model_validate(spec))


def radii_and_turns(made: Rendered) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.nonzero(made.mask)
    y, x = rows / JAR_PX - 0.5, columns / JAR_PX - 0.5
    return np.hypot(x, y), np.arctan2(y, x)


def test_the_wall_around_a_hollow_ends_at_its_most_marked_line() -> None:
    hollow = find_hollow(glass())
    assert hollow is not None
    assert abs(hollow.radius_px - JAR_MOUTH * JAR_PX) < 4
    assert abs(hollow.radius_px + hollow.wall_px - JAR_LIP * JAR_PX) < 5


def test_a_break_at_a_mouth_takes_a_stretch_of_the_wall_from_the_rim_to_its_edge() -> None:
    outer: list[float] = []
    for seed in range(8):
        radius, _ = radii_and_turns(draw(0.1, seed))
        assert np.percentile(radius, 2) > JAR_MOUTH - 0.02  # the hollow stays as it is
        outer.append(float(np.percentile(radius, 95)))
    assert JAR_LIP - 0.04 < np.median(outer) < JAR_LIP + 0.03


def test_the_larger_a_break_at_a_mouth_is_the_farther_it_runs_around_it() -> None:
    def way_around(area: float) -> float:
        turns = [np.unique(np.rint(radii_and_turns(draw(area, seed))[1] * 20)).size for seed in range(5)]
        return float(np.median(turns))

    assert way_around(0.2) > 1.8 * way_around(0.08)


def test_splinters_flash_where_the_blow_fell() -> None:
    inside = np.zeros((80, 120), np.bool_)
    inside[10:70, 10:110] = True
    rim = np.repeat(np.exp(-((np.arange(80, dtype=np.float32) - 10) ** 2) / 200)[:, None], 120, axis=1)
    sums = np.zeros(2)
    for seed in range(12):
        bright, dark = crush_glass(Window(0, 0, 80, 120), inside, rim, 20.0, (60.0, 10.0), np.random.default_rng(seed))
        for part in (bright, dark):
            assert part.min() >= 0.0
            assert part.max() <= 1.0
        sums += bright[:35].sum(), bright[35:].sum()
    assert sums[0] > 3 * sums[1]
