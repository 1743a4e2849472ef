"""Random shapes: areas, lengths, distances and directions are what was asked for."""

from itertools import pairwise

import numpy as np
import pytest

from anomalyagent.mcp_tools.procedural.edit import Window
from anomalyagent.mcp_tools.procedural.geometry.facets import facet_planes, mosaic
from anomalyagent.mcp_tools.procedural.geometry.paths import branching_paths, offset_path, spline_path, trace_stroke
from anomalyagent.mcp_tools.procedural.geometry.shapes import blob_distance, fractal_noise

WINDOW = Window(10, 20, 110, 140)


def length_of(path: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def test_distance_to_a_straight_stroke_is_exact() -> None:
    path = np.array([[40.0, 60.0], [120.0, 60.0]], np.float32)
    stroke = trace_stroke(WINDOW, path, 8.0)
    assert stroke.distance[60 - 10, 80 - 20] == pytest.approx(0.0, abs=1e-4)
    assert stroke.distance[65 - 10, 80 - 20] == pytest.approx(5.0, abs=1e-4)
    assert stroke.distance[60 - 10, 36 - 20] == pytest.approx(4.0, abs=1e-4)
    assert stroke.distance[90 - 10, 80 - 20] == pytest.approx(8.0)


def test_sides_and_position_along_a_stroke_follow_its_direction() -> None:
    stroke = trace_stroke(WINDOW, np.array([[40.0, 60.0], [120.0, 60.0]], np.float32), 8.0)
    assert stroke.side[63 - 10, 80 - 20] == 1.0  # below a stroke to the right is its right-hand side
    assert stroke.side[57 - 10, 80 - 20] == -1.0
    assert stroke.along[60 - 10, 60 - 20] == pytest.approx(0.25, abs=1e-3)


def test_a_stroke_traced_in_runs_equals_one_traced_segment_by_segment() -> None:
    path = spline_path((80.0, 60.0), 90.0, 0.4, np.random.default_rng(1), bend=0.8)
    y, x = np.mgrid[WINDOW.y0 : WINDOW.y1, WINDOW.x0 : WINDOW.x1].astype(np.float64)
    best = np.full(WINDOW.shape, np.inf)
    for (ax, ay), (bx, by) in pairwise(path):
        dx, dy = float(bx - ax), float(by - ay)
        t = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1)
        best = np.minimum(best, np.hypot(x - ax - t * dx, y - ay - t * dy))
    stroke = trace_stroke(WINDOW, path, 6.0)
    assert np.abs(stroke.distance - np.minimum(best, 6.0)).max() < 1e-2


def test_a_stroke_covers_its_length_times_its_width() -> None:
    stroke = trace_stroke(WINDOW, np.array([[40.0, 30.0], [110.0, 90.0]], np.float32), 8.0)
    expected = float(np.hypot(70, 60)) * 4.0 + np.pi * 4.0
    assert float(stroke.coverage(2.0).sum()) == pytest.approx(expected, rel=0.03)


def test_a_stroke_thinner_than_a_pixel_becomes_fainter() -> None:
    stroke = trace_stroke(WINDOW, np.array([[40.0, 30.0], [110.0, 90.0]], np.float32), 8.0)
    assert float(stroke.coverage(0.25).sum()) == pytest.approx(0.5 * float(stroke.coverage(0.5).sum()), rel=1e-3)


@pytest.mark.parametrize("angle", [0.0, 0.7, -1.2])
def test_a_spline_has_the_given_length_direction_and_middle(angle: float) -> None:
    path = spline_path((70.0, 50.0), 60.0, angle, np.random.default_rng(3), bend=0.5)
    chord = path[-1] - path[0]
    assert length_of(path) == pytest.approx(60.0, rel=1e-3)
    assert abs(np.sin(np.arctan2(chord[1], chord[0]) - angle)) < 1e-3
    assert 0.5 * (path.min(0) + path.max(0)) == pytest.approx([70.0, 50.0], abs=1e-3)


def test_a_path_moved_sideways_keeps_its_distance() -> None:
    path = np.array([[0.0, 0.0], [10.0, 0.0], [20.0, 0.0]], np.float32)
    assert offset_path(path, 3.0)[:, 1] == pytest.approx([3.0, 3.0, 3.0])


def test_branches_start_on_their_parents_and_taper() -> None:
    arms = branching_paths((70.0, 60.0), 80.0, 0.3, np.random.default_rng(2), branches=4)
    assert len(arms) == 5
    points = np.concatenate([arm.path for arm in arms])
    for arm in arms[1:]:
        gaps = np.linalg.norm(points - arm.path[0], axis=1)
        assert np.count_nonzero(gaps < 1e-3) >= 2
        assert arm.width_end < arm.width_start <= 1.0


@pytest.mark.parametrize("area", [30.0, 400.0, 2500.0])
@pytest.mark.parametrize("elongation", [1.0, 4.0])
def test_a_blob_has_the_given_area_in_one_piece(area: float, elongation: float) -> None:
    for seed in range(5):
        field = blob_distance(WINDOW, (80.0, 60.0), area, np.random.default_rng(seed), elongation=elongation, angle_rad=0.5)
        assert (field > 0).sum() == pytest.approx(area, rel=0.2, abs=4)


def test_an_elongated_blob_lies_along_its_angle() -> None:
    field = blob_distance(WINDOW, (80.0, 60.0), 900.0, np.random.default_rng(0), elongation=5.0, angle_rad=0.5)
    rows, columns = np.nonzero(field > 0)
    _, vectors = np.linalg.eigh(np.cov(np.stack([columns, rows])))
    assert abs(np.sin(np.arctan2(vectors[1, -1], vectors[0, -1]) - 0.5)) < 0.2


def test_noise_has_zero_mean_and_unit_variance_in_expectation() -> None:
    samples = np.stack([fractal_noise((64, 64), 12.0, np.random.default_rng(seed), octaves=4) for seed in range(40)])
    assert abs(samples.mean()) < 0.05
    assert samples.std() == pytest.approx(1.0, abs=0.1)


def test_noise_depends_on_the_generator_only() -> None:
    first, again = (fractal_noise((40, 50), 9.0, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first, again)


def test_facets_are_labelled_and_bordered() -> None:
    facets = facet_planes(WINDOW, (80.0, 60.0), 30.0, np.random.default_rng(1), count=7)
    assert set(np.unique(facets.label)) <= set(range(7))
    assert len(np.unique(facets.label)) >= 4
    assert facets.slope.shape == (7, 2)
    same = (facets.label[1:-1, 1:-1] == facets.label[:-2, 1:-1]) & (facets.label[1:-1, 1:-1] == facets.label[1:-1, :-2])
    assert facets.border[1:-1, 1:-1][~same].mean() > 3 * facets.border[1:-1, 1:-1][same].mean()


def test_cells_of_a_mosaic_have_their_centres_in_the_mask() -> None:
    inside = np.zeros((60, 80), np.bool_)
    inside[20:30, 10:70] = True
    cells = mosaic(inside, 9, 0.0, np.random.default_rng(3))
    assert cells.slope.shape == (9, 2)
    assert set(np.unique(cells.label[inside])) == set(np.unique(cells.label))  # no cell lies beside the mask only
    assert cells.border[cells.label == cells.label[25, 40]].min() == 0.0
