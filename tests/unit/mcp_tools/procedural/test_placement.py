"""Where instances lie and which way they run."""

import cv2
import numpy as np
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.edit import Site
from anomalyagent.mcp_tools.procedural.placement import place_instance


def cloudy_surface() -> Scene:
    """A surface that runs no way."""
    noise = cv2.GaussianBlur(np.random.default_rng(2).normal(0, 1, (192, 192)), (0, 0), 2.0)
    return Scene(photo_from_array(np.clip(128 + 40 * noise, 0, 255).astype(np.uint8)))


def disc() -> Scene:
    photo = np.full((192, 192, 3), 240, np.uint8)
    cv2.circle(photo, (96, 96), 70, (120, 110, 100), -1)
    return Scene(photo_from_array(photo))


def directions(scene: Scene, mechanism: str, instances: int) -> NDArray[np.float64]:
    """(60, instances) angles in radians."""
    spec = DefectSpec.model_validate({"mechanism": mechanism, "area_fraction": 0.01, "elongation": 20.0, "count": instances})
    found: list[list[float]] = []
    for seed in range(60):
        rng, taken = np.random.default_rng(seed), list[Site]()
        for _ in range(instances):
            taken.append(place_instance(scene, spec, 60.0, taken, rng, clustered=False))
        found.append([site.angle_rad for site in taken])
    return np.array(found)


def apart(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 .. pi / 2 between directions, which have no sense."""
    return np.abs(np.arcsin(np.sin(first - second)))


def test_scratches_of_one_image_mostly_run_side_by_side() -> None:
    turns = directions(disc(), "scratch", 4)
    assert 0.6 < (apart(turns[:, 1:], turns[:, :1]) < 0.15).mean() < 0.95
    turns = directions(disc(), "crack", 4)  # each blow cracks it its own way
    assert (apart(turns[:, 1:], turns[:, :1]) < 0.15).mean() < 0.4


def test_scratches_on_a_surface_often_run_square_to_the_photo() -> None:
    """Web, strip and belt travel so under a camera; a part on a bench lies as it likes."""

    def square(scene: Scene) -> float:
        return float((np.abs(np.sin(2 * directions(scene, "scratch", 1))) < 0.2).mean())

    assert square(cloudy_surface()) > 0.35
    assert square(disc()) < 0.3


def test_a_place_beside_the_zone_mask_moves_so_far_in_that_the_defect_fits() -> None:
    """A dent that was wanted left of the zone lay on its border, cut in half by a straight line."""
    legal = np.zeros((192, 192), bool)
    legal[:, 100:] = True
    scene = Scene(disc().photo, legal)
    for elongation in (1.0, 6.0):
        spec = DefectSpec(mechanism="dent", center=(0.2, 0.5), area_fraction=0.02, elongation=elongation)
        site = place_instance(scene, spec, 300.0, [], np.random.default_rng(0), clustered=False)
        assert site.center_xy[0] - 99 >= 0.6 * np.sqrt(300.0)
    spec = DefectSpec(mechanism="dent", center=(0.8, 0.5), area_fraction=0.02, elongation=1.0)
    there = place_instance(scene, spec, 300.0, [], np.random.default_rng(0), clustered=False)
    free = place_instance(disc(), spec, 300.0, [], np.random.default_rng(0), clustered=False)
    assert there.center_xy == free.center_xy
