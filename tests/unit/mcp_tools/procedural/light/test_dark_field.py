"""In dark field whatever breaks a black surface glows, as strongly as asked."""

import numpy as np
import pytest

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.change import visible_change
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.light.dark_field import is_dark_field


def plain(level: float) -> Scene:
    photo = level + np.random.default_rng(2).normal(0.0, 1.5, (160, 160))
    return Scene(photo_from_array(np.clip(photo, 0, 255).astype(np.uint8)))


@pytest.mark.parametrize(
    ("mechanism", "elongation"), [("scratch", 40.0), ("crack", 30.0), ("dent", 1.2), ("stain", 1.5), ("discoloration", 1.5)]
)
def test_a_change_of_a_black_surface_glows(mechanism: Mechanism, elongation: float) -> None:
    scene = plain(7.0)
    spec = DefectSpec(mechanism=mechanism, area_fraction=0.01, elongation=elongation, severity=10.0, seed=3)
    made = render_defect(scene, spec)
    reached = float(np.percentile(visible_change(scene.photo, made.photo)[made.mask], 80))
    assert reached > 5.0
    assert np.median(made.photo.rgb[made.mask]) > np.median(scene.photo.rgb[made.mask])


def test_only_a_black_surface_is_dark_field() -> None:
    assert is_dark_field(plain(7.0))
    assert not is_dark_field(plain(40.0))
