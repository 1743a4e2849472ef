"""Cracks wind through grain, follow joints, are a hairline where they are faint, and are smooth in glass only."""

import cv2
import numpy as np
import pytest

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import Rendered, render_defect


def crack(scene: Scene, seed: int, **fields: object) -> Rendered:
    given = {"area_fraction": 0.01, "elongation": 30.0, "severity": 10.0, **fields}
    return render_defect(scene, DefectSpec.model_validate({"mechanism": "crack", "seed": seed, **given}))


def grainy(size: int = 224) -> Scene:
    """Concrete: sand and pores."""
    rng = np.random.default_rng(3)
    sand = cv2.GaussianBlur(rng.normal(0.0, 1.0, (size, size)).astype(np.float32), (0, 0), 1.3)
    return Scene(photo_from_array(np.clip(140 + 9 * sand / sand.std(), 0, 255).astype(np.uint8)))


def wall(size: int = 240) -> tuple[Scene, np.ndarray]:
    """Bricks with light joints, and where the joints are."""
    y, x = np.mgrid[:size, :size]
    course = y // 24
    joints = (y % 24 < 4) | ((x + 24 * (course % 2)) % 48 < 4)
    photo = np.where(joints, 175.0, 95.0) + np.random.default_rng(1).normal(0.0, 2.0, (size, size))
    return Scene(photo_from_array(np.clip(photo, 0, 255).astype(np.uint8))), joints


def wandering(made: Rendered) -> float:
    """How far the changed pixels lie from the parabola through them, in lengths of the crack."""
    rows, columns = np.nonzero(made.mask)
    points = np.stack([columns, rows], 1) - np.array([columns.mean(), rows.mean()])
    _, axes = np.linalg.eigh(np.cov(points.T))
    along, across = points @ axes[:, 1], points @ axes[:, 0]
    left = across - np.polyval(np.polyfit(along, across, 2), along)
    return float(left.std() / np.ptp(along))


def test_a_crack_in_grainy_material_winds() -> None:
    scene = grainy()
    assert np.median([wandering(crack(scene, seed)) for seed in range(8)]) > 0.021


def test_a_crack_follows_the_joints_of_a_wall() -> None:
    scene, joints = wall()
    shares = [float(joints[crack(scene, seed, orientation_deg=40.0, center=(0.5, 0.5)).mask].mean()) for seed in range(6)]
    assert np.median(shares) > 1.6 * joints.mean(), shares


def test_a_wide_faint_crack_is_a_hairline_and_no_veil() -> None:
    scene = Scene(photo_from_array(np.full((224, 224), 170, np.uint8)))
    ratios: list[float] = []
    for seed in range(6):
        made = crack(scene, seed, area_fraction=0.02, elongation=12.0, severity=4.0)
        lost = (scene.photo.rgb - made.photo.rgb).mean(2)[made.mask]
        ratios.append(float(np.percentile(lost, 97) / np.percentile(lost, 60)))
    assert np.median(ratios) > 1.85, ratios


@pytest.mark.parametrize("degrees", [0.0, 60.0])
def test_a_crack_closes_towards_its_tips(degrees: float) -> None:
    scene = grainy()
    angle = np.deg2rad(-degrees)
    y, x = np.mgrid[:224, :224] - 112
    along = x * np.cos(angle) + y * np.sin(angle)
    shares: list[float] = []
    for seed in range(6):
        made = crack(scene, seed, orientation_deg=degrees, center=(0.5, 0.5), elongation=20.0, severity=14.0)
        lost = (scene.photo.rgb - made.photo.rgb).mean(2)[made.mask]
        share = np.histogram(along[made.mask], bins=10, weights=lost)[0]
        shares.append(float(share[[0, -1]].mean() / share[3:7].mean()))
    assert np.median(shares) < 0.45, shares


def test_a_crack_in_glass_is_smoother_than_in_concrete() -> None:
    y, x = np.mgrid[:224, :224] - 111.5
    radius = np.hypot(x, y)
    photo = np.where(radius < 100, 30 + 12 * np.sin(radius / 7.0), 235.0)
    photo = np.where(np.hypot(x + 60, y + 20) < 6, 250.0, photo) + np.random.default_rng(0).normal(0.0, 1.0, photo.shape)
    glass = Scene(photo_from_array(np.clip(photo, 0, 255).astype(np.uint8)))
    concrete = grainy()
    asked = {"orientation_deg": 10.0, "center": (0.5, 0.5), "severity": 6.0}
    smooth, rough = ([wandering(crack(scene, seed, **asked)) for seed in range(8)] for scene in (glass, concrete))
    assert np.median(smooth) < 0.7 * np.median(rough)


def planks(size: int = 240) -> Scene:
    """Wood whose grain runs from top to bottom."""
    rng = np.random.default_rng(4)
    grain = cv2.GaussianBlur(rng.normal(0.0, 1.0, (size, size)).astype(np.float32), (0, 0), sigmaX=1.0, sigmaY=40.0)
    shade = 1.0 + 0.06 * (grain / grain.std())[..., None]
    return Scene(photo_from_array(np.clip(np.array([190.0, 145.0, 98.0]) * shade, 0, 255).astype(np.uint8)))


def test_a_crack_in_wood_and_its_arms_keep_to_the_fibres() -> None:
    noise = np.random.default_rng(4).normal(0.0, 1.0, (240, 240)).astype(np.float32)
    grain = cv2.GaussianBlur(noise, (0, 0), sigmaX=40.0, sigmaY=1.0)
    shade = 1.0 + 0.06 * (grain / grain.std())[..., None]
    wood = Scene(photo_from_array(np.clip(np.array([190.0, 145.0, 98.0]) * shade, 0, 255).astype(np.uint8)))
    for seed in range(8):
        rows, columns = np.nonzero(crack(wood, seed, center=(0.5, 0.5)).mask)
        assert np.ptp(rows) < 0.2 * np.ptp(columns)


def test_wood_splits_along_its_grain_beside_the_frame_too() -> None:
    scene = planks()
    tall = 0
    for seed in range(10):
        rows, columns = np.nonzero(crack(scene, seed, zone="edge", center=(0.04, 0.5)).mask)
        tall += np.ptp(rows) > np.ptp(columns)
    assert tall >= 8
