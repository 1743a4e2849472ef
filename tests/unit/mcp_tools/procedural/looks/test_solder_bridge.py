"""Solder bridges join neighbouring pins of a row and lie nowhere else."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from anomalyagent.knowledge.spec import DefectSpec
from anomalyagent.mcp_tools.imaging.photo import photo_from_array
from anomalyagent.mcp_tools.imaging.scene import Scene
from anomalyagent.mcp_tools.procedural.engine import render_defect
from anomalyagent.mcp_tools.procedural.looks.solder_bridge import SolderBridge, names_bridge
from anomalyagent.mcp_tools.procedural.named_renderer import named_renderer
from anomalyagent.mcp_tools.procedural.parts.pin_rows import neighbouring_pins

PROMPT = 'Put one solder deposit ("{}") on the circuit board.'
SPEC = DefectSpec(mechanism="contamination", area_fraction=0.002, elongation=1.5, severity=12.0)


def _pins() -> NDArray[np.int32]:
    """The index of each of eight pins above and eight below a chip, 0 elsewhere."""
    pins = np.zeros((240, 320), np.int32)
    for index in range(8):
        x = 90 + 18 * index
        pins[70:88, x : x + 8] = index + 1
        pins[150:168, x : x + 8] = index + 9
    return pins


def _board(*, with_pins: bool = True) -> Scene:
    shown = np.full((240, 320, 3), (20, 90, 50), np.uint8)
    shown[88:150, 80:236] = 30
    if with_pins:
        shown[_pins() > 0] = 190
    cv2.putText(shown, "R47C52", (30, 220), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (200, 200, 200), 2)
    noise = np.random.default_rng(0).normal(0.0, 2.0, shown.shape)
    return Scene(photo_from_array(np.clip(cv2.GaussianBlur(shown, (0, 0), 0.7) + noise, 0.0, 255.0).astype(np.uint8)))


def test_neighbours_in_rows_are_found_and_print_is_not() -> None:
    found = neighbouring_pins(_board())
    ends = [(one.pin.xy, one.pin.xy + one.step) for one in found]
    at = {tuple(int(_pins()[round(float(y)), round(float(x))]) for x, y in pair) for pair in ends}
    assert at == {(one, one + 1) for one in range(1, 16) if one != 8}
    assert neighbouring_pins(_board(with_pins=False)) == ()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("words", ["solder bridge", "bridged pins", "solder_short"])
def test_a_bridge_joins_pins_that_were_apart(words: str, seed: int) -> None:
    scene = _board()
    spec = SPEC.model_copy(update={"seed": seed})
    renderer = named_renderer(scene, spec, PROMPT.format(words))
    assert isinstance(renderer, SolderBridge)
    drawn = render_defect(scene, spec, renderer)
    bright = (drawn.photo.rgb.mean(axis=2) > 0.4) & (drawn.mask | (_pins() > 0))
    labels = cv2.connectedComponents(bright.astype(np.uint8))[1]
    touched = np.unique(_pins()[(labels == np.bincount(labels[drawn.mask & bright]).argmax()) & (_pins() > 0)])
    assert 2 <= len(touched) <= 4
    assert (np.diff(touched) == 1).all()
    reach = cv2.dilate(np.isin(_pins(), touched).astype(np.uint8), np.ones((9, 23), np.uint8)) > 0
    assert not (drawn.mask & ~reach).any()


def test_where_no_row_is_seen_solder_lies_anywhere() -> None:
    assert not isinstance(named_renderer(_board(with_pins=False), SPEC, PROMPT.format("solder bridge")), SolderBridge)


@pytest.mark.parametrize("words", ["solder ball", "short scratch", "missing pins", "bridge crack"])
def test_other_names_speak_of_no_bridge(words: str) -> None:
    assert not names_bridge(PROMPT.format(words))
