"""Breaks in the wall around a hollow, and how glass looks where it broke."""

from functools import cache

import cv2
import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Window
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect
from anomalyagent.mcp_tools.procedural.glass import crush_glass
from anomalyagent.mcp_tools.procedural.rims import find_hollow

SIZE, MOUTH, LIP = 192, 0.2, 0.33
"""Side of the photo in pixels; radii of the mouth and of the lip's outer edge, as shares of it."""


@cache
def jar() -> Scene:
    """Seen from above: a dark mouth, a lip of structured glass that ends at a bright line, then a shoulder."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) / SIZE - 0.5
    radius = np.hypot(x, y)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (SIZE, SIZE)), (0, 0), 1.2)
    photo = np.full((SIZE, SIZE), 235.0)
    photo = np.where(radius < 0.46, 60 + 14 * np.sin(radius * 120) + 15 * grain, photo)
    photo = np.where(np.abs(radius - LIP) < 0.012, 165.0, photo)
    photo = np.where(radius < MOUTH, 28.0, photo) + rng.normal(0, 1.0, (SIZE, SIZE))
    native = np.repeat(np.clip(photo, 0, 255).astype(np.uint8)[..., None], 3, axis=2)
    return Scene(photo_from_array(native))


def draw(area: float, seed: int, zone: str = "interior", elongation: float = 3.0) -> Rendered:
    spec = {"mechanism": "chip", "area_fraction": area, "elongation": elongation, "severity": 16.0, "zone": zone, "seed": seed}
    return render_defect(jar(), DefectSpec.model_validate(spec))


def radii_and_turns(made: Rendered) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.nonzero(made.mask)
    y, x = rows / SIZE - 0.5, columns / SIZE - 0.5
    return np.hypot(x, y), np.arctan2(y, x)


def test_the_wall_around_a_hollow_ends_at_its_most_marked_line() -> None:
    hollow = find_hollow(jar())
    assert hollow is not None
    assert abs(hollow.radius_px - MOUTH * SIZE) < 4
    assert abs(hollow.radius_px + hollow.wall_px - LIP * SIZE) < 5


def test_a_break_at_a_mouth_takes_a_stretch_of_the_wall_from_the_rim_to_its_edge() -> None:
    outer: list[float] = []
    for seed in range(8):
        radius, _ = radii_and_turns(draw(0.1, seed))
        assert np.percentile(radius, 2) > MOUTH - 0.02  # the hollow stays as it is
        outer.append(float(np.percentile(radius, 95)))
    assert LIP - 0.04 < np.median(outer) < LIP + 0.03


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
