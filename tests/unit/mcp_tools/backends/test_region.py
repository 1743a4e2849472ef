"""Where an inpainting model may paint."""

from typing import Any

import cv2
import numpy as np
import pytest
from helpers.photos import make_photo

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.backends.region import Region, fit_size, plan_region
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene, scene_of


def scene(kind: Any = "surface", size: int = 256) -> Scene:
    return scene_of(photo_from_array(make_photo(kind, 1, size)))


def plan(scene: Scene, seed: int = 1, native_px: int = 512, **fields: Any) -> Region:
    spec = DefectSpec.model_validate({"mechanism": "scratch"} | fields)
    return plan_region(scene, spec, seed, native_px=native_px, multiple_px=8, grow=2.0, context=2.5)


def whole(scene: Scene, region: Region) -> Any:
    weight = np.zeros(scene.photo.shape, np.float32)
    weight[region.window.slices] = region.weight
    return weight


@pytest.mark.parametrize("angle", [0, 30, 90, -45])
def test_a_stroke_lies_where_and_as_the_spec_says(angle: float) -> None:
    surface = scene()
    region = plan(surface, center=(0.4, 0.6), area_fraction=0.004, elongation=25.0, orientation_deg=angle)
    y, x = np.nonzero(whole(surface, region) > 0.5)
    assert abs(x.mean() - 0.4 * 255) < 3
    assert abs(y.mean() - 0.6 * 255) < 3
    values, vectors = np.linalg.eigh(np.cov(np.stack([x, -y])))
    direction = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
    assert abs((direction - angle + 90) % 180 - 90) < 4
    # long, but not as thin as the defect: the model needs room
    assert 1.5 < np.sqrt(values[1] / values[0]) < 25


def test_the_crop_shows_surroundings_and_stays_inside_the_photo() -> None:
    surface = scene()
    region = plan(surface, native_px=64, center=(0.0, 1.0), area_fraction=0.002)
    window = region.window
    assert (window.x0, window.y1) == (0, 256)
    assert min(window.shape) >= 32
    assert region.weight.shape == window.shape
    assert (region.weight == 0).mean() > 0.5


def test_no_stroke_is_thinner_than_the_model_can_draw() -> None:
    surface = scene()
    region = plan(surface, native_px=128, area_fraction=0.0005, elongation=60.0, orientation_deg=0.0, center=(0.5, 0.5))
    shown_larger = region.size_hw[0] / region.window.shape[0]
    thickness = int((region.weight[:, region.weight.shape[1] // 2] > 0).sum())
    assert thickness * shown_larger >= 14


def test_every_instance_gets_its_place() -> None:
    surface = scene()
    region = plan(surface, mechanism="hole", area_fraction=0.01, count=4, seed=3)
    assert cv2.connectedComponents((whole(surface, region) > 0).astype(np.uint8))[0] - 1 == 4


def test_a_region_does_not_run_across_the_background() -> None:
    part = scene("part")
    region = plan(part, mechanism="missing", area_fraction=0.6)
    far = np.hypot(*(np.mgrid[:256, :256] - 127.5)) > 135
    assert not (whole(part, region)[far] > 0).any()


def test_the_same_seed_gives_the_same_place_and_another_seed_another() -> None:
    surface = scene()
    first, again, other = (whole(surface, plan(surface, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (33, 200), (4000, 3000), (1000, 37)])
def test_sizes_keep_the_shape_and_are_multiples(height: int, width: int) -> None:
    tall, broad = fit_size(height, width, 512, 16)
    assert tall % 16 == broad % 16 == 0
    assert 0.85 < tall * broad / 512**2 < 1.15
    assert abs(np.log((tall / broad) / (height / width))) < 0.15
