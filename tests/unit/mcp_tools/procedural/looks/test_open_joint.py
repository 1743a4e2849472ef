"""Mortar that is missing leaves a dark hollow in a joint, not a hole in a brick."""

import numpy as np

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.open_joint import OpenJoint
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer
from anomalyagent.mcp_tools.procedural.structure.joints import find_joints

PROMPT = 'Add a hole ("missing mortar") anywhere on the brick wall.'


def wall(size: int = 240, light: float = 175.0, dark: float = 95.0) -> tuple[Scene, np.ndarray]:
    """Bricks and their joints, and where the joints are."""
    y, x = np.mgrid[:size, :size]
    joints = (y % 24 < 5) | ((x + 24 * ((y // 24) % 2)) % 48 < 5)
    photo = np.where(joints, light, dark) + np.random.default_rng(1).normal(0.0, 2.0, (size, size))
    return Scene(photo_from_array(np.clip(photo, 0, 255).astype(np.uint8))), joints


def spec_of(seed: int) -> DefectSpec:
    return DefectSpec(mechanism="hole", area_fraction=0.002, severity=12.0, color_shift=(-25.0, 0.0, 0.0), seed=seed)


def test_joints_are_found_whether_light_or_dark() -> None:
    for light, dark in ((175.0, 95.0), (60.0, 140.0)):
        scene, joints = wall(light=light, dark=dark)
        found = find_joints(scene)
        assert found is not None
        assert ((found.depth > 0) & joints).sum() > 0.8 * joints.sum()
        assert ((found.depth > 0) & ~joints).sum() < 0.25 * joints.sum()


def test_a_surface_without_joints_has_none() -> None:
    noise = np.random.default_rng(2).normal(140.0, 8.0, (200, 200))
    scene = Scene(photo_from_array(np.clip(noise, 0, 255).astype(np.uint8)))
    assert find_joints(scene) is None
    assert not isinstance(named_renderer(scene, spec_of(0), PROMPT), OpenJoint)


def test_missing_mortar_is_a_dark_stretch_of_joint() -> None:
    scene, joints = wall()
    for seed in range(6):
        mechanism = named_renderer(scene, spec_of(seed), PROMPT)
        assert isinstance(mechanism, OpenJoint)
        made = render_defect(scene, spec_of(seed), mechanism)
        assert (made.mask & joints).sum() > 0.7 * made.mask.sum()
        core = made.mask & joints
        assert np.median(made.photo.rgb[core]) < 80.0 / 255.0
    assert not isinstance(named_renderer(scene, spec_of(0), PROMPT.replace("missing mortar", "drilled hole")), OpenJoint)
