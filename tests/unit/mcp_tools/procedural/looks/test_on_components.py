"""What befalls a component stays on it, wherever the engine looks for a place."""

import cv2
import numpy as np
import pytest
from helpers.boards import board, owners

from anomalyagent.knowledge.spec import DefectSpec, Mechanism
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.on_components import OnComponents, names_component
from anomalyagent.mcp_tools.procedural.mechanisms import scratch
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer

WRITTEN = 'Add one visible mark ("{name}") somewhere on the pcb.'


@pytest.mark.parametrize(
    ("name", "mechanism"),
    [
        ("damaged component", "chip"),
        ("cracked capacitor", "crack"),
        ("burnt component", "discoloration"),
        ("scratched chip", "scratch"),
    ],
)
@pytest.mark.parametrize("center", [None, (0.62, 0.5)])
def test_a_component_that_is_named_has_the_defect_alone(
    name: str, mechanism: Mechanism, center: tuple[float, float] | None
) -> None:
    scene = board()
    for seed in range(3):
        spec = DefectSpec(mechanism=mechanism, area_fraction=0.006, elongation=6.0, severity=16.0, seed=seed, center=center)
        drawn = render_defect(scene, spec, named_renderer(scene, spec, WRITTEN.format(name=name)))
        hit = cv2.dilate(owners(), np.ones((17, 17), np.uint8))[drawn.mask]  # with leads
        assert len(np.unique(hit)) == 1
        assert hit[0] > 0


def test_without_the_name_of_a_component_the_board_is_meant() -> None:
    scene = board()
    spec = DefectSpec(mechanism="scratch")
    assert named_renderer(scene, spec, WRITTEN.format(name="scratch")) is None
    assert not names_component(WRITTEN.format(name="chip"))  # a piece that broke out
    assert not names_component("Add a scratch on the component.")  # the item, as far as one can know


def test_where_there_are_no_components_nothing_is_drawn_on_them() -> None:
    scene = Scene(board().photo, body=np.ones((300, 440), np.bool_))
    narrowed = scene.narrowed(owners() == 1)
    assert narrowed.object_area_px == np.count_nonzero(owners() == 1)
    assert narrowed.lab is scene.lab
    assert OnComponents(scratch).targets(narrowed, DefectSpec(mechanism="scratch")) == []
